import { useTranslation } from 'react-i18next';

import type { Transition } from '../../api/queries/customer';
import { useFormats } from '../../format/useFormats';
import { useVoice } from '../../parts/useVoice';
import { reasonText } from '../../rules/reasons';

/** What has happened to the customer since the person looked: where to, when, and by whom. */
export function Changes({ moves }: { moves: readonly Transition[] }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const voice = useVoice();
  return (
    <div className="changes" role="alert">
      <b>{t('customer.fault.staleTitle')}</b>
      {moves.map((move) => (
        <p key={move.seq}>
          {t('customer.fault.staleMove', {
            from: move.from_stage === null ? '–' : voice.stage(move.from_stage),
            stage: voice.stage(move.to_stage),
            when: formats.clock(move.transitioned_at),
            reason: reasonText(voice, move),
          })}{' '}
          {move.notes !== null && <q dir="auto">{move.notes}</q>}
        </p>
      ))}
      {moves.length === 0 && <p>{t('customer.fault.staleOther')}</p>}
      <p>{t('customer.fault.staleKeep')}</p>
    </div>
  );
}
