/** Keys that act on the whole page. A part names a key while it is shown; what was named last acts. */
import { useEffect, useRef, useSyncExternalStore } from 'react';

import { currentTaste } from '../look/taste';

export type ShortcutGroup = 'go' | 'page' | 'list';
export type Shortcut = {
  /** Keys as `KeyboardEvent.key` names them, one after another: `g o`, `/`, `Escape`. `Mod` is Ctrl or Cmd: `Mod+k`. */
  keys: string;
  /** What the key does, in the language of the person. */
  label: string;
  group: ShortcutGroup;
  run: () => void;
};

const SEQUENCE_MS = 1_500;
const FIELDS =
  'input, textarea, select, [contenteditable="true"], [role="textbox"], [role="combobox"], [role="menu"]';
const FREE_INPUTS = new Set(['checkbox', 'radio', 'button', 'submit', 'range']);
const DIALOGS = '[role="dialog"], [role="alertdialog"], dialog[open]';

let known: readonly Shortcut[] = [];
const listeners = new Set<() => void>();
let begun = '';
let begunAt = 0;

function setKnown(next: readonly Shortcut[]): void {
  if (known.length === 0 && next.length > 0) document.addEventListener('keydown', onKey);
  if (next.length === 0) document.removeEventListener('keydown', onKey);
  known = next;
  for (const listener of listeners) listener();
}

/** Has a key act while the calling part is shown. `run` may change; the key does not listen to fields and dialogs. */
export function useShortcut(
  keys: string,
  label: string,
  run: () => void,
  { isOn = true, group = 'page' }: { isOn?: boolean; group?: ShortcutGroup } = {},
): void {
  const latest = useRef(run);
  useEffect(() => {
    latest.current = run;
  });
  useEffect(() => {
    if (!isOn) return undefined;
    const shortcut: Shortcut = { keys, label, group, run: () => latest.current() };
    setKnown([...known, shortcut]);
    return () => setKnown(known.filter((each) => each !== shortcut));
  }, [keys, label, isOn, group]);
}

/** Returns the keys that act at present, each once. */
export function useShortcuts(): readonly Shortcut[] {
  const all = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => known,
  );
  return [...new Map(all.map((each) => [each.keys, each])).values()];
}

function isField(element: Element | null): boolean {
  const field = element?.closest(FIELDS) ?? null;
  return !(field === null || (field instanceof HTMLInputElement && FREE_INPUTS.has(field.type)));
}

const isDialogOpen = (): boolean =>
  [...document.querySelectorAll(DIALOGS)].some((dialog) => dialog.checkVisibility());

/** Acts on the shortcut that a key completes. Keys with Ctrl or Cmd act everywhere; others not in fields and dialogs. */
export function onKey(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.isComposing || event.altKey) return;
  const isMod = event.ctrlKey || event.metaKey;
  const key = isMod ? `Mod+${event.key.toLowerCase()}` : event.key;
  if (!isMod && (isField(event.target as Element | null) || isDialogOpen())) return;
  const isLetter = !isMod && key.length === 1;
  if (isLetter && !currentTaste().hasLetterKeys) return;
  const isSequence = begun !== '' && event.timeStamp - begunAt < SEQUENCE_MS;
  const found = find(isSequence ? `${begun} ${key}` : key) ?? find(key);
  begun = '';
  if (found !== undefined) {
    event.preventDefault();
    found.run();
  } else if (isLetter && known.some((each) => each.keys.startsWith(`${key} `))) {
    begun = key;
    begunAt = event.timeStamp;
  }
}

const find = (keys: string): Shortcut | undefined => known.findLast((each) => each.keys === keys);
