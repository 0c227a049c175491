import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { Button } from 'antd';
import { useTranslation } from 'react-i18next';

import { explanationQuery } from '../../api/queries/customer';
import { can } from '../../api/rights';
import { usePhone } from '../../look/media';
import { EmptyState } from '../../parts/EmptyState';
import { Failure } from '../../parts/Failure';
import { Loading } from '../../parts/Loading';
import { Segments } from '../../parts/Segments';
import { useBoot } from '../../parts/useBoot';
import { AsOfSlider } from './AsOf';
import { Bookings } from './Bookings';
import { useView } from './context';
import { Entries } from './Entries';
import { Future } from './Future';
import { Card } from './Section';
import { TABS, useTimeline, type Tab, type Timeline } from './useTimeline';

/** Words of the tabs on phones. */
const SHORT = {
  moves: 'moves',
  appointments: 'appointmentsShort',
  messages: 'messages',
  everything: 'everythingShort',
} as const satisfies Record<Tab, string>;

/** What happened, newest first, and above it what is expected. */
export function Journeys() {
  const { t } = useTranslation();
  const { scopes } = useBoot();
  const search = useSearch({ from: '/customers/$id' });
  const navigate = useNavigate({ from: '/customers/$id' });
  const tabs = can(scopes, 'actions:read') ? TABS : TABS.filter((each) => each !== 'messages');
  const tab = tabs.find((each) => each === search.tab) ?? 'moves';
  const timeline = useTimeline(tab);
  const isPhone = usePhone();
  const choose = (next: Tab) =>
    void navigate({
      search: ({ as_of: day }) => ({
        ...(day === undefined ? {} : { as_of: day }),
        ...(next === 'moves' ? {} : { tab: next }),
      }),
      replace: true,
      resetScroll: false,
    });
  return (
    <Card title={t('customer.journey.title')} extra={<AsOfSlider />}>
      <div className="journey-tabs">
        <Segments<Tab>
          label={t('customer.journey.tabs')}
          value={tab}
          options={tabs.map((value) => ({
            value,
            label: t(`customer.journey.${isPhone ? SHORT[value] : value}`),
          }))}
          onChange={choose}
        />
      </div>
      <TimelineView tab={tab} timeline={timeline} />
    </Card>
  );
}

function TimelineView({ tab, timeline }: { tab: Tab; timeline: Timeline }) {
  const { t } = useTranslation();
  const { id, instant } = useView();
  const explanation = useQuery({ ...explanationQuery(id, instant), placeholderData: keepPreviousData });
  const hasFuture = tab === 'moves' || tab === 'everything';
  const upcoming = hasFuture ? (explanation.data?.upcoming ?? []) : [];
  const open = timeline.bookings.filter((booking) => booking.state === 'open');
  const isEmpty = timeline.entries.length === 0 && upcoming.length === 0 && open.length === 0;
  return (
    <>
      {open.length > 0 && <Bookings bookings={open} />}
      {timeline.error !== null && <Failure error={timeline.error} onRetry={timeline.retry} />}
      {timeline.isLoading && <Loading height={260} />}
      {!timeline.isLoading && timeline.error === null && isEmpty && <Nothing tab={tab} />}
      {!timeline.isLoading && (upcoming.length > 0 || timeline.entries.length > 0) && (
        <ol className="timeline" aria-label={t(`customer.journey.${tab}`)}>
          {upcoming.toReversed().map((move) => (
            <Future key={`${move.to_stage}-${move.at}`} move={move} pinUntil={explanation.data?.pin?.until} />
          ))}
          <Entries entries={timeline.entries} />
        </ol>
      )}
      {timeline.readEarlier !== undefined && !timeline.isLoading && (
        <div className="more">
          <Button loading={timeline.isReading} onClick={timeline.readEarlier}>
            {t('customer.journey.earlier')}
          </Button>
        </div>
      )}
    </>
  );
}

/** What to say when a tab has nothing: why, and what brings something here. */
const EMPTY = {
  moves: ['noMoves'],
  appointments: ['noEvents', 'noEventsText'],
  messages: ['noMessages', 'noMessagesText'],
  everything: ['nothing'],
} as const satisfies Record<Tab, readonly string[]>;

function Nothing({ tab }: { tab: Tab }) {
  const { t } = useTranslation();
  const [title, text] = EMPTY[tab];
  return (
    <EmptyState title={t(`customer.journey.${title}`)}>
      {text !== undefined && <p>{t(`customer.journey.${text}`)}</p>}
    </EmptyState>
  );
}
