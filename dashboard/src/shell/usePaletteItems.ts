import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { CopyCheck, ListPlus, Moon, Search, Sun, UserRound } from 'lucide-react';
import { useTranslation } from 'react-i18next';

import { customersByIdQuery, findCustomersQuery, type Customer } from '../api/queries/customers';
import { can } from '../api/rights';
import { chooseTaste, useTheme } from '../look/taste';
import { useOffered, type Command } from '../parts/commands';
import { customerPath, useCustomerName } from '../parts/CustomerName';
import { openNewTask } from '../parts/newTask/newTaskTarget';
import { useBoot } from '../parts/useBoot';
import { useDelayed } from '../parts/useDelayed';
import { PAGES } from './pages';
import { matching, type PaletteItem } from './paletteItems';
import { recentCustomers } from './recent';
import { useAccountCommands } from './useAccountCommands';
import type { Overlay } from './useShellKeys';

const DELAY_MS = 250;

/** Returns what the palette offers for the words: commands and pages at once, customers a moment after the last key. */
export function usePaletteItems(words: string, show: (overlay: Overlay) => void) {
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
  const pages = usePages();
  const commands = useCommandItems(show);
  const itemOf =
    (group: 'recent' | 'customers') =>
    (customer: Customer): PaletteItem => ({
      key: `${group} ${customer.customer_id}`,
      group,
      name: nameOf(customer),
      detail: customer.phone ?? customer.email ?? undefined,
      icon: UserRound,
      open: customerPath(customer.customer_id),
    });
  if (words === '') {
    const byId = new Map(recent.data?.items.map((each) => [each.customer_id, each]));
    const opened = ids.flatMap((id) => byId.get(id) ?? []);
    const items = [...commands.here, ...opened.map(itemOf('recent')), ...pages, ...commands.general];
    return { items, isSearching: false, isFailed: false };
  }
  const isStale = settled !== words || found.isPlaceholderData;
  const customers = settled === '' || !isAllowed ? [] : (found.data?.items ?? []);
  const all: PaletteItem = {
    key: 'all',
    group: 'customers',
    name: t('palette.allMatching', { words }),
    icon: Search,
    open: `/customers?q=${encodeURIComponent(JSON.stringify(words))}`,
  };
  return {
    items: [
      ...matching([...commands.here, ...pages, ...commands.general], words),
      ...customers.map(itemOf('customers')),
      ...(found.data?.next_cursor != null ? [all] : []),
    ],
    isSearching: isAllowed && (isStale || found.isFetching),
    isFailed: found.isError && !isStale,
  };
}

function usePages(): PaletteItem[] {
  const { t } = useTranslation();
  const { scopes } = useBoot();
  const pages = PAGES.filter((page) => can(scopes, page.scope)).map(({ to, word, icon }): PaletteItem => ({
    key: to,
    group: 'pages',
    name: t(`nav.${word}`),
    icon,
    open: to,
  }));
  if (!can(scopes, 'customers:read')) return pages;
  const open = '/customers/duplicates';
  return [...pages, { key: open, group: 'pages', name: t('customers.duplicates'), icon: CopyCheck, open }];
}

const commandItem =
  (group: 'here' | 'general', detail?: string) =>
  ({ key, label, icon, run }: Command): PaletteItem => ({
    key: `${group} ${key}`,
    group,
    name: label,
    detail,
    icon,
    open: run,
  });

/** What can be done on the page that is open, and on every page. */
function useCommandItems(show: (overlay: Overlay) => void) {
  const { t } = useTranslation();
  const { scopes } = useBoot();
  const isDark = useTheme() === 'dark';
  const account = useAccountCommands(show);
  const offered = useOffered();
  const theme: Command = {
    key: 'theme',
    icon: isDark ? Sun : Moon,
    label: t(isDark ? 'shell.light' : 'shell.dark'),
    run: () => chooseTaste({ theme: isDark ? 'light' : 'dark' }),
  };
  const task: Command = {
    key: 'task',
    icon: ListPlus,
    label: t('newTask.general'),
    run: () => openNewTask({ customer: null }),
  };
  const tasks = can(scopes, 'actions:write') ? [task] : [];
  return {
    here: offered.flatMap(({ title, commands }) => commands.map(commandItem('here', title))),
    general: [...tasks, theme, ...account].map(commandItem('general')),
  };
}
