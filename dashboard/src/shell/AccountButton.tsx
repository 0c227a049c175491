import { UserRound } from 'lucide-react';
import type { ComponentProps } from 'react';
import { useTranslation } from 'react-i18next';

import { useBoot } from '../parts/useBoot';

/** Names of sessions begin with how they were opened: `user:ada`, `link:demo`. */
export const shortName = (name: string): string => name.slice(name.indexOf(':') + 1);

/** The button of the person's menu. Its properties are those of a button. */
export function AccountButton(props: ComponentProps<'button'>) {
  const { t } = useTranslation();
  const { name } = useBoot();
  return (
    <button
      {...props}
      type="button"
      className="icon-button"
      aria-label={t('shell.account', { name: shortName(name) })}
      aria-haspopup="menu"
    >
      <UserRound size={16} aria-hidden />
    </button>
  );
}
