import { useMutation } from '@tanstack/react-query';
import { BookOpen, Keyboard, Languages, LogOut, Palette } from 'lucide-react';
import { useTranslation } from 'react-i18next';

import { signOut } from '../api/queries/session';
import { chooseTaste, useLanguage, usePalette } from '../look/taste';
import type { Command } from '../parts/commands';
import { forgetCustomers } from './recent';
import type { Overlay } from './useShellKeys';

/** What a person can choose on every page: language, colours, the list of keys, the reference, and to sign out. */
export function useAccountCommands(show: (overlay: Overlay) => void): readonly Command[] {
  const { t } = useTranslation();
  const language = useLanguage();
  const isClear = usePalette() === 'clear';
  const leave = useMutation({
    mutationFn: signOut,
    onSuccess: () => {
      forgetCustomers();
      location.assign('/sign-in');
    },
  });
  return [
    {
      key: 'language',
      icon: Languages,
      label: t('shell.language'),
      run: () => chooseTaste({ language: language === 'de' ? 'en' : 'de' }),
    },
    {
      key: 'palette',
      icon: Palette,
      label: t(isClear ? 'shell.companyColours' : 'shell.clearColours'),
      run: () => chooseTaste({ palette: isClear ? 'company' : 'clear' }),
    },
    { key: 'keys', icon: Keyboard, label: t('keys.title'), run: () => show('keys') },
    { key: 'docs', icon: BookOpen, label: t('shell.docs'), run: () => location.assign('/docs') },
    { key: 'leave', icon: LogOut, label: t('shell.signOut'), run: () => leave.mutate() },
  ];
}
