import { ArrowDown, ArrowUp } from 'lucide-react';
import { useTranslation } from 'react-i18next';

import type { Column, Selection } from './DataTable';

type HeaderProps<Row> = {
  column: Column<Row>;
  sort: string | undefined;
  onSort: ((sort: string) => void) | undefined;
};

/** The header of a column; a button in it sorts, and a second press turns the order round. */
export function HeaderCell<Row>({ column, sort, onSort }: HeaderProps<Row>) {
  const { t } = useTranslation();
  const { title, sort: field } = column;
  const className = column.isNumber === true ? 'number' : undefined;
  if (field === undefined || onSort === undefined) {
    return (
      <th scope="col" className={className}>
        {title}
      </th>
    );
  }
  const state = sort === field ? 'ascending' : sort === `-${field}` ? 'descending' : 'none';
  const isDescendingNext =
    state === 'none' ? (column.isDescendingFirst ?? column.isNumber ?? false) : state === 'ascending';
  const Arrow = state === 'ascending' ? ArrowUp : ArrowDown;
  return (
    <th scope="col" className={className} aria-sort={state}>
      <button
        type="button"
        className="sort-button"
        title={t('table.sortBy', { title })}
        onClick={() => onSort(isDescendingNext ? `-${field}` : field)}
      >
        {title}
        <Arrow size={13} aria-hidden className={state === 'none' ? 'sort-arrow idle' : 'sort-arrow'} />
      </button>
    </th>
  );
}

type PageProps<Row> = { keys: readonly string[]; selection: Selection<Row> };

/** Chooses all rows of the page, or none of them. */
export function PageCheckbox<Row>({ keys, selection }: PageProps<Row>) {
  const { t } = useTranslation();
  const { chosen, onChange } = selection;
  const count = keys.filter((key) => chosen.has(key)).length;
  const isAll = count === keys.length && count > 0;
  const change = () => {
    const next = new Set(chosen);
    for (const key of keys) {
      if (isAll) next.delete(key);
      else next.add(key);
    }
    onChange(next);
  };
  return (
    <th scope="col" className="choice">
      <label>
        <input
          type="checkbox"
          aria-label={t('table.chooseAll')}
          checked={isAll}
          ref={(box) => {
            if (box !== null) box.indeterminate = count > 0 && !isAll;
          }}
          onChange={change}
        />
      </label>
    </th>
  );
}

type RowProps = { name: string; isChosen: boolean; onToggle: () => void };

export function RowCheckbox({ name, isChosen, onToggle }: RowProps) {
  const { t } = useTranslation();
  return (
    <td className="choice">
      <label>
        <input
          type="checkbox"
          aria-label={t('table.choose', { name })}
          checked={isChosen}
          onChange={onToggle}
        />
      </label>
    </td>
  );
}
