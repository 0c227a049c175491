import { Link } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';

import { can } from '../api/rights';
import { useFormats } from '../format/useFormats';
import { useBoot } from '../parts/useBoot';
import { Agreement } from './Agreement';
import { Brand } from './Brand';
import { PAGES } from './pages';
import { useRailCounts } from './useRailCounts';

function Links({ size }: { size: number }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const { scopes } = useBoot();
  const counts = useRailCounts();
  return PAGES.filter((page) => can(scopes, page.scope)).map(({ to, word, icon: Icon }) => {
    const count = counts[word];
    return (
      <Link key={to} to={to} activeOptions={{ exact: to === '/', includeSearch: false }} className="nav-link">
        <Icon size={size} strokeWidth={1.9} aria-hidden />
        <span>{t(`nav.${word}`)}</span>
        {count !== undefined && <span className="nav-count">{formats.int(count)}</span>}
      </Link>
    );
  });
}

/** The pages at the side of wide screens. */
export function Rail() {
  const { t } = useTranslation();
  return (
    <nav className="rail" aria-label={t('nav.main')}>
      <Brand />
      <Links size={17} />
      <Agreement />
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
