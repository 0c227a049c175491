import { lazy, Suspense, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { DEFAULT_PERIOD, PERIODS, type RangeChoice } from '../format/ranges';
import { RangeButton } from './RangeButton';
import { Segments } from './Segments';

type Props = { choice: RangeChoice; today: string; onChoose: (choice: RangeChoice) => void };

// Calendars are large, and seldom opened.
const FreeRange = lazy(() => import('./FreeRange'));

/** The period of the reports: one that ends today, or any days. */
export function DateRange({ choice, today, onChoose }: Props) {
  const { t } = useTranslation();
  const [isWanted, setWanted] = useState(false);
  const isFree = choice.from !== undefined && choice.to !== undefined;
  const button = <RangeButton choice={choice} isOpen={isWanted} onClick={() => setWanted(true)} />;
  return (
    <div className="page-tools">
      <Segments
        label={t('range.label')}
        value={isFree ? undefined : (choice.period ?? DEFAULT_PERIOD)}
        options={PERIODS.map((period) => ({ value: period, label: t(`range.${period}`) }))}
        onChange={(period) => onChoose({ period })}
      />
      {isWanted ? (
        <Suspense fallback={button}>
          <FreeRange choice={choice} today={today} onChoose={onChoose} />
        </Suspense>
      ) : (
        button
      )}
    </div>
  );
}
