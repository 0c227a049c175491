import { Link } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';

import { can } from '../api/rights';
import { useBoot } from '../parts/useBoot';
import { Brand } from './Brand';
import { PAGES } from './pages';

function Links({ size }: { size: number }) {
  const { t } = useTranslation();
  const { scopes } = useBoot();
  return PAGES.filter((page) => can(scopes, page.scope)).map(({ to, word, icon: Icon }) => (
    <Link key={to} to={to} activeOptions={{ exact: true, includeSearch: false }} className="nav-link">
      <Icon size={size} strokeWidth={1.9} aria-hidden />
      <span>{t(`nav.${word}`)}</span>
    </Link>
  ));
}

/** The pages at the side of wide screens. */
export function Rail() {
  const { t } = useTranslation();
  return (
    <nav className="rail" aria-label={t('nav.main')}>
      <Brand />
      <Links size={17} />
    </nav>
  );
}

/** The pages at the foot of narrow screens. */
export function Tabs() {
  const { t } = useTranslation();
  return (
    <nav className="tabs" aria-label={t('nav.main')}>
      <Links size={20} />
    </nav>
  );
}
