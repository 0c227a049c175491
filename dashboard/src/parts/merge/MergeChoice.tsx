import { useId } from 'react';
import { useTranslation } from 'react-i18next';

import type { SuspectedDuplicate } from '../../api/queries/duplicates';
import { CustomerName } from '../CustomerName';
import { StageChip } from '../StageChip';
import { useStageLook } from '../useStages';

type Props = {
  legend: string;
  customers: readonly SuspectedDuplicate[];
  chosen: number;
  onChoose: (id: number) => void;
};

/** A choice of one of several customers. */
export function MergeChoice({ legend, customers, chosen, onChoose }: Props) {
  const { t } = useTranslation();
  const lookOf = useStageLook();
  const group = useId();
  return (
    <fieldset className="merge-choice">
      <legend>{legend}</legend>
      {customers.map((customer) => {
        const { customer_id: id, name, current_stage: stage, stage_name: stageName } = customer;
        return (
          <label key={id} className={id === chosen ? 'chosen' : undefined}>
            <input type="radio" name={group} checked={id === chosen} onChange={() => onChoose(id)} />
            <span className="merge-name">
              <CustomerName customer={customer} />
              {name !== null && <small>{t('merge.number', { id })}</small>}
            </span>
            <StageChip stage={lookOf(stage, stageName)} isShort />
          </label>
        );
      })}
    </fieldset>
  );
}
