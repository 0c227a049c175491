import { useTranslation } from 'react-i18next';

import { useFormats } from '../../format/useFormats';

type Counted = { total?: number | null; total_estimate?: number | null };

/** Returns the sentence that says how many there are: exactly, or about how many in a long list. */
export function useTotal(): (counted: Counted | undefined, isFiltered: boolean) => string {
  const { t } = useTranslation();
  const formats = useFormats();
  return (counted, isFiltered) => {
    if (typeof counted?.total === 'number') {
      const count = { count: counted.total, formatted: formats.int(counted.total) };
      return isFiltered ? t('customers.matching', count) : t('customers.all', count);
    }
    if (typeof counted?.total_estimate !== 'number') return '';
    const formatted = formats.int(counted.total_estimate);
    return isFiltered ? t('customers.matchingAbout', { formatted }) : t('customers.allAbout', { formatted });
  };
}
