import type { Schemas } from '../../api/client';
import type { Figure } from '../../parts/drillTargets';

export type Search = Record<string, string | number | boolean>;
/** A number as its report states it: customers, and what they did where that is counted too. */
export type Expected = { customers: number | null; events: number | null };

type Reports = {
  total: Schemas['Overview'];
  stage: Schemas['Distribution'];
  funnel: Schemas['Funnel'];
  flow: Schemas['Flows'];
  moved: Schemas['Overview'];
  action: Schemas['Automation'];
  visits: Schemas['TimeInStage'];
  risk: Schemas['RiskDistribution'];
  cohort: Schemas['Cohorts'];
};
const OUTCOMES = ['converted', 'pending', 'dropped'] as const;
const NOTHING: Expected = { customers: 0, events: null };

/** Finds the number in the report that states it. */
const FINDERS: { [F in Figure]: (report: Reports[F], search: Search) => Expected } = {
  total: (report) => ({ customers: report.total_customers, events: null }),
  stage: (report, { stage }) => customersOf(report.items.find((item) => item.stage_key === stage)),
  funnel: (report, { stage, outcome }) => {
    const step = report.items.find((item) => item.stage_key === stage);
    const part = OUTCOMES.find((each) => each === outcome);
    if (part === undefined) return customersOf(step);
    return { customers: step?.[part] ?? 0, events: null };
  },
  flow: (report, search) => {
    const { from_stage: from, to_stage: to } = search;
    const flow = report.items.find((item) => item.from_stage === from && item.to_stage === to);
    return flow === undefined ? NOTHING : { customers: flow.customers, events: flow.moves };
  },
  moved: (report, { motion }) => {
    if (motion === 'opening') return { customers: report.new_customers, events: null };
    const events = { lapse: report.lapses, return: report.returns }[String(motion)] ?? report.moves;
    return { customers: null, events };
  },
  action: (report, { name, state }) => {
    const row = report.items.find((item) => item.name === name);
    const counts: Record<string, unknown> = { ...row };
    const events = counts[String(state)];
    return { customers: null, events: typeof events === 'number' ? events : 0 };
  },
  visits: (report, { stage, open: isOpen }) => {
    const item = report.items.find((each) => each.stage_key === stage);
    return { customers: null, events: (isOpen === true ? item?.open_count : item?.visits) ?? 0 };
  },
  risk: (report, { band }) => customersOf(report.items.find((item) => item.band === band)),
  cohort: (report, { cohort, month }) =>
    customersOf(report.items.find((item) => item.cohort === cohort && item.month === month)),
};

const customersOf = (item: { customers: number } | undefined): Expected =>
  item === undefined ? NOTHING : { customers: item.customers, events: null };

export function expectedOf(figure: Figure, search: Search, report: unknown): Expected {
  // The report is the one of this figure: REPORTS in figures.ts names it.
  const find = FINDERS[figure] as (report: unknown, search: Search) => Expected;
  return find(report, search);
}
