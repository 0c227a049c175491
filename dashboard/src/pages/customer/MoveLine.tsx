import { useId, useState } from 'react';
import { useTranslation } from 'react-i18next';

import type { Transition } from '../../api/queries/customer';
import { useFormats } from '../../format/useFormats';
import { stageStyle } from '../../parts/StageChip';
import { StageIcon } from '../../parts/StageIcon';
import { useStageLook } from '../../parts/useStages';
import { useVoice } from '../../parts/useVoice';
import { reasonText } from '../../rules/reasons';
import { Line } from './Line';
import { Why } from './Why';

const BY = { automatic: 'byRule', manual: 'byHand', system: 'bySystem' } as const;
const LATE_MS = 86_400_000;

/** A move: to which stage, from which one, why, and on demand the conditions with the values seen. */
export function MoveLine({ move }: { move: Transition }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const voice = useVoice();
  const lookOf = useStageLook();
  const [isOpen, setOpen] = useState(false);
  const id = useId();
  const stage = lookOf(move.to_stage);
  const day = formats.instantDay(move.transitioned_at);
  const isFirst = move.from_stage === null;
  const extras = [
    ...(move.trigger_type === 'automatic' ? [t(`customer.journey.${BY[move.trigger_type]}`)] : []),
    ...(move.is_silent && !isFirst ? [t('customer.journey.silent')] : []),
  ];
  return (
    <Line
      at={move.transitioned_at}
      icon={<StageIcon icon={stage.icon} size={14} />}
      className="move"
      style={stageStyle(stage)}
    >
      <p>
        <b>{isFirst ? t('customer.journey.started') : stage.name}</b>{' '}
        <span className="quiet">
          {move.from_stage === null
            ? t('customer.journey.startedIn', { stage: stage.name })
            : t('customer.journey.from', { stage: lookOf(move.from_stage).name })}
        </span>
      </p>
      <p className="quiet">
        {[...(isFirst ? [] : [reasonText(voice, move)]), ...extras].join(' · ')}{' '}
        {move.trigger_type === 'automatic' && move.reasons.length > 0 && (
          <button
            type="button"
            className="fold"
            aria-expanded={isOpen}
            aria-controls={id}
            onClick={() => setOpen(!isOpen)}
          >
            {t(isOpen ? 'customer.journey.hideWhy' : 'customer.journey.showWhy')}
            <span className="hidden">{t('customer.journey.whyOf', { stage: stage.name, day })}</span>
          </button>
        )}
      </p>
      {isLate(move) && (
        <p className="quiet">{t('customer.journey.late', { day: formats.instantDay(move.recorded_at) })}</p>
      )}
      {move.notes !== null && (
        <p className="said" dir="auto">
          {move.notes}
        </p>
      )}
      <div id={id}>{isOpen && <Why move={move} />}</div>
    </Line>
  );
}

/** Only a move by hand says when it was written: imports write years in a minute. */
const isLate = ({ trigger_type: type, recorded_at: recorded, transitioned_at: at }: Transition): boolean =>
  type === 'manual' && Date.parse(recorded) - Date.parse(at) > LATE_MS;
