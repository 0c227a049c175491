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
  isDisabled?: boolean;
  onChoose: (day: string | null) => void;
};

const FORMATS = { en: 'D MMM YYYY', de: 'DD.MM.YYYY' };
const LOCALES = { en: enDates, de: deDates };
const ISO = 'YYYY-MM-DD';

/** One day, chosen from a calendar or typed. Calendars are large: load this only when it is shown. */
export default function DayField({ id, day, label, min, max, isDisabled = false, onChoose }: Props) {
  const language = useLanguage();
  return (
    <DatePicker
      {...(id === undefined ? {} : { id })}
      aria-label={label}
      format={FORMATS[language]}
      locale={LOCALES[language]}
      value={day === null ? null : dayjs(day)}
      placeholder=""
      disabled={isDisabled}
      {...(min === undefined ? {} : { minDate: dayjs(min) })}
      {...(max === undefined ? {} : { maxDate: dayjs(max) })}
      onKeyDown={(event) => {
        // Enter chooses the day that was typed, and does not submit the form around the field.
        if (event.key === 'Enter') event.preventDefault();
      }}
      onChange={(chosen) => onChoose(chosen === null ? null : chosen.format(ISO))}
    />
  );
}
