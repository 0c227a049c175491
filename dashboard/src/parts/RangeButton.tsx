import { Button, type ButtonProps } from 'antd';
import { CalendarDays } from 'lucide-react';
import { useTranslation } from 'react-i18next';

import { useFormats } from '../format/useFormats';
import type { RangeChoice } from '../format/ranges';

type Props = Omit<ButtonProps, 'type' | 'ghost' | 'icon' | 'aria-label'> & {
  choice: RangeChoice;
  isOpen: boolean;
};

/** The button that opens the choice of any days, with the days that are chosen. Other properties are those of a button. */
export function RangeButton({ choice: { from, to }, isOpen, ...others }: Props) {
  const { t } = useTranslation();
  const formats = useFormats();
  const isFree = from !== undefined && to !== undefined;
  return (
    <Button
      {...others}
      icon={<CalendarDays size={15} aria-hidden />}
      type={isFree ? 'primary' : 'default'}
      ghost={isFree}
      aria-label={t('range.free')}
      aria-expanded={isOpen}
    >
      {isFree ? (
        t('range.days', { from: formats.shortDay(from), to: formats.shortDay(to) })
      ) : (
        <span className="wide-only">{t('range.freeShort')}</span>
      )}
    </Button>
  );
}
