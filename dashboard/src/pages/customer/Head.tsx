import { useTranslation } from 'react-i18next';

import { StageChip } from '../../parts/StageChip';
import { useStageLook } from '../../parts/useStages';
import { Actions } from './Actions';
import { useView } from './context';
import { Reason } from './Reason';

/** Who it is, where the customer stands, and what can be done. */
export function Head() {
  const { t } = useTranslation();
  const lookOf = useStageLook();
  const { id, customer, journey, name, isErased } = useView();
  const days = journey.days_in_current_stage;
  return (
    <header className="customer-head">
      <div className="customer-who">
        <div className="customer-name">
          <h1>
            <bdi>{name}</bdi>
          </h1>
          <StageChip stage={lookOf(journey.current_stage, journey.stage_name)} />
          <span className="quiet">
            {days === 0 ? t('customer.forToday') : t('customer.forDays', { count: days })}
          </span>
        </div>
        {!isErased && (
          <p className="customer-contact">
            <span>{t('customer.number', { id: customer.customer_ref ?? id })}</span>
            {customer.email === null ? (
              <span className="quiet">{t('customer.noEmail')}</span>
            ) : (
              <a href={`mailto:${customer.email}`} className="plain-link">
                <bdi>{customer.email}</bdi>
              </a>
            )}
            {customer.phone === null ? (
              <span className="quiet">{t('customer.noPhone')}</span>
            ) : (
              <a href={`tel:${customer.phone}`} className="plain-link">
                <bdi>{customer.phone}</bdi>
              </a>
            )}
          </p>
        )}
        <Reason />
      </div>
      <Actions />
    </header>
  );
}
