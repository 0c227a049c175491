import { Input } from 'antd';
import { lazy, Suspense } from 'react';
import { useTranslation } from 'react-i18next';

import { Field, PersonInput } from '../contact/ContactFields';
import { Loading } from '../Loading';
import { MAX_LENGTH, type NewTaskForm } from './newTaskForm';

// Calendars are large.
const DayField = lazy(() => import('../DayField'));

type Props = {
  form: NewTaskForm;
  faults: Partial<Record<keyof NewTaskForm, string>>;
  /** Whether the form is shown as it was sent. */
  isFixed: boolean;
  onChange: (form: NewTaskForm) => void;
};

/** The fields of a new task. */
export function NewTaskFields({ form, faults, isFixed, onChange }: Props) {
  const { t } = useTranslation();
  const shared = (name: 'title' | 'time' | 'assignee' | 'note') => ({
    value: form[name],
    disabled: isFixed,
    onChange: (event: { target: { value: string } }) => onChange({ ...form, [name]: event.target.value }),
  });
  return (
    <div className="fields">
      <Field label={t('newTask.what')} fault={faults.title}>
        {(attributes) => (
          <Input {...attributes} {...shared('title')} dir="auto" maxLength={MAX_LENGTH.title} />
        )}
      </Field>
      <div className="field-row">
        <Field label={t('newTask.day')} fault={faults.day}>
          {({ id }) => (
            <Suspense fallback={<Loading height={34} />}>
              <DayField
                id={id}
                label={t('newTask.day')}
                day={form.day}
                isDisabled={isFixed}
                onChoose={(day) => onChange({ ...form, day })}
              />
            </Suspense>
          )}
        </Field>
        <Field label={t('newTask.time')} fault={undefined}>
          {(attributes) => <Input {...attributes} {...shared('time')} type="time" />}
        </Field>
      </div>
      <Field label={t('newTask.assignee')} fault={faults.assignee}>
        {(attributes) => <PersonInput {...attributes} {...shared('assignee')} />}
      </Field>
      <Field label={t('newTask.note')} fault={faults.note}>
        {(attributes) => (
          <Input.TextArea
            {...attributes}
            {...shared('note')}
            dir="auto"
            rows={2}
            maxLength={MAX_LENGTH.note}
          />
        )}
      </Field>
    </div>
  );
}
