import { useQuery } from '@tanstack/react-query';

import { customerCountQuery } from '../api/queries/customers';
import { todayQuery } from '../api/queries/today';
import { can } from '../api/rights';
import { useBoot } from '../parts/useBoot';

/** Returns the numbers beside the pages of the rail, by the words of the pages: what is due, and how many there are. */
export function useRailCounts(): Record<string, number | undefined> {
  const { scopes } = useBoot();
  const today = useQuery({ ...todayQuery(), enabled: can(scopes, 'actions:read') }).data;
  const count = useQuery({ ...customerCountQuery(), enabled: can(scopes, 'customers:read') }).data;
  return {
    today: today === undefined ? undefined : today.tasks.overdue + today.tasks.today,
    customers: count?.total ?? count?.total_estimate ?? undefined,
    atRisk: today?.at_risk,
  };
}
