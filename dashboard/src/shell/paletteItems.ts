import type { LucideIcon } from 'lucide-react';

/** The groups in the order of the list. */
export const GROUPS = ['here', 'recent', 'pages', 'general', 'customers'] as const;

export type PaletteItem = {
  key: string;
  group: (typeof GROUPS)[number];
  name: string;
  /** What stands behind the name: a phone number, or whom a command concerns. */
  detail?: string | undefined;
  icon: LucideIcon;
  /** The address that it leads to, or what it does. */
  open: string | (() => void);
};

const MARKS = /\p{Mark}/gu;

/** Returns a text without case and accents, so that `ubersicht` finds Übersicht. */
export const plain = (text: string): string => text.normalize('NFKD').replaceAll(MARKS, '').toLowerCase();

/** Returns the items whose names have a word that begins with each of the words. */
export function matching(items: readonly PaletteItem[], words: string): PaletteItem[] {
  const wanted = plain(words).split(/\s+/).filter(Boolean);
  return items.filter((item) => {
    const parts = plain(item.name).split(/\s+/);
    return wanted.every((word) => parts.some((part) => part.startsWith(word)));
  });
}

/** Returns the place after a step from one of so many, round the ends. */
export function stepped(index: number, step: number, length: number): number {
  return length === 0 ? 0 : (index + step + length) % length;
}
