import { useTranslation } from 'react-i18next';

import type { Today } from '../../api/queries/today';
import { can } from '../../api/rights';
import { DrillLink } from '../../parts/DrillLink';
import { useBoot } from '../../parts/useBoot';
import type { Section } from './useSections';

type Props = { today: Today; sections: readonly Section[]; isKnown: boolean };

const capital = (text: string): string => text.slice(0, 1).toLocaleUpperCase() + text.slice(1);

/** The day in two sentences. Small numbers are written in words. */
export function Lead({ today, sections, isKnown }: Props) {
  const { t } = useTranslation();
  const count = (name: string) => sections.find((section) => section.name === name)?.total ?? 0;
  const words = (count_: number) => ({
    count: count_,
    number: count_ <= 12 ? t(`today.numbers.n${count_ as 1}`) : String(count_),
  });
  const overdue = count('overdue');
  const due = count('today');
  const open =
    overdue + due === 0
      ? t('today.leadNothing')
      : t('today.leadOpen', {
          overdue: t('today.leadOverdue', words(overdue)),
          due: t('today.leadDue', words(due)),
        });
  return (
    <p className="lead">
      {isKnown && (
        <>
          {capital(open)}{' '}
          <Moved today={today} motion="lapse" text={capital(t('today.leadLapsed', words(today.lapsed)))} />
          {t('today.leadAnd')}
          <Moved today={today} motion="return" text={t('today.leadReturned', words(today.returned))} />
          {t('today.leadEnd')}
        </>
      )}
    </p>
  );
}

type MovedProps = { today: Today; motion: 'lapse' | 'return'; text: string };

/** Leads to the customers, for those who may read reports. */
function Moved({ today, motion, text }: MovedProps) {
  const { scopes } = useBoot();
  const count = motion === 'lapse' ? today.lapsed : today.returned;
  if (count === 0 || !can(scopes, 'analytics:read')) return text;
  const search = { from: today.since, to: today.day, motion };
  return (
    <DrillLink className="lead-link" to={{ figure: 'moved', search }}>
      {text}
    </DrillLink>
  );
}
