import { cleanup, fireEvent, screen } from '@testing-library/react';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { chooseTaste } from '../look/taste';
import { useShortcut, useShortcuts } from './shortcuts';
import { renderPart } from './testing';

const run = vi.fn<(keys: string) => void>();

beforeEach(() => {
  run.mockReset();
  chooseTaste({ hasLetterKeys: true });
});
afterEach(cleanup);

function Key({ keys }: { keys: string }) {
  useShortcut(keys, `does ${keys}`, () => run(keys));
  return null;
}

function List() {
  return <p>{useShortcuts().map(({ keys, label }) => `${keys}: ${label}. `)}</p>;
}

const press = (key: string, more: KeyboardEventInit = {}, target: Element = document.body) =>
  fireEvent.keyDown(target, { key, ...more });

test('single keys, sequences and keys with Ctrl or Cmd act, and are listed', async () => {
  await renderPart(
    <>
      <Key keys="m" />
      <Key keys="g c" />
      <Key keys="Mod+k" />
      <List />
    </>,
  );
  press('m');
  press('c');
  press('g');
  press('c');
  press('K', { ctrlKey: true });
  press('k', { metaKey: true });

  expect(run.mock.calls.flat()).toEqual(['m', 'g c', 'Mod+k', 'Mod+k']);
  expect(screen.getByText('m: does m. g c: does g c. Mod+k: does Mod+k.')).toBeDefined();
});

test('a sequence ends with a key that does not belong to it', async () => {
  await renderPart(
    <>
      <Key keys="m" />
      <Key keys="g c" />
    </>,
  );
  press('g');
  press('m');
  press('c');
  expect(run.mock.calls.flat()).toEqual(['m']);
});

test('letters do not act in fields, in dialogs, or with other keys held; Ctrl+K does', async () => {
  await renderPart(
    <>
      <Key keys="m" />
      <Key keys="Mod+k" />
      <input aria-label="Name" />
      <select aria-label="Kind" />
      <input type="checkbox" aria-label="Row" />
    </>,
  );
  press('m', {}, screen.getByLabelText('Name'));
  press('m', {}, screen.getByLabelText('Kind'));
  press('m', { ctrlKey: true });
  press('m', { altKey: true });
  expect(run).not.toHaveBeenCalled();
  press('k', { ctrlKey: true }, screen.getByLabelText('Name'));
  press('m', {}, screen.getByLabelText('Row'));
  expect(run.mock.calls.flat()).toEqual(['Mod+k', 'm']);

  const dialog = document.createElement('div');
  dialog.setAttribute('role', 'dialog');
  document.body.append(dialog);
  press('m');
  dialog.remove();
  expect(run.mock.calls.flat()).toEqual(['Mod+k', 'm']);
});

test('single letters can be switched off; Ctrl+K and Escape stay', async () => {
  await renderPart(
    <>
      <Key keys="m" />
      <Key keys="/" />
      <Key keys="g c" />
      <Key keys="Mod+k" />
      <Key keys="Escape" />
    </>,
  );
  chooseTaste({ hasLetterKeys: false });
  for (const key of ['m', '/', 'g', 'c', 'Escape']) press(key);
  press('k', { ctrlKey: true });
  expect(run.mock.calls.flat()).toEqual(['Escape', 'Mod+k']);
});

test('what was named last acts, and gives the key back when it goes away', async () => {
  const second = vi.fn<() => void>();
  function Second() {
    useShortcut('m', 'other', second);
    return null;
  }
  const { rerender } = await renderPart(
    <>
      <Key keys="m" />
      <Second />
    </>,
  );
  press('m');
  rerender(<Key keys="m" />);
  press('m');
  expect(second).toHaveBeenCalledOnce();
  expect(run).toHaveBeenCalledOnce();
});
