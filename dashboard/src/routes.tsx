import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Link,
  type ErrorRouteComponent,
} from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';

import { readRange, type FunnelMode, type RangeChoice } from './format/ranges';
import { readCustomersSearch } from './pages/customers/search';
import { EmptyState } from './parts/EmptyState';
import { Failure } from './parts/Failure';
import { Loading } from './parts/Loading';
import { readRiskSearch } from './pages/at-risk/riskSearch';
import { readTodaySearch } from './pages/today/todaySearch';
import { Shell } from './shell/Shell';

function NotFound() {
  const { t } = useTranslation();
  return (
    <div className="page">
      <EmptyState title={t('failure.notFound')}>
        <p>{t('failure.notFoundText')}</p>
        <Link to="/" className="link">
          {t('failure.home')}
        </Link>
      </EmptyState>
    </div>
  );
}

function Crash({ error }: { error: Error }) {
  return (
    <div className="page">
      <Failure error={error} onRetry={() => location.reload()} />
    </div>
  );
}

const PageLoading = () => (
  <div className="page">
    <Loading height={400} />
  </div>
);

const root = createRootRoute({ component: Shell, notFoundComponent: NotFound });
const DAY = /^\d{4}-\d{2}-\d{2}$/;
const MONTH = /^\d{4}-\d{2}$/;

const overview = createRoute({
  getParentRoute: () => root,
  path: '/',
  validateSearch: (search): RangeChoice & { as_of?: string; funnel?: FunnelMode } => ({
    ...readRange(search),
    ...(typeof search.as_of === 'string' && DAY.test(search.as_of) ? { as_of: search.as_of } : {}),
    ...(search.funnel === 'cohort' ? { funnel: search.funnel } : {}),
  }),
  component: lazyRouteComponent(() => import('./pages/overview/OverviewPage'), 'OverviewPage'),
});

const drill = createRoute({
  getParentRoute: () => root,
  path: '/drill/$figure',
  // The service checks the parameters of each list.
  validateSearch: (search): Record<string, string | number | boolean> =>
    Object.fromEntries(
      Object.entries(search).filter((pair): pair is [string, string | number | boolean] =>
        ['string', 'number', 'boolean'].includes(typeof pair[1]),
      ),
    ),
  component: lazyRouteComponent(() => import('./pages/drill/DrillPage'), 'DrillPage'),
});

const customers = createRoute({
  getParentRoute: () => root,
  path: '/customers',
  validateSearch: readCustomersSearch,
  component: lazyRouteComponent(() => import('./pages/customers/CustomersPage'), 'CustomersPage'),
});

const customer = createRoute({
  getParentRoute: () => root,
  path: '/customers/$id',
  validateSearch: (search): { as_of?: string; tab?: string } => ({
    ...(typeof search.as_of === 'string' && DAY.test(search.as_of) ? { as_of: search.as_of } : {}),
    ...(typeof search.tab === 'string' ? { tab: search.tab } : {}),
  }),
  component: lazyRouteComponent(() => import('./pages/customer/CustomerPage'), 'CustomerPage'),
});

const duplicates = createRoute({
  getParentRoute: () => root,
  path: '/customers/duplicates',
  component: lazyRouteComponent(() => import('./pages/duplicates/DuplicatesPage'), 'DuplicatesPage'),
});

const today = createRoute({
  getParentRoute: () => root,
  path: '/today',
  validateSearch: readTodaySearch,
  component: lazyRouteComponent(() => import('./pages/today/TodayPage'), 'TodayPage'),
});

const atRisk = createRoute({
  getParentRoute: () => root,
  path: '/at-risk',
  validateSearch: readRiskSearch,
  component: lazyRouteComponent(() => import('./pages/at-risk/AtRiskPage'), 'AtRiskPage'),
});

const calibration = createRoute({
  getParentRoute: () => root,
  path: '/calibration',
  validateSearch: (search): { month?: string } =>
    typeof search.month === 'string' && MONTH.test(search.month) ? { month: search.month } : {},
  component: lazyRouteComponent(() => import('./pages/calibration/CalibrationPage'), 'CalibrationPage'),
});

export const router = createRouter({
  routeTree: root.addChildren([overview, today, customers, duplicates, customer, atRisk, calibration, drill]),
  defaultPreload: 'intent',
  defaultErrorComponent: Crash as ErrorRouteComponent,
  defaultPendingComponent: PageLoading,
  defaultPendingMs: 150,
  scrollRestoration: true,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
