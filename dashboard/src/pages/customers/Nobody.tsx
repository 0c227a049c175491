import { useNavigate } from '@tanstack/react-router';
import { Button } from 'antd';
import { useTranslation } from 'react-i18next';

import { EmptyState } from '../../parts/EmptyState';
import { omit } from './search';

type Props = { isFiltered: boolean; isLater: boolean; onClear: () => void };

/** Why the list is empty, and what to do next. */
export function Nobody({ isFiltered, isLater, onClear }: Props) {
  const { t } = useTranslation();
  const navigate = useNavigate({ from: '/customers' });
  if (isLater) {
    const toFirst = () => {
      void navigate({ search: (search) => omit(search, 'cursor', 'page'), replace: true });
    };
    return (
      <EmptyState title={t('customers.lastPage')}>
        <Button onClick={toFirst}>{t('customers.toFirst')}</Button>
      </EmptyState>
    );
  }
  if (isFiltered) {
    return (
      <EmptyState title={t('customers.none')}>
        <p>{t('customers.noneText')}</p>
        <Button onClick={onClear}>{t('customers.clear')}</Button>
      </EmptyState>
    );
  }
  return (
    <EmptyState title={t('customers.empty')}>
      <p>{t('customers.emptyText')}</p>
      <a href="/docs" className="link">
        {t('customers.emptyStep')}
      </a>
    </EmptyState>
  );
}
