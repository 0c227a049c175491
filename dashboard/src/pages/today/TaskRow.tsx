import { Button, Dropdown } from 'antd';
import { Check, Ellipsis, Phone } from 'lucide-react';
import { useTranslation } from 'react-i18next';

import type { Task } from '../../api/queries/tasks';
import type { Today } from '../../api/queries/today';
import { can } from '../../api/rights';
import { addDays, localDay } from '../../format/formats';
import { useFormats } from '../../format/useFormats';
import { localInstant, localTime } from '../../format/instants';
import { ContactName } from '../../parts/contact/ContactName';
import { StageChip } from '../../parts/StageChip';
import { useBoot } from '../../parts/useBoot';
import { useStageLook } from '../../parts/useStages';
import type { AskKind } from './TaskAsk';
import type { SectionName } from './useSections';
import { useTaskChange } from './useTaskChange';

type Props = {
  task: Task;
  value: number | undefined;
  section: SectionName;
  today: Today;
  onAsk: (kind: AskKind) => void;
};

/** A task: what, for whom, until when, by whom, and what can be done with it. */
export function TaskRow({ task, value, section, today, onAsk }: Props) {
  const { t } = useTranslation();
  const formats = useFormats();
  const lookOf = useStageLook();
  const { scopes } = useBoot();
  const canWrite = can(scopes, 'actions:write');
  return (
    <li className="task" data-task={task.id}>
      {canWrite && <DoneButton task={task} />}
      <div className="task-what">
        <b>{task.title}</b>
        <span className="task-whom">
          {task.customer_id !== null && (
            <ContactName id={task.customer_id} reference={task.customer_ref} name={task.customer_name} />
          )}
          {value !== undefined && <span>{formats.money(value)}</span>}
        </span>
        {task.note !== null && <span className="task-note">{task.note}</span>}
      </div>
      {task.stage === null ? <span /> : <StageChip stage={lookOf(task.stage)} isShort />}
      <time className={`task-due ${section}`} dateTime={task.due_at} title={formats.instant(task.due_at)}>
        {section === 'tomorrow' || localDay(task.due_at, formats.timezone) === today.day
          ? formats.instantTime(task.due_at)
          : formats.instantShortDay(task.due_at)}
      </time>
      <Assignee task={task} canWrite={canWrite} onAsk={onAsk} />
      <div className="task-actions">
        {task.channel === 'call' && canWrite && (
          <Button
            size="small"
            icon={<Phone size={14} aria-hidden />}
            aria-label={t('today.callFor', { title: task.title })}
            onClick={() => onAsk('call')}
          >
            {t('contact.call')}
          </Button>
        )}
        {canWrite && <More task={task} today={today} onAsk={onAsk} />}
      </div>
    </li>
  );
}

function DoneButton({ task }: { task: Task }) {
  const { t } = useTranslation();
  const { finish } = useTaskChange();
  return (
    <button
      type="button"
      className="done-button"
      aria-label={t('today.finish', {
        title: task.title,
        name: task.customer_name ?? task.customer_id ?? '',
      })}
      title={t('today.finishHint')}
      onClick={() => finish(task)}
    >
      <Check size={14} aria-hidden />
    </button>
  );
}

type AssigneeProps = { task: Task; canWrite: boolean; onAsk: (kind: AskKind) => void };

function Assignee({ task, canWrite, onAsk }: AssigneeProps) {
  const { t } = useTranslation();
  const who = task.assignee ?? t('today.nobody');
  if (!canWrite) return <span className="assignee">{who}</span>;
  return (
    <button
      type="button"
      className={task.assignee === null ? 'assignee none' : 'assignee'}
      aria-label={t('today.assigneeOf', { who, title: task.title })}
      onClick={() => onAsk('assign')}
    >
      {who}
    </button>
  );
}

type MoreProps = { task: Task; today: Today; onAsk: (kind: AskKind) => void };

/** Snooze, give to somebody, dismiss. */
function More({ task, today, onAsk }: MoreProps) {
  const { t } = useTranslation();
  const formats = useFormats();
  const { change } = useTaskChange();
  const snooze = (days: number) => {
    const time = localTime(task.due_at, formats.timezone);
    const due = localInstant(addDays(today.day, days), time, formats.timezone);
    void change(task, { due_at: due }, t('today.snoozed', { title: task.title, time: formats.clock(due) }));
  };
  const items = [
    { key: 'tomorrow', label: t('today.snoozeTomorrow'), onClick: () => snooze(1) },
    { key: 'week', label: t('today.snoozeWeek'), onClick: () => snooze(7) },
    { key: 'day', label: t('today.snoozeDay'), onClick: () => onAsk('snooze') },
    { key: 'line', type: 'divider' as const },
    { key: 'assign', label: t('today.assign'), onClick: () => onAsk('assign') },
    { key: 'dismiss', label: t('today.dismiss'), onClick: () => onAsk('dismiss') },
  ];
  return (
    // An open menu has the focus, so that the arrow keys act.
    // oxlint-disable-next-line jsx-a11y/no-autofocus
    <Dropdown autoFocus menu={{ items }} trigger={['click']} placement="bottomRight">
      <button type="button" className="more-button" aria-label={t('today.more', { title: task.title })}>
        <Ellipsis size={16} aria-hidden />
      </button>
    </Dropdown>
  );
}
