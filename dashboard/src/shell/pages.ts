import { LayoutDashboard, Users, type LucideIcon } from 'lucide-react';

import type { Scope } from '../api/rights';

/** A page of the rail. Its words are `nav.<word>`. */
export type PageLink = {
  to: '/' | '/customers';
  word: 'overview' | 'customers';
  icon: LucideIcon;
  scope: Scope;
};

/** The pages of the rail and of the tabs on phones, in order. */
export const PAGES: readonly PageLink[] = [
  { to: '/', word: 'overview', icon: LayoutDashboard, scope: 'analytics:read' },
  { to: '/customers', word: 'customers', icon: Users, scope: 'customers:read' },
];
