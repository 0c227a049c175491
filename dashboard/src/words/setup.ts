import { createInstance, type BackendModule } from 'i18next';
import { initReactI18next } from 'react-i18next';

import { currentLanguage } from '../look/taste';
import { en } from './en';

/** Reads the words of a language when it is first needed. English comes with the page and stands in for what is missing. */
const words: BackendModule = {
  type: 'backend',
  init: () => {},
  read: (_language, _namespace, callback) => {
    // i18next asks for a callback.
    /* oxlint-disable promise/no-callback-in-promise */
    import('./de').then(
      ({ de }) => callback(null, de),
      (error: Error) => callback(error, null),
    );
    /* oxlint-enable promise/no-callback-in-promise */
  },
};

export const i18next = createInstance();

/** Resolves when the words of the person's language are there. */
export const wordsReady = i18next
  .use(words)
  .use(initReactI18next)
  .init({
    resources: { en: { translation: en } },
    partialBundledLanguages: true,
    lng: currentLanguage(),
    fallbackLng: 'en',
    interpolation: { escapeValue: false }, // React escapes
    react: { useSuspense: false },
  });
