import { useTranslation } from 'react-i18next';

import { useFormats } from '../../format/useFormats';
import type { Figure } from '../../parts/drillTargets';
import { useActionName } from '../../parts/useActionName';
import { useStageLook } from '../../parts/useStages';
import type { Search } from './expected';

const BANDS = ['low', 'medium', 'high', 'critical'] as const;
const STATES = ['done', 'pending', 'cancelled', 'dead'] as const;
const FUNNELS = { converted: 'converted', pending: 'pending', dropped: 'dropped' } as const;
const MOTIONS = { opening: 'begun', lapse: 'lapse', return: 'return' } as const;

/** Returns the sentence that says what a number counts, from the parts of its address. */
export function useSentence(): (figure: Figure, search: Search) => string {
  const { t } = useTranslation();
  const formats = useFormats();
  const actionName = useActionName();
  const lookOf = useStageLook();
  return (figure, search) => {
    const text = (name: string) => String(search[name] ?? '');
    const stage = lookOf(text('stage')).name;
    switch (figure) {
      case 'total':
        return t('drill.total');
      case 'stage':
        return search.as_of === undefined
          ? t('drill.stage', { stage })
          : t('drill.stageAsOf', { stage, day: formats.instantDay(text('as_of')) });
      case 'funnel':
        return t(
          `drill.${FUNNELS[text('outcome') as keyof typeof FUNNELS] ?? (text('mode') === 'cohort' ? 'cohortFunnel' : 'funnel')}`,
          { stage },
        );
      case 'flow':
        return t('drill.flow', { from: lookOf(text('from_stage')).name, to: lookOf(text('to_stage')).name });
      case 'moved':
        return t(`drill.${MOTIONS[text('motion') as keyof typeof MOTIONS] ?? 'moved'}`);
      case 'action': {
        const state = STATES.find((each) => each === search.state) ?? 'done';
        return t('drill.action', { action: actionName(text('name')), state: t(`automation.${state}`) });
      }
      case 'visits':
        return search.open === true ? t('drill.visitsOpen', { stage }) : t('drill.visits', { stage });
      case 'risk': {
        const band = BANDS.find((each) => each === search.band) ?? 'low';
        return t('drill.risk', { band: t(`risk.${band}`) });
      }
      case 'cohort':
        return t('drill.cohort', {
          month: formats.monthYear(`${text('cohort')}-01`),
          later: t('cohorts.later', { count: Number(search.month) }),
        });
      default:
        return figure satisfies never;
    }
  };
}
