/** What would move a customer next, from the parts of a path: what it needs, what is missing, and where it leads. */
import type { Schemas } from '../api/client';
import { meets, readBound, type Bound } from './conditions';
import { fieldOf, isEvent, isMeasure, type Field } from './kinds';
import { boundText, conditionText, detailTexts, measureName, valueText, type Voice } from './sentences';

export type Path = Omit<Schemas['StagePath'], 'sentence'>;
export type Around = {
  /** The stage that the customer is in. */
  current: string;
  hasAppointments: boolean;
  hasCampaign: boolean;
  /** The day on which a pin ends; null without one. */
  pinUntil: string | null;
  /** Whether an appointment would prevent the move. */
  isPrevented: boolean;
};

const boundOf = (path: Path): Bound | null => (isMeasure(path.trigger) ? readBound(path.condition) : null);
const fieldOfPath = (path: Path): Field | null => (path.unit === null ? null : fieldOf(path.unit));

/** Returns whether the condition of a path is met now, and only something else is waited for. */
export function holdsNow(path: Path): boolean {
  const bound = boundOf(path);
  return (
    bound !== null &&
    path.value !== null &&
    path.needs === null &&
    path.at === null &&
    meets(bound, path.value)
  );
}

/** Returns what is missing as the title of a card: `49 more days without an appointment`. */
export function pathTitle(voice: Voice, path: Path): string {
  const { t, formats } = voice;
  if (path.needs !== null && (isEvent(path.trigger) || path.missing === null || path.unit === 'appointments'))
    return needText(voice, path.needs, path);
  if (holdsNow(path)) return t('rules.missing.holds');
  const { missing } = path;
  if (missing !== null && isMeasure(path.trigger)) {
    const isLess = mustFall(path);
    switch (path.unit) {
      case 'money':
        return t(isLess ? 'rules.missing.moneyLess' : 'rules.missing.moneyMore', {
          value: formats.money(missing),
        });
      case 'appointments':
        return t('rules.missing.appointments', { count: missing });
      case 'days':
        return path.trigger === 'days_in_stage'
          ? t('rules.missing.daysInStage', { count: missing })
          : t('rules.missing.daysAway', { count: missing });
      case 'ratio':
      case 'probability':
      case 'score':
      case 'rate':
        if (path.at !== null) break;
        return t(isLess ? 'rules.missing.fall' : 'rules.missing.rise', {
          measure: measureName(voice, path.trigger),
          value:
            path.unit === 'ratio' ? formats.exact(missing) : valueText(voice, fieldOf(path.unit), missing),
        });
      default:
    }
  }
  const bound = boundOf(path);
  if (path.at !== null && bound !== null && isMeasure(path.trigger))
    return t('rules.missing.byTime', {
      measure: measureName(voice, path.trigger),
      bound: boundText(voice, fieldOfPath(path) ?? 'score', bound),
    });
  return conditionText(voice, path.trigger, { condition: path.condition });
}

function needText(voice: Voice, needs: NonNullable<Path['needs']>, path: Path): string {
  const need = voice.t(`rules.need.${needs.event}`, { count: needs.times });
  const asked = isEvent(path.trigger)
    ? detailTexts(voice, path.trigger, undefined, path.condition)
    : needs.total_amount === null
      ? []
      : [
          voice.t('rules.amount', {
            bound: boundText(voice, 'value', { operator: '>=', number: needs.total_amount }),
          }),
        ];
  return asked.length === 0 ? need : voice.t('rules.needOf', { need, details: voice.formats.list(asked) });
}

/** Whether the value must become smaller: the contract tells how far it is, not in which direction. */
function mustFall(path: Path): boolean {
  const bound = boundOf(path);
  if (bound === null || path.value === null) return false;
  if (bound.operator === '<' || bound.operator === '<=') return true;
  return bound.operator === '==' && path.value > bound.number;
}

/** Returns how much of the way is gone, 0 to 1; null where that is not a number. */
export function pathShare(path: Path): number | null {
  const { value, missing } = path;
  if (value === null || missing === null || isEvent(path.trigger) || mustFall(path)) return null;
  const whole = value + missing;
  return whole > 0 ? Math.min(1, Math.max(0, value / whole)) : null;
}

/** Returns the sentences under a card: where the customer stands, and what is special about this way. */
export function pathNotes(voice: Voice, path: Path, around: Around): string[] {
  const { t } = voice;
  const [bound] = isEvent(path.trigger) ? [] : detailTexts(voice, path.trigger, undefined, path.condition);
  const field = fieldOfPath(path);
  const notes: string[] = [];
  if (bound !== undefined && field !== null) {
    const words = { bound, value: path.value === null ? '' : valueText(voice, field, path.value) };
    notes.push(t(path.value === null ? 'rules.note.none' : 'rules.note.value', words));
  }
  if (path.leads_to === path.to_stage) {
    if (path.direction === 'return')
      notes.push(
        t(around.hasCampaign ? 'rules.note.straightCampaign' : 'rules.note.straight', {
          stage: voice.stage(path.to_stage),
        }),
      );
    else if (path.at !== null && around.isPrevented) notes.push(t('rules.note.prevented'));
    return notes;
  }
  const other = otherOutcome(voice, path, around);
  return other === null ? notes : [...notes, other];
}

/** Why the customer would not simply enter the stage. */
function otherOutcome({ t, formats, stage }: Voice, path: Path, around: Around): string | null {
  if (around.pinUntil !== null && (path.at === null || path.at < around.pinUntil))
    return t('rules.note.untilPin', { day: formats.instantDay(around.pinUntil) });
  const isAppointment = path.needs?.event === 'appointment_completed';
  if (path.direction === 'risk' && !around.hasAppointments && !isAppointment)
    return t('rules.note.firstAppointment');
  if (path.leads_to === null) return null;
  if (path.leads_to === around.current) return t('rules.note.alone');
  const words = { stage: stage(path.leads_to) };
  return path.needs === null ? t('rules.note.before', words) : t('rules.note.instead', words);
}
