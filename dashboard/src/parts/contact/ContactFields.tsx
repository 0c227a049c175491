import { useQuery } from '@tanstack/react-query';
import { Input } from 'antd';
import { useId, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';

import type { ContactType } from '../../api/mutations/actions';
import { peopleQuery } from '../../api/queries/people';
import { FIELDS, MAX_LENGTH, NUMBERS, type ContactField, type ContactForm } from './contactForm';

type Props = {
  type: ContactType;
  form: ContactForm;
  faults: Partial<Record<ContactField, string>>;
  isFixed: boolean;
  onChange: (form: ContactForm) => void;
};

/** The fields of a call, an email or an offer. A fault stands at its field. */
export function ContactFields({ type, form, faults, isFixed, onChange }: Props) {
  const { t } = useTranslation();
  return (
    <div className="fields">
      {FIELDS[type].map((field) => (
        <Field key={field} label={t(`contact.${wordOf(type, field)}`)} fault={faults[field]}>
          {(attributes) => (
            <Control
              field={field}
              value={form[field]}
              attributes={{ ...attributes, disabled: isFixed }}
              onChange={(value) => onChange({ ...form, [field]: value })}
            />
          )}
        </Field>
      ))}
      {type !== 'call' && <p className="muted field-hint">{t('contact.emptyHint')}</p>}
    </div>
  );
}

function wordOf(type: ContactType, field: ContactField) {
  if (field === 'title') return 'offerTitle';
  return field === 'note' && type !== 'call' ? 'text' : field;
}

type Attributes = { id: string; 'aria-describedby'?: string; 'aria-invalid'?: true };
type FieldProps = {
  label: string;
  fault: string | undefined;
  children: (attributes: Attributes) => ReactNode;
};

/** A label, its control, and what is wrong with its value. */
export function Field({ label, fault, children }: FieldProps) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children({
        id,
        ...(fault === undefined ? {} : { 'aria-describedby': `${id}-fault`, 'aria-invalid': true }),
      })}
      {fault !== undefined && (
        <p className="fault" id={`${id}-fault`}>
          {fault}
        </p>
      )}
    </div>
  );
}

type ControlProps = {
  field: ContactField;
  value: string;
  attributes: Attributes & { disabled: boolean };
  onChange: (value: string) => void;
};

function Control({ field, value, attributes, onChange }: ControlProps) {
  const limits = NUMBERS[field];
  const shared = {
    ...attributes,
    value,
    ...(attributes['aria-invalid'] === true ? { status: 'error' as const } : {}),
    onChange: (event: { target: { value: string } }) => onChange(event.target.value),
  };
  if (field === 'assignee') return <PersonInput {...shared} />;
  if (limits !== undefined)
    return <Input {...shared} className="short-input" type="number" inputMode="numeric" {...limits} />;
  if (field === 'note') return <Input.TextArea {...shared} rows={3} maxLength={MAX_LENGTH.note ?? 0} />;
  return <Input {...shared} maxLength={MAX_LENGTH[field] ?? 0} />;
}

type PersonProps = Omit<Parameters<typeof Input>[0], 'list'>;

/** A name of the staff: one that is known, or a new one. */
export function PersonInput(props: PersonProps) {
  const { t } = useTranslation();
  const list = useId();
  const people = useQuery(peopleQuery());
  return (
    <>
      <Input {...props} list={list} autoComplete="off" maxLength={255} placeholder={t('contact.nobody')} />
      <datalist id={list}>
        {people.data?.items.map(({ name }) => (
          <option key={name}>{name}</option>
        ))}
      </datalist>
    </>
  );
}
