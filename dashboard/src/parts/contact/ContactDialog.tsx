import { useQueryClient } from '@tanstack/react-query';
import { Button, Modal } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';

import { contactPurpose, requestAction, type ContactRequest } from '../../api/mutations/actions';
import { focusFirstField } from '../focusFirstField';
import { notify } from '../notices';
import { useBoot } from '../useBoot';
import { ContactFields } from './ContactFields';
import { EMPTY_FORM, FIELD_OF_POINTER, formOf, requestOf } from './contactForm';
import type { ContactTarget } from './contactTarget';
import { Unanswered } from './Unanswered';
import { useFormFaults } from './useFormFaults';
import { useOutcome } from './useOutcome';
import { useSendOnce } from './useSendOnce';
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
  const name = customer.name ?? t('contact.number', { id: customer.id });
  const request = useSendOnce({
    purpose,
    send: (body: ContactRequest) => requestAction(company.id, customer.id, body),
    onSent: (action) => {
      notify(outcome(action, name), { kind: action.state === 'cancelled' ? 'bad' : 'good' });
      for (const key of CHANGED) void client.invalidateQueries({ queryKey: [key] });
      onClose();
    },
  });
  const { earlier, isUnanswered, isPending } = request;
  const [form, setForm] = useState(() => (earlier === null ? EMPTY_FORM : formOf(earlier)));
  const faults = useFormFaults(type, form, request.error, FIELD_OF_POINTER);
  return (
    <Modal
      open
      title={t(`contact.title.${type}`, { name })}
      onCancel={onClose}
      afterOpenChange={focusFirstField}
      footer={
        <>
          <Button onClick={onClose}>{t('contact.cancel')}</Button>
          <Button
            type="primary"
            loading={isPending}
            disabled={faults.isWrong}
            onClick={() => request.send(requestOf(type, form))}
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
        isFixed={earlier !== null || isPending}
        onChange={(next) => {
          request.reset();
          setForm(next);
        }}
      />
      {isUnanswered && !isPending && <Unanswered onGiveUp={request.giveUp} />}
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
