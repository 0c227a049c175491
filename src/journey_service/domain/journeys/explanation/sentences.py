"""Reasons, conditions and needs in plain English.

Sentences begin in lower case and have no full stop, so that they can stand in a list or after a heading. Stages
are named by their keys, days are those of the company's time zone, money has two decimals and no currency.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from journey_service.domain.calendar import local_day
from journey_service.domain.events.event import EventType
from journey_service.domain.journeys.explanation.forecast import DueMove, Forecast, UpcomingMove
from journey_service.domain.journeys.explanation.paths import PathState, RulePath
from journey_service.domain.journeys.journey import ARCHIVED_EVENT, OPENING_EVENT
from journey_service.domain.journeys.relationship import (
    ConditionReason,
    RuleReason,
    SuppressedMove,
    Transition,
    TriggerType,
)
from journey_service.domain.stages.compiled_rules import ArbitrationStep
from journey_service.domain.stages.rules import Condition, ConditionField, parse_condition
from journey_service.domain.stages.stage_map import INACTIVITY, StageKind

_FIELDS: Final = {field.label: field for field in ConditionField}
_COUNTED: Final = (ConditionField.COUNT, ConditionField.DAYS)
_BOUNDS: Final[Mapping[str, tuple[str, str]]] = {
    # Of what can be counted, and of what is measured.
    ">": ("more than {}", "more than {}"),
    ">=": ("{} or more", "{} or more"),
    "<": ("fewer than {}", "less than {}"),
    "<=": ("{} or fewer", "{} or less"),
    "==": ("exactly {}", "exactly {}"),
    "!=": ("any number but {}", "anything but {}"),
}
_EVENTS: Final[Mapping[str, str]] = {
    "call_received": "call",
    "appointment_requested": "appointment request",
    "appointment_completed": "appointment",
    "appointment_missed": "missed appointment",
    "appointment_cancelled": "cancelled appointment",
    "payment_received": "payment",
    "payment_refunded": "refund",
    "ticket_opened": "ticket",
}
_MEASURES: Final[Mapping[str, str]] = {
    "lifetime_value": "lifetime value",
    "risk_score": "risk score",
    "engagement_score": "engagement score",
    "missed_rate": "missed rate",
}


# ---- why the customer is where they are


def entry(transition: Transition, zone: ZoneInfo) -> str:
    """How the customer came into the stage, from what was noted when they did."""
    stage, day = transition.to_stage, on_day(transition.transitioned_at, zone)
    match transition.trigger_type:
        case TriggerType.MANUAL:
            return f"moved to {stage} by hand on {day}{_by_whom(transition)}"
        case TriggerType.AUTOMATIC:
            return _followed(transition, day)
        case TriggerType.SYSTEM:
            if transition.trigger_event == OPENING_EVENT:
                return f"the journey began in {stage} on {day}"
            if transition.trigger_event == ARCHIVED_EVENT:
                return f"moved to {stage} on {day} because the stage {transition.from_stage} was archived"
            return f"moved to {stage} on {day} by the service: {transition.trigger_event}"


def _by_whom(transition: Transition) -> str:
    user = None if transition.performed_by is None else f"user {transition.performed_by}"
    names = [name for name in (user, transition.actor) if name]
    by = f" by {' through '.join(names)}" if names else ""
    return f"{by}: {transition.notes}" if transition.notes else by


def _followed(transition: Transition, day: str) -> str:
    to_stage = transition.to_stage
    reasons = {reason.stage: reason for reason in transition.reasons}
    reached, left = reasons.get(to_stage), reasons.get(transition.from_stage or "")
    rules = () if reached is None else reached.rules
    held = next((rule_sentence(rule) for rule in rules if rule.held), None)
    if reached is not None and left is not None and left.kind == StageKind.RISK != reached.kind:
        return f"back in {to_stage} since {day} by an appointment: {held or 'a stage held before'}"
    return f"{to_stage} since {day}: {held or transition.trigger_event}"


def rule_sentence(rule: RuleReason, *, is_past: bool = True) -> str:
    """What a rule saw, and what it asked for."""
    if rule.held and not all(condition.held for condition in rule.conditions):
        return f"there was {_an(_EVENTS[rule.trigger])} while the customer was pinned"
    return " and ".join(
        condition_sentence(rule, seen, is_past=is_past) for seen in rule.conditions or (None,)
    )


def condition_sentence(rule: RuleReason, reason: ConditionReason | None, *, is_past: bool = True) -> str:
    """What one condition of a rule saw, and what it asked for; of a rule without any, whether its event came."""
    if reason is None:
        noun = _EVENTS[rule.trigger]
        return f"there was {_an(noun) if rule.held else f'no {noun}'}"
    condition = parse_condition(_FIELDS[reason.field], reason.condition, "", [])
    if condition is None:  # noted under a grammar that took more than today's
        return f"{reason.field} {reason.value}, {reason.condition} was asked"
    return _seen_and_asked(rule.trigger, condition, reason.value, is_past=is_past)


# ---- pins, and what comes


def pin(outlook: Forecast, until: datetime, zone: ZoneInfo) -> str:
    """That a pin holds the customer, and until when."""
    return f"held in {outlook.current_stage} until {on_day(until, zone)}"


def suppressed_move(move: SuppressedMove, zone: ZoneInfo) -> str:
    """A move that a pin has held back."""
    return f"{move.to_stage} was asked for on {on_day(move.at, zone)} and held back by the pin"


def due_move(move: DueMove, zone: ZoneInfo) -> str:
    """What the rules want already."""
    if move.is_suppressed:
        return f"{move.to_stage} is asked for and held back by the pin"
    if move.due_at is not None:
        return f"{move.to_stage} is due since {on_day(move.due_at, zone)} and about to be written"
    return f"{move.to_stage} is asked for from the next event or evaluation on"


def upcoming_move(move: UpcomingMove, outlook: Forecast, zone: ZoneInfo) -> str:
    """A move that follows if nothing happens."""
    if move.at <= outlook.as_of:
        return f"{move.to_stage} since {on_day(move.at, zone)}, about to be written"
    if move.at == outlook.pin_until:
        comma = "," if move.is_averted else ""
        return f"{move.to_stage} on {on_day(move.at, zone)}, when the pin ends{comma}{_unless(averted=move.is_averted)}"
    return f"{move.to_stage} on {on_day(move.at, zone)}{_unless(averted=move.is_averted)}"


# ---- what is missing


def rule_path(way: RulePath, outlook: Forecast, zone: ZoneInfo) -> str:
    """What a rule misses, and what comes of it."""
    return f"{_missing(way, zone)}{_but(way, outlook, zone)}"


def conditions_text(way: RulePath) -> str | None:
    """The conditions of a rule as they are written; those on an event with what they look at."""
    if way.trigger in _EVENTS:
        return " and ".join(f"{one.field.label}{one.text}" for one in way.conditions) or None
    return way.conditions[0].text


def _missing(way: RulePath, zone: ZoneInfo) -> str:
    if way.state is PathState.DUE:
        return f"{way.to_stage} is due already"
    if way.state is PathState.HOLDS:
        return f"the rule for {way.to_stage} holds already"
    if way.state is PathState.IMPOSSIBLE:
        return f"{way.to_stage} is impossible from here by this rule: {_asked_of(way)}"
    if way.step is ArbitrationStep.RETURN and not way.conditions and way.trigger == "appointment_completed":
        return f"back to {way.to_stage} with an appointment"
    if way.at is not None:
        by = f" by the {_MEASURES[way.trigger]}" if way.trigger in _MEASURES else ""
        return f"{way.to_stage} on {on_day(way.at, zone)}{by}{_unless(averted=way.is_averted)}"
    if way.needs is not None and (way.trigger in _EVENTS or way.missing is None):
        bounds = way.conditions if way.trigger in _EVENTS else ()
        return f"{_needed(way.needs.event, bounds)} for {way.to_stage}"
    if way.missing is None:
        return f"{_asked_of(way)} for {way.to_stage}"
    return f"{_amount(way)} for {way.to_stage}"


def _but(way: RulePath, outlook: Forecast, zone: ZoneInfo) -> str:
    """What is to be added where the customer does not simply come into the stage."""
    if way.state is PathState.IMPOSSIBLE or way.leads_to == way.to_stage:
        return ""
    if way.state is PathState.SHADOWED:
        return ", but another rule leads there before"
    pin = outlook.pin_until
    if pin is not None and (way.at is None or way.at < pin):
        return f", but nothing moves before the pin ends on {on_day(pin, zone)}"
    is_first = way.needs is not None and way.needs.event is EventType.APPOINTMENT_COMPLETED
    if way.step is ArbitrationStep.RISK and not (outlook.has_appointments or is_first):
        return ", but not before a first completed appointment"
    return _instead(way, outlook)


def _instead(way: RulePath, outlook: Forecast) -> str:
    if way.blocked_by is not None:
        return f", but not while this holds: {rule_sentence(way.blocked_by, is_past=False)}"
    if (
        way.state is PathState.HOLDS
        and outlook.due_move is not None
        and outlook.due_move.to_stage == way.to_stage
    ):
        return ", and counts from the next event or evaluation on"
    if way.leads_to is None:
        return ", with an appointment" if way.step is ArbitrationStep.RETURN and way.needs is None else ""
    if way.leads_to == outlook.current_stage:
        return ", but that alone moves nobody"
    if way.needs is not None:
        return f", but that leads to {way.leads_to}"
    return f", but {way.leads_to} comes first"


def _amount(way: RulePath) -> str:
    """How much more, or less, of what: "1 more appointment"."""
    field, missing = way.conditions[0].field, way.missing or 0
    number, direction = _number(field, missing), "less" if way.is_less else "more"
    match field:
        case ConditionField.VALUE:
            return f"{number} {direction}"
        case ConditionField.COUNT:
            return f"{number} {direction} {_plural('appointment', missing)}"
        case ConditionField.DAYS:
            return f"{number} {direction} {_plural('day', missing)}"
        case ConditionField.RATE if way.conditions[0].operator in (">", "<"):
            # A rate lies as close to what is asked as you like: exactly so much more is not enough.
            return f"over {number} {direction} {_MEASURES[way.trigger]}"
        case _:
            return f"{number} {direction} {_MEASURES[way.trigger]}"


def _needed(event: str, conditions: Sequence[Condition]) -> str:
    """The events a rule takes: "a call of more than 60 seconds"."""
    noun = _an(_EVENTS[event])
    asked = {condition.field: _bounded(condition) for condition in conditions}
    if ConditionField.TOTAL_AMOUNT in asked:
        noun = f"{noun} of {asked[ConditionField.TOTAL_AMOUNT]}"
    if ConditionField.CALL_DURATION in asked:
        seconds = f"{asked[ConditionField.CALL_DURATION]} seconds"
        return f"{noun} of {seconds}" if noun == "a call" else f"{noun} with a call of {seconds}"
    return noun


def _asked_of(way: RulePath) -> str:
    if way.trigger in _EVENTS:
        return f"{_needed(way.trigger, way.conditions)} is asked"
    return _seen_and_asked(way.trigger, way.conditions[0], way.value, is_past=False)


# ---- conditions and numbers


def _seen_and_asked(trigger: str, condition: Condition, value: float | None, *, is_past: bool) -> str:
    field = condition.field
    one, many = ("was", "were") if is_past else ("is", "are")
    verb = many if field in _COUNTED or field is ConditionField.CALL_DURATION else one
    return f"{_seen(trigger, field, value)}, {_bounded(condition)} {verb} asked"


def _seen(trigger: str, field: ConditionField, value: float | None) -> str:
    number = None if value is None else _number(field, value)
    match field:
        case ConditionField.COUNT:
            return f"{number} completed {_plural('appointment', value)}"
        case ConditionField.DAYS if trigger == INACTIVITY:
            return (
                "no appointment yet"
                if number is None
                else f"{number} {_plural('day', value)} since the last appointment"
            )
        case ConditionField.DAYS:
            return f"{number} {_plural('day', value)} in the stage"
        case ConditionField.CALL_DURATION | ConditionField.TOTAL_AMOUNT:
            return _event_seen(_EVENTS[trigger], field, number)
        case _:
            return f"no {_MEASURES[trigger]} yet" if number is None else f"{_MEASURES[trigger]} {number}"


def _event_seen(noun: str, field: ConditionField, number: str | None) -> str:
    if number is None:
        return (
            f"there was no {noun}"
            if field is ConditionField.TOTAL_AMOUNT
            else f"there was no {noun} of a known length"
        )
    if field is ConditionField.TOTAL_AMOUNT:
        return f"{_an(noun)} of {number}"
    return f"a call of {number} seconds" if noun == "call" else f"{_an(noun)} with a call of {number} seconds"


def _bounded(condition: Condition) -> str:
    drilldown, measured = _BOUNDS[condition.operator]
    number = _number(condition.field, condition.number)
    return (drilldown if condition.field in _COUNTED else measured).format(number)


def _number(field: ConditionField, value: Decimal | float) -> str:
    """A number as it is written: money and scores with two decimals, or with more if it has more."""
    exact = Decimal(str(value))
    in_units = exact * field.units
    if field.units > 1 and in_units == in_units.to_integral_value():
        return f"{exact:.2f}"
    return f"{exact.normalize():f}"


def _plural(noun: str, number: float | None) -> str:
    return noun if number == 1 else f"{noun}s"


def _an(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _unless(*, averted: bool) -> str:
    return " unless there is an appointment" if averted else ""


def on_day(at: datetime, zone: ZoneInfo) -> str:
    """The day an instant lies in, where the company is."""
    return local_day(at, zone).isoformat()
