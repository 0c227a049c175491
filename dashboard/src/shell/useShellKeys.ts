import { useRouter } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';

import { can } from '../api/rights';
import { useShortcut } from '../parts/shortcuts';
import { useBoot } from '../parts/useBoot';
import { PAGES } from './pages';

export type Overlay = 'palette' | 'keys' | null;

/** The keys that act on every page: the palette, the list of keys, and the ways to the pages. */
export function useShellKeys(show: (overlay: Overlay) => void): void {
  const { t } = useTranslation();
  useShortcut('Mod+k', t('palette.open'), () => show('palette'), { group: 'go' });
  useShortcut('/', t('keys.search'), () => show('palette'), { group: 'go' });
  useShortcut('?', t('keys.help'), () => show('keys'), { group: 'go' });
  useGo('overview', 'g o');
  useGo('today', 'g t');
  useGo('customers', 'g c');
  useGo('atRisk', 'g r');
}

type Word = 'overview' | 'today' | 'customers' | 'atRisk';

/** Goes to a page, if there is one and the person may open it. */
function useGo(word: Word, keys: string): void {
  const { t } = useTranslation();
  const router = useRouter();
  const { scopes } = useBoot();
  const page = PAGES.find((each) => each.word === word);
  const go = () => {
    if (page !== undefined) void router.navigate({ to: page.to });
  };
  useShortcut(keys, t('keys.goTo', { page: t(`nav.${word}`) }), go, {
    isOn: page !== undefined && can(scopes, page.scope),
    group: 'go',
  });
}
