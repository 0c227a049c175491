import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';

import { stagesQuery, type Stage } from '../api/queries/stages';
import { stageColours, type StageColours } from '../look/stageColours';
import { clearColour } from '../look/clearColours';
import { usePalette, useTheme, type Palette } from '../look/taste';
import type { Theme } from '../look/theme';

/** A stage as it is drawn. */
export type StageLook = StageColours & {
  key: string;
  name: string;
  /** A shorter name where the last word is the same for many stages. */
  short: string;
  icon: string | null;
  kind: 'progress' | 'risk';
  order: number;
};

/** The stage in which the journey of a merged customer ends; no map has it. */
const MERGED = 'merged';
const SAME_WORD = /(?<=\S) (Customer|Kunde|Kundin)$/;

export function lookOf(stage: Stage, order: number, theme: Theme, palette: Palette = 'company'): StageLook {
  return {
    ...stageColours(palette === 'clear' ? clearColour(order) : stage.color, theme),
    key: stage.key,
    name: stage.name,
    short: stage.name.replace(SAME_WORD, ''),
    icon: stage.icon,
    kind: stage.kind,
    order,
  };
}

/** Returns the stages in the order of the map: progress first, then risk. Undefined until they are known. */
export function useStages(): StageLook[] | undefined {
  const theme = useTheme();
  const palette = usePalette();
  const { data } = useQuery(stagesQuery());
  return useMemo(() => {
    if (data === undefined) return undefined;
    const ordered = data.stages.toSorted(
      (a, b) => Number(a.kind === 'risk') - Number(b.kind === 'risk') || a.order - b.order,
    );
    return ordered.map((stage, order) => lookOf(stage, order, theme, palette));
  }, [data, theme, palette]);
}

/** Returns how a stage is drawn; one that the map does not have is grey and named by its key. */
export function useStageLook(): (key: string, name?: string) => StageLook {
  const { t } = useTranslation();
  const stages = useStages();
  const theme = useTheme();
  return useMemo(() => {
    const byKey = new Map(stages?.map((stage) => [stage.key, stage]));
    return (key, given = key) => {
      const name = key === MERGED ? t('parts.merged') : given;
      return (
        byKey.get(key) ?? {
          ...stageColours(null, theme),
          key,
          name,
          short: name,
          icon: null,
          kind: 'progress',
          order: byKey.size,
        }
      );
    };
  }, [stages, theme, t]);
}
