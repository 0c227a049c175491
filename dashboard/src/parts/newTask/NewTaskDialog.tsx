import { useQueryClient } from '@tanstack/react-query';
import { Button, Modal } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';

import { createTask, taskPurpose, type TaskCreate } from '../../api/mutations/tasks';
import { isAnswer } from '../../api/unanswered';
import { useFormats } from '../../format/useFormats';
import { Unanswered } from '../contact/Unanswered';
import { useFaults } from '../contact/useFaults';
import { useSendOnce } from '../contact/useSendOnce';
import { focusFirstField } from '../focusFirstField';
import { notify } from '../notices';
import { useBoot } from '../useBoot';
import { usePresent } from '../usePresent';
import { NewTaskFields } from './NewTaskFields';
import { dueOf, emptyForm, FIELD_OF_POINTER, formOf, requestOf } from './newTaskForm';
import type { NewTaskTarget } from './newTaskTarget';

type Props = { target: NewTaskTarget; onClose: () => void };

/** Nouns of the queries that a task can change. */
const CHANGED = ['tasks', 'today', 'atRisk', 'customers', 'people'];

/** Asks what is to be done until when, and creates the task. */
export default function NewTaskDialog({ target: { customer }, onClose }: Props) {
  const { t } = useTranslation();
  const formats = useFormats();
  const client = useQueryClient();
  const now = usePresent();
  const { company } = useBoot();
  const { timezone } = formats;
  const id = customer?.id ?? null;
  const request = useSendOnce({
    purpose: taskPurpose(company.id, id),
    send: (body: TaskCreate) => createTask(company.id, body),
    onSent: (task) => {
      notify(t('newTask.created', { title: task.title, time: formats.clock(task.due_at) }));
      for (const key of CHANGED) void client.invalidateQueries({ queryKey: [key] });
      onClose();
    },
  });
  const { earlier, isUnanswered, isPending, error } = request;
  const [form, setForm] = useState(() =>
    earlier === null ? emptyForm(now, timezone) : formOf(earlier, timezone),
  );
  const faults = useFaults(FIELD_OF_POINTER)(isAnswer(error) ? error : null);
  const body = requestOf(form, id, timezone);
  const due = dueOf(form, timezone);
  const isPast = due !== null && Date.parse(due) < now.getTime();
  const name = customer === null ? '' : (customer.name ?? t('contact.number', { id: customer.id }));
  return (
    <Modal
      open
      title={customer === null ? t('newTask.title') : t('newTask.titleFor', { name })}
      onCancel={onClose}
      afterOpenChange={focusFirstField}
      footer={
        <>
          <Button onClick={onClose}>{t('contact.cancel')}</Button>
          <Button
            type="primary"
            htmlType="submit"
            form="new-task"
            loading={isPending}
            disabled={body === null}
          >
            {t(isUnanswered ? 'contact.again' : 'newTask.save')}
          </Button>
        </>
      }
    >
      {customer === null && <p className="muted">{t('newTask.about')}</p>}
      <form
        id="new-task"
        onSubmit={(event) => {
          event.preventDefault();
          if (body !== null) request.send(body);
        }}
      >
        <NewTaskFields
          form={form}
          faults={faults.fields}
          isFixed={earlier !== null || isPending}
          onChange={(next) => {
            request.reset();
            setForm(next);
          }}
        />
      </form>
      {isPast && <p className="hint">{t('newTask.past')}</p>}
      {isUnanswered && !isPending && <Unanswered onGiveUp={request.giveUp} />}
      {faults.rest !== null && (
        <p className="fault" role="alert">
          {faults.rest}
        </p>
      )}
    </Modal>
  );
}
