import { useTranslation } from 'react-i18next';

import { DEFAULT_PERIOD, PERIODS, type RangeChoice } from '../../format/ranges';
import { useShortcut } from '../../parts/shortcuts';

/** [ and ] choose a shorter and a longer period. */
export function usePeriodKeys(choice: RangeChoice, onChoose: (range: RangeChoice) => void): void {
  const { t } = useTranslation();
  const go = (step: 1 | -1) => {
    const period = PERIODS[PERIODS.indexOf(choice.period ?? DEFAULT_PERIOD) + step];
    if (period !== undefined) onChoose({ period });
  };
  useShortcut('[', t('keys.shorter'), () => go(-1));
  useShortcut(']', t('keys.longer'), () => go(1));
}
