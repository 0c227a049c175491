import { useInfiniteQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';

import { transitionsQuery } from '../../api/queries/customer';
import { useVoice } from '../../parts/useVoice';
import { reasonText } from '../../rules/reasons';
import { useView } from './context';

/** Why the customer is in the stage: the reason of the last move, now or on the day that is shown. */
export function Reason() {
  const { t } = useTranslation();
  const voice = useVoice();
  const { id, instant } = useView();
  const { data } = useInfiniteQuery(transitionsQuery(id));
  const moves = data?.pages.flatMap((page) => page.items) ?? [];
  const last = moves.find(
    ({ transitioned_at: at }) => instant === undefined || Date.parse(at) < Date.parse(instant),
  );
  if (last === undefined || last.from_stage === null) return null;
  return <p className="customer-reason">{t('customer.reason', { reason: reasonText(voice, last) })}</p>;
}
