import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { useParams, useRouter, useSearch } from '@tanstack/react-router';
import { Button } from 'antd';
import { ArrowLeft } from 'lucide-react';
import { useTranslation } from 'react-i18next';

import { localDay } from '../../format/formats';
import { useFormats } from '../../format/useFormats';
import { daysOf, readRange } from '../../format/ranges';
import { CsvButton } from '../../parts/CsvButton';
import { FIGURES, type Figure } from '../../parts/drillTargets';
import { EmptyState } from '../../parts/EmptyState';
import { Failure } from '../../parts/Failure';
import { Loading } from '../../parts/Loading';
import { useBoot } from '../../parts/useBoot';

import { ActOnAll } from './ActOnAll';
import { CustomerTable } from './CustomerTable';
import type { Search } from './expected';
import { customerIds, expectedQuery, listPath, readPage } from './figures';
import { Total } from './Total';
import { useSentence } from './useSentence';
import { VisitTable } from './VisitTable';

/** The customers behind a number: the number again, the list, and its CSV. */
export function DrillPage() {
  const params = useParams({ from: '/drill/$figure' });
  const search = useSearch({ from: '/drill/$figure' });
  const figure = FIGURES.find((each) => each === params.figure);
  const { t } = useTranslation();
  if (figure === undefined) {
    return (
      <div className="page">
        <EmptyState title={t('failure.notFound')} />
      </div>
    );
  }
  // The job of a bulk action is no parameter of the list.
  const { job: _job, of: _of, ...list } = search;
  return <DrillList key={figure + JSON.stringify(list)} figure={figure} search={list} />;
}

function DrillList({ figure, search }: { figure: Figure; search: Search }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const router = useRouter();
  const sentence = useSentence()(figure, search);
  const expected = useQuery(expectedQuery(figure, search));
  const list = useInfiniteQuery({
    queryKey: ['drill', 'list', figure, search],
    queryFn: ({ pageParam, signal }) => readPage(figure, search, pageParam, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
  });
  const pages = list.data?.pages ?? [];
  const customers = pages.flatMap((page) => page.customers);
  const visits = pages.flatMap((page) => page.visits);
  const shown = customers.length + visits.length;
  const path = listPath(figure);
  const { company } = useBoot();
  const range = readRange(search);
  const hasRange = range.period !== undefined || range.from !== undefined;
  const days = hasRange ? daysOf(range, localDay(company.now, company.timezone)) : null;
  const readAll = async () => {
    let result = list;
    while (result.hasNextPage && !result.isError) result = await result.fetchNextPage();
    return customerIds(result.data?.pages ?? []);
  };
  const again = () => {
    void expected.refetch();
    void list.refetch();
  };
  return (
    <div className="page drill">
      <button type="button" className="back" onClick={() => router.history.back()}>
        <ArrowLeft size={15} aria-hidden />
        {t('drill.back')}
      </button>
      <div className="page-head">
        <div>
          <h1>{sentence}</h1>
          <p className="lead">
            {days !== null
              ? t('range.days', { from: formats.day(days.from), to: formats.day(days.to) })
              : hasRange && t('range.all')}
          </p>
        </div>
        {path !== null && <CsvButton path={path} search={search} figure={figure} />}
      </div>
      <section className="card">
        <Total
          figure={figure}
          expected={expected.data}
          shown={shown}
          events={customers.reduce((sum, row) => sum + (row.times ?? 0), 0)}
          isWhole={list.data !== undefined && !list.hasNextPage}
          onAgain={again}
        />
        <ActOnAll readAll={readAll} shown={customerIds(pages).length} />
        {list.error !== null && <Failure error={list.error} onRetry={() => void list.refetch()} />}
        {list.data === undefined && list.error === null && <Loading height={320} />}
        {list.data !== undefined && shown === 0 && <EmptyState title={t('drill.empty')} />}
        {customers.length > 0 && <CustomerTable rows={customers} />}
        {visits.length > 0 && <VisitTable rows={visits} />}
        {list.hasNextPage && (
          <div className="more">
            <Button loading={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>
              {t('drill.more')}
            </Button>
          </div>
        )}
      </section>
    </div>
  );
}
