import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useEffect, useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { csvHref, distributionQuery } from '../../api/queries/analytics';
import { ChartFrame } from '../../charts/ChartFrame';
import { JourneyStrip } from '../../charts/JourneyStrip';
import { addDays } from '../../format/formats';
import { useFormats } from '../../format/useFormats';
import { DataTable } from '../../parts/DataTable';
import { useStageLook } from '../../parts/useStages';

/** How far the slider reaches back. */
const DAYS = 365;
const PAUSE_MS = 200;

/** Where customers are, now or at the end of a past day. */
export function Strip({ today }: { today: string }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const lookOf = useStageLook();
  const search = useSearch({ from: '/' });
  const asOf = search.as_of;
  const instant = asOf === undefined ? undefined : `${asOf}T12:00:00Z`;
  const result = useQuery({ ...distributionQuery(instant), placeholderData: keepPreviousData });
  return (
    <ChartFrame
      title={t('strip.title')}
      result={result}
      height={64}
      csv={csvHref('distribution', instant === undefined ? {} : { as_of: instant })}
      extra={<AsOfSlider today={today} asOf={asOf} />}
      className="strip-card"
      table={(data) => (
        <DataTable
          caption={t('strip.title')}
          rows={data.items}
          keyOf={(item) => item.stage_key}
          columns={[
            { title: t('funnel.stage'), cell: (item) => item.stage_name },
            { title: t('funnel.customers'), cell: (item) => formats.int(item.customers), isNumber: true },
          ]}
        />
      )}
    >
      {(data) => (
        <JourneyStrip
          items={data.items}
          lookOf={lookOf}
          targetOf={(item) => ({
            figure: 'stage',
            search: { stage: item.stage_key, ...(instant === undefined ? {} : { as_of: instant }) },
          })}
        />
      )}
    </ChartFrame>
  );
}

/** Moves the strip through the past year. The address follows when the slider rests. */
function AsOfSlider({ today, asOf }: { today: string; asOf: string | undefined }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const navigate = useNavigate({ from: '/' });
  const search = useSearch({ from: '/' });
  const kept = useMemo(() => {
    const { as_of: _, ...rest } = search;
    return rest;
  }, [search]);
  const chosen = asOf === undefined ? DAYS : Math.max(0, DAYS - daysAgo(asOf, today));
  // Where the slider is until the address says the same.
  const [draft, setDraft] = useState<number | null>(null);
  const value = draft ?? chosen;
  useEffect(() => {
    if (draft === null) return undefined;
    const timer = setTimeout(() => {
      const day = draft === DAYS ? undefined : addDays(today, draft - DAYS);
      void navigate({
        search: { ...kept, ...(day === undefined ? {} : { as_of: day }) },
        replace: true,
      }).then(() => setDraft(null));
    }, PAUSE_MS);
    return () => clearTimeout(timer);
  }, [draft, navigate, kept, today]);
  const text = value === DAYS ? t('strip.now') : formats.day(addDays(today, value - DAYS));
  return (
    <span className="as-of">
      <span>{formats.monthYear(addDays(today, -DAYS))}</span>
      <input
        type="range"
        min={0}
        max={DAYS}
        value={value}
        aria-label={t('strip.asOf')}
        aria-valuetext={text}
        onChange={(event) => setDraft(Number(event.target.value))}
      />
      <output className={value === DAYS ? undefined : 'chosen'}>{text}</output>
    </span>
  );
}

const daysAgo = (day: string, today: string): number =>
  Math.round((Date.parse(today) - Date.parse(day)) / 86_400_000);
