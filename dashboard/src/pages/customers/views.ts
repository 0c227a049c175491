/** Filters that a person has given a name. They are kept in this browser, for each company. */
import { useSyncExternalStore } from 'react';

import { omit, readCustomersSearch, type CustomersSearch } from './search';

export type View = { name: string; search: CustomersSearch };

const listeners = new Set<() => void>();
const cache = new Map<number, readonly View[]>();
const keyOf = (company: number): string => `journey.views.${company}`;
const MAX_NAME = 60;

/** Returns what of an address a view keeps: words of a search and the page are left out, since words name people. */
export function keptOf(search: CustomersSearch): CustomersSearch {
  return omit(search, 'q', 'cursor', 'page');
}

export function viewsOf(company: number): readonly View[] {
  const known = cache.get(company) ?? read(company);
  cache.set(company, known);
  return known;
}

function read(company: number): readonly View[] {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(keyOf(company)) ?? '[]');
    if (!Array.isArray(stored)) return [];
    return stored.flatMap((each: Partial<View>) =>
      typeof each?.name === 'string' && typeof each.search === 'object'
        ? [{ name: each.name, search: keptOf(readCustomersSearch(each.search)) }]
        : [],
    );
  } catch {
    return [];
  }
}

function write(company: number, views: readonly View[]): void {
  const sorted = views.toSorted((a, b) => a.name.localeCompare(b.name));
  cache.set(company, sorted);
  try {
    localStorage.setItem(keyOf(company), JSON.stringify(sorted));
  } catch {
    // A browser that stores nothing forgets the view with the page.
  }
  for (const listener of listeners) listener();
}

/** Saves a filter under a name; one of the same name is replaced. */
export function saveView(company: number, name: string, search: CustomersSearch): void {
  const clean = name.trim().slice(0, MAX_NAME);
  if (clean === '') return;
  const others = viewsOf(company).filter((view) => view.name !== clean);
  write(company, [...others, { name: clean, search: keptOf(search) }]);
}

export function renameView(company: number, from: string, to: string): void {
  const view = viewsOf(company).find((each) => each.name === from);
  if (view === undefined || to.trim() === '') return;
  deleteView(company, from);
  saveView(company, to, view.search);
}

export function deleteView(company: number, name: string): void {
  write(
    company,
    viewsOf(company).filter((view) => view.name !== name),
  );
}

export function useViews(company: number): readonly View[] {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => viewsOf(company),
  );
}
