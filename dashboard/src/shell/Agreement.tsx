import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';

import { todayQuery } from '../api/queries/today';
import { can } from '../api/rights';
import { useFormats } from '../format/useFormats';
import { useBoot } from '../parts/useBoot';

/** Whether the reports agree with the journeys, by the latest stored check. Nothing where there was none. */
export function Agreement() {
  const { t } = useTranslation();
  const formats = useFormats();
  const { scopes } = useBoot();
  const today = useQuery({ ...todayQuery(), enabled: can(scopes, 'actions:read') });
  const agreement = today.data?.agreement ?? null;
  if (agreement === null) return null;
  const isAgreed = agreement.status === 'ok';
  return (
    <div
      className={isAgreed ? 'agreement' : 'agreement differ'}
      title={isAgreed ? undefined : t('rail.differHint')}
    >
      <i aria-hidden />
      <div>
        <b>{t(isAgreed ? 'rail.agree' : 'rail.differ')}</b>
        <span>{t('rail.checked', { time: formats.clock(agreement.at) })}</span>
      </div>
    </div>
  );
}
