import type { atRisk } from './atRisk.en';
import type { contact } from './contact.en';
import type { en } from './en';
import type { reports } from './reports.en';
import type { today } from './today.en';

export type Texts<T> = { [K in keyof T]: T[K] extends string ? string : Texts<T[K]> };
export type Words = Texts<typeof en>;
export type AtRiskWords = Texts<typeof atRisk>;
export type ContactWords = Texts<typeof contact>;
export type ReportWords = Texts<typeof reports>;
export type TodayWords = Texts<typeof today>;

declare module 'i18next' {
  interface CustomTypeOptions {
    resources: { translation: typeof en };
  }
}
