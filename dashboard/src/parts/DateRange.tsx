import { Button, Popover, Segmented } from 'antd';
import { CalendarDays } from 'lucide-react';
import { lazy, Suspense, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { useFormats } from '../format/useFormats';
import { DEFAULT_PERIOD, PERIODS, type Period, type RangeChoice } from '../format/ranges';
import { Loading } from './Loading';

type Props = { choice: RangeChoice; today: string; onChoose: (choice: RangeChoice) => void };

// Calendars are large, and seldom opened.
const DayPickers = lazy(() => import('./DayPickers'));

/** The period of the reports: one that ends today, or any days. */
export function DateRange({ choice, today, onChoose }: Props) {
  const { t } = useTranslation();
  const formats = useFormats();
  const [isOpen, setOpen] = useState(false);
  const isFree = choice.from !== undefined && choice.to !== undefined;
  const chosen = isFree ? undefined : (choice.period ?? DEFAULT_PERIOD);
  const choose = (next: RangeChoice) => {
    setOpen(false);
    onChoose(next);
  };
  return (
    <div className="date-range">
      <Segmented<Period | ''>
        aria-label={t('range.label')}
        value={chosen ?? ''}
        options={PERIODS.map((period) => ({ value: period, label: t(`range.${period}`) }))}
        onChange={(period) => {
          if (period !== '') choose({ period });
        }}
      />
      <Popover
        open={isOpen}
        onOpenChange={setOpen}
        trigger="click"
        placement="bottomRight"
        destroyOnHidden
        content={
          <Suspense fallback={<Loading height={80} />}>
            <DayPickers choice={choice} today={today} onChoose={choose} />
          </Suspense>
        }
      >
        <Button
          icon={<CalendarDays size={15} aria-hidden />}
          type={isFree ? 'primary' : 'default'}
          ghost={isFree}
          aria-label={t('range.free')}
          aria-expanded={isOpen}
        >
          {isFree ? (
            t('range.days', {
              from: formats.shortDay(choice.from ?? ''),
              to: formats.shortDay(choice.to ?? ''),
            })
          ) : (
            <span className="wide-only">{t('range.freeShort')}</span>
          )}
        </Button>
      </Popover>
    </div>
  );
}
