import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';

import { useLiveState } from '../../api/live';
import { latestMovesQuery, type Today } from '../../api/queries/today';
import { useFormats } from '../../format/useFormats';
import { ContactName } from '../../parts/contact/ContactName';
import { Failure } from '../../parts/Failure';
import { Loading } from '../../parts/Loading';
import { stageStyle } from '../../parts/StageChip';
import { StageIcon } from '../../parts/StageIcon';
import { useStageLook, type StageLook } from '../../parts/useStages';

const DAY_MS = 86_400_000;

/** The moves of the last day, newest first. Events of the stream have it read again. */
export function JustNow({ today }: { today: Today }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const lookOf = useStageLook();
  const live = useLiveState();
  const moves = useQuery(latestMovesQuery());
  const first = Date.parse(today.as_of) - DAY_MS;
  const items = (moves.data?.items ?? []).filter(
    ({ journey }) => Date.parse(journey.stage_entered_at) >= first,
  );
  return (
    <section className="card just-now" aria-labelledby="just-now">
      <header>
        <h2 id="just-now">{t('today.justNow')}</h2>
        <span className="space" />
        {live === 'live' && <span className="muted">{t('today.byItself')}</span>}
      </header>
      {moves.error !== null && <Failure error={moves.error} onRetry={() => void moves.refetch()} />}
      {moves.isPending && <Loading height={120} />}
      {moves.data !== undefined && items.length === 0 && <p className="muted">{t('today.noMoves')}</p>}
      <ol className="moves">
        {items.map(({ customer_id: id, name, journey }) => {
          const to = lookOf(journey.current_stage, journey.stage_name);
          const from = journey.previous_stage === null ? null : lookOf(journey.previous_stage);
          return (
            <li key={`${id}.${journey.version}`} style={stageStyle(to)}>
              <time dateTime={journey.stage_entered_at} title={formats.instant(journey.stage_entered_at)}>
                {formats.instantTime(journey.stage_entered_at)}
              </time>
              <span className="move-icon">
                <StageIcon icon={to.icon} size={14} />
              </span>
              <div>
                <ContactName id={id} name={name} /> {t('today.movedTo', { stage: to.name })}
                <small>{t(`today.kinds.${kindOf(from, to)}`, { stage: from?.name ?? '' })}</small>
              </div>
            </li>
          );
        })}
      </ol>
    </section>
  );
}

function kindOf(from: StageLook | null, to: StageLook): 'new' | 'lapsed' | 'back' | 'from' {
  if (from === null) return 'new';
  if (from.kind === to.kind) return 'from';
  return to.kind === 'risk' ? 'lapsed' : 'back';
}
