/** Adds the words of a customer's page, which are loaded with it: most other pages do without them. */
import { customer as customerDe } from './customer.de';
import { customer as customerEn } from './customer.en';
import { rules as rulesDe } from './rules.de';
import { rules as rulesEn } from './rules.en';
import { i18next } from './setup';

i18next.addResourceBundle('en', 'translation', { customer: customerEn, rules: rulesEn }, true);
i18next.addResourceBundle('de', 'translation', { customer: customerDe, rules: rulesDe }, true);
