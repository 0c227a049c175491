import { Check, X } from 'lucide-react';
import { useTranslation } from 'react-i18next';

import { useFormats } from '../../format/useFormats';
import type { StageResult, Transition } from '../../api/queries/customer';
import { useStageLook } from '../../parts/useStages';
import { useVoice } from '../../parts/useVoice';
import { conditionText, seenText } from '../../rules/sentences';

type Row = {
  stage: string;
  trigger: string;
  field?: string;
  condition: string | null;
  value: number | null;
  held: boolean;
};

/** One row for each condition that was looked at; an event without conditions is a row too. */
function rowsOf(reasons: readonly StageResult[]): Row[] {
  return reasons.flatMap(({ stage, rules }) =>
    rules.flatMap(({ trigger, held, conditions }): Row[] =>
      conditions.length === 0
        ? [{ stage, trigger, condition: null, value: null, held }]
        : conditions.map((condition) => ({ stage, trigger, ...condition })),
    ),
  );
}

/** Every condition that was looked at for a move, with the value that was seen. */
export function Why({ move }: { move: Transition }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const voice = useVoice();
  const lookOf = useStageLook();
  return (
    <div className="why">
      <ul aria-label={t('customer.journey.whyTitle')}>
        {rowsOf(move.reasons).map((row, index) => (
          // oxlint-disable-next-line react/no-array-index-key -- the rows never change; two can be equal
          <li key={index}>
            {row.held ? (
              <Check size={15} className="good" role="img" aria-label={t('customer.journey.held')} />
            ) : (
              <X size={15} className="quiet" role="img" aria-label={t('customer.journey.heldNot')} />
            )}
            <span>
              {lookOf(row.stage).name}
              {': '}
              {conditionText(voice, row.trigger, row)}
            </span>
            <span className="quiet">{seenText(voice, row.trigger, row)}</span>
          </li>
        ))}
      </ul>
      {move.reasons.map(({ stage, paused_by: booking }) =>
        booking === null ? null : (
          <p key={stage} className="quiet">
            {lookOf(stage).name}
            {': '}
            {t('customer.journey.paused', { day: formats.instantDay(booking) })}
          </p>
        ),
      )}
      <p className="quiet">{t('customer.journey.mapVersion', { version: move.map_version })}</p>
    </div>
  );
}
