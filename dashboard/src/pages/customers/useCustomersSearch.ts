import { useNavigate, useSearch } from '@tanstack/react-router';

import { withoutUndefined, type CustomersSearch } from './search';

type Change = { [K in keyof CustomersSearch]?: CustomersSearch[K] | undefined };

/** Returns the address of the list, and how to change it. A change leads to the first page of what it finds. */
export function useCustomersSearch() {
  const search = useSearch({ from: '/customers' });
  const navigate = useNavigate({ from: '/customers' });
  const changed = (change: Change): CustomersSearch =>
    withoutUndefined({ ...search, cursor: undefined, page: undefined, ...change }) as CustomersSearch;
  return {
    search,
    changed,
    change: (change: Change, { replace = false } = {}) => {
      void navigate({ search: changed(change), replace });
    },
    show: (next: CustomersSearch) => {
      void navigate({ search: next });
    },
  };
}

export type ChangeSearch = ReturnType<typeof useCustomersSearch>['change'];
