import { DatePicker } from 'antd';
import deDates from 'antd/es/date-picker/locale/de_DE';
import enDates from 'antd/es/date-picker/locale/en_GB';
import dayjs from 'dayjs';
import 'dayjs/locale/de';
import 'dayjs/locale/en-gb';

import { useLanguage } from '../look/taste';

type Props = {
  /** Of the field, for a label that stands elsewhere. */
  id?: string;
  day: string | null;
  label: string;
  min?: string;
  max?: string;
  onChoose: (day: string | null) => void;
};

const FORMATS = { en: 'D MMM YYYY', de: 'DD.MM.YYYY' };
const LOCALES = { en: enDates, de: deDates };
const ISO = 'YYYY-MM-DD';

/** One day, chosen from a calendar or typed. Calendars are large: load this only when it is shown. */
export default function DayField({ id, day, label, min, max, onChoose }: Props) {
  const language = useLanguage();
  return (
    <DatePicker
      {...(id === undefined ? {} : { id })}
      aria-label={label}
      format={FORMATS[language]}
      locale={LOCALES[language]}
      value={day === null ? null : dayjs(day)}
      placeholder=""
      {...(min === undefined ? {} : { minDate: dayjs(min) })}
      {...(max === undefined ? {} : { maxDate: dayjs(max) })}
      onChange={(chosen) => onChoose(chosen === null ? null : chosen.format(ISO))}
    />
  );
}
