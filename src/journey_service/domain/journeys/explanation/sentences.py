"""English sentences of explanations: transitions, pins, future moves and what is missing for a stage.

Sentences begin in lower case and have no full stop, so that they can be used in lists and after headings. Stages are
named by their keys, days are in the company's time zone, amounts have two decimals.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Final

from journey_service.domain.calendar import local_day
from journey_service.domain.events.event import EventType
from journey_service.domain.journeys.explanation.forecast import DueMove, Forecast, UpcomingMove
from journey_service.domain.journeys.explanation.paths import PathState, RulePath
from journey_service.domain.journeys.relationship import SuppressedMove, Transition, TriggerType
from journey_service.domain.journeys.transitions.causes import ARCHIVED_EVENT, OPENING_EVENT
from journey_service.domain.stages.compiled_rules import ArbitrationStep
from journey_service.domain.stages.reasons import ConditionReason, RuleReason
from journey_service.domain.stages.rules import Condition, ConditionField, parse_condition
from journey_service.domain.stages.stage_map import INACTIVITY, StageKind

_FIELDS: Final = {field.label: field for field in ConditionField}
_COUNTABLE: Final = (ConditionField.COUNT, ConditionField.DAYS)
_BOUNDS: Final[Mapping[str, tuple[str, str]]] = {
    # For countable fields, and for the others.
    ">": ("more than {}", "more than {}"),
    ">=": ("at least {}", "at least {}"),
    "<": ("fewer than {}", "less than {}"),
    "<=": ("at most {}", "at most {}"),
    "==": ("exactly {}", "exactly {}"),
    "!=": ("other than {}", "other than {}"),
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
    "rhythm_ratio": "rhythm ratio",
    "churn_probability": "churn probability",
    "risk_score": "risk score",
    "engagement_score": "engagement score",
    "missed_rate": "missed rate",
}
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)


# ---- transitions and conditions


def entry(transition: Transition, zone: tzinfo) -> str:
    """Describes how the customer entered the stage, from the recorded reasons."""
    stage, day = transition.to_stage, format_day(transition.transitioned_at, zone)
    match transition.trigger_type:
        case TriggerType.MANUAL:
            return f"moved to {stage} manually on {day}{_author(transition)}"
        case TriggerType.AUTOMATIC:
            return _automatic_entry(transition, day)
        case TriggerType.SYSTEM:
            if transition.trigger_event == OPENING_EVENT:
                return f"the journey began in {stage} on {day}"
            if transition.trigger_event == ARCHIVED_EVENT:
                return f"moved to {stage} on {day} because the stage {transition.from_stage} was archived"
            return f"moved to {stage} on {day} by the service: {transition.trigger_event}"


def _author(transition: Transition) -> str:
    user = None if transition.performed_by is None else f"user {transition.performed_by}"
    names = [name for name in (user, transition.actor) if name]
    by = f" by {' through '.join(names)}" if names else ""
    return f"{by}: {transition.notes}" if transition.notes else by


def _automatic_entry(transition: Transition, day: str) -> str:
    to_stage = transition.to_stage
    reasons = {reason.stage: reason for reason in transition.reasons}
    entered, left = reasons.get(to_stage), reasons.get(transition.from_stage or "")
    rules = () if entered is None else entered.rules
    held = next((rule_sentence(rule) for rule in rules if rule.held), None)
    if entered is not None and left is not None and left.kind == StageKind.RISK != entered.kind:
        reason = held or "the customer was in this stage before"
        return f"returned to {to_stage} on {day} with an appointment: {reason}"
    return f"{to_stage} since {day}: {held or transition.trigger_event}"


def rule_sentence(rule: RuleReason) -> str:
    """Describes the values of a rule's conditions and what it requires."""
    if rule.held and not all(condition.held for condition in rule.conditions):
        return f"there was {_with_article(_EVENTS[rule.trigger])} while the customer was pinned"
    return " and ".join(condition_sentence(rule, condition) for condition in rule.conditions or (None,))


def condition_sentence(rule: RuleReason, reason: ConditionReason | None) -> str:
    """Describes the value of a condition and its bound; None: the event of a rule without conditions."""
    if reason is None:
        noun = _EVENTS[rule.trigger]
        return f"there was {_with_article(noun) if rule.held else f'no {noun}'}"
    condition = parse_condition(_FIELDS[reason.field], reason.condition, "", [])
    if condition is None:  # recorded by a version that accepted more conditions
        return f"{reason.field} is {reason.value} (required: {reason.condition})"
    return _value_and_bound(rule.trigger, condition, reason.value)


# ---- pins and future moves


def pin(forecast: Forecast, until: datetime, zone: tzinfo) -> str:
    """Describes the pin of a customer."""
    return f"pinned to {forecast.current_stage} until {format_day(until, zone)}"


def booking_pause(forecast: Forecast, booking_at: datetime, zone: tzinfo) -> str:
    """Describes the booking that pauses moves to risk stages."""
    day = local_day(booking_at, zone)
    year = "" if day.year == local_day(forecast.as_of, zone).year else f" {day.year}"
    return f"paused by the booking of {day.day} {_MONTHS[day.month - 1]}{year}"


def suppressed_move(move: SuppressedMove, zone: tzinfo) -> str:
    """Describes a move that the pin has suppressed."""
    return f"{move.to_stage} was due on {format_day(move.at, zone)} and is suppressed by the pin"


def due_move(move: DueMove, zone: tzinfo) -> str:
    """Describes a move that the rules decide now."""
    if move.is_suppressed:
        return f"{move.to_stage} is due and suppressed by the pin"
    if move.due_at is not None:
        return (
            f"{move.to_stage} has been due since {format_day(move.due_at, zone)} and will be recorded shortly"
        )
    return f"{move.to_stage} is due with the next event or evaluation"


def upcoming_move(move: UpcomingMove, forecast: Forecast, zone: tzinfo) -> str:
    """Describes a move that happens by the passing of time."""
    day = format_day(move.at, zone)
    if move.at <= forecast.as_of:
        return f"{move.to_stage} since {day}, will be recorded shortly"
    if move.at == forecast.pin_until:
        comma = "," if move.is_averted else ""
        return f"{move.to_stage} on {day}, when the pin ends{comma}{_unless(is_averted=move.is_averted)}"
    return f"{move.to_stage} on {day}{_unless(is_averted=move.is_averted)}"


# ---- paths


def rule_path(path: RulePath, forecast: Forecast, zone: tzinfo, currency: str) -> str:
    """Describes what is missing for a rule, and where it leads."""
    return f"{_missing(path, zone, currency)}{_qualification(path, forecast, zone)}"


def conditions_text(path: RulePath) -> str | None:
    """Returns the conditions of a rule in JSON notation; those of an event rule with their fields."""
    if path.trigger in _EVENTS:
        texts = [f"{condition.field.label}{condition.text}" for condition in path.conditions]
        return " and ".join(texts) or None
    return path.conditions[0].text


def _missing(path: RulePath, zone: tzinfo, currency: str) -> str:
    stage = path.to_stage
    if path.state is PathState.DUE:
        return f"{stage} is already due"
    if path.state is PathState.HOLDS:
        return f"the rule for {stage} already holds"
    if path.state is PathState.IMPOSSIBLE:
        return f"this rule cannot lead to {stage}: {_requirement(path)}"
    if (
        path.step is ArbitrationStep.RETURN
        and not path.conditions
        and path.trigger == "appointment_completed"
    ):
        return f"back to {stage} with an appointment"
    if path.at is not None:
        by = f" by the {_MEASURES[path.trigger]}" if path.trigger in _MEASURES else ""
        return f"{stage} on {format_day(path.at, zone)}{by}{_unless(is_averted=path.is_averted)}"
    if path.needs is not None and (path.trigger in _EVENTS or path.missing is None):
        conditions = path.conditions if path.trigger in _EVENTS else ()
        return f"{stage} requires {_required_event(path.needs.event, conditions)}"
    if path.missing is None:
        return f"{stage}: {_requirement(path)}"
    return _difference(path, currency)


def _qualification(path: RulePath, forecast: Forecast, zone: tzinfo) -> str:
    """Describes why the customer would not simply enter the stage."""
    if path.state is PathState.IMPOSSIBLE or path.leads_to == path.to_stage:
        return ""
    if path.state is PathState.SHADOWED:
        return "; another rule leads there first"
    pin_until = forecast.pin_until
    if pin_until is not None and (path.at is None or path.at < pin_until):
        return f"; the pin prevents moves until {format_day(pin_until, zone)}"
    if path.step is ArbitrationStep.RISK and forecast.paused_by is not None and _is_paused(path, forecast):
        return f"; {booking_pause(forecast, forecast.paused_by, zone)}"
    is_appointment = path.needs is not None and path.needs.event is EventType.APPOINTMENT_COMPLETED
    if path.step is ArbitrationStep.RISK and not (forecast.has_appointments or is_appointment):
        return "; only after a first completed appointment"
    return _other_outcome(path, forecast)


def _is_paused(path: RulePath, forecast: Forecast) -> bool:
    """Returns whether a rule holds now, or by the passing of time, while a booking pauses moves to risk stages."""
    if path.at is None:
        return path.state is PathState.HOLDS
    return forecast.pause_ends is None or path.at < forecast.pause_ends


def _other_outcome(path: RulePath, forecast: Forecast) -> str:
    if path.blocked_by is not None:
        return f"; not while this rule holds: {rule_sentence(path.blocked_by)}"
    due = forecast.due_move
    if path.state is PathState.HOLDS and due is not None and due.to_stage == path.to_stage:
        return "; it takes effect with the next event or evaluation"
    if path.leads_to is None:
        needs_appointment = path.step is ArbitrationStep.RETURN and path.needs is None
        return "; this also requires an appointment" if needs_appointment else ""
    if path.leads_to == forecast.current_stage:
        return "; this condition alone causes no move" if path.missing else "; this alone causes no move"
    if path.needs is not None:
        return f"; this leads to {path.leads_to} instead"
    return f"; {path.leads_to} comes first"


def _difference(path: RulePath, currency: str) -> str:
    """Formats how much is missing: "1 more appointment needed for regular"."""
    field, missing = path.conditions[0].field, path.missing or 0
    number = _format_number(path.conditions[0], missing)
    match field:
        case ConditionField.VALUE if path.is_less:
            return f"lifetime value must fall by {currency} {number} for {path.to_stage}"
        case ConditionField.VALUE:
            return f"{currency} {number} more needed for {path.to_stage}"
        case ConditionField.COUNT:
            unit = "appointment"
        case ConditionField.DAYS:
            unit = "day"
        case _:
            # A rate can be arbitrarily close to a strict bound: a change by exactly `missing` is not enough.
            is_strict = field is ConditionField.RATE and path.conditions[0].operator in (">", "<")
            by = f"more than {number}" if is_strict else number
            direction = "fall" if path.is_less else "rise"
            return f"{_MEASURES[path.trigger]} must {direction} by {by} for {path.to_stage}"
    return f"{number} more {_plural(unit, missing)} needed for {path.to_stage}"


def _required_event(event: str, conditions: Sequence[Condition]) -> str:
    """Formats the event that a rule requires: "a call of more than 60 seconds"."""
    noun = _with_article(_EVENTS[event])
    bounds = {condition.field: _bound(condition) for condition in conditions}
    if ConditionField.TOTAL_AMOUNT in bounds:
        noun = f"{noun} of {bounds[ConditionField.TOTAL_AMOUNT]}"
    if ConditionField.CALL_DURATION in bounds:
        seconds = f"{bounds[ConditionField.CALL_DURATION]} seconds"
        return f"{noun} of {seconds}" if noun == "a call" else f"{noun} with a call of {seconds}"
    return noun


def _requirement(path: RulePath) -> str:
    if path.trigger in _EVENTS:
        return f"it requires {_required_event(path.trigger, path.conditions)}"
    return _value_and_bound(path.trigger, path.conditions[0], path.value)


# ---- conditions and numbers


def _value_and_bound(trigger: str, condition: Condition, value: float | None) -> str:
    return f"{_value(trigger, condition, value)} (required: {_bound(condition)})"


def _value(trigger: str, condition: Condition, value: float | None) -> str:
    field = condition.field
    number = None if value is None else _format_number(condition, value)
    match field:
        case ConditionField.COUNT:
            return f"{number} completed {_plural('appointment', value)}"
        case ConditionField.DAYS if trigger == INACTIVITY:
            if number is None:
                return "no completed appointment yet"
            return f"{number} {_plural('day', value)} since the last appointment"
        case ConditionField.DAYS:
            return f"{number} {_plural('day', value)} in the stage"
        case ConditionField.RATIO:
            if number is None:
                return "no completed appointment yet"
            return f"the time since the last appointment is {number} times the usual gap"
        case ConditionField.CALL_DURATION | ConditionField.TOTAL_AMOUNT:
            return _event_value(_EVENTS[trigger], field, number)
        case _:
            return f"{_MEASURES[trigger]} is {'unknown' if number is None else number}"


def _event_value(noun: str, field: ConditionField, number: str | None) -> str:
    if field is ConditionField.TOTAL_AMOUNT:
        return f"no {noun}" if number is None else f"{_with_article(noun)} of {number}"
    if number is None:
        return f"no {noun} of known duration"
    seconds = f"a call of {number} seconds"
    return seconds if noun == "call" else f"{_with_article(noun)} with {seconds}"


def _bound(condition: Condition) -> str:
    countable, uncountable = _BOUNDS[condition.operator]
    number = _format_number(condition, condition.number)
    return (countable if condition.field in _COUNTABLE else uncountable).format(number)


def _format_number(condition: Condition, value: Decimal | float) -> str:
    """Formats a number: money with the decimals of the currency, scores with two, thousands separated by commas."""
    exact = Decimal(str(value))
    units = exact * condition.units
    if (condition.field.is_money or condition.units > 1) and units == units.to_integral_value():
        return f"{exact:,.{condition.currency.decimals if condition.field.is_money else 2}f}"
    return f"{exact.normalize():,f}"


def _plural(noun: str, number: float | None) -> str:
    return noun if number == 1 else f"{noun}s"


def _with_article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _unless(*, is_averted: bool) -> str:
    return " unless there is an appointment" if is_averted else ""


def format_day(at: datetime, zone: tzinfo) -> str:
    """Formats the local date of an instant."""
    return local_day(at, zone).isoformat()
