import { Moon, Search, Sun } from 'lucide-react';
import { lazy, Suspense, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { chooseTaste, useTheme } from '../look/taste';
import { AccountButton } from './AccountButton';
import { Brand } from './Brand';
import { LiveBadge } from './LiveBadge';
import type { Overlay } from './useShellKeys';

type Props = { onShow: (overlay: Overlay) => void };

const FIND_KEY = /Mac|iPhone|iPad/.test(navigator.userAgent) ? '⌘K' : 'Ctrl K';
// Menus are large, and this one is seldom opened.
const AccountMenu = lazy(() => import('./AccountMenu'));

/** What concerns every page: the search, live state, theme, and the person. On phones the company too. */
export function TopBar({ onShow }: Props) {
  const { t } = useTranslation();
  const theme = useTheme();
  const isDark = theme === 'dark';
  return (
    <header className="top">
      <Brand />
      <button
        type="button"
        className="find-button"
        aria-label={t('palette.open')}
        aria-keyshortcuts="Control+K Meta+K"
        onClick={() => onShow('palette')}
      >
        <Search size={16} aria-hidden />
        <span>{t('palette.open')}</span>
        <kbd aria-hidden>{FIND_KEY}</kbd>
      </button>
      <span className="space" />
      <LiveBadge />
      <button
        type="button"
        className="icon-button"
        aria-label={t(isDark ? 'shell.light' : 'shell.dark')}
        title={t(isDark ? 'shell.light' : 'shell.dark')}
        onClick={() => chooseTaste({ theme: isDark ? 'light' : 'dark' })}
      >
        {isDark ? <Sun size={16} aria-hidden /> : <Moon size={16} aria-hidden />}
      </button>
      <Account onShow={onShow} />
    </header>
  );
}

function Account({ onShow }: Props) {
  const [isWanted, setWanted] = useState(false);
  const button = <AccountButton onClick={() => setWanted(true)} />;
  if (!isWanted) return button;
  return (
    <Suspense fallback={button}>
      <AccountMenu onShow={onShow} />
    </Suspense>
  );
}
