import type { atRisk } from './atRisk.en';
import type { calibration } from './calibration.en';
import type { contact } from './contact.en';
import type { en } from './en';
import type { customer } from './customer.en';
import type { customerActions } from './customerActions.en';
import type { merge } from './merge.en';
import type { newTask } from './newTask.en';
import type { prediction } from './prediction.en';
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
export type CalibrationWords = Texts<typeof calibration>;
export type NewTaskWords = Texts<typeof newTask>;
export type PredictionWords = Texts<typeof prediction>;
export type CustomerWords = Texts<typeof customer>;
/** Words that are loaded with the pages that speak them. */
export type LazyWords = {
  calibration: typeof calibration;
  customer: typeof customer;
  prediction: typeof prediction;
  rules: typeof rules;
};
export type TodayWords = Texts<typeof today>;

declare module 'i18next' {
  interface CustomTypeOptions {
    resources: { translation: typeof en & typeof merge & LazyWords };
  }
}
