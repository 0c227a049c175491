import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Button, Modal } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';

import { contactPurpose, requestAction, type ContactRequest } from '../../api/mutations/actions';
import { forgetUnanswered, isAnswer, unansweredOf } from '../../api/unanswered';
import { notify } from '../notices';
import { useBoot } from '../useBoot';
import { ContactFields } from './ContactFields';
import { EMPTY_FORM, FIELD_OF_POINTER, formOf, requestOf } from './contactForm';
import type { ContactTarget } from './contactTarget';
import { useFormFaults } from './useFormFaults';
import { useOutcome } from './useOutcome';
import { WhomToContact } from './WhomToContact';

type Props = { target: ContactTarget; onClose: () => void };

/** Asks what to say to a customer, requests it, and tells the outcome. */
export default function ContactDialog({ target, onClose }: Props) {
  const { t } = useTranslation();
  const { company } = useBoot();
  const client = useQueryClient();
  const outcome = useOutcome();
  const { customer, type } = target;
  const purpose = contactPurpose(company.id, customer.id, type);
  // A request without a response is shown as it was sent: a retry must send the same body.
  const [earlier, setEarlier] = useState(() => unansweredOf<ContactRequest>(purpose));
  const [form, setForm] = useState(() => (earlier === null ? EMPTY_FORM : formOf(earlier.body)));
  const name = customer.name ?? t('contact.number', { id: customer.id });
  const send = useMutation({
    mutationFn: (body: ContactRequest) => requestAction(company.id, customer.id, body),
    onSuccess: (action) => {
      notify(outcome(action, name), { kind: action.state === 'cancelled' ? 'bad' : 'good' });
      for (const key of CHANGED) void client.invalidateQueries({ queryKey: [key] });
      onClose();
    },
    onError: () => setEarlier(unansweredOf<ContactRequest>(purpose)),
  });
  const faults = useFormFaults(type, form, send.error, FIELD_OF_POINTER);
  const isUnanswered = earlier !== null && (send.error === null || !isAnswer(send.error));
  const giveUp = () => {
    forgetUnanswered(purpose);
    setEarlier(null);
    send.reset();
  };
  return (
    <Modal
      open
      title={t(`contact.title.${type}`, { name })}
      onCancel={onClose}
      footer={
        <>
          <Button onClick={onClose}>{t('contact.cancel')}</Button>
          <Button
            type="primary"
            loading={send.isPending}
            disabled={faults.isWrong}
            onClick={() => send.mutate(earlier?.body ?? requestOf(type, form))}
          >
            {t(isUnanswered ? 'contact.again' : `contact.send.${type}`)}
          </Button>
        </>
      }
    >
      <WhomToContact target={target} />
      <ContactFields
        type={type}
        form={form}
        faults={faults.fields}
        isFixed={earlier !== null || send.isPending}
        onChange={(next) => {
          send.reset();
          setForm(next);
        }}
      />
      {isUnanswered && !send.isPending && (
        <div className="failure" role="alert">
          <b>{t('contact.unanswered')}</b>
          <p>{t('contact.unansweredText')}</p>
          <button type="button" className="quiet-button" onClick={giveUp}>
            {t('contact.giveUp')}
          </button>
        </div>
      )}
      {faults.rest !== null && (
        <p className="fault" role="alert">
          {faults.rest}
        </p>
      )}
    </Modal>
  );
}

/** Nouns of the queries that an action can change. */
const CHANGED = ['atRisk', 'tasks', 'today', 'actions', 'customers', 'campaigns'];
