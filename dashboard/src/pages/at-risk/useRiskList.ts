import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useSearch } from '@tanstack/react-router';

import { atRiskQuery } from '../../api/queries/atRisk';
import { riskQuery } from './riskSearch';

/** The page of the list that the address names. The last one stays while the next is read. */
export function useRiskList() {
  const search = useSearch({ from: '/at-risk' });
  return useQuery({ ...atRiskQuery(riskQuery(search)), placeholderData: keepPreviousData });
}

export type RiskListResult = ReturnType<typeof useRiskList>;
