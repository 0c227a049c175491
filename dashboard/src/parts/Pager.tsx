import { useRouter, useRouterState } from '@tanstack/react-router';
import { Button } from 'antd';
import { ChevronLeft, ChevronRight } from 'lucide-react';
import { useTranslation } from 'react-i18next';

import { useFormats } from '../format/useFormats';

/** What an address says about the page of a list. Links that change the filter or the order leave both out. */
export type PageSearch = { cursor?: string; page?: number };

declare module '@tanstack/react-router' {
  interface HistoryState {
    /** Cursors of the pages before this one, the first page left out. */
    cursors?: string[];
  }
}

/** Reads the page from the parameters of an address. */
export function readPageSearch(search: Record<string, unknown>): PageSearch {
  const { cursor, page } = search;
  if (typeof cursor !== 'string' || cursor === '') return {};
  return { cursor, page: typeof page === 'number' && Number.isInteger(page) && page > 1 ? page : 2 };
}

type Props = PageSearch & {
  /** The cursor of the page after this one; null on the last one. */
  next: string | null;
  shown: number;
  /** Rows of a whole page. */
  limit: number;
  total?: number | null;
  totalEstimate?: number | null;
};

/**
 * Goes through a list by cursors. Each page is an entry of the browser's history, so that its Back works, and a link
 * opens the same page. The way back beyond a shared link is its first page.
 */
export function Pager({ cursor, page = 1, next, shown, limit, total = null, totalEstimate = null }: Props) {
  const { t } = useTranslation();
  const formats = useFormats();
  const router = useRouter();
  const before = useRouterState({ select: (state) => state.location.state.cursors });
  const go = (to: PageSearch, cursors: string[]) => {
    const search = (all: Record<string, unknown>) => ({ ...all, cursor: undefined, page: undefined, ...to });
    void router.navigate({ to: '.', search: search as never, state: { cursors } });
  };
  const goNext = () => {
    if (next !== null)
      go({ cursor: next, page: page + 1 }, cursor === undefined ? [] : [...(before ?? []), cursor]);
  };
  const goBefore = () => {
    const rest = before ?? [];
    const last = rest.at(-1);
    go(last === undefined ? {} : { cursor: last, page: page - 1 }, rest.slice(0, -1));
  };
  const first = (page - 1) * limit + 1;
  const range = { from: formats.int(first), to: formats.int(first + shown - 1) };
  // Without the cursors before it, a page of a shared link knows no page before it but the first.
  const isBeforeKnown = before !== undefined;
  return (
    <nav className="pager" aria-label={t('table.pages')}>
      <span className="pager-range">
        {shown > 0 &&
          (total !== null
            ? t('table.shownOf', { ...range, total: formats.int(total) })
            : totalEstimate !== null
              ? t('table.shownOfAbout', { ...range, total: formats.int(totalEstimate) })
              : t('table.shown', range))}
      </span>
      {cursor !== undefined && (
        <Button icon={<ChevronLeft size={15} aria-hidden />} onClick={goBefore}>
          {t(isBeforeKnown ? 'table.before' : 'table.first')}
        </Button>
      )}
      {next !== null && (
        <Button icon={<ChevronRight size={15} aria-hidden />} iconPlacement="end" onClick={goNext}>
          {t('table.next')}
        </Button>
      )}
    </nav>
  );
}
