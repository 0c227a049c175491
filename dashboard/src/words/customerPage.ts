/** Adds the words of a customer's page, which are loaded with it: most other pages do without them. */
import { customer as customerDe } from './customer.de';
import { customer as customerEn } from './customer.en';
import { prediction as predictionDe } from './prediction.de';
import { prediction as predictionEn } from './prediction.en';
import { rules as rulesDe } from './rules.de';
import { rules as rulesEn } from './rules.en';
import { i18next } from './setup';

const en = { customer: customerEn, prediction: predictionEn, rules: rulesEn };
const de = { customer: customerDe, prediction: predictionDe, rules: rulesDe };

i18next.addResourceBundle('en', 'translation', en, true);
i18next.addResourceBundle('de', 'translation', de, true);
