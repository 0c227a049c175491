"""Paths to other stages: what is missing for a rule, computed from its compiled conditions."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto
from fractions import Fraction
from typing import Final, Literal, NamedTuple, TypeAlias

from journey_service.domain.events.event import EventType
from journey_service.domain.rounding import FULL
from journey_service.domain.stages.compiled_rules import ArbitrationStep, CompiledCondition
from journey_service.domain.stages.reasons import RuleReason
from journey_service.domain.stages.rules import RHYTHM, Condition, ConditionField
from journey_service.domain.stages.stage_map import INACTIVITY

PathUnit: TypeAlias = Literal[
    "money", "appointments", "days", "ratio", "probability", "score", "rate", "seconds"
]

UNITS: Final[Mapping[ConditionField, PathUnit]] = {
    ConditionField.COUNT: "appointments",
    ConditionField.VALUE: "money",
    ConditionField.DAYS: "days",
    ConditionField.RATIO: "ratio",
    ConditionField.PROBABILITY: "probability",
    ConditionField.SCORE: "score",
    ConditionField.RATE: "rate",
    ConditionField.CALL_DURATION: "seconds",
    ConditionField.TOTAL_AMOUNT: "money",
}
"""Unit of `value` and `missing` by field."""
SINCE_LAST: Final = (INACTIVITY, RHYTHM)
"""Triggers whose value grows from 0 after each completed appointment."""


class RequiredEvents(NamedTuple):
    """Events that would make a rule hold; None: any amount, any duration."""

    event: EventType
    times: int = 1
    amount_cents: int | None = None
    call_duration: int | None = None


ONE_APPOINTMENT: Final = RequiredEvents(EventType.APPOINTMENT_COMPLETED)


class PathState(Enum):
    """State of a rule with regard to a customer."""

    OPEN = auto()
    """Something is missing."""
    HOLDS = auto()
    DUE = auto()
    """Its move is due."""
    SHADOWED = auto()
    """Another rule of the same stage is met first."""
    IMPOSSIBLE = auto()
    """No event and no time makes it hold."""


@dataclass(frozen=True, slots=True)
class RulePath:
    """One rule that could move the customer, and what is missing for it.

    `value` and `missing` are in `unit`; `is_less`: the value must decrease by `missing`. `needs` are events that make
    the rule hold; `at` is when it holds by the passing of time; `is_averted`: an appointment completed
    now would prevent that.
    `leads_to` is the stage that the customer is in then; None: not computed. `blocked_by` is the rule that keeps the
    customer in a risk stage.
    """

    to_stage: str
    step: ArbitrationStep
    trigger: str
    conditions: tuple[Condition, ...] = ()
    value: float | int | None = None
    unit: PathUnit | None = None
    state: PathState = PathState.OPEN
    missing: float | int | None = None
    is_less: bool = False
    needs: RequiredEvents | None = None
    at: datetime | None = None
    is_averted: bool = False
    leads_to: str | None = None
    blocked_by: RuleReason | None = None


def distance(path: RulePath, compiled: CompiledCondition, missed_ratio: tuple[int, int]) -> RulePath:
    """Sets `missing` for a number of days, a score or a rate; IMPOSSIBLE if no value satisfies the condition."""
    value, condition = path.value, compiled.condition
    match condition.field:
        case ConditionField.RATE:
            return _rate_distance(path, condition, missed_ratio)
        case ConditionField.SCORE | ConditionField.PROBABILITY:
            units = round((value or 0) * FULL)
            target = smallest_accepted(compiled, units)
            if target is None or target > FULL:
                target = largest_accepted(compiled, units)
            if target is None or target < 0:
                return replace(path, state=PathState.IMPOSSIBLE)
            if value is None:
                return path
            return replace(path, missing=abs(target - units) / FULL, is_less=target < units)
        case _:
            units = round((value or 0) * condition.units)
            target = smallest_accepted(compiled, units)
            if smallest_accepted(compiled, 0) is None or (target is None and path.trigger not in SINCE_LAST):
                return replace(path, state=PathState.IMPOSSIBLE)
            if target is None or value is None:
                return replace(path, missing=None)
            return replace(path, missing=to_display_units(condition, target - units))


def _rate_distance(path: RulePath, condition: Condition, missed_ratio: tuple[int, int]) -> RulePath:
    number = Fraction(condition.number)
    ends = [(0, 1), (1, 1), *([number.as_integer_ratio()] if 0 <= number <= 1 else [])]
    if not any(condition.accepts_ratio(*ratio) for ratio in ends):
        return replace(path, state=PathState.IMPOSSIBLE)
    missed, total = missed_ratio
    if not total or condition.operator == "!=":
        return path
    rate = Fraction(missed, total)
    is_less = rate > number or condition.operator == "<"
    return replace(path, missing=round(float(abs(number - rate)), 4) or None, is_less=is_less)


def smallest_accepted(compiled: CompiledCondition, floor: int) -> int | None:
    """Returns the smallest integer from `floor` up that the condition accepts, or None."""
    if not compiled.inside:
        return int(compiled.high) + 1 if compiled.low <= floor <= compiled.high else floor
    number = max(floor, compiled.low)
    return int(number) if number <= compiled.high else None


def largest_accepted(compiled: CompiledCondition, ceiling: int) -> int | None:
    """Returns the largest integer from `ceiling` down that the condition accepts, or None."""
    if not compiled.inside:
        return int(compiled.low) - 1 if compiled.low <= ceiling <= compiled.high else ceiling
    number = min(ceiling, compiled.high)
    return int(number) if number >= compiled.low else None


def to_display_units(condition: Condition, units: int) -> float | int:
    """Converts integer units of a condition's field to display units, such as cents to money."""
    return units if condition.units == 1 else units / condition.units
