import { ArrowDown, ArrowUp } from 'lucide-react';
import { useId, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';

import type { Prediction, ReasonGroup } from '../../api/queries/predictions';
import { useFormats } from '../../format/useFormats';
import { isMixed, predictionEffect, predictionReason } from '../../rules/predictionReasons';

/** The chances and days that are predicted, and the reasons with the largest effect. */
export function Outlook({ found }: { found: Prediction }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const chance = (share: number | null) => (share === null ? '–' : formats.percent(share * 100));
  const day = (local: string | null): ReactNode =>
    local === null ? '–' : <time dateTime={local}>{formats.day(local)}</time>;
  const figures: [string, ReactNode][] = [
    [t('prediction.churn'), chance(found.churn_probability)],
    [t('prediction.return30'), chance(found.p_return_30)],
    [t('prediction.return90'), chance(found.p_return_90)],
    [t('prediction.nextVisit'), day(found.next_visit_date)],
    [
      t('prediction.churnDate'),
      found.forecast_churn_date === null ? t('prediction.noChurn') : day(found.forecast_churn_date),
    ],
    [t('prediction.still'), chance(found.still_customer_probability)],
  ];
  return (
    <div>
      <dl className="outlook">
        {figures.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <Why groups={found.explanation} />
    </div>
  );
}

function Why({ groups }: { groups: readonly ReasonGroup[] }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const id = useId();
  return (
    <div className="outlook-why">
      <h3 id={id}>{t('prediction.why')}</h3>
      {groups.length === 0 ? (
        <p className="quiet">{t('prediction.noReasons')}</p>
      ) : (
        <>
          {isMixed(groups) && <p className="quiet">{t('prediction.mixed')}</p>}
          <ul aria-label={t('prediction.whyList')}>
            {groups.map((group) => {
              const Icon = group.direction === 'sooner' ? ArrowUp : ArrowDown;
              return (
                <li key={group.code}>
                  <Icon size={15} className={group.direction === 'sooner' ? 'good' : 'bad'} aria-hidden />
                  <span>
                    {predictionReason({ t, formats }, group)}
                    <small>{predictionEffect({ t, formats }, group)}</small>
                  </span>
                </li>
              );
            })}
          </ul>
          <p className="note">{t('prediction.whyNote')}</p>
        </>
      )}
    </div>
  );
}
