import type { CSSProperties } from 'react';
import { useTranslation } from 'react-i18next';

import type { CohortMonth } from '../api/queries/analytics';
import { useFormats } from '../format/useFormats';
import { DrillLink } from '../parts/DrillLink';
import type { DrillTarget } from '../parts/drillTargets';

type Props = {
  items: readonly CohortMonth[];
  caption: string;
  targetOf: (item: CohortMonth) => DrillTarget;
};

/** Later months would not be read, and would not fit. */
const MAX_MONTHS = 11;

/** A table of shares: a row for each month of first appointments, a column for each month since. */
export function CohortHeat({ items, caption, targetOf }: Props) {
  const { t } = useTranslation();
  const formats = useFormats();
  const cohorts = [...new Set(items.map((item) => item.cohort))].toSorted();
  const most = Math.min(MAX_MONTHS, Math.max(0, ...items.map((item) => item.month)));
  const months = Array.from({ length: most + 1 }, (_, month) => month);
  const cells = new Map(items.map((item) => [`${item.cohort} ${item.month}`, item]));
  return (
    // Scrolls sideways on narrow screens, by keys too.
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className="table-scroll" tabIndex={0} role="region" aria-label={caption}>
      <table className="heat">
        <caption className="hidden">{caption}</caption>
        <thead>
          <tr>
            <th scope="col">{t('cohorts.cohort')}</th>
            <th scope="col" className="number">
              {t('cohorts.size')}
            </th>
            {months.map((month) => (
              <th key={month} scope="col" className="number">
                {month}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {cohorts.map((cohort) => (
            <tr key={cohort}>
              <th scope="row">{formats.monthYear(`${cohort}-01`)}</th>
              <td className="number size">{formats.int(cells.get(`${cohort} 0`)?.size ?? 0)}</td>
              {months.map((month) => {
                const item = cells.get(`${cohort} ${month}`);
                if (item === undefined) return <td key={month} aria-label={t('cohorts.none')} />;
                const percent = formats.percent(Math.round(item.percentage));
                const name = t('cohorts.cell', {
                  percent,
                  count: item.customers,
                  size: item.size,
                  month: formats.monthYear(`${cohort}-01`),
                  later: t('cohorts.later', { count: month }),
                });
                return (
                  <td
                    key={month}
                    className="cell"
                    style={{ '--share': `${item.percentage}%` } as CSSProperties}
                  >
                    <DrillLink to={targetOf(item)} aria-label={name} title={name}>
                      {percent}
                    </DrillLink>
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
