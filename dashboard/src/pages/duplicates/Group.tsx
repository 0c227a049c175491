import { Button } from 'antd';
import { useId } from 'react';
import { useTranslation } from 'react-i18next';

import type { DuplicateGroup, SuspectedDuplicate } from '../../api/queries/duplicates';
import { can } from '../../api/rights';
import { CustomerLink } from '../../parts/CustomerLink';
import { CustomerName } from '../../parts/CustomerName';
import { StageChip } from '../../parts/StageChip';
import { useBoot } from '../../parts/useBoot';
import { useOnline } from '../../parts/useOnline';
import { useStageLook } from '../../parts/useStages';

type Props = { group: DuplicateGroup; onMerge: (customers: readonly SuspectedDuplicate[]) => void };

/** The customers who share one value. */
export function Group({ group, onMerge }: Props) {
  const { t } = useTranslation();
  const { scopes } = useBoot();
  const isOnline = useOnline();
  const lookOf = useStageLook();
  const title = useId();
  const { reason, value, number, customers } = group;
  return (
    <li className="card" aria-labelledby={title}>
      <header>
        <h2 id={title}>
          <bdi>{t(`merge.group.${reason}`, { value })}</bdi>
        </h2>
        <span className="space" />
        {can(scopes, 'privacy') && customers.length > 1 && (
          <Button
            size="small"
            disabled={!isOnline}
            aria-describedby={title}
            onClick={() => onMerge(customers)}
          >
            {t('merge.compare')}
          </Button>
        )}
      </header>
      {number > customers.length && (
        <p className="muted">{t('merge.countFirst', { count: number, shown: customers.length })}</p>
      )}
      <ul>
        {customers.map((customer) => (
          <li key={customer.customer_id}>
            <CustomerLink id={customer.customer_id} className="plain-link">
              <CustomerName customer={customer} />
            </CustomerLink>
            {customer.name !== null && (
              <small className="muted">{t('merge.number', { id: customer.customer_id })}</small>
            )}
            <StageChip stage={lookOf(customer.current_stage, customer.stage_name)} isShort />
          </li>
        ))}
      </ul>
    </li>
  );
}
