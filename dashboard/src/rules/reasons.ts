/** Why a customer moved, from the recorded reasons of the move. */
import type { Schemas } from '../api/client';
import { detailTexts, fieldOfTrigger, triggerName, valueText, type Voice } from './sentences';
import { actionName } from '../format/actionName';
import { isEvent } from './kinds';

type Transition = Pick<
  Schemas['Transition'],
  'trigger_type' | 'trigger_event' | 'actor' | 'performed_by' | 'from_stage' | 'to_stage' | 'reasons'
>;
type Rule = Schemas['RuleResult'];

const TEXTS: Record<Schemas['TriggerType'], (voice: Voice, move: Transition) => string> = {
  manual: manualText,
  system: systemText,
  automatic: automaticText,
};

/** Returns the reason of a move as a sentence. */
export function reasonText(voice: Voice, move: Transition): string {
  return TEXTS[move.trigger_type](voice, move);
}

/** Names the person behind a credential: `user:ada` is ada, `key:desk` the key desk. */
export function actorName(voice: Voice, actor: string): string {
  const name = actor.slice(actor.indexOf(':') + 1);
  return actor.startsWith('key:') ? voice.t('rules.reason.key', { id: name }) : name;
}

function manualText(voice: Voice, { actor, performed_by: person }: Transition): string {
  const names = [
    ...(person === null ? [] : [voice.t('rules.reason.person', { id: person })]),
    ...(actor === null ? [] : [actorName(voice, actor)]),
  ];
  if (names.length === 0) return voice.t('rules.reason.manual');
  return voice.t('rules.reason.manualBy', { person: voice.formats.list(names) });
}

function systemText(voice: Voice, move: Transition): string {
  switch (move.trigger_event) {
    case 'journey_started':
      return voice.t('rules.reason.begun');
    case 'stage_archived':
      return voice.t('rules.reason.archived', { stage: voice.stage(move.from_stage ?? '') });
    case 'stage_repaired':
      return voice.t('rules.reason.repaired');
    default:
      return voice.t('rules.reason.system', { trigger: actionName(move.trigger_event ?? '') });
  }
}

function automaticText(voice: Voice, move: Transition): string {
  const entered = move.reasons.find((reason) => reason.stage === move.to_stage);
  const left = move.reasons.find((reason) => reason.stage === move.from_stage);
  const rule = entered?.rules.find((each) => each.held);
  const isReturn = left?.kind === 'risk' && entered?.kind === 'progress';
  if (rule === undefined)
    return isReturn ? voice.t('rules.reason.returnedBefore') : triggerName(voice, move.trigger_event ?? '');
  const reason = ruleText(voice, rule);
  return isReturn ? voice.t('rules.reason.returned', { reason }) : reason;
}

/** Returns what a rule saw: its values, and what it asks for. */
export function ruleText(voice: Voice, rule: Rule): string {
  const name = triggerName(voice, rule.trigger);
  if (rule.held && !rule.conditions.every((condition) => condition.held))
    return voice.t('rules.reason.whileHeld', { event: name });
  const parts = rule.conditions.map(({ field, condition, value }) => {
    const kind = fieldOfTrigger(rule.trigger, field);
    const [bound = condition] = detailTexts(voice, rule.trigger, field, condition);
    const words = {
      value: value === null ? '–' : kind === null ? String(value) : valueText(voice, kind, value),
      bound,
    };
    return isEvent(rule.trigger)
      ? voice.t('rules.reason.metEvent', { event: name, ...words })
      : voice.t('rules.reason.met', { measure: name, ...words });
  });
  return parts.length === 0 ? name : voice.formats.list(parts);
}
