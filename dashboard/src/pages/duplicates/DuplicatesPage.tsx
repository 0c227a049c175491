import { useInfiniteQuery } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { Button } from 'antd';
import { lazy, Suspense, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { duplicatesQuery, type DuplicateGroup, type SuspectedDuplicate } from '../../api/queries/duplicates';
import { can } from '../../api/rights';
import { EmptyState } from '../../parts/EmptyState';
import { Denied, Failure } from '../../parts/Failure';
import { Loading } from '../../parts/Loading';
import { useBoot } from '../../parts/useBoot';
import { Group } from './Group';
import '../../look/merge.css';
import '../../words/mergeWords';

const MergeDialog = lazy(() => import('../../parts/merge/MergeDialog'));

/** Groups of customers who share an email address or a phone number, each with the way to merge two of them. */
export function DuplicatesPage() {
  const { t } = useTranslation();
  const { scopes } = useBoot();
  return (
    <div className="page">
      <div className="page-head">
        <div>
          <h1>{t('merge.listTitle')}</h1>
          <p className="lead">{t('merge.listLead')}</p>
        </div>
        <div className="head-actions">
          <Link to="/customers" className="link">
            {t('merge.back')}
          </Link>
        </div>
      </div>
      {can(scopes, 'customers:read') ? <Groups /> : <Denied scope="customers:read" />}
    </div>
  );
}

const keyOf = ({ reason, value }: DuplicateGroup): string => `${reason} ${value}`;

function Groups() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const list = useInfiniteQuery(duplicatesQuery());
  const [open, setOpen] = useState<readonly SuspectedDuplicate[] | null>(null);
  const groups = list.data?.pages.flatMap((page) => page.items);
  return (
    <>
      {list.error !== null && <Failure error={list.error} onRetry={() => void list.refetch()} />}
      {groups === undefined && list.error === null && <Loading height={320} />}
      {groups?.length === 0 && (
        <EmptyState title={t('merge.none')}>
          <p>{t('merge.noneText')}</p>
        </EmptyState>
      )}
      {groups !== undefined && groups.length > 0 && (
        <ul className="duplicate-groups">
          {groups.map((group) => (
            <Group key={keyOf(group)} group={group} onMerge={setOpen} />
          ))}
        </ul>
      )}
      {list.hasNextPage && (
        <Button loading={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>
          {t('merge.more')}
        </Button>
      )}
      {open !== null && (
        <Suspense>
          <MergeDialog
            customers={open}
            onClose={() => setOpen(null)}
            onMerged={(survivor) => void navigate({ to: '/customers/$id', params: { id: String(survivor) } })}
          />
        </Suspense>
      )}
    </>
  );
}
