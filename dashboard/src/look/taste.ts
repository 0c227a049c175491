/** What a person prefers on this device. Kept in the browser; nothing of it is data of the company. */
import { useSyncExternalStore } from 'react';

import type { Theme } from './theme';

export type Language = 'en' | 'de';
/** Colours of stages: the company's, or a fixed set that everybody can tell apart. */
export type Palette = 'company' | 'clear';
type Taste = {
  theme: Theme | null;
  language: Language | null;
  palette: Palette;
  /** Whether keys without Ctrl or Cmd act as shortcuts. */
  hasLetterKeys: boolean;
};

const KEY = 'journey.taste';
const listeners = new Set<() => void>();
let taste: Taste = read();

function read(): Taste {
  try {
    const stored = JSON.parse(localStorage.getItem(KEY) ?? '{}') as Partial<Taste>;
    return {
      theme: stored.theme === 'dark' || stored.theme === 'light' ? stored.theme : null,
      palette: stored.palette === 'clear' ? 'clear' : 'company',
      language: stored.language === 'de' || stored.language === 'en' ? stored.language : null,
      hasLetterKeys: stored.hasLetterKeys !== false,
    };
  } catch {
    return { theme: null, language: null, palette: 'company', hasLetterKeys: true };
  }
}

export function chooseTaste(change: Partial<Taste>): void {
  taste = { ...taste, ...change };
  try {
    localStorage.setItem(KEY, JSON.stringify(taste));
  } catch {
    // A browser that stores nothing forgets the choice with the page.
  }
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  const media = matchMedia('(prefers-color-scheme: dark)');
  listeners.add(listener);
  media.addEventListener('change', listener);
  return () => {
    listeners.delete(listener);
    media.removeEventListener('change', listener);
  };
}

function currentTheme(): Theme {
  return taste.theme ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');
}

export function currentLanguage(): Language {
  return taste.language ?? (navigator.language.toLowerCase().startsWith('de') ? 'de' : 'en');
}

export const currentTaste = (): Taste => taste;

export const useTaste = (): Taste => useSyncExternalStore(subscribe, currentTaste);
export const useTheme = (): Theme => useSyncExternalStore(subscribe, currentTheme);
const currentPalette = (): Palette => taste.palette;

export const usePalette = (): Palette => useSyncExternalStore(subscribe, currentPalette);
export const useLanguage = (): Language => useSyncExternalStore(subscribe, currentLanguage);
