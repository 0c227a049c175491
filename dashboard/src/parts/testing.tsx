/** What component tests render within: the languages, and a client of queries that asks nobody. */
import { QueryClient, QueryClientProvider, type QueryKey } from '@tanstack/react-query';
import { render, type RenderResult } from '@testing-library/react';
import type { ReactNode } from 'react';

import { stagesQuery } from '../api/queries/stages';
import { createFormats } from '../format/formats';
import { FormatsContext } from '../format/useFormats';
import { i18next } from '../words/setup';

type Options = {
  language?: 'en' | 'de';
  /** Answers that are known, by their keys. */
  known?: readonly (readonly [QueryKey, unknown])[];
};
type StageMap = Awaited<ReturnType<NonNullable<ReturnType<typeof stagesQuery>['queryFn']>>>;

const STAGES = [
  { key: 'regular', name: 'Regular Customer', color: '#10B981', icon: 'star', kind: 'progress', order: 4 },
  { key: 'vip', name: 'VIP Customer', color: '#8B5CF6', icon: 'crown', kind: 'progress', order: 5 },
  { key: 'at_risk', name: 'At Risk', color: '#F59E0B', icon: 'exclamation-triangle', kind: 'risk', order: 6 },
];

export async function renderPart(
  part: ReactNode,
  { language = 'en', known = [] }: Options = {},
): Promise<RenderResult> {
  await i18next.changeLanguage(language);
  const client = new QueryClient({ defaultOptions: { queries: { staleTime: Infinity, retry: false } } });
  client.setQueryData(stagesQuery().queryKey, { stages: STAGES } as unknown as StageMap);
  for (const [key, data] of known) client.setQueryData(key, data);
  const formats = createFormats({ language, timezone: 'Europe/Berlin', currency: 'EUR' });
  return render(
    <QueryClientProvider client={client}>
      <FormatsContext value={formats}>{part}</FormatsContext>
    </QueryClientProvider>,
  );
}
