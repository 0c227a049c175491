import { useMutation } from '@tanstack/react-query';
import { Button, Input, Modal } from 'antd';
import { lazy, Suspense, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { staleTaskOf, updateTask, type TaskUpdate } from '../../api/mutations/tasks';
import { addDays, localDay } from '../../format/formats';
import { useFormats } from '../../format/useFormats';
import { localInstant, localTime } from '../../format/instants';
import { Field, PersonInput } from '../../parts/contact/ContactFields';
import { useFaults } from '../../parts/contact/useFaults';
import { WhomToContact } from '../../parts/contact/WhomToContact';
import { Loading } from '../../parts/Loading';
import { focusFirstField } from '../../parts/focusFirstField';
import { notify } from '../../parts/notices';
import type { AskProps } from './TaskAsk';
import { useStaleWords, useTaskChange } from './useTaskChange';

// Calendars are large, and seldom opened.
const DayField = lazy(() => import('../../parts/DayField'));

const FIELD_OF_POINTER = { '/assignee': 'text', '/outcome': 'text', '/due_at': 'text' } as const;

/**
 * Gives a task to somebody, postpones it, ends it with a reason, or records the outcome of a call. If the task has changed
 * meanwhile it says what has, keeps what was typed, and offers the change again.
 */
export default function TaskDialog({ ask: { task, kind }, today, onClose }: AskProps) {
  const { t } = useTranslation();
  const formats = useFormats();
  const { reread } = useTaskChange();
  const staleWords = useStaleWords();
  const dueDay = localDay(task.due_at, formats.timezone);
  const tomorrow = addDays(today.day, 1);
  const initial = { assign: task.assignee ?? '', snooze: dueDay > tomorrow ? dueDay : tomorrow };
  const [text, setText] = useState(kind === 'assign' || kind === 'snooze' ? initial[kind] : '');
  const [version, setVersion] = useState(task.version);
  const save = useMutation({
    mutationFn: (next: TaskUpdate) => updateTask({ id: task.id, version }, next),
    onSuccess: () => {
      notify(t(`today.saved.${kind}`, { title: task.title, who: text.trim() || t('today.nobody') }));
      onClose();
    },
    onError: (error) => {
      const stale = staleTaskOf(error);
      if (stale !== null) setVersion(stale.current_version);
    },
    onSettled: () => reread(),
  });
  const stale = staleTaskOf(save.error);
  const faults = useFaults(FIELD_OF_POINTER)(stale === null ? save.error : null);
  const typed = text.trim();
  const update = (): TaskUpdate => {
    switch (kind) {
      case 'assign':
        return { assignee: typed === '' ? null : typed };
      case 'snooze':
        return {
          due_at: localInstant(typed, localTime(task.due_at, formats.timezone), formats.timezone),
        };
      case 'dismiss':
        return { status: 'dismissed', outcome: typed };
      default:
        return { status: 'done', ...(typed === '' ? {} : { outcome: typed }) };
    }
  };
  const isOver = stale !== null && typeof stale.changed.status === 'string';
  const isMissing = typed === '' && (kind === 'dismiss' || kind === 'snooze');
  const customer = task.customer_id === null ? null : { id: task.customer_id, name: task.customer_name };
  return (
    <Modal
      open
      title={t(`today.ask.${kind}`, {
        title: task.title,
        name: task.customer_name ?? task.customer_id ?? '',
      })}
      onCancel={onClose}
      afterOpenChange={focusFirstField}
      footer={
        <>
          <Button onClick={onClose}>{t('contact.cancel')}</Button>
          <Button
            type="primary"
            loading={save.isPending}
            disabled={isMissing || isOver}
            onClick={() => save.mutate(update())}
          >
            {t(stale === null ? `today.save.${kind}` : 'today.saveAnyway')}
          </Button>
        </>
      }
    >
      {kind === 'call' && customer !== null && <WhomToContact target={{ customer, type: 'call' }} />}
      {kind === 'call' && task.note !== null && <p className="task-note">{task.note}</p>}
      <div className="fields">
        <Field label={t(`today.field.${kind}`)} fault={faults.fields.text}>
          {(attributes) => {
            const shared = {
              ...attributes,
              value: text,
              onChange: (event: { target: { value: string } }) => setText(event.target.value),
            };
            if (kind === 'assign') return <PersonInput {...shared} />;
            if (kind === 'snooze')
              return (
                <Suspense fallback={<Loading height={34} />}>
                  <DayField
                    id={attributes.id}
                    label={t('today.field.snooze')}
                    day={text === '' ? null : text}
                    min={today.day}
                    onChoose={(day) => setText(day ?? '')}
                  />
                </Suspense>
              );
            return <Input.TextArea {...shared} rows={3} maxLength={2000} />;
          }}
        </Field>
      </div>
      {stale !== null && (
        <div className="failure" role="alert">
          <b>{t('today.staleTitle')}</b>
          <p>{staleWords(stale)}</p>
        </div>
      )}
      {faults.rest !== null && (
        <p className="fault" role="alert">
          {faults.rest}
        </p>
      )}
      {save.error !== null && stale === null && faults.rest === null && faults.fields.text === undefined && (
        <p className="fault" role="alert">
          {t('failure.network')}
        </p>
      )}
    </Modal>
  );
}
