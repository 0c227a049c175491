import type { atRisk } from './atRisk.en';
import type { contact } from './contact.en';
import type { en } from './en';
import type { customer } from './customer.en';
import type { customerActions } from './customerActions.en';
import type { reports } from './reports.en';
import type { rules } from './rules.en';
import type { today } from './today.en';

export type Texts<T> = { [K in keyof T]: T[K] extends string ? string : Texts<T[K]> };
export type Words = Texts<typeof en>;
export type AtRiskWords = Texts<typeof atRisk>;
export type ContactWords = Texts<typeof contact>;
export type ReportWords = Texts<typeof reports>;
export type RuleWords = Texts<typeof rules>;
export type CustomerActionWords = Texts<typeof customerActions>;
export type CustomerWords = Texts<typeof customer>;
/** Words that are loaded with the pages that speak them. */
export type LazyWords = { customer: typeof customer; rules: typeof rules };
export type TodayWords = Texts<typeof today>;

declare module 'i18next' {
  interface CustomTypeOptions {
    resources: { translation: typeof en & LazyWords };
  }
}
