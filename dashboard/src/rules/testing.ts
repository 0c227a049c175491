/** What unit tests build sentences with, in both languages. */
import { createFormats } from '../format/formats';
import '../words/customerPage';
import { i18next } from '../words/setup';
import type { Voice } from './sentences';

const STAGES: Record<string, string> = {
  prospect: 'Prospect',
  regular: 'Regular Customer',
  vip: 'VIP Customer',
  at_risk: 'At Risk',
  churned: 'Churned',
};

export function voiceOf(language: 'en' | 'de'): Voice {
  return {
    t: i18next.getFixedT(language),
    formats: createFormats({ language, timezone: 'Europe/Berlin', currency: 'EUR' }),
    stage: (key) => STAGES[key] ?? key,
  };
}
