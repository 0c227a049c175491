import { useId } from 'react';
import { useTranslation } from 'react-i18next';

import { LIMITS } from './search';
import type { ChangeSearch } from './useCustomersSearch';

type Props = { limit: number; change: ChangeSearch };

/** How many rows a page has. */
export function PageLength({ limit, change }: Props) {
  const { t } = useTranslation();
  const id = useId();
  return (
    <span className="page-length">
      <label htmlFor={id}>{t('table.perPage')}</label>
      <select
        id={id}
        className="plain-field"
        value={limit}
        onChange={(event) => change({ limit: event.target.value === '100' ? 100 : undefined })}
      >
        {LIMITS.map((each) => (
          <option key={each} value={each}>
            {each}
          </option>
        ))}
      </select>
    </span>
  );
}
