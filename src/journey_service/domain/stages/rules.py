"""The rule grammar: triggers, conditions, and the exact place of a fault.

A condition is an operator and a decimal number; nothing is ever evaluated as code. Each condition is kept
as the interval of whole numbers it accepts, so testing one is two comparisons of integers, and the points
at which a growing number of days changes the answer can be read off its ends.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import Enum
from functools import cached_property, lru_cache
from typing import Final, Literal, TypeAlias

from journey_service.domain.errors import FieldError, pointer_token, quote_value
from journey_service.domain.events.event import EventType

Operator: TypeAlias = Literal[">", ">=", "<", "<=", "==", "!="]

_CONDITION: Final = re.compile(r"(>=|<=|==|!=|>|<)\s*(-?\d{1,12}(?:\.\d{1,6})?)", re.ASCII)
_MAX_RULES: Final = 20
_MAX_DAYS: Final = 36_500
_INFINITY: Final = float("inf")


class ConditionField(Enum):
    """What a condition reads: its name in JSON, and how many of its whole units make one."""

    COUNT = ("count", 1)
    VALUE = ("value", 100)
    DAYS = ("days", 1)
    SCORE = ("score", 100)
    RATE = ("rate", 0)  # a ratio of two counts: compared by cross-multiplication, not in units
    CALL_DURATION = ("call_duration", 1)
    TOTAL_AMOUNT = ("total_amount", 100)

    def __init__(self, label: str, units: int) -> None:
        self.label = label
        self.units = units


@dataclass(frozen=True)
class Trigger:
    """What a rule listens to: an event while it is being applied, or a part of the state."""

    name: str
    fields: tuple[ConditionField, ...]
    event: EventType | None = None
    indicates_risk: bool = False

    @property
    def on_event(self) -> bool:
        """Whether the trigger holds only while its event is being applied."""
        return self.event is not None


_EVENT_FIELDS: Final = (ConditionField.CALL_DURATION, ConditionField.TOTAL_AMOUNT)

# The registry: adding a trigger is one entry here, and its reading in engine.Moment.
TRIGGERS: Final[Mapping[str, Trigger]] = {
    trigger.name: trigger
    for trigger in (
        *(
            Trigger(event.value, _EVENT_FIELDS, event=event)
            for event in (
                EventType.CALL_RECEIVED,
                EventType.APPOINTMENT_REQUESTED,
                EventType.APPOINTMENT_COMPLETED,
                EventType.APPOINTMENT_MISSED,
                EventType.APPOINTMENT_CANCELLED,
                EventType.PAYMENT_RECEIVED,
                EventType.TICKET_OPENED,
            )
        ),
        Trigger("appointment_count", (ConditionField.COUNT,)),
        Trigger("lifetime_value", (ConditionField.VALUE,)),
        Trigger("days_since_last_appointment", (ConditionField.DAYS,), indicates_risk=True),
        Trigger("risk_score", (ConditionField.SCORE,), indicates_risk=True),
        Trigger("engagement_score", (ConditionField.SCORE,)),
        Trigger("missed_rate", (ConditionField.RATE,)),
        Trigger("days_in_stage", (ConditionField.DAYS,)),
    )
}


@dataclass(frozen=True)
class Condition:
    """An operator and a number on one field, kept as the whole units it accepts."""

    field: ConditionField
    operator: Operator
    number: Decimal

    @cached_property
    def text(self) -> str:
        """The condition as it is written: `>=3`."""
        return f"{self.operator}{self.number}"

    @cached_property
    def interval(self) -> tuple[float, float, bool]:
        """(low, high, inside): the condition holds for low <= units <= high, or outside of it."""
        scaled = self.number * self.field.units if self.field is not ConditionField.RATE else Decimal(0)
        floor = int(scaled.to_integral_value(ROUND_FLOOR))
        ceiling = int(scaled.to_integral_value(ROUND_CEILING))
        match self.operator:
            case ">":
                return floor + 1, _INFINITY, True
            case ">=":
                return ceiling, _INFINITY, True
            case "<":
                return -_INFINITY, ceiling - 1, True
            case "<=":
                return -_INFINITY, floor, True
            case "==":
                return ceiling, floor, True
            case "!=":
                return ceiling, floor, False

    def accepts(self, units: int) -> bool:
        """Answer for a value in whole units of the field."""
        low, high, inside = self.interval
        return (low <= units <= high) is inside

    def accepts_ratio(self, part: int, whole: int) -> bool:
        """Answer for the exact ratio part / whole, whole > 0."""
        numerator, denominator = self.number.as_integer_ratio()
        return self.accepts(part * denominator - numerator * whole)

    @cached_property
    def change_points(self) -> tuple[int, ...]:
        """The whole values at which a growing number changes the answer."""
        low, high, _ = self.interval
        if low > high:
            return ()
        points = [int(low)] if low != -_INFINITY else []
        return (*points, int(high) + 1) if high != _INFINITY else tuple(points)

    @lru_cache(maxsize=1024)  # noqa: B019  # values are frozen and few: the conditions of stage maps
    def with_number(self, number: int) -> "Condition":
        """The same condition against another number, the operator kept."""
        return Condition(self.field, self.operator, Decimal(number))


@dataclass(frozen=True)
class Rule:
    """A trigger and the conditions that all have to hold."""

    trigger: Trigger
    conditions: tuple[Condition, ...]


def parse_condition(
    field: ConditionField, raw: object, pointer: str, errors: list[FieldError]
) -> Condition | None:
    """Read `>=3`; a fault is noted with its place, and None returned."""
    match = _CONDITION.fullmatch(raw) if isinstance(raw, str) else None
    if match is None:
        errors.append(
            FieldError(
                pointer,
                f"must be one of > >= < <= == != followed by a decimal number, such as '>=3'; got {quote_value(raw, 40)}",
            )
        )
        return None
    operator, number = match.groups()
    if field is ConditionField.DAYS and abs(Decimal(number)) > _MAX_DAYS:
        errors.append(FieldError(pointer, f"counts days, of which a rule may ask for {_MAX_DAYS} at most"))
        return None
    return Condition(field, operator, Decimal(number))  # type: ignore[arg-type]  # the pattern admits no other


def parse_rules(raw: object, pointer: str, errors: list[FieldError]) -> tuple[Rule, ...]:
    """Read the rules of a stage: nothing, one rule in the guide's form, or `{"any": [rule, ...]}`."""
    if raw is None or raw == []:
        return ()
    if not isinstance(raw, Mapping):
        errors.append(FieldError(pointer, 'must be a rule or {"any": [rule, ...]}'))
        return ()
    if not raw:
        return ()
    if "any" not in raw:
        rule = _parse_rule(raw, pointer, errors)
        return () if rule is None else (rule,)
    errors += [
        FieldError(f"{pointer}/{pointer_token(name)}", 'cannot stand beside "any"')
        for name in raw
        if name != "any"
    ]
    rules = raw["any"]
    if not isinstance(rules, Sequence) or isinstance(rules, str) or not 1 <= len(rules) <= _MAX_RULES:
        errors.append(FieldError(f"{pointer}/any", f"must be a list of 1 to {_MAX_RULES} rules"))
        return ()
    parsed = (_parse_rule(rule, f"{pointer}/any/{index}", errors) for index, rule in enumerate(rules))
    return tuple(rule for rule in parsed if rule is not None)


def _parse_rule(raw: object, pointer: str, errors: list[FieldError]) -> Rule | None:
    if not isinstance(raw, Mapping):
        errors.append(FieldError(pointer, "must be an object with a trigger and conditions"))
        return None
    before = len(errors)
    errors += [
        FieldError(f"{pointer}/{pointer_token(name)}", "is not part of a rule")
        for name in raw
        if name not in ("trigger", "conditions")
    ]
    name = raw.get("trigger")
    trigger = TRIGGERS.get(name) if isinstance(name, str) else None
    if trigger is None:
        errors.append(
            FieldError(
                f"{pointer}/trigger", f"must be one of {', '.join(TRIGGERS)}; got {quote_value(name, 40)}"
            )
        )
        return None
    conditions = _parse_conditions(raw.get("conditions"), trigger, f"{pointer}/conditions", errors)
    return Rule(trigger, conditions) if len(errors) == before else None


def _parse_conditions(
    raw: object, trigger: Trigger, pointer: str, errors: list[FieldError]
) -> tuple[Condition, ...]:
    # PHP writes an empty map as [], and the guide's readers copy it.
    raw = {} if raw is None or raw == [] else raw
    if not isinstance(raw, Mapping):
        errors.append(FieldError(pointer, 'must be an object such as {"count": ">=3"}'))
        return ()
    if not raw and not trigger.on_event:
        errors.append(FieldError(pointer, f"{trigger.name} needs a condition on {trigger.fields[0].label!r}"))
    fields = {field.label: field for field in trigger.fields}
    conditions = []
    for label, text in raw.items():
        place = f"{pointer}/{pointer_token(label)}"
        if label not in fields:
            errors.append(FieldError(place, f"{trigger.name} has no {label!r}; it has {', '.join(fields)}"))
        elif (condition := parse_condition(fields[label], text, place, errors)) is not None:
            conditions.append(condition)
    return tuple(conditions)


def rules_to_json(rules: Sequence[Rule]) -> dict[str, object] | None:
    """Write rules in the form `parse_rules` reads."""
    if not rules:
        return None
    written: list[dict[str, object]] = [
        {
            "trigger": rule.trigger.name,
            "conditions": {condition.field.label: condition.text for condition in rule.conditions},
        }
        for rule in rules
    ]
    return written[0] if len(written) == 1 else {"any": written}
