import { Button } from 'antd';
import { useTranslation } from 'react-i18next';

import { EmptyState } from '../../parts/EmptyState';
import { countOfFilters, type RiskChoice } from './riskSearch';

/** Why the list is empty, and what to do next. */
export function NobodyAtRisk({ search, onClear }: { search: RiskChoice; onClear: () => void }) {
  const { t } = useTranslation();
  const isFiltered = countOfFilters(search) > 0;
  return (
    <EmptyState title={t(isFiltered ? 'atRisk.noMatch' : 'atRisk.nobody')}>
      <p>{t(isFiltered ? 'atRisk.noMatchText' : 'atRisk.nobodyText')}</p>
      {isFiltered && <Button onClick={onClear}>{t('atRisk.clearFilters')}</Button>}
    </EmptyState>
  );
}
