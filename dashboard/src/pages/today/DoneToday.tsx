import { useInfiniteQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';

import { tasksQuery } from '../../api/queries/tasks';
import type { Today } from '../../api/queries/today';
import { localDay } from '../../format/formats';
import { useFormats } from '../../format/useFormats';
import { ContactName } from '../../parts/contact/ContactName';
import { Failure } from '../../parts/Failure';
import { Loading } from '../../parts/Loading';
import { useWhose } from './useSections';

/** The service cannot filter by when a task ended: among the tasks that were due last are those of today. */
const LOOKED_AT = 200;

/** What was done and dismissed today; read when it is opened. */
export function DoneToday({ today }: { today: Today }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const whose = useWhose();
  const [isOpen, setOpen] = useState(false);
  const ended = useInfiniteQuery({
    ...tasksQuery({
      ...whose,
      status: ['done', 'dismissed'],
      sort: '-due_at',
      limit: LOOKED_AT,
      count: false,
    }),
    enabled: isOpen,
  });
  const all = ended.data?.pages.flatMap((page) => page.items) ?? [];
  const tasks = all.filter(
    ({ closed_at: at }) => at !== null && localDay(at, formats.timezone) === today.day,
  );
  return (
    <details className="card tasks done" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <h2>{t('today.sections.done')}</h2>
      </summary>
      {isOpen && ended.error !== null && <Failure error={ended.error} />}
      {isOpen && ended.isPending && <Loading height={60} />}
      {ended.data !== undefined && tasks.length === 0 && <p className="muted">{t('today.noneDone')}</p>}
      <ul className="task-list">
        {tasks.map((task) => (
          <li key={task.id} className="task ended">
            <div className="task-what">
              <b>{task.title}</b>
              <span className="task-whom">
                {task.customer_id !== null && (
                  <ContactName
                    id={task.customer_id}
                    reference={task.customer_ref}
                    name={task.customer_name}
                  />
                )}
              </span>
              {task.outcome !== null && <span className="task-note">{task.outcome}</span>}
            </div>
            <span className="muted">
              {t(task.status === 'dismissed' ? 'today.wasDismissed' : 'today.wasDone', {
                time: formats.instantTime(task.closed_at ?? today.as_of),
              })}
            </span>
          </li>
        ))}
      </ul>
    </details>
  );
}
