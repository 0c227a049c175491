import { Button } from 'antd';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';

type Props = {
  /** Rows that are chosen one by one. */
  chosen: number;
  /** All that match the filter, where that is known. */
  total: number | null;
  /** Whether all that match are chosen, shown or not. */
  isAll: boolean;
  /** Called when all that match shall be chosen; without it only shown rows can be. */
  onAll?: () => void;
  onClear: () => void;
  /** What can be done with the chosen ones. */
  children?: ReactNode;
};

/** How many rows are chosen, what can be done with them, and the way to choose all that match. */
export function SelectionBar({ chosen, total, isAll, onAll, onClear, children }: Props) {
  const { t } = useTranslation();
  if (chosen === 0 && !isAll) return null;
  const isMore = !isAll && onAll !== undefined && total !== null && total > chosen;
  return (
    <div className="selection-bar" role="group" aria-label={t('table.selection')}>
      <b role="status">
        {isAll ? t('table.allChosen', { count: total ?? chosen }) : t('table.chosen', { count: chosen })}
      </b>
      {children}
      {isMore && (
        <Button type="link" size="small" onClick={onAll}>
          {t('table.allMatching', { count: total })}
        </Button>
      )}
      <Button type="text" size="small" onClick={onClear}>
        {t('table.clear')}
      </Button>
    </div>
  );
}
