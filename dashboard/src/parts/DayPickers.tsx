import { Button, DatePicker } from 'antd';
import deDates from 'antd/es/date-picker/locale/de_DE';
import enDates from 'antd/es/date-picker/locale/en_GB';
import dayjs, { type Dayjs } from 'dayjs';
import 'dayjs/locale/de';
import 'dayjs/locale/en-gb';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';

import type { RangeChoice } from '../format/ranges';
import { useLanguage } from '../look/taste';

type Props = { choice: RangeChoice; today: string; onChoose: (choice: RangeChoice) => void };

const FORMATS = { en: 'D MMM YYYY', de: 'DD.MM.YYYY' };
const LOCALES = { en: enDates, de: deDates };
const ISO = 'YYYY-MM-DD';

const dayOf = (text: string | undefined): Dayjs | null => (text === undefined ? null : dayjs(text));

/** The first and the last day, in the company's days; weeks begin with Monday. */
export default function DayPickers({ choice, today, onChoose }: Props) {
  const { t } = useTranslation();
  const language = useLanguage();
  const [first, setFirst] = useState(() => dayOf(choice.from));
  const [last, setLast] = useState(() => dayOf(choice.to) ?? dayjs(today));
  const isWrong = first !== null && first.isAfter(last);
  const shared = { format: FORMATS[language], locale: LOCALES[language], maxDate: dayjs(today) };
  return (
    <div className="day-pickers">
      <label>
        {t('range.first')}
        <DatePicker {...shared} value={first} onChange={setFirst} placeholder="" />
      </label>
      <label>
        {t('range.last')}
        <DatePicker
          {...shared}
          value={last}
          onChange={(day) => setLast(day ?? dayjs(today))}
          placeholder=""
        />
      </label>
      <Button
        type="primary"
        disabled={first === null || isWrong}
        onClick={() => {
          if (first !== null) onChoose({ from: first.format(ISO), to: last.format(ISO) });
        }}
      >
        {t('range.show')}
      </Button>
      {isWrong && <p role="alert">{t('range.order')}</p>}
    </div>
  );
}
