import { useQuery } from '@tanstack/react-query';
import { Link, useSearch } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';

import { campaignSummaryQuery, type CampaignSummary } from '../../api/queries/campaigns';
import { useFormats } from '../../format/useFormats';
import { Failure } from '../../parts/Failure';
import { Loading } from '../../parts/Loading';
import { CampaignList } from './CampaignList';

/** The running campaigns by step, and how many ended because the customer came back. */
export function Campaigns() {
  const { t } = useTranslation();
  const { campaigns: listed } = useSearch({ from: '/today' });
  const summary = useQuery(campaignSummaryQuery());
  return (
    <section className="card campaigns" aria-labelledby="campaigns">
      <header>
        <h2 id="campaigns">{t('today.campaigns')}</h2>
        <span className="space" />
        {summary.data !== undefined && (
          <ListLink kind="running" count={summary.data.running} isOn={listed === 'running'}>
            {t('today.running', { count: summary.data.running })}
          </ListLink>
        )}
      </header>
      {summary.error !== null && <Failure error={summary.error} onRetry={() => void summary.refetch()} />}
      {summary.isPending && <Loading height={120} />}
      {summary.data !== undefined && (
        <>
          {summary.data.running === 0 ? (
            <p className="muted">{t('today.noCampaigns')}</p>
          ) : (
            <Steps summary={summary.data} />
          )}
          <p className="note">
            <ListLink kind="returned" count={summary.data.ended_by_return} isOn={listed === 'returned'}>
              {t('today.returned', { count: summary.data.ended_by_return })}
            </ListLink>
          </p>
        </>
      )}
      {listed !== undefined && <CampaignList key={listed} kind={listed} />}
    </section>
  );
}

type LinkProps = { kind: 'running' | 'returned'; count: number; isOn: boolean; children: string };

/** Opens and closes the list behind a number. */
function ListLink({ kind, count, isOn, children }: LinkProps) {
  if (count === 0 && !isOn) return <span className="muted">{children}</span>;
  return (
    <Link
      to="/today"
      search={({ campaigns: _campaigns, ...rest }) => (isOn ? rest : { ...rest, campaigns: kind })}
      replace
      resetScroll={false}
      className="number-link"
      aria-expanded={isOn}
    >
      {children}
    </Link>
  );
}

function Steps({ summary }: { summary: CampaignSummary }) {
  const { t } = useTranslation();
  const formats = useFormats();
  return (
    <ol className="steps">
      {summary.steps.map(({ number, channel, done, due, cancelled, dead }) => {
        const name = t('today.step', { number: number + 1, channel: t(`today.channels.${channel}`) });
        const total = done + due + cancelled + dead;
        return (
          <li key={`${number}.${channel}`}>
            <span>{name}</span>
            <span className="step-count">
              {t('today.stepCount', { done: formats.int(done), due: formats.int(due) })}
            </span>
            <span
              className="step-bar"
              role="meter"
              aria-label={name}
              aria-valuemin={0}
              aria-valuemax={total}
              aria-valuenow={done}
            >
              <i style={{ width: `${total === 0 ? 0 : (done / total) * 100}%` }} />
            </span>
          </li>
        );
      })}
    </ol>
  );
}
