/** Sentences about the reasons of a prediction, built from their codes and values. */
import type { ReasonGroup } from '../api/queries/predictions';
import { actionName } from '../format/actionName';
import type { Voice } from './sentences';

type Words = Pick<Voice, 't' | 'formats'>;

/** Returns what a group of reasons says about the customer; one that is not known here is written out. */
export function predictionReason({ t, formats }: Words, { code, params }: ReasonGroup): string {
  const value = (name: string): number => params[name] ?? 0;
  switch (code) {
    case 'time_since_last_visit': {
      const count = Math.round(value('days'));
      return count === 0 ? t('prediction.reason.today') : t('prediction.reason.since', { count });
    }
    case 'own_rhythm': {
      const gap = t('prediction.reason.gap', { count: Math.max(1, Math.round(value('usual_days'))) });
      const ratio = value('ratio');
      return ratio >= 1
        ? t('prediction.reason.late', { gap, factor: formats.decimal(ratio) })
        : t('prediction.reason.early', { gap, percent: formats.percent(Math.round(ratio * 100)) });
    }
    case 'loyalty':
      return t('prediction.reason.visits', { count: value('visits') });
    case 'spend':
      return t('prediction.reason.spend', { amount: formats.money(value('mean_amount')) });
    case 'missed_appointments': {
      const missed = t('prediction.reason.missed', { count: value('missed') });
      const since = value('since_last_visit');
      return since > 0 ? t('prediction.reason.missedSince', { missed, since: formats.int(since) }) : missed;
    }
    default:
      return actionName(code satisfies never);
  }
}

/** Returns in which direction, and how much, a group of reasons changes a return: times the average. */
export function predictionEffect({ t, formats }: Words, { ratio, direction }: ReasonGroup): string {
  // Near 1 and near 0 one decimal would contradict the direction.
  const isClose = ratio < 0.1 || Math.abs(ratio - 1) < 0.05;
  const factor = isClose || ratio >= 10 ? formats.score(ratio) : formats.decimal(ratio);
  return t(`prediction.effect.${direction}`, { factor });
}

/** Whether some groups make a return more likely and others less likely. */
export const isMixed = (groups: readonly ReasonGroup[]): boolean =>
  new Set(groups.map(({ direction }) => direction)).size > 1;
