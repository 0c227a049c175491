import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Button, Modal } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';

import { mergeCustomers } from '../../api/mutations/merge';
import { ProblemError } from '../../api/problems';
import { mergePreviewQuery, type SuspectedDuplicate } from '../../api/queries/duplicates';
import { useCustomerName } from '../CustomerName';
import { notify } from '../notices';
import { MergeChoice } from './MergeChoice';
import { MergeEffect } from './MergeEffect';
import { MergeFault } from './MergeFault';
import '../../look/merge.css';
import '../../words/mergeWords';

type Props = {
  /** At least two customers who may be one; the first stays unless another one is chosen. */
  customers: readonly SuspectedDuplicate[];
  onClose: () => void;
  onMerged: (survivor: number) => void;
};
/** What a merge does not change. */
const CONSTANT = new Set<unknown>(['session', 'stages', 'people']);

/** Shows what the merge of two customers would do, asks whether they are the same person, and merges them. */
export default function MergeDialog({ customers, onClose, onMerged }: Props) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const nameOf = useCustomerName();
  const [survivorId, setSurvivor] = useState(customers[0]?.customer_id);
  const [otherId, setOther] = useState(customers[1]?.customer_id);
  const [isConfirmed, setConfirmed] = useState(false);
  const survivor = customers.find((each) => each.customer_id === survivorId) ?? customers[0];
  const others = customers.filter((each) => each !== survivor);
  const other = others.find((each) => each.customer_id === otherId) ?? others[0];
  const ids = [survivor?.customer_id ?? 0, other?.customer_id ?? 0] as const;
  const preview = useQuery(mergePreviewQuery(...ids));
  const merge = useMutation({
    mutationFn: (version: string) => mergeCustomers(...ids, version),
    onSuccess: () => {
      if (survivor !== undefined && other !== undefined)
        notify(t('merge.done', { merged: nameOf(other), name: nameOf(survivor) }));
      onClose();
      onMerged(ids[0]);
      void client.invalidateQueries({ predicate: ({ queryKey }) => !CONSTANT.has(queryKey[0]) });
    },
    onError: (error) => {
      if (!(error instanceof ProblemError) || error.status !== 412) return;
      setConfirmed(false);
      void preview.refetch();
    },
  });
  if (survivor === undefined || other === undefined) return null;
  const choose = (change: () => void) => {
    merge.reset();
    setConfirmed(false);
    change();
  };
  const fault = merge.error ?? preview.error;
  return (
    <Modal
      open
      title={t('merge.title')}
      onCancel={onClose}
      footer={
        <>
          <Button onClick={onClose}>{t('merge.cancel')}</Button>
          <Button
            type="primary"
            danger
            className="merge-save"
            loading={merge.isPending}
            disabled={!isConfirmed || preview.data === undefined || preview.isFetching}
            onClick={() => merge.mutate(preview.data?.version ?? '')}
          >
            <bdi>{t('merge.save', { name: nameOf(survivor) })}</bdi>
          </Button>
        </>
      }
    >
      <div className="merge">
        <MergeChoice
          legend={t('merge.survivor')}
          customers={customers}
          chosen={survivor.customer_id}
          onChoose={(id) => choose(() => setSurvivor(id))}
        />
        {others.length > 1 && (
          <MergeChoice
            legend={t('merge.merged', { name: nameOf(survivor) })}
            customers={others}
            chosen={other.customer_id}
            onChoose={(id) => choose(() => setOther(id))}
          />
        )}
        <MergeEffect preview={preview} survivor={survivor.customer_id} merged={other.customer_id} />
        {fault !== null && (
          <MergeFault
            error={fault}
            merged={other.customer_id}
            onClose={onClose}
            onRetry={merge.error === null ? () => void preview.refetch() : undefined}
          />
        )}
        {preview.data !== undefined && (
          <label className="merge-confirm">
            <input
              type="checkbox"
              checked={isConfirmed}
              onChange={(event) => setConfirmed(event.target.checked)}
            />
            <span>{t('merge.confirm')}</span>
          </label>
        )}
      </div>
    </Modal>
  );
}
