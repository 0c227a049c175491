import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { Button } from 'antd';
import { SlidersHorizontal } from 'lucide-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';

import { customersQuery } from '../../api/queries/customers';
import { can } from '../../api/rights';
import { usePhone } from '../../look/media';
import { CsvButton } from '../../parts/CsvButton';
import type { CsvSearch } from '../../parts/csv';
import { Dialog } from '../../parts/Dialog';
import { Denied, Failure } from '../../parts/Failure';
import { Loading } from '../../parts/Loading';
import { Pager, readPageSearch } from '../../parts/Pager';
import { useShortcut } from '../../parts/shortcuts';
import { useBoot } from '../../parts/useBoot';
import { CustomersTable } from './CustomersTable';
import { FilterChips } from './FilterChips';
import { FilterForm } from './FilterForm';
import { Nobody } from './Nobody';
import { PageLength } from './PageLength';
import { SearchBox } from './SearchBox';
import {
  customersQueryOf,
  DEFAULT_SORT,
  filtersOf,
  LIMITS,
  omit,
  withoutUndefined,
  type Sort,
} from './search';
import { StageTabs } from './StageTabs';
import { useCustomersSearch } from './useCustomersSearch';
import { useTotal } from './useTotal';
import { Views } from './Views';

/** All customers: found by words, filtered, sorted, page by page. */
export function CustomersPage() {
  const { t } = useTranslation();
  const { scopes } = useBoot();
  if (can(scopes, 'customers:read')) return <CustomersList />;
  return (
    <div className="page">
      <h1>{t('customers.title')}</h1>
      <Denied scope="customers:read" />
    </div>
  );
}

function CustomersList() {
  const { t } = useTranslation();
  const { search, change, show } = useCustomersSearch();
  const [isOpen, setOpen] = useState(false);
  const isPhone = usePhone();
  const query = customersQueryOf(search);
  const list = useQuery({
    ...customersQuery({ ...query, count: true }),
    placeholderData: keepPreviousData,
  });
  const filters = Object.keys(filtersOf(search));
  const panelFilters = filters.filter((name) => name !== 'q' && name !== 'consent_status').length;
  const total = useTotal()(list.data, filters.length > 0);
  const clear = () => show(withoutUndefined({ sort: search.sort, limit: search.limit }));
  useShortcut('Escape', t('customers.clearFilters'), clear, { isOn: filters.length > 0 });
  const rows = list.data?.items ?? [];
  const form = <FilterForm search={search} change={change} />;
  return (
    <div className="page customers">
      <div className="page-head">
        <div>
          <h1>{t('customers.title')}</h1>
          <p className="lead" role="status">
            {total}
          </p>
        </div>
        <div className="head-actions">
          <Link to="/customers/duplicates" className="link">
            {t('customers.duplicates')}
          </Link>
          <Views search={search} />
          <CsvButton
            path="/api/v1/customers"
            search={omit(query, 'limit', 'cursor') as CsvSearch}
            figure="customers"
          />
        </div>
      </div>
      <section className="card">
        <div className="list-tools">
          <SearchBox
            value={search.q ?? ''}
            onChange={(q) => change({ q: q === '' ? undefined : q }, { replace: true })}
          />
          <Button
            icon={<SlidersHorizontal size={15} aria-hidden />}
            aria-expanded={isOpen}
            onClick={() => setOpen(!isOpen)}
          >
            {panelFilters === 0 ? t('customers.filters') : t('customers.filtersOn', { count: panelFilters })}
          </Button>
        </div>
        <StageTabs />
        {isOpen && !isPhone && form}
        {isOpen && isPhone && (
          <Dialog title={t('customers.filters')} onClose={() => setOpen(false)} className="sheet">
            {form}
            <Button type="primary" block size="large" onClick={() => setOpen(false)}>
              {t('customers.apply')}
            </Button>
          </Dialog>
        )}
        <FilterChips search={search} change={change} onClear={clear} />
        {list.error !== null && <Failure error={list.error} onRetry={() => void list.refetch()} />}
        {list.data === undefined && list.error === null && <Loading height={480} />}
        {list.data !== undefined && rows.length === 0 && (
          <Nobody isFiltered={filters.length > 0} isLater={search.cursor !== undefined} onClear={clear} />
        )}
        {rows.length > 0 && (
          <CustomersTable
            rows={rows}
            sort={search.sort ?? DEFAULT_SORT}
            onSort={(sort) => change({ sort: sort === DEFAULT_SORT ? undefined : (sort as Sort) })}
            isBusy={list.isPlaceholderData}
          />
        )}
        {rows.length > 0 && (
          <div className="list-foot">
            <PageLength limit={search.limit ?? LIMITS[0]} change={change} />
            <Pager
              {...readPageSearch(search)}
              next={list.data?.next_cursor ?? null}
              shown={rows.length}
              limit={search.limit ?? LIMITS[0]}
              total={list.data?.total ?? null}
              totalEstimate={list.data?.total_estimate ?? null}
            />
          </div>
        )}
      </section>
    </div>
  );
}
