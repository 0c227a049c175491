import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { useFormats } from '../format/useFormats';
import { useBoot } from '../parts/useBoot';

const MINUTE_MS = 60_000;

/** The company's time: its own clock on amber if it has a test clock, else the present of this browser. */
export function LocalTime() {
  const { t } = useTranslation();
  const formats = useFormats();
  const { company } = useBoot();
  const now = useMinute();
  const isTest = company.test_clock !== null;
  const instant = company.test_clock ?? now;
  const text = t('shell.localTime', { time: formats.clock(instant), city: formats.city });
  return (
    <time
      className={isTest ? 'local-time test' : 'local-time'}
      dateTime={new Date(instant).toISOString()}
      title={isTest ? t('shell.testClockHint') : undefined}
    >
      {isTest && <span className="test-word">{t('shell.testClock')}</span>} {text}
    </time>
  );
}

function useMinute(): Date {
  const [now, setNow] = useState(() => new Date());
  useEffect(() => {
    const timer = setInterval(() => setNow(new Date()), MINUTE_MS / 4);
    return () => clearInterval(timer);
  }, []);
  return now;
}
