import { useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import { useTranslation } from 'react-i18next';

import { followStream, useLiveState } from '../api/live';
import { can } from '../api/rights';
import { useBoot } from '../parts/useBoot';

/** Whether news arrive by themselves. A person without the right to the stream sees no badge. */
export function LiveBadge() {
  const { t } = useTranslation();
  const { scopes } = useBoot();
  const client = useQueryClient();
  const state = useLiveState();
  const isAllowed = can(scopes, 'customers:read');
  useEffect(() => (isAllowed ? followStream(client) : undefined), [client, isAllowed]);
  if (!isAllowed) return null;
  return (
    <span className={`live ${state}`} role="status">
      <i aria-hidden />
      <span>{t(`shell.${state}`)}</span>
    </span>
  );
}
