import { useTranslation } from 'react-i18next';

import { useView } from './context';

/** Who is responsible, and what people noted. */
export function Notes() {
  const { t } = useTranslation();
  const { journey } = useView();
  return (
    <dl className="figures written">
      <div>
        <dt>{t('customer.glance.owner')}</dt>
        <dd>{journey.owner ?? <span className="quiet">{t('customer.glance.nobody')}</span>}</dd>
      </div>
      <div className="tall">
        <dt>{t('customer.glance.notes')}</dt>
        <dd dir="auto">{journey.notes ?? <span className="quiet">{t('customer.glance.noNotes')}</span>}</dd>
      </div>
    </dl>
  );
}
