/** Adds the words of duplicates and merges, which are loaded with the parts that show them. */
import { merge as mergeDe } from './merge.de';
import { merge as mergeEn } from './merge.en';
import { i18next } from './setup';

i18next.addResourceBundle('en', 'translation', mergeEn, true);
i18next.addResourceBundle('de', 'translation', mergeDe, true);
