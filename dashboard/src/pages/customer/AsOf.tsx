import { useNavigate } from '@tanstack/react-router';
import { Button } from 'antd';
import { History } from 'lucide-react';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { addDays, daysBetween, localDay } from '../../format/formats';
import { useFormats } from '../../format/useFormats';
import { DayPopover } from '../../parts/DayPopover';
import { useBoot } from '../../parts/useBoot';
import { useView } from './context';

const PAUSE_MS = 250;

/** Returns how to look at the end of another day; undefined: at now. */
function useChooseDay(): (day: string | undefined) => Promise<void> {
  const navigate = useNavigate({ from: '/customers/$id' });
  return (day) =>
    navigate({
      search: ({ tab }) => ({
        ...(day === undefined ? {} : { as_of: day }),
        ...(tab === undefined ? {} : { tab }),
      }),
      replace: true,
      resetScroll: false,
    });
}

/** Says that the page shows a past day. */
export function AsOfBanner() {
  const { t } = useTranslation();
  const formats = useFormats();
  const { asOf } = useView();
  const choose = useChooseDay();
  if (asOf === undefined) return null;
  return (
    <div className="as-of-banner" role="status">
      <History size={16} aria-hidden />
      <span>
        {t('customer.asOf.banner', { day: formats.day(asOf) })} {t('customer.pastOff')}
      </span>
      <Button size="small" onClick={() => void choose(undefined)}>
        {t('customer.asOf.back')}
      </Button>
    </div>
  );
}

/** Moves the page through the days since the journey began. The address follows when the slider rests. */
export function AsOfSlider() {
  const { t } = useTranslation();
  const formats = useFormats();
  const { timezone } = useBoot().company;
  const { customer, asOf, today } = useView();
  const choose = useChooseDay();
  const first = localDay(customer.journey.created_at, timezone);
  const days = Math.max(0, daysBetween(first, today) - 1);
  const chosen = asOf === undefined ? days : Math.max(0, daysBetween(first, asOf) - 1);
  // Where the slider is until the address says the same.
  const [draft, setDraft] = useState<number | null>(null);
  const value = draft ?? chosen;
  useEffect(() => {
    if (draft === null) return undefined;
    const timer = setTimeout(() => {
      void choose(draft >= days ? undefined : addDays(first, draft)).then(() => setDraft(null));
    }, PAUSE_MS);
    return () => clearTimeout(timer);
    // oxlint-disable-next-line react/exhaustive-deps -- how to navigate is new at each render
  }, [draft, days, first]);
  if (days === 0) return null;
  const text = value >= days ? t('customer.asOf.now') : formats.day(addDays(first, value));
  return (
    <span className="as-of customer-as-of">
      <span>{t('customer.asOf.label')}</span>
      <input
        type="range"
        min={0}
        max={days}
        value={value}
        aria-label={t('customer.asOf.label')}
        aria-valuetext={text}
        onChange={(event) => setDraft(Number(event.target.value))}
      />
      <output className={value >= days ? undefined : 'chosen'}>{text}</output>
      <DayPopover
        label={t('customer.asOf.choose')}
        day={value >= days ? today : addDays(first, value)}
        min={first}
        max={today}
        onChoose={(day) => void choose(day >= today ? undefined : day)}
      />
    </span>
  );
}
