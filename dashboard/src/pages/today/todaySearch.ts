export const WHOSE = ['mine', 'nobodys', 'everyone'] as const;
export type Whose = (typeof WHOSE)[number];
/** What the address says: whose tasks are shown, and which campaigns are listed. */
export type TodaySearch = { whose?: Whose; campaigns?: 'running' | 'returned' };

/** Reads the parameters of an address; what makes no sense is left out. */
export function readTodaySearch(search: Record<string, unknown>): TodaySearch {
  const whose = WHOSE.find((each) => each === search.whose);
  const campaigns = (['running', 'returned'] as const).find((each) => each === search.campaigns);
  return { ...(whose === undefined ? {} : { whose }), ...(campaigns === undefined ? {} : { campaigns }) };
}
