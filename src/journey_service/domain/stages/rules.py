"""The rule grammar: triggers, conditions and their parsing.

A condition is an operator and a decimal number; nothing is evaluated as code. It is converted to the interval of
integers that it accepts: evaluation takes two integer comparisons, and the ends of the interval are the numbers of
days at which the result changes.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import Enum
from functools import cached_property, lru_cache
from typing import Final, Literal, TypeAlias

from journey_service.domain.companies.currencies import EUR, Currency
from journey_service.domain.errors import FieldError, pointer_token, quote_value
from journey_service.domain.events.event import EventType

Operator: TypeAlias = Literal[">", ">=", "<", "<=", "==", "!="]

_CONDITION: Final = re.compile(r"(>=|<=|==|!=|>|<)\s*(-?\d{1,12}(?:\.\d{1,6})?)", re.ASCII)
_MAX_RULES: Final = 20
"""Maximum number of rules of a stage; more are an error."""
_MAX_DAYS: Final = 36_500
"""Largest number of days in a condition; a larger one is an error."""
_MAX_RATIO: Final = 1_000
"""Largest ratio in a condition; a larger one is an error."""
CHURN: Final = "churn_probability"
"""Trigger on the probability of no visit until the customer counts as churned."""
RHYTHM: Final = "rhythm_ratio"
"""Trigger on the days since the last appointment over the customer's usual gap."""
_INFINITY: Final = float("inf")


class ConditionField(Enum):
    """The value that a condition compares: its name in JSON, and the number of integer units in one.

    Money has the units of a currency, see `units_in`.
    """

    COUNT = ("count", 1)
    VALUE = ("value", None)
    DAYS = ("days", 1)
    SCORE = ("score", 100)
    PROBABILITY = ("probability", 100)
    RATE = ("rate", 0)  # a ratio of two counts, compared by cross-multiplication
    RATIO = ("ratio", 100)
    CALL_DURATION = ("call_duration", 1)
    TOTAL_AMOUNT = ("total_amount", None)

    def __init__(self, label: str, units: int | None) -> None:
        self.label = label
        self._units = units

    @property
    def is_money(self) -> bool:
        """Whether the value is an amount in the company's currency."""
        return self._units is None

    def units_in(self, currency: Currency) -> int:
        """Returns the number of integer units in one."""
        return currency.units if self._units is None else self._units


@dataclass(frozen=True)
class Trigger:
    """The trigger of a rule: an event that is being applied, or a value of the customer's state."""

    name: str
    fields: tuple[ConditionField, ...]
    event: EventType | None = None
    indicates_risk: bool = False

    @property
    def on_event(self) -> bool:
        """Whether the trigger applies only while its event is being applied."""
        return self.event is not None


_EVENT_FIELDS: Final = (ConditionField.CALL_DURATION, ConditionField.TOTAL_AMOUNT)

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
        Trigger(RHYTHM, (ConditionField.RATIO,), indicates_risk=True),
        Trigger(CHURN, (ConditionField.PROBABILITY,), indicates_risk=True),
        Trigger("risk_score", (ConditionField.SCORE,), indicates_risk=True),
        Trigger("engagement_score", (ConditionField.SCORE,)),
        Trigger("missed_rate", (ConditionField.RATE,)),
        Trigger("days_in_stage", (ConditionField.DAYS,)),
    )
}
"""All triggers by name. A new trigger needs an entry here and a reader in `compiled_rules`."""


@dataclass(frozen=True)
class Condition:
    """An operator and a number on one field; money is in `currency`."""

    field: ConditionField
    operator: Operator
    number: Decimal
    currency: Currency = EUR

    @cached_property
    def text(self) -> str:
        """The condition in JSON notation: `>=3`."""
        return f"{self.operator}{self.number}"

    @property
    def units(self) -> int:
        """The number of integer units in one; 0 for a rate."""
        return self.field.units_in(self.currency)

    @cached_property
    def interval(self) -> tuple[float, float, bool]:
        """(low, high, inside): the condition holds for low <= units <= high, or outside of this range."""
        scaled = self.number * self.units
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
        """Returns whether the condition holds for a value in units of the field."""
        low, high, inside = self.interval
        return (low <= units <= high) is inside

    def accepts_ratio(self, part: int, whole: int) -> bool:
        """Returns whether the condition holds for the exact ratio part / whole, whole > 0."""
        numerator, denominator = self.number.as_integer_ratio()
        return self.accepts(part * denominator - numerator * whole)

    @cached_property
    def change_points(self) -> tuple[int, ...]:
        """The integers at which the result changes for an increasing number."""
        low, high, _ = self.interval
        if low > high:
            return ()
        points = [int(low)] if low != -_INFINITY else []
        return (*points, int(high) + 1) if high != _INFINITY else tuple(points)

    @lru_cache(maxsize=1024)  # noqa: B019  # values are frozen and few: the conditions of stage maps
    def with_number(self, number: int) -> "Condition":
        """Returns the condition with the same operator and another number."""
        return replace(self, number=Decimal(number))


@dataclass(frozen=True)
class Rule:
    """A trigger and its conditions, all of which must hold."""

    trigger: Trigger
    conditions: tuple[Condition, ...]


def parse_condition(
    field: ConditionField, raw: object, pointer: str, errors: list[FieldError]
) -> Condition | None:
    """Parses a condition such as `>=3`; for an error, appends it to `errors` and returns None."""
    match = _CONDITION.fullmatch(raw) if isinstance(raw, str) else None
    if match is None:
        errors.append(
            FieldError(
                pointer,
                "must be one of > >= < <= == != followed by a decimal number, such as '>=3';"
                f" got {quote_value(raw, 40)}",
            )
        )
        return None
    operator, number = match.groups()
    if field is ConditionField.DAYS and abs(Decimal(number)) > _MAX_DAYS:
        errors.append(FieldError(pointer, f"must be at most {_MAX_DAYS} days"))
        return None
    if field is ConditionField.RATIO and abs(Decimal(number)) > _MAX_RATIO:
        errors.append(FieldError(pointer, f"must be at most {_MAX_RATIO}"))
        return None
    return Condition(field, operator, Decimal(number))  # type: ignore[arg-type]  # the pattern admits no other


def parse_rules(raw: object, pointer: str, errors: list[FieldError]) -> tuple[Rule, ...]:
    """Parses the rules of a stage: null, one rule, or `{"any": [rule, ...]}`; appends errors to `errors`."""
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
        FieldError(f"{pointer}/{pointer_token(name)}", 'cannot be combined with "any"')
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
        FieldError(f"{pointer}/{pointer_token(name)}", "is not a field of a rule")
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
    # PHP serializes an empty map as [].
    raw = {} if raw is None or raw == [] else raw
    if not isinstance(raw, Mapping):
        errors.append(FieldError(pointer, 'must be an object such as {"count": ">=3"}'))
        return ()
    if not raw and not trigger.on_event:
        errors.append(FieldError(pointer, f"{trigger.name} needs a condition on {trigger.fields[0].label!r}"))
    fields = {field.label: field for field in trigger.fields}
    conditions = []
    for label, text in raw.items():
        position = f"{pointer}/{pointer_token(label)}"
        if label not in fields:
            errors.append(
                FieldError(position, f"{trigger.name} has no condition {label!r}; use {', '.join(fields)}")
            )
        elif (condition := parse_condition(fields[label], text, position, errors)) is not None:
            conditions.append(condition)
    return tuple(conditions)


def in_currency(rules: Sequence[Rule], currency: Currency) -> tuple[Rule, ...]:
    """Returns the rules with the amounts of their conditions in a currency."""
    return tuple(
        replace(rule, conditions=tuple(replace(each, currency=currency) for each in rule.conditions))
        for rule in rules
    )


def amount_errors(rules: Sequence[Rule], pointer: str, *, is_list: bool) -> list[FieldError]:
    """Returns the errors of amounts with more decimals than their currency.

    `is_list`: the rules have the form `{"any": [rule, ...]}`.
    """
    return [
        FieldError(
            f"{pointer}{f'/any/{index}' if is_list else ''}/conditions/{condition.field.label}",
            condition.currency.decimals_error,
        )
        for index, rule in enumerate(rules)
        for condition in rule.conditions
        if condition.field.is_money and not condition.currency.fits(condition.number)
    ]


def rules_to_json(rules: Sequence[Rule]) -> dict[str, object] | None:
    """Converts rules to the JSON that `parse_rules` reads."""
    if not rules:
        return None
    forms: list[dict[str, object]] = [
        {
            "trigger": rule.trigger.name,
            "conditions": {condition.field.label: condition.text for condition in rule.conditions},
        }
        for rule in rules
    ]
    return forms[0] if len(forms) == 1 else {"any": forms}
