import { useNavigate, useSearch } from '@tanstack/react-router';
import { Button } from 'antd';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';

import type { ContactType } from '../../api/mutations/actions';
import { RISK_PAGE } from '../../api/queries/atRisk';
import { can } from '../../api/rights';
import { Bulk } from '../../parts/bulk/Bulk';
import { ContactActions, CONTACT_ICONS, CONTACT_TYPES } from '../../parts/contact/ContactActions';
import { DataTable } from '../../parts/DataTable';
import { Failure } from '../../parts/Failure';
import { Loading } from '../../parts/Loading';
import { Pager } from '../../parts/Pager';
import { SelectionBar } from '../../parts/SelectionBar';
import { useBoot } from '../../parts/useBoot';
import { NobodyAtRisk } from './NobodyAtRisk';
import { recommendedOf } from './recommended';
import { RiskFilters } from './RiskFilters';
import { bulkFilter, DEFAULT_SORT, type RiskSearch, SORTS } from './riskSearch';
import { useRiskColumns } from './useRiskColumns';
import type { RiskListResult } from './useRiskList';
import { useRowContact } from './useRowContact';

const withoutPage = ({ cursor: _cursor, page: _page, ...rest }: RiskSearch): RiskSearch => rest;
const NOBODY: ReadonlySet<string> = new Set();

/** The filters, the table, what is chosen in it, and what is done with those. */
export function RiskList({ list }: { list: RiskListResult }) {
  const { t } = useTranslation();
  const { scopes } = useBoot();
  const search = useSearch({ from: '/at-risk' });
  const navigate = useNavigate({ from: '/at-risk' });
  const [chosen, setChosen] = useState<ReadonlySet<string>>(NOBODY);
  const [isAll, setAll] = useState(false);
  const [bulkType, setBulkType] = useState<ContactType | null>(null);
  const columns = useRiskColumns();
  const rows = useMemo(() => list.data?.items ?? [], [list.data]);
  const table = useRowContact(rows);
  const canAct = can(scopes, 'actions:write');
  const choose = (next: ReadonlySet<string>) => {
    setChosen(next);
    setAll(false);
  };
  const filter = (change: RiskSearch) => {
    choose(NOBODY);
    void navigate({ search: change });
  };
  const total = list.data?.total ?? null;
  const nameOf = (row: (typeof rows)[number]) => row.name ?? t('contact.number', { id: row.id });
  const whom = isAll
    ? { filter: bulkFilter(search) }
    : { customer_ids: [...chosen].map(Number).toSorted((a, b) => a - b) };
  return (
    <>
      <Bulk
        type={bulkType}
        whom={whom}
        count={isAll ? (total ?? 0) : chosen.size}
        onClose={() => setBulkType(null)}
        onAccepted={() => choose(NOBODY)}
      />
      <section className="card risk-list" aria-label={t('atRisk.list')} ref={table}>
        <RiskFilters search={search} onChange={filter} />
        {list.error !== null && <Failure error={list.error} onRetry={() => void list.refetch()} />}
        {list.data === undefined && list.error === null && <Loading height={420} />}
        {list.data !== undefined && (
          <>
            {canAct && (
              <SelectionBar
                chosen={chosen.size}
                total={total}
                isAll={isAll}
                onAll={() => setAll(true)}
                onClear={() => choose(NOBODY)}
              >
                {CONTACT_TYPES.map((type) => {
                  const Icon = CONTACT_ICONS[type];
                  return (
                    <Button
                      key={type}
                      icon={<Icon size={14} aria-hidden />}
                      aria-label={t(`atRisk.bulk.${type}`)}
                      onClick={() => setBulkType(type)}
                    >
                      {t(`contact.${type}`)}
                    </Button>
                  );
                })}
              </SelectionBar>
            )}
            {rows.length === 0 ? (
              <NobodyAtRisk search={search} onClear={() => filter({})} />
            ) : (
              <DataTable
                caption={t('atRisk.list')}
                columns={columns}
                rows={rows}
                keyOf={(row) => String(row.id)}
                isList
                isBusy={list.isPlaceholderData}
                sort={search.sort ?? DEFAULT_SORT}
                onSort={(sort) => {
                  const next = SORTS.find((each) => each === sort);
                  if (next !== undefined) filter({ ...withoutPage(search), sort: next });
                }}
                {...(canAct ? { selection: { chosen, onChange: choose, nameOf } } : {})}
                actions={(row) => (
                  <ContactActions
                    customer={{ id: row.id, name: row.name }}
                    reach={row.reach}
                    openTask={row.open_task}
                    size="small"
                    {...recommendedOf(row)}
                  />
                )}
              />
            )}
            <Pager
              {...search}
              next={list.data.next_cursor}
              shown={rows.length}
              limit={RISK_PAGE}
              total={total}
            />
          </>
        )}
      </section>
    </>
  );
}
