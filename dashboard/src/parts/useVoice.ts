import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';

import { useFormats } from '../format/useFormats';
import { useStageLook } from './useStages';
import type { Voice } from '../rules/sentences';

/** Returns what sentences about rules are built with: words, formats, and the names of stages. */
export function useVoice(): Voice {
  const { t } = useTranslation();
  const formats = useFormats();
  const lookOf = useStageLook();
  return useMemo(() => ({ t, formats, stage: (key) => lookOf(key).name }), [t, formats, lookOf]);
}
