import { Popover } from 'antd';
import { useState } from 'react';

import type { RangeChoice } from '../format/ranges';
import DayPickers from './DayPickers';
import { RangeButton } from './RangeButton';

type Props = { choice: RangeChoice; today: string; onChoose: (choice: RangeChoice) => void };

/** The choice of any days, opened at once: it is loaded when its button is first pressed. */
export default function FreeRange({ choice, today, onChoose }: Props) {
  const [isOpen, setOpen] = useState(true);
  return (
    <Popover
      open={isOpen}
      onOpenChange={setOpen}
      trigger="click"
      placement="bottomRight"
      destroyOnHidden
      content={
        <DayPickers
          choice={choice}
          today={today}
          onChoose={(next) => {
            setOpen(false);
            onChoose(next);
          }}
        />
      }
    >
      {/* It stands in place of the button that was pressed, and has its focus. */}
      {/* oxlint-disable-next-line jsx-a11y/no-autofocus */}
      <RangeButton choice={choice} isOpen={isOpen} autoFocus />
    </Popover>
  );
}
