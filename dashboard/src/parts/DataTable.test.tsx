import { cleanup, fireEvent, screen, within } from '@testing-library/react';
import { useState } from 'react';
import { afterEach, expect, test, vi } from 'vitest';

import { DataTable, type Column } from './DataTable';
import { SelectionBar } from './SelectionBar';
import { renderPart } from './testing';

afterEach(cleanup);

type Person = { id: number; name: string; value: number };
const PEOPLE: Person[] = [
  { id: 1, name: 'Ada', value: 30 },
  { id: 2, name: '<b>Ben</b>', value: 20 },
  { id: 3, name: 'Cleo', value: 10 },
];
const COLUMNS: Column<Person>[] = [
  { title: 'Customer', cell: (row) => <a href={`#${row.id}`}>{row.name}</a>, sort: 'name' },
  { title: 'Value', cell: (row) => row.value, isNumber: true, sort: 'lifetime_value' },
  { title: 'Note', cell: () => 'x' },
];
const KEYS = { keyOf: (row: Person) => String(row.id), rows: PEOPLE, columns: COLUMNS, caption: 'People' };

test('the table has a name, row headers, and says by which column it is sorted', async () => {
  await renderPart(<DataTable {...KEYS} sort="-lifetime_value" onSort={() => {}} />);

  const table = screen.getByRole('table', { name: 'People' });
  expect(within(table).getAllByRole('rowheader')).toHaveLength(3);
  const headers = within(table).getAllByRole('columnheader');
  expect(headers.map((header) => header.getAttribute('aria-sort'))).toEqual(['none', 'descending', null]);
});

test('a header sorts texts from the first, numbers from the largest, and then the other way', async () => {
  const onSort = vi.fn<(sort: string) => void>();
  const { rerender } = await renderPart(<DataTable {...KEYS} sort="name" onSort={onSort} />);
  fireEvent.click(screen.getByRole('button', { name: 'Value' }));
  fireEvent.click(screen.getByRole('button', { name: 'Customer' }));
  rerender(<DataTable {...KEYS} sort="-name" onSort={onSort} />);
  fireEvent.click(screen.getByRole('button', { name: 'Customer' }));

  expect(onSort.mock.calls).toEqual([['-lifetime_value'], ['-name'], ['name']]);
  expect(screen.queryByRole('button', { name: 'Note' })).toBeNull();
});

function Choosing() {
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set(['9']));
  const [isAll, setAll] = useState(false);
  return (
    <>
      <SelectionBar
        chosen={chosen.size}
        total={340}
        isAll={isAll}
        onAll={() => setAll(true)}
        onClear={() => setChosen(new Set())}
      />
      <DataTable
        {...KEYS}
        isList
        selection={{ chosen, onChange: setChosen, nameOf: (row) => row.name }}
        actions={(row) => <button type="button">{`Call ${row.name}`}</button>}
      />
    </>
  );
}

test('rows are chosen one by one, by the page, and all that match; rows of other pages stay chosen', async () => {
  await renderPart(<Choosing />);
  const page = screen.getByRole<HTMLInputElement>('checkbox', { name: 'Choose all on this page' });
  fireEvent.click(screen.getByRole('checkbox', { name: 'Choose <b>Ben</b>' }));
  expect([page.checked, page.indeterminate]).toEqual([false, true]);
  expect(screen.getByRole('status').textContent).toBe('2 chosen');
  fireEvent.click(page);
  expect(screen.getByRole('status').textContent).toBe('4 chosen');
  fireEvent.click(page);
  expect(screen.getByRole('status').textContent).toBe('1 chosen');

  fireEvent.click(screen.getByRole('button', { name: 'Choose all 340 that match' }));
  expect(screen.getByRole('status').textContent).toBe('All 340 that match are chosen');
});

const press = (key: string) => fireEvent.keyDown(document.activeElement ?? document.body, { key });

test('j and k move between rows, x chooses, Enter follows the link of the row header', async () => {
  await renderPart(<Choosing />);
  press('j');
  expect(document.activeElement?.textContent).toMatch(/^Ada/);
  press('j');
  press('j');
  press('j');
  press('k');
  expect(document.activeElement?.tagName).toBe('TR');
  expect(document.activeElement?.textContent).toContain('<b>Ben</b>');
  press('x');
  expect(screen.getByRole<HTMLInputElement>('checkbox', { name: 'Choose <b>Ben</b>' }).checked).toBe(true);

  const onOpen = vi.fn<(event: Event) => void>((event) => event.preventDefault());
  screen.getByRole('link', { name: '<b>Ben</b>' }).addEventListener('click', onOpen);
  press('Enter');
  expect(onOpen).toHaveBeenCalledOnce();
});

test('a table that is no list leaves the keys alone', async () => {
  await renderPart(<DataTable {...KEYS} />);
  fireEvent.keyDown(document.body, { key: 'j' });
  expect(document.activeElement).toBe(document.body);
});
