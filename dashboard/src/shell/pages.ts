import { HeartPulse, LayoutDashboard, ListChecks, Target, Users, type LucideIcon } from 'lucide-react';

import type { Scope } from '../api/rights';

/** A page of the rail. Its words are `nav.<word>`. */
export type PageLink = {
  to: '/' | '/today' | '/customers' | '/at-risk' | '/calibration';
  word: 'overview' | 'today' | 'customers' | 'atRisk' | 'calibration';
  icon: LucideIcon;
  scope: Scope;
};

/** The pages of the rail and of the tabs on phones, in order. */
export const PAGES: readonly PageLink[] = [
  { to: '/', word: 'overview', icon: LayoutDashboard, scope: 'analytics:read' },
  { to: '/today', word: 'today', icon: ListChecks, scope: 'actions:read' },
  { to: '/customers', word: 'customers', icon: Users, scope: 'customers:read' },
  { to: '/at-risk', word: 'atRisk', icon: HeartPulse, scope: 'customers:read' },
  { to: '/calibration', word: 'calibration', icon: Target, scope: 'analytics:read' },
];
