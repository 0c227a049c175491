import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';

import { explanationQuery, type Explanation, type StagePath } from '../../api/queries/customer';
import { useFormats } from '../../format/useFormats';
import { EmptyState } from '../../parts/EmptyState';
import { Meter } from '../../parts/Meter';
import { StageChip } from '../../parts/StageChip';
import { useStageLook } from '../../parts/useStages';
import { useVoice } from '../../parts/useVoice';
import { pathNotes, pathShare, pathTitle, type Around } from '../../rules/paths';
import { isolate, useView } from './context';
import { Section } from './Section';
import { useRunningCampaigns } from './useOpenWork';

/** Ways that are shown at once; the others on demand. */
const SHOWN = 4;

/** What would move the customer next: by time, by an event, and the way back. */
export function NextMoves() {
  const { t } = useTranslation();
  const { id, instant, firstName } = useView();
  const result = useQuery({ ...explanationQuery(id, instant), placeholderData: keepPreviousData });
  const title =
    firstName === null
      ? t('customer.next.titleThis')
      : t('customer.next.title', { name: isolate(firstName) });
  return (
    <Section title={title} result={result} height={150}>
      {(explanation) => <Cards explanation={explanation} />}
    </Section>
  );
}

function Cards({ explanation }: { explanation: Explanation }) {
  const { t } = useTranslation();
  const { instant } = useView();
  const [isAll, setAll] = useState(false);
  const paths = explanation.paths.toSorted((a, b) => rank(a, explanation) - rank(b, explanation));
  const shown = isAll ? paths : paths.slice(0, SHOWN);
  return (
    <>
      <Due explanation={explanation} />
      <Pause explanation={explanation} />
      {paths.length === 0 ? (
        <EmptyState title={t('customer.next.empty')}>
          <p>{t('customer.next.emptyText')}</p>
        </EmptyState>
      ) : (
        <ul className="next-moves">
          {shown.map((path) => (
            <PathCard
              key={`${path.to_stage} ${path.direction} ${path.trigger} ${path.condition ?? ''}`}
              path={path}
              explanation={explanation}
            />
          ))}
        </ul>
      )}
      {paths.length > SHOWN && (
        <p className="next-more">
          <button type="button" className="quiet-button" aria-expanded={isAll} onClick={() => setAll(!isAll)}>
            {isAll ? t('customer.next.fewer') : t('customer.next.all', { count: paths.length - SHOWN })}
          </button>
        </p>
      )}
      {instant !== undefined && <p className="note">{t('customer.next.past')}</p>}
    </>
  );
}

/** Ways that lead where they say come first, in the order of the service. */
function rank(path: StagePath, { current_stage: current }: Explanation): number {
  if (path.leads_to === path.to_stage) return 0;
  return path.leads_to === current || path.leads_to === null ? 2 : 1;
}

function Due({ explanation: { due_move: due } }: { explanation: Explanation }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const lookOf = useStageLook();
  if (due === null) return null;
  const stage = lookOf(due.to_stage).name;
  const text = () => {
    if (due.is_suppressed) return t('customer.next.dueHeld', { stage });
    if (due.due_at === null) return t('customer.next.dueSoon', { stage });
    return t('customer.next.dueSince', { stage, day: formats.instantDay(due.due_at) });
  };
  return <p className="due">{text()}</p>;
}

/** An open booking keeps the customer out of the stages of risk. */
function Pause({ explanation: { risk_pause: pause } }: { explanation: Explanation }) {
  const { t } = useTranslation();
  const formats = useFormats();
  if (pause === null) return null;
  return <p className="note">{t('customer.next.paused', { day: formats.instantDay(pause.booking_at) })}</p>;
}

function PathCard({ path, explanation }: { path: StagePath; explanation: Explanation }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const voice = useVoice();
  const lookOf = useStageLook();
  const { journey } = useView();
  const hasCampaign = useRunningCampaigns().length > 0;
  const stage = lookOf(path.to_stage);
  const around: Around = {
    current: explanation.current_stage,
    hasAppointments: journey.total_appointments > 0,
    hasCampaign,
    pinUntil: explanation.pin?.until ?? null,
    isPrevented: explanation.upcoming.some(
      (move) => move.to_stage === path.to_stage && move.at === path.at && move.unless !== null,
    ),
  };
  const share = pathShare(path);
  const notes = pathNotes(voice, path, around);
  return (
    <li className="next-move">
      <div className="next-head">
        <StageChip stage={stage} />
        <span className="quiet">
          {path.direction === 'return' ? t('customer.next.back') : null}
          {path.direction !== 'return' && path.at !== null && (
            <time dateTime={path.at} title={formats.instant(path.at)}>
              {formats.instantDay(path.at)}
            </time>
          )}
        </span>
      </div>
      <b className="next-title">{pathTitle(voice, path)}</b>
      {share !== null && (
        <Meter
          share={share}
          color={stage.ink}
          label={t('customer.next.meter', { stage: stage.name, percent: formats.percent(share * 100) })}
        />
      )}
      {notes.length > 0 && <p className="quiet">{notes.join(' ')}</p>}
    </li>
  );
}
