import type { RangeQuery } from '../../api/queries/analytics';
import type { Days, RangeChoice } from '../../format/ranges';

/** The days that the page shows. */
export type PageContext = {
  choice: RangeChoice;
  query: RangeQuery;
  /** Null: all days, whose first one only the API knows. */
  days: Days | null;
  today: string;
};
