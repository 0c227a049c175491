import { Popover } from 'antd';
import { CalendarDays } from 'lucide-react';
import { lazy, Suspense, useState } from 'react';

import { Loading } from './Loading';

// Calendars are large, and seldom opened.
const DayField = lazy(() => import('./DayField'));

type Props = { day: string; label: string; min: string; max: string; onChoose: (day: string) => void };

/** A button that opens the choice of one day. */
export function DayPopover({ day, label, min, max, onChoose }: Props) {
  const [isOpen, setOpen] = useState(false);
  return (
    <Popover
      open={isOpen}
      onOpenChange={setOpen}
      trigger="click"
      placement="bottomRight"
      destroyOnHidden
      content={
        <Suspense fallback={<Loading height={34} />}>
          <DayField
            day={day}
            label={label}
            min={min}
            max={max}
            onChoose={(chosen) => {
              setOpen(false);
              if (chosen !== null) onChoose(chosen);
            }}
          />
        </Suspense>
      }
    >
      <button type="button" className="icon-button small" aria-label={label} aria-expanded={isOpen}>
        <CalendarDays size={15} aria-hidden />
      </button>
    </Popover>
  );
}
