import { useRouter } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';

import type { ContactType } from '../../api/mutations/actions';
import { can } from '../../api/rights';
import { useFormats } from '../../format/useFormats';
import { DrillLink } from '../DrillLink';
import { useBoot } from '../useBoot';

const OUTCOMES = [
  'ok',
  'no_consent',
  'no_address',
  'capped',
  'already_open',
  'has_booking',
  'erased',
] as const;
type Outcome = (typeof OUTCOMES)[number];
type Props = {
  type: ContactType;
  counts: Partial<Record<string, number>>;
  /** Whether nothing has happened yet. */
  isBefore?: boolean;
};

/** Customers by what would happen, or has happened, for them. */
export function Outcomes({ type, counts, isBefore = false }: Props) {
  const { t } = useTranslation();
  const formats = useFormats();
  return (
    <dl className="outcomes">
      {OUTCOMES.filter((outcome) => outcome === 'ok' || (counts[outcome] ?? 0) > 0).map((outcome) => {
        const count = counts[outcome] ?? 0;
        const word =
          outcome === 'ok'
            ? t(`atRisk.${isBefore ? 'will' : 'was'}.${type}`)
            : t(`atRisk.outcome.${outcome}`);
        return (
          <div key={outcome} className={outcome === 'ok' ? 'outcome ok' : 'outcome'} data-outcome={outcome}>
            <dt>{word}</dt>
            <dd>
              {isBefore || count === 0 ? (
                formats.int(count)
              ) : (
                <OutcomeLink
                  type={type}
                  outcome={outcome}
                  text={formats.int(count)}
                  name={`${count} ${word}`}
                />
              )}
            </dd>
          </div>
        );
      })}
    </dl>
  );
}

type LinkProps = { type: ContactType; outcome: Outcome; text: string; name: string };

/** Leads to the customers: calls to their tasks, messages to the report of actions for those who may read it. */
function OutcomeLink({ type, outcome, text, name }: LinkProps) {
  const router = useRouter();
  const { scopes } = useBoot();
  if (type === 'call' && (outcome === 'ok' || outcome === 'already_open')) {
    const { href } = router.buildLocation({ to: '/today', search: { whose: 'everyone' } });
    return (
      <a
        href={href}
        className="number-link"
        aria-label={name}
        onClick={(event) => {
          if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
          event.preventDefault();
          router.history.push(href);
        }}
      >
        {text}
      </a>
    );
  }
  const isRefused = outcome === 'no_consent' || outcome === 'no_address' || outcome === 'capped';
  if (!can(scopes, 'analytics:read') || !(isRefused || outcome === 'ok')) return text;
  const search = { period: 'week', name: `personal_${type}`, state: isRefused ? 'cancelled' : 'done' };
  return (
    <DrillLink className="number-link" to={{ figure: 'action', search }} aria-label={name}>
      {text}
    </DrillLink>
  );
}
