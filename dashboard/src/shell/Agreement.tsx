import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';

import { todayQuery } from '../api/queries/today';
import { can } from '../api/rights';
import { useFormats } from '../format/useFormats';
import { useBoot } from '../parts/useBoot';

/** How each status of the check is shown; any other one says that counting goes on. */
const LOOKS: Record<string, 'agree' | 'differ' | undefined> = { ok: 'agree', failed: 'differ' };

/** Whether the reports agree with the journeys, by the latest stored check. Nothing where there was none. */
export function Agreement() {
  const { t } = useTranslation();
  const formats = useFormats();
  const { scopes } = useBoot();
  const today = useQuery({ ...todayQuery(), enabled: can(scopes, 'actions:read') });
  const agreement = today.data?.agreement ?? null;
  if (agreement === null) return null;
  const look = LOOKS[agreement.status] ?? 'pending';
  return (
    <div className={`agreement ${look}`} title={look === 'differ' ? t('rail.differHint') : undefined}>
      <i aria-hidden />
      <div>
        <b>{t(`rail.${look}`)}</b>
        <span>{t('rail.checked', { time: formats.clock(agreement.at) })}</span>
      </div>
    </div>
  );
}
