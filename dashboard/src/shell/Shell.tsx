import { useQuery } from '@tanstack/react-query';
import { Outlet } from '@tanstack/react-router';
import { ConfigProvider } from 'antd';
import { lazy, Suspense, useEffect, useMemo, useState, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';

import { useSignedOut } from '../api/signedOut';
import { sessionQuery, type Session } from '../api/queries/session';
import { createFormats } from '../format/formats';
import { FormatsContext } from '../format/useFormats';
import { useMedia } from '../look/media';
import { nonce } from '../look/nonce';
import { useLanguage, useTheme } from '../look/taste';
import { antdTheme } from '../look/theme';
import { ContactHost } from '../parts/contact/ContactHost';
import { EmptyState } from '../parts/EmptyState';
import { Failure } from '../parts/Failure';
import { Loading } from '../parts/Loading';
import { NewTaskHost } from '../parts/newTask/NewTaskHost';
import { Notices } from '../parts/Notices';
import { BootContext } from '../parts/useBoot';
import { i18next } from '../words/setup';
import { Rail, Tabs } from './Navigation';
import { OfflineBanner } from './OfflineBanner';
import { Overlays } from './Overlays';
import { TopBar } from './TopBar';
import type { Overlay } from './useShellKeys';

// Seldom needed, and then not at once.
const SignInOverlay = lazy(() => import('./SignInOverlay'));

/** Everything around a page. Pages are rendered when it is known whose they are. */
export function Shell() {
  const session = useQuery(sessionQuery());
  const isSignedOut = useSignedOut();
  return (
    <Look>
      {session.data === undefined ? (
        <main className="page">
          {session.error === null ? (
            <Loading height={400} />
          ) : (
            <Failure error={session.error} onRetry={() => void session.refetch()} />
          )}
        </main>
      ) : (
        <Frame session={session.data} />
      )}
      {isSignedOut && (
        <Suspense>
          <SignInOverlay />
        </Suspense>
      )}
    </Look>
  );
}

function Look({ children }: { children: ReactNode }) {
  const theme = useTheme();
  const language = useLanguage();
  const isCalm = useMedia('(prefers-reduced-motion: reduce)');
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
  }, [theme]);
  useEffect(() => {
    document.documentElement.lang = language;
    void i18next.changeLanguage(language);
  }, [language]);
  const looks = useMemo(() => antdTheme(theme, !isCalm), [theme, isCalm]);
  return (
    <ConfigProvider csp={{ nonce }} theme={looks}>
      {children}
    </ConfigProvider>
  );
}

function Frame({ session }: { session: Session }) {
  const { t } = useTranslation();
  const language = useLanguage();
  const { company } = session;
  const [overlay, setOverlay] = useState<Overlay>(null);
  const formats = useMemo(
    () =>
      createFormats({
        language,
        timezone: company?.timezone ?? 'UTC',
        currency: company?.currency ?? 'EUR',
      }),
    [language, company?.timezone, company?.currency],
  );
  useEffect(() => {
    document.title = company === null ? t('app') : `${company.name} · ${t('app')}`;
  }, [company, t]);
  if (company === null) {
    return (
      <main className="page">
        <EmptyState title={t('shell.operator')}>
          <p>{t('shell.operatorText')}</p>
        </EmptyState>
      </main>
    );
  }
  return (
    <BootContext value={{ ...session, company }}>
      <FormatsContext value={formats}>
        <a className="skip" href="#main">
          {t('skip')}
        </a>
        <div className="shell">
          <Rail />
          <div className="main">
            <TopBar onShow={setOverlay} />
            <OfflineBanner />
            <main id="main" tabIndex={-1}>
              <Outlet />
            </main>
          </div>
          <Tabs />
        </div>
        <Overlays shown={overlay} onShow={setOverlay} />
        <ContactHost />
        <NewTaskHost />
        <Notices />
      </FormatsContext>
    </BootContext>
  );
}
