import { useMutation } from '@tanstack/react-query';
import { Dropdown } from 'antd';
import { BookOpen, Keyboard, Languages, LogOut, Moon, Palette, Search, Sun, UserRound } from 'lucide-react';
import { useTranslation } from 'react-i18next';

import { signOut } from '../api/queries/session';
import { chooseTaste, useLanguage, usePalette, useTheme } from '../look/taste';
import { useBoot } from '../parts/useBoot';
import { Brand } from './Brand';
import { LiveBadge } from './LiveBadge';
import { forgetCustomers } from './recent';
import type { Overlay } from './useShellKeys';

type Props = { onShow: (overlay: Overlay) => void };

const FIND_KEY = /Mac|iPhone|iPad/.test(navigator.userAgent) ? '⌘K' : 'Ctrl K';

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

/** Names of sessions begin with how they were opened: `user:ada`, `link:demo`. */
const shortName = (name: string): string => name.slice(name.indexOf(':') + 1);

function Account({ onShow }: Props) {
  const { t } = useTranslation();
  const { name, role } = useBoot();
  const language = useLanguage();
  const isClear = usePalette() === 'clear';
  const leave = useMutation({
    mutationFn: signOut,
    onSuccess: () => {
      forgetCustomers();
      location.assign('/sign-in');
    },
  });
  const items = [
    { key: 'who', type: 'group' as const, label: `${shortName(name)} · ${t(`roles.${role}`)}` },
    {
      key: 'language',
      icon: <Languages size={14} aria-hidden />,
      label: t('shell.language'),
      onClick: () => chooseTaste({ language: language === 'de' ? 'en' : 'de' }),
    },
    {
      key: 'palette',
      icon: <Palette size={14} aria-hidden />,
      label: t(isClear ? 'shell.companyColours' : 'shell.clearColours'),
      onClick: () => chooseTaste({ palette: isClear ? 'company' : 'clear' }),
    },
    {
      key: 'keys',
      icon: <Keyboard size={14} aria-hidden />,
      label: t('keys.title'),
      onClick: () => onShow('keys'),
    },
    {
      key: 'docs',
      icon: <BookOpen size={14} aria-hidden />,
      label: t('shell.docs'),
      onClick: () => location.assign('/docs'),
    },
    { key: 'line', type: 'divider' as const },
    {
      key: 'leave',
      icon: <LogOut size={14} aria-hidden />,
      label: t('shell.signOut'),
      onClick: () => leave.mutate(),
    },
  ];
  return (
    // An open menu has the focus, so that the arrow keys act.
    // oxlint-disable-next-line jsx-a11y/no-autofocus
    <Dropdown autoFocus menu={{ items }} trigger={['click']} placement="bottomRight">
      <button
        type="button"
        className="icon-button"
        aria-label={t('shell.account', { name: shortName(name) })}
      >
        <UserRound size={16} aria-hidden />
      </button>
    </Dropdown>
  );
}
