import { Button, Input } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';

import { closeTask } from '../../api/mutations/customer';
import type { Task } from '../../api/queries/customer';
import { can } from '../../api/rights';
import { useFormats } from '../../format/useFormats';
import { notify } from '../../parts/notices';
import { useBoot } from '../../parts/useBoot';
import { focusFirst, useOff } from './context';
import { Fault } from './Fault';
import { useChange } from './useChange';

type Ending = 'done' | 'dismissed';
const MAX_OUTCOME = 2_000;

/** An open task, and how it is ended: done, or dismissed with the reason. */
export function TaskLine({ task }: { task: Task }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const { scopes } = useBoot();
  const off = useOff();
  const [ending, setEnding] = useState<Ending | null>(null);
  return (
    <li>
      <b>{task.title}</b>
      <p className="quiet">
        {t('customer.open.due', { day: formats.instantDay(task.due_at) })}
        {' · '}
        {task.assignee === null
          ? t('customer.open.unassigned')
          : t('customer.open.assignedTo', { name: task.assignee })}
      </p>
      {task.note !== null && (
        <p className="said" dir="auto">
          {task.note}
        </p>
      )}
      {can(scopes, 'actions:write') && ending === null && (
        <div className="editor-foot">
          <Button size="small" disabled={off !== null} onClick={() => setEnding('done')}>
            {t('customer.open.done')}
          </Button>
          <Button size="small" type="text" disabled={off !== null} onClick={() => setEnding('dismissed')}>
            {t('customer.open.dismiss')}
          </Button>
        </div>
      )}
      {ending !== null && <Ending task={task} ending={ending} onClose={() => setEnding(null)} />}
    </li>
  );
}

function Ending({ task, ending, onClose }: { task: Task; ending: Ending; onClose: () => void }) {
  const { t } = useTranslation();
  const [outcome, setOutcome] = useState('');
  const close = useChange(
    () => closeTask(task.id, task.version, ending, outcome.trim()),
    () => notify(t('customer.told.task')),
  );
  const isDone = ending === 'done';
  return (
    <form
      className="editor"
      onSubmit={(event) => {
        event.preventDefault();
        close.mutate(undefined);
      }}
    >
      <Input.TextArea
        ref={focusFirst}
        dir="auto"
        aria-label={t(isDone ? 'customer.open.outcome' : 'customer.open.outcomeWhy')}
        placeholder={t(isDone ? 'customer.open.outcome' : 'customer.open.outcomeWhy')}
        rows={2}
        maxLength={MAX_OUTCOME}
        value={outcome}
        onChange={(event) => {
          close.reset();
          setOutcome(event.target.value);
        }}
      />
      <Fault error={close.error} />
      <div className="editor-foot">
        <Button
          size="small"
          type="primary"
          htmlType="submit"
          loading={close.isPending}
          disabled={!isDone && outcome.trim() === ''}
        >
          {t(isDone ? 'customer.open.closeDone' : 'customer.open.closeDismiss')}
        </Button>
        <Button size="small" onClick={onClose}>
          {t('customer.glance.cancel')}
        </Button>
      </div>
    </form>
  );
}
