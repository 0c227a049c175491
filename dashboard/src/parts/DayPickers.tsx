import { DatePicker } from 'antd';
import deDates from 'antd/es/date-picker/locale/de_DE';
import enDates from 'antd/es/date-picker/locale/en_GB';
import dayjs, { type Dayjs } from 'dayjs';
import 'dayjs/locale/de';
import 'dayjs/locale/en-gb';
import { useTranslation } from 'react-i18next';

import type { RangeChoice } from '../format/ranges';
import { useLanguage } from '../look/taste';

type Props = { choice: RangeChoice; today: string; onChoose: (choice: RangeChoice) => void };

const FORMATS = { en: 'D MMM YYYY', de: 'DD.MM.YYYY' };
const LOCALES = { en: enDates, de: deDates };

/** Two calendars for the first and the last day, in the company's days; weeks begin with Monday. */
export default function DayPickers({ choice, today, onChoose }: Props) {
  const { t } = useTranslation();
  const language = useLanguage();
  const last = dayjs(today);
  const value: [Dayjs, Dayjs] | null =
    choice.from !== undefined && choice.to !== undefined ? [dayjs(choice.from), dayjs(choice.to)] : null;
  return (
    <DatePicker.RangePicker
      value={value}
      format={FORMATS[language]}
      locale={LOCALES[language]}
      placeholder={[t('range.first'), t('range.last')]}
      aria-label={t('range.free')}
      maxDate={last}
      onChange={(days) => {
        const [from, to] = days ?? [];
        if (from != null && to != null)
          onChoose({ from: from.format('YYYY-MM-DD'), to: to.format('YYYY-MM-DD') });
      }}
    />
  );
}
