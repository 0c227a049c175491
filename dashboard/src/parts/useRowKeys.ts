import type { KeyboardEvent, RefObject } from 'react';
import { useTranslation } from 'react-i18next';

import { useShortcut } from './shortcuts';

type Body = RefObject<HTMLTableSectionElement | null>;

/**
 * Moves between the rows of a table by j and k (or the arrow keys within it), chooses by x, and opens by Enter what the
 * row header links to. Returns what each row does with a key.
 */
export function useRowKeys(body: Body, isOn: boolean, onChoose: ((index: number) => void) | null) {
  const { t } = useTranslation();
  const rows = () => [...(body.current?.querySelectorAll('tr') ?? [])];
  const present = () => rows().findIndex((row) => row.contains(document.activeElement));
  const move = (step: 1 | -1) => {
    const all = rows();
    const index = present();
    const next = all[index === -1 ? 0 : Math.min(Math.max(index + step, 0), all.length - 1)];
    next?.focus();
    next?.scrollIntoView({ block: 'nearest' });
  };
  const choose = () => {
    const index = present();
    if (index !== -1) onChoose?.(index);
  };
  useShortcut('j', t('table.rowNext'), () => move(1), { isOn, group: 'list' });
  useShortcut('k', t('table.rowBefore'), () => move(-1), { isOn, group: 'list' });
  useShortcut('x', t('table.rowChoose'), choose, { isOn: isOn && onChoose !== null, group: 'list' });
  return (event: KeyboardEvent<HTMLTableRowElement>) => {
    if (event.target !== event.currentTarget) return;
    if (event.key === 'Enter') event.currentTarget.querySelector<HTMLElement>('th a')?.click();
    else if (event.key === 'ArrowDown') move(1);
    else if (event.key === 'ArrowUp') move(-1);
    else return;
    event.preventDefault();
  };
}
