import { useMutation } from '@tanstack/react-query';
import { Dropdown } from 'antd';
import { BookOpen, Languages, LogOut, Palette, Moon, Sun, UserRound } from 'lucide-react';
import { useTranslation } from 'react-i18next';

import { signOut } from '../api/queries/session';
import { chooseTaste, useLanguage, usePalette, useTheme } from '../look/taste';
import { useBoot } from '../parts/useBoot';
import { Brand } from './Brand';
import { LiveBadge } from './LiveBadge';

/** What concerns every page: live state, theme, and the person. On phones the company too. */
export function TopBar() {
  const { t } = useTranslation();
  const theme = useTheme();
  const isDark = theme === 'dark';
  return (
    <header className="top">
      <Brand />
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
      <Account />
    </header>
  );
}

/** Names of sessions begin with how they were opened: `user:ada`, `link:demo`. */
const shortName = (name: string): string => name.slice(name.indexOf(':') + 1);

function Account() {
  const { t } = useTranslation();
  const { name, role } = useBoot();
  const language = useLanguage();
  const isClear = usePalette() === 'clear';
  const leave = useMutation({
    mutationFn: signOut,
    onSuccess: () => location.assign('/sign-in'),
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
    <Dropdown menu={{ items }} trigger={['click']} placement="bottomRight">
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
