import { keepPreviousData, useMutation, useQuery } from '@tanstack/react-query';
import { Button, Checkbox, Modal } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';

import {
  countBulk,
  requestBulk,
  type BulkActions,
  type BulkRequest,
  type ContactType,
} from '../../api/mutations/actions';
import { isAnswer } from '../../api/unanswered';
import { ContactFields } from '../contact/ContactFields';
import { EMPTY_FORM, FIELD_OF_POINTER, requestOf } from '../contact/contactForm';
import { useFormFaults } from '../contact/useFormFaults';
import { Failure } from '../Failure';
import { focusFirstField } from '../focusFirstField';
import { Loading } from '../Loading';
import { useBoot } from '../useBoot';
import type { Whom } from './Bulk';
import { Outcomes } from './Outcomes';

type Props = {
  type: ContactType;
  whom: Whom;
  count: number;
  onClose: () => void;
  onAnswer: (answer: BulkActions) => void;
  /** Called when a request was sent and its answer has not arrived. */
  onUnanswered: () => void;
};

/** Counts what would happen, asks what to say, and requests it for everybody at once. */
export default function BulkDialog({ type, whom, count, onClose, onAnswer, onUnanswered }: Props) {
  const { t } = useTranslation();
  const { company } = useBoot();
  const [form, setForm] = useState(EMPTY_FORM);
  const [withBooked, setWithBooked] = useState(false);
  const dryRun = useQuery({
    queryKey: ['bulk', 'dryRun', type, whom, withBooked],
    queryFn: ({ signal }) => countBulk({ type, ...whom, include_booked: withBooked }, signal),
    placeholderData: keepPreviousData,
    gcTime: 0,
    staleTime: Infinity,
  });
  const send = useMutation({
    mutationFn: (body: BulkRequest) => requestBulk(company.id, body),
    onSuccess: onAnswer,
    onError: (error) => {
      if (!isAnswer(error)) onUnanswered();
    },
  });
  const faults = useFormFaults(type, form, send.error, FIELD_OF_POINTER);
  const counts = dryRun.data?.counts ?? null;
  return (
    <Modal
      open
      title={t(`atRisk.bulkTitle.${type}`, { count })}
      onCancel={onClose}
      afterOpenChange={focusFirstField}
      footer={
        <>
          <Button onClick={onClose}>{t('contact.cancel')}</Button>
          <Button
            type="primary"
            loading={send.isPending}
            disabled={faults.isWrong || counts === null || counts.ok === 0 || dryRun.isPlaceholderData}
            onClick={() => send.mutate({ ...requestOf(type, form), ...whom, include_booked: withBooked })}
          >
            {counts === null ? t(`contact.send.${type}`) : t(`atRisk.confirm.${type}`, { count: counts.ok })}
          </Button>
        </>
      }
    >
      {dryRun.error !== null && <Failure error={dryRun.error} onRetry={() => void dryRun.refetch()} />}
      {counts === null && dryRun.error === null && <Loading height={92} />}
      {counts !== null && <Outcomes type={type} counts={counts} isBefore />}
      {(withBooked || (counts?.has_booking ?? 0) > 0) && (
        <Checkbox checked={withBooked} onChange={(event) => setWithBooked(event.target.checked)}>
          {t('atRisk.withBooked')}
        </Checkbox>
      )}
      <ContactFields
        type={type}
        form={form}
        faults={faults.fields}
        isFixed={send.isPending}
        onChange={(next) => {
          send.reset();
          setForm(next);
        }}
      />
      {faults.rest !== null && (
        <p className="fault" role="alert">
          {faults.rest}
        </p>
      )}
    </Modal>
  );
}
