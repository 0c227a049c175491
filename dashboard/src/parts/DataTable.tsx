import { useRef, type KeyboardEvent, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';

import { HeaderCell, PageCheckbox, RowCheckbox } from './TableCells';
import { useRowKeys } from './useRowKeys';

export type Column<Row> = {
  title: string;
  cell: (row: Row) => ReactNode;
  isNumber?: boolean;
  /** The field that the service sorts by, without a sign; without it the column cannot be sorted. */
  sort?: string;
  /** Whether the first click sorts from the largest; default: numbers do. */
  isDescendingFirst?: boolean;
  /** Where a card on a phone has it: at the end of the first line, on the second, or nowhere. Default: `line`. */
  phone?: 'end' | 'line' | 'hidden';
  /** Whether the second line of a card does without the title before the value. */
  isPlain?: boolean;
};

/** Which rows are chosen. The page keeps the keys, so that they outlive the page of rows. */
export type Selection<Row> = {
  chosen: ReadonlySet<string>;
  onChange: (chosen: ReadonlySet<string>) => void;
  /** The name of a row, for its checkbox. */
  nameOf: (row: Row) => string;
};

type Props<Row> = {
  caption: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  keyOf: (row: Row) => string;
  /**
   * The rows can be opened: on phones each is a card; the keys j and k move between them, x chooses, Enter follows the
   * link of the row header.
   */
  isList?: boolean;
  /** How the service has sorted: `name`, or `-name` from the largest. */
  sort?: string | undefined;
  onSort?: (sort: string) => void;
  selection?: Selection<Row>;
  /** Buttons of a row, in a last column. */
  actions?: (row: Row) => ReactNode;
  /** Other rows are being read; those shown are the last ones. */
  isBusy?: boolean;
};

/** A table of the page: a caption for readers, row headers, numbers to the right; sorted by the service. */
export function DataTable<Row>(props: Props<Row>) {
  const { caption, columns, rows, keyOf, isList = false, sort, onSort, selection, actions } = props;
  const { t } = useTranslation();
  const body = useRef<HTMLTableSectionElement>(null);
  const toggle = (row: Row) => {
    if (selection !== undefined) selection.onChange(toggled(selection.chosen, keyOf(row)));
  };
  const chooseAt = (index: number) => {
    const row = rows[index];
    if (row !== undefined) toggle(row);
  };
  const onKeyDown = useRowKeys(body, isList, selection === undefined ? null : chooseAt);
  return (
    // Scrolls sideways on narrow screens, by keys too.
    <div
      className={isList ? 'table-scroll list' : 'table-scroll'}
      // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
      tabIndex={0}
      role="region"
      aria-label={caption}
      aria-busy={props.isBusy}
    >
      <table className="table">
        <caption className="hidden">{caption}</caption>
        <thead>
          <tr>
            {selection !== undefined && <PageCheckbox keys={rows.map(keyOf)} selection={selection} />}
            {columns.map((column) => (
              <HeaderCell key={column.title} column={column} sort={sort} onSort={onSort} />
            ))}
            {actions !== undefined && (
              <th scope="col">
                <span className="hidden">{t('table.actions')}</span>
              </th>
            )}
          </tr>
        </thead>
        <tbody ref={body}>
          {rows.map((row) => (
            <Row key={keyOf(row)} row={row} table={props} onToggle={toggle} onKeyDown={onKeyDown} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

type RowProps<Row> = {
  row: Row;
  table: Props<Row>;
  onToggle: (row: Row) => void;
  onKeyDown: (event: KeyboardEvent<HTMLTableRowElement>) => void;
};

function Row<Row>({ row, table, onToggle, onKeyDown }: RowProps<Row>) {
  const { columns, isList = false, selection, keyOf, actions } = table;
  const isChosen = selection?.chosen.has(keyOf(row)) ?? false;
  return (
    <tr className={isChosen ? 'chosen' : undefined} {...(isList ? { tabIndex: -1, onKeyDown } : {})}>
      {selection !== undefined && (
        <RowCheckbox name={selection.nameOf(row)} isChosen={isChosen} onToggle={() => onToggle(row)} />
      )}
      {columns.map((column, index) => {
        const attributes = cellAttributes(column, isList && index > 0);
        return index === 0 ? (
          <th key={column.title} scope="row" {...attributes}>
            {column.cell(row)}
          </th>
        ) : (
          <td key={column.title} {...attributes}>
            {column.cell(row)}
          </td>
        );
      })}
      {actions !== undefined && <td className="row-actions">{actions(row)}</td>}
    </tr>
  );
}

function cellAttributes<Row>(column: Column<Row>, isCard: boolean) {
  const className = column.isNumber === true ? 'number' : undefined;
  if (!isCard) return { className };
  const label = column.isPlain === true ? undefined : column.title;
  return { className, 'data-phone': column.phone ?? 'line', 'data-label': label };
}

function toggled(chosen: ReadonlySet<string>, key: string): ReadonlySet<string> {
  const next = new Set(chosen);
  if (!next.delete(key)) next.add(key);
  return next;
}
