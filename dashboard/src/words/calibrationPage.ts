/** Adds the words of the page that compares predictions with what happened; they are loaded with it. */
import { calibration as calibrationDe } from './calibration.de';
import { calibration as calibrationEn } from './calibration.en';
import { i18next } from './setup';

i18next.addResourceBundle('en', 'translation', { calibration: calibrationEn }, true);
i18next.addResourceBundle('de', 'translation', { calibration: calibrationDe }, true);
