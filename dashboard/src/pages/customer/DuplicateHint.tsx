import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { Button } from 'antd';
import { UsersRound } from 'lucide-react';
import { lazy, Suspense, useState } from 'react';
import { useTranslation } from 'react-i18next';

import {
  duplicatesOfQuery,
  type DuplicateGroup,
  type SuspectedDuplicate,
} from '../../api/queries/duplicates';
import { can } from '../../api/rights';
import { CustomerLink } from '../../parts/CustomerLink';
import { CustomerName } from '../../parts/CustomerName';
import { Failure } from '../../parts/Failure';
import { useBoot } from '../../parts/useBoot';
import { useOnline } from '../../parts/useOnline';
import { useView } from './context';
import '../../look/merge.css';
import '../../words/mergeWords';

const MergeDialog = lazy(() => import('../../parts/merge/MergeDialog'));
/** Customers that are named; the others are in the list of duplicates. */
const MAX_NAMED = 3;

type Suspect = SuspectedDuplicate & { shared: 'email' | 'phone' | 'both' };

/** Returns the other customers of the groups, each once, with what they share. */
export function suspectsOf(groups: readonly DuplicateGroup[], id: number): Suspect[] {
  const found = new Map<number, Suspect>();
  for (const { reason, customers } of groups) {
    for (const customer of customers) {
      const known = found.get(customer.customer_id);
      if (customer.customer_id !== id)
        found.set(customer.customer_id, { ...customer, shared: known === undefined ? reason : 'both' });
    }
  }
  return [...found.values()];
}

/** Names the customers who may be the same person, and offers to merge them. */
export function DuplicateHint() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const isOnline = useOnline();
  const { scopes } = useBoot();
  const { id, customer, instant, isErased } = useView();
  const [isOpen, setOpen] = useState(false);
  const isOn = instant === undefined && !isErased;
  const found = useQuery({ ...duplicatesOfQuery(id), enabled: isOn });
  if (!isOn) return null;
  if (found.error !== null) return <Failure error={found.error} onRetry={() => void found.refetch()} />;
  const suspects = suspectsOf(found.data?.items ?? [], id);
  if (suspects.length === 0) return null;
  const named = suspects.slice(0, MAX_NAMED);
  const { current_stage: stage, stage_name: stageName } = customer.journey;
  const self = { customer_id: id, name: customer.name, current_stage: stage, stage_name: stageName };
  return (
    <div className="duplicate-hint" role="note">
      <UsersRound size={16} aria-hidden />
      <p>
        {t('merge.hint')}{' '}
        {named.map((each, index) => (
          <span key={each.customer_id}>
            {index > 0 && ', '}
            <CustomerLink id={each.customer_id}>
              <CustomerName customer={each} />
            </CustomerLink>{' '}
            {`(${t('merge.number', { id: each.customer_id })}, ${t(`merge.shared.${each.shared}`)})`}
          </span>
        ))}
        {suspects.length > named.length && ` ${t('merge.hintMore')}`}
      </p>
      {can(scopes, 'privacy') && (
        <Button size="small" disabled={!isOnline} onClick={() => setOpen(true)}>
          {t('merge.compare')}
        </Button>
      )}
      {isOpen && (
        <Suspense>
          <MergeDialog
            customers={[self, ...suspects]}
            onClose={() => setOpen(false)}
            onMerged={(survivor) => void navigate({ to: '/customers/$id', params: { id: String(survivor) } })}
          />
        </Suspense>
      )}
    </div>
  );
}
