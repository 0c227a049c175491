import { Button } from 'antd';
import { useId } from 'react';
import { useTranslation } from 'react-i18next';

type Props = { label: string; name?: string; onSave: (name: string) => void };

/** Asks for the name of a view. */
export function NameForm({ label, name = '', onSave }: Props) {
  const { t } = useTranslation();
  const id = useId();
  return (
    <form
      className="name-form"
      onSubmit={(event) => {
        event.preventDefault();
        const form = event.currentTarget;
        const field = form.elements.namedItem('view') as HTMLInputElement;
        if (field.value.trim() === '') return;
        onSave(field.value);
        form.reset();
      }}
    >
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        name="view"
        className="plain-field"
        defaultValue={name}
        required
        maxLength={60}
        autoComplete="off"
        dir="auto"
      />
      <Button htmlType="submit">{t('customers.viewSave')}</Button>
    </form>
  );
}
