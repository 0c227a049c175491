/** What can be done on the page that is open, for the palette. A part offers commands while it is shown. */
import type { LucideIcon } from 'lucide-react';
import { useEffect, useRef, useSyncExternalStore } from 'react';

export type Command = {
  key: string;
  /** What it does, in the language of the person. */
  label: string;
  icon: LucideIcon;
  run: () => void;
};
/** The commands of one part, under a heading. */
export type CommandGroup = { title: string; commands: readonly Command[] };

let groups: readonly CommandGroup[] = [];
const listeners = new Set<() => void>();

function setGroups(next: readonly CommandGroup[]): void {
  groups = next;
  for (const listener of listeners) listener();
}

/** Offers commands under a heading while the calling part is shown. What they do may change. */
export function useCommands(title: string, commands: readonly Command[]): void {
  const latest = useRef(commands);
  useEffect(() => {
    latest.current = commands;
  });
  const signature = JSON.stringify(commands.map(({ key, label }) => [key, label]));
  useEffect(() => {
    const find = (key: string) => latest.current.find((each) => each.key === key);
    const offered = (JSON.parse(signature) as [string, string][]).flatMap(([key, label]) => {
      const command = find(key);
      return command === undefined ? [] : { ...command, label, run: () => find(key)?.run() };
    });
    const group = { title, commands: offered };
    setGroups([...groups, group]);
    return () => setGroups(groups.filter((each) => each !== group));
  }, [title, signature]);
}

/** Returns the commands that the page offers at present. */
export function useOffered(): readonly CommandGroup[] {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => groups,
  );
}
