import '../../look/atRisk.css';
import '../../look/today.css';

import { useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { Button } from 'antd';
import { Plus } from 'lucide-react';
import { useTranslation } from 'react-i18next';

import { todayQuery, type Today } from '../../api/queries/today';
import { can } from '../../api/rights';
import { Denied, Failure } from '../../parts/Failure';
import { Loading } from '../../parts/Loading';
import { openNewTask } from '../../parts/newTask/newTaskTarget';
import { Segments } from '../../parts/Segments';
import { useShortcut } from '../../parts/shortcuts';
import { useBoot } from '../../parts/useBoot';
import { Campaigns } from './Campaigns';
import { JustNow } from './JustNow';
import { Lead } from './Lead';
import { Tasks } from './Tasks';
import { WHOSE } from './todaySearch';
import { Troubles } from './Troubles';
import { useSections } from './useSections';

/** What is to be done, by when, and what has just happened. */
export function TodayPage() {
  const { t } = useTranslation();
  const { scopes } = useBoot();
  const isAllowed = can(scopes, 'actions:read');
  const today = useQuery({ ...todayQuery(), enabled: isAllowed });
  if (isAllowed && today.data !== undefined) return <Day today={today.data} />;
  return (
    <div className="page">
      <h1>{t('today.title')}</h1>
      {!isAllowed && <Denied scope="actions:read" />}
      {today.error !== null && <Failure error={today.error} onRetry={() => void today.refetch()} />}
      {isAllowed && today.error === null && <Loading height={400} />}
    </div>
  );
}

function Day({ today }: { today: Today }) {
  const { t } = useTranslation();
  const { scopes } = useBoot();
  const { whose = 'everyone' } = useSearch({ from: '/today' });
  const navigate = useNavigate({ from: '/today' });
  const read = useSections(today);
  return (
    <div className="page">
      <div className="page-head">
        <div>
          <h1>{t('today.title')}</h1>
          <Lead today={today} sections={read.sections} isKnown={read.isKnown} />
        </div>
        <div className="page-tools">
          <Segments
            label={t('today.whose')}
            value={whose}
            options={WHOSE.map((each) => ({ value: each, label: t(`today.${each}`) }))}
            onChange={(each) =>
              void navigate({
                search: ({ whose: _whose, ...rest }) =>
                  each === 'everyone' ? rest : { ...rest, whose: each },
              })
            }
          />
          <NewTask />
        </div>
      </div>
      <div className="today-grid">
        <div className="today-column">
          <Tasks today={today} read={read} />
        </div>
        <div className="today-column">
          <Troubles today={today} />
          {can(scopes, 'customers:read') && <JustNow today={today} />}
          <Campaigns />
        </div>
      </div>
    </div>
  );
}

const ask = (): void => openNewTask({ customer: null });

/** The way to a task that concerns no customer: by a button and a key. */
function NewTask() {
  const { t } = useTranslation();
  const isOn = can(useBoot().scopes, 'actions:write');
  const label = t('newTask.button');
  useShortcut('n', label, ask, { isOn });
  if (!isOn) return null;
  return (
    <Button icon={<Plus size={15} aria-hidden />} aria-label={label} onClick={ask}>
      <span className="wide-only">{label}</span>
    </Button>
  );
}
