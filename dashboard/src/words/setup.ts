import { createInstance } from 'i18next';
import { initReactI18next } from 'react-i18next';

import { currentLanguage } from '../look/taste';
import { de } from './de';
import { en } from './en';

export const i18next = createInstance();

void i18next.use(initReactI18next).init({
  resources: { en: { translation: en }, de: { translation: de } },
  lng: currentLanguage(),
  fallbackLng: 'en',
  interpolation: { escapeValue: false }, // React escapes
});
