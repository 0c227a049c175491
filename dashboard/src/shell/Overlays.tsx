import { useRouterState } from '@tanstack/react-router';
import { lazy, Suspense, useEffect } from 'react';

import { useBoot } from '../parts/useBoot';
import { Palette } from './Palette';
import { customerOf, rememberCustomer } from './recent';
import { useShellKeys, type Overlay } from './useShellKeys';

// Seldom needed at once.
const ShortcutHelp = lazy(() => import('./ShortcutHelp'));

type Props = { shown: Overlay; onShow: (overlay: Overlay) => void };

/** What is laid over any page by a key or by the top bar. */
export function Overlays({ shown, onShow }: Props) {
  const { company } = useBoot();
  const path = useRouterState({ select: (state) => state.location.pathname });
  useShellKeys(onShow);
  useEffect(() => {
    const id = customerOf(path);
    if (id !== null) rememberCustomer(company.id, id);
  }, [path, company.id]);
  const close = () => onShow(null);
  return (
    <Suspense>
      {shown === 'palette' && <Palette onClose={close} onShow={onShow} />}
      {shown === 'keys' && <ShortcutHelp onClose={close} />}
    </Suspense>
  );
}
