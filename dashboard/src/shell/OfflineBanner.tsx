import { useQueryClient } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';

import { useLiveState } from '../api/live';
import { useFormats } from '../format/useFormats';
import { useOnline } from '../parts/useOnline';

/** Says that what is shown is old, and from when it is. */
export function OfflineBanner() {
  const { t } = useTranslation();
  const formats = useFormats();
  const client = useQueryClient();
  const isOnline = useOnline();
  const live = useLiveState();
  if (isOnline && live !== 'lost') return null;
  const read = Math.max(
    0,
    ...client
      .getQueryCache()
      .getAll()
      .map((query) => query.state.dataUpdatedAt),
  );
  const time = formats.clock(new Date(read));
  return (
    <div className="banner" role="status">
      {isOnline ? t('shell.lostHint', { time }) : t('shell.offline', { time })}
    </div>
  );
}
