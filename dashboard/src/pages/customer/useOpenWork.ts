import { useQuery } from '@tanstack/react-query';

import { openTasksQuery, runningCampaignsQuery, type Campaign, type Task } from '../../api/queries/customer';
import { can } from '../../api/rights';
import { useBoot } from '../../parts/useBoot';
import { useView } from './context';

/** Campaigns that run now; none while the page shows the past. */
export function useRunningCampaigns(): Campaign[] {
  const { id, instant } = useView();
  const { scopes } = useBoot();
  const isAsked = instant === undefined && can(scopes, 'actions:read');
  const { data } = useQuery({ ...runningCampaignsQuery(id), enabled: isAsked });
  return isAsked ? (data?.items ?? []) : [];
}

/** Tasks that are open now; none while the page shows the past. */
export function useOpenTasks(): Task[] {
  const { id, instant } = useView();
  const { scopes } = useBoot();
  const isAsked = instant === undefined && can(scopes, 'actions:read');
  const { data } = useQuery({ ...openTasksQuery(id), enabled: isAsked });
  return isAsked ? (data?.items ?? []) : [];
}
