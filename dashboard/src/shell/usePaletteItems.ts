import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { Search, UserRound } from 'lucide-react';
import { useTranslation } from 'react-i18next';

import { customersByIdQuery, findCustomersQuery, type Customer } from '../api/queries/customers';
import { can } from '../api/rights';
import { customerPath, useCustomerName } from '../parts/CustomerName';
import { useBoot } from '../parts/useBoot';
import { useDelayed } from '../parts/useDelayed';
import { PAGES } from './pages';
import { matching, type PaletteItem } from './paletteItems';
import { recentCustomers } from './recent';

const DELAY_MS = 250;

/** Returns what the palette offers for the words: pages at once, customers a moment after the last key. */
export function usePaletteItems(words: string) {
  const { t } = useTranslation();
  const nameOf = useCustomerName();
  const { scopes, company } = useBoot();
  const isAllowed = can(scopes, 'customers:read');
  const settled = useDelayed(words, DELAY_MS);
  const found = useQuery({
    ...findCustomersQuery(settled),
    enabled: isAllowed && settled !== '',
    placeholderData: keepPreviousData,
  });
  const ids = recentCustomers(company.id);
  const recent = useQuery({ ...customersByIdQuery(ids), enabled: isAllowed && ids.length > 0 });
  const pages = PAGES.filter((page) => can(scopes, page.scope)).map(({ to, word, icon }): PaletteItem => ({
    key: to,
    group: 'pages',
    name: t(`nav.${word}`),
    icon,
    href: to,
  }));
  const itemOf =
    (group: 'recent' | 'customers') =>
    (customer: Customer): PaletteItem => ({
      key: `${group} ${customer.customer_id}`,
      group,
      name: nameOf(customer),
      detail: customer.phone ?? customer.email ?? undefined,
      icon: UserRound,
      href: customerPath(customer.customer_id),
    });
  if (words === '') {
    const byId = new Map(recent.data?.items.map((each) => [each.customer_id, each]));
    const opened = ids.flatMap((id) => byId.get(id) ?? []);
    return { items: [...opened.map(itemOf('recent')), ...pages], isSearching: false, isFailed: false };
  }
  const isStale = settled !== words || found.isPlaceholderData;
  const customers = settled === '' || !isAllowed ? [] : (found.data?.items ?? []);
  const all: PaletteItem = {
    key: 'all',
    group: 'customers',
    name: t('palette.allMatching', { words }),
    icon: Search,
    href: `/customers?q=${encodeURIComponent(JSON.stringify(words))}`,
  };
  return {
    items: [
      ...matching(pages, words),
      ...customers.map(itemOf('customers')),
      ...(found.data?.next_cursor != null ? [all] : []),
    ],
    isSearching: isAllowed && (isStale || found.isFetching),
    isFailed: found.isError && !isStale,
  };
}
