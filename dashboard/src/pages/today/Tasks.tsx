import { Link } from '@tanstack/react-router';
import { Button } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';

import type { Task } from '../../api/queries/tasks';
import type { Today } from '../../api/queries/today';
import { EmptyState } from '../../parts/EmptyState';
import { Failure } from '../../parts/Failure';
import { Loading } from '../../parts/Loading';
import { DoneToday } from './DoneToday';
import { TaskAsk, type Ask } from './TaskAsk';
import { TaskRow } from './TaskRow';
import type { Section, useSections } from './useSections';

type Props = { today: Today; read: ReturnType<typeof useSections> };

/** The open tasks by when they are due, and those done today. */
export function Tasks({ today, read }: Props) {
  const { t } = useTranslation();
  const [ask, setAsk] = useState<Ask | null>(null);
  const { sections, values, isKnown, failed } = read;
  if (failed !== undefined && !isKnown)
    return <Failure error={failed.error} onRetry={() => void failed.refetch()} />;
  if (!isKnown) return <Loading height={320} />;
  const row = (task: Task, section: Section) => (
    <TaskRow
      key={task.id}
      task={task}
      value={task.customer_id === null ? undefined : values?.get(task.customer_id)}
      section={section.name}
      today={today}
      onAsk={(kind) => setAsk({ task, kind })}
    />
  );
  const shown = sections.filter(({ name, total }) => total > 0 && name !== 'later');
  const later = sections.find(({ name, total }) => name === 'later' && total > 0);
  return (
    <>
      {shown.length === 0 && <NothingDue hasLater={later !== undefined} />}
      {shown.map((section) => (
        <section
          key={section.name}
          className={`card tasks ${section.name}`}
          aria-labelledby={`tasks-${section.name}`}
        >
          <header>
            <h2 id={`tasks-${section.name}`}>{t(`today.sections.${section.name}`)}</h2>
            <Total section={section} />
          </header>
          <Rows section={section} row={row} />
        </section>
      ))}
      {later !== undefined && (
        <details className="card tasks later">
          <summary>
            <h2>{t('today.sections.later')}</h2>
            <Total section={later} />
          </summary>
          <Rows section={later} row={row} />
        </details>
      )}
      <DoneToday today={today} />
      {ask !== null && <TaskAsk ask={ask} today={today} onClose={() => setAsk(null)} />}
    </>
  );
}

function Total({ section: { total } }: { section: Section }) {
  const { t } = useTranslation();
  return <span className="muted">{t('today.total', { count: total })}</span>;
}

type RowsProps = { section: Section; row: (task: Task, section: Section) => React.ReactNode };

function Rows({ section, row }: RowsProps) {
  const { t } = useTranslation();
  return (
    <>
      <ul className="task-list">{section.tasks.map((task) => row(task, section))}</ul>
      {section.hasMore && (
        <div className="more">
          <Button loading={section.isReadingMore} onClick={section.onMore}>
            {t('drill.more')}
          </Button>
        </div>
      )}
    </>
  );
}

function NothingDue({ hasLater }: { hasLater: boolean }) {
  const { t } = useTranslation();
  return (
    <EmptyState title={t('today.nothing')}>
      <p>{t(hasLater ? 'today.nothingYet' : 'today.nothingText')}</p>
      <Link to="/at-risk" className="link">
        {t('today.toAtRisk')}
      </Link>
    </EmptyState>
  );
}
