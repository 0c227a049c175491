import { useQueryClient } from '@tanstack/react-query';
import { Button, Input } from 'antd';
import { Pencil } from 'lucide-react';
import { useId, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { writeJourney } from '../../api/mutations/customer';
import { customerQuery } from '../../api/queries/customer';
import { can } from '../../api/rights';
import { notify } from '../../parts/notices';
import { useBoot } from '../../parts/useBoot';
import { focusFirst, useOff, useView } from './context';
import { Fault } from './Fault';
import { useChange } from './useChange';

type Field = 'owner' | 'notes';
type Props = {
  field: Field;
  maxLength: number;
  /** Values to choose from. */
  options?: readonly string[];
};

const WORDS = {
  owner: { name: 'owner', none: 'nobody', edit: 'editOwner', label: 'ownerLabel' },
  notes: { name: 'notes', none: 'noNotes', edit: 'editNotes', label: 'notesLabel' },
} as const;

/** A text about the customer that people write: shown, and edited in its place. */
export function Editable(props: Props) {
  const { t } = useTranslation();
  const { scopes } = useBoot();
  const { journey } = useView();
  const off = useOff();
  const [isOpen, setOpen] = useState(false);
  const words = WORDS[props.field];
  const text = journey[props.field];
  const mayWrite = can(scopes, 'journeys:write');
  return (
    <div className={(props.field === 'notes' && text !== null) || isOpen ? 'tall' : undefined}>
      <dt>
        {t(`customer.glance.${words.name}`)}
        {mayWrite && !isOpen && (
          <button
            type="button"
            className="edit-button"
            aria-label={t(`customer.glance.${words.edit}`)}
            title={off ?? t(`customer.glance.${words.edit}`)}
            disabled={off !== null}
            onClick={() => setOpen(true)}
          >
            <Pencil size={13} aria-hidden />
          </button>
        )}
      </dt>
      <dd dir="auto">
        {isOpen ? (
          <Editor {...props} onClose={() => setOpen(false)} />
        ) : (
          (text ?? <span className="quiet">{t(`customer.glance.${words.none}`)}</span>)
        )}
      </dd>
    </div>
  );
}

function Editor({ field, maxLength, options, onClose }: Props & { onClose: () => void }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const { id, journey } = useView();
  const listId = useId();
  const [base, setBase] = useState(journey[field]);
  const [typed, setTyped] = useState(journey[field] ?? '');
  const [isChanged, setChanged] = useState(false);
  const save = useChange(
    async (text: string) => {
      // The version does not tell whether this text has changed, so it is compared itself.
      const { journey: now } = await client.fetchQuery({ ...customerQuery(id), staleTime: 0 });
      if (now[field] !== base) {
        setBase(now[field]);
        setChanged(true);
        return null;
      }
      return writeJourney(id, now.version, { [field]: text === '' ? null : text });
    },
    (written) => {
      if (written === null) return;
      notify(t('customer.told.saved'));
      onClose();
    },
  );
  const shared = {
    'aria-label': t(`customer.glance.${WORDS[field].label}`),
    value: typed,
    maxLength,
    onChange: (event: { target: { value: string } }) => {
      save.reset();
      setTyped(event.target.value);
    },
  };
  return (
    <form
      className="editor"
      onSubmit={(event) => {
        event.preventDefault();
        save.mutate(typed.trim());
      }}
    >
      {field === 'notes' ? (
        <Input.TextArea {...shared} ref={focusFirst} dir="auto" rows={4} />
      ) : (
        <>
          <Input {...shared} ref={focusFirst} dir="auto" list={listId} />
          <datalist id={listId}>
            {options?.map((option) => (
              <option key={option} value={option}>
                {option}
              </option>
            ))}
          </datalist>
        </>
      )}
      {isChanged && (
        <div className="changes" role="alert">
          <b>{t('customer.fault.notesTitle')}</b>
          <p dir="auto">
            {base === null ? t('customer.fault.notesEmpty') : t('customer.fault.notesNow', { text: base })}
          </p>
          <p>{t('customer.fault.notesKeep')}</p>
        </div>
      )}
      <Fault error={save.error} />
      <div className="editor-foot">
        <Button size="small" type="primary" htmlType="submit" loading={save.isPending}>
          {t('customer.glance.save')}
        </Button>
        <Button size="small" onClick={onClose}>
          {t('customer.glance.cancel')}
        </Button>
      </div>
    </form>
  );
}
