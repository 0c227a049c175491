"""What a rule misses, and what would bring it about: read off the engine's own questions."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto
from fractions import Fraction
from typing import Final, Literal, NamedTuple, TypeAlias

from journey_service.domain.events.event import EventType
from journey_service.domain.journeys.relationship import RuleReason
from journey_service.domain.rounding import FULL
from journey_service.domain.stages.compiled_rules import ArbitrationStep, CompiledCondition
from journey_service.domain.stages.rules import Condition, ConditionField
from journey_service.domain.stages.stage_map import INACTIVITY

PathUnit: TypeAlias = Literal["money", "appointments", "days", "score", "rate", "seconds"]

UNITS: Final[Mapping[ConditionField, PathUnit]] = {
    ConditionField.COUNT: "appointments",
    ConditionField.VALUE: "money",
    ConditionField.DAYS: "days",
    ConditionField.SCORE: "score",
    ConditionField.RATE: "rate",
    ConditionField.CALL_DURATION: "seconds",
    ConditionField.TOTAL_AMOUNT: "money",
}


class RequiredEvents(NamedTuple):
    """What would have to happen: so many events of a type. None: the amount, or the length, does not matter."""

    event: EventType
    times: int = 1
    amount_cents: int | None = None
    call_duration: int | None = None


ONE_APPOINTMENT: Final = RequiredEvents(EventType.APPOINTMENT_COMPLETED)


class PathState(Enum):
    """How a rule stands: something is missing; it holds; its move is due; another rule of its stage comes first."""

    OPEN = auto()
    HOLDS = auto()
    DUE = auto()
    SHADOWED = auto()
    IMPOSSIBLE = auto()


@dataclass(frozen=True, slots=True)
class RulePath:
    """One rule that could move the customer, and what it misses.

    `value` is what the rule's condition sees; it and `missing` are in the condition's own unit: `is_less` tells
    that so much less is asked. `needs` is what would have to happen, or else `at` when the passing of time does.
    `leads_to` is the stage the customer then is in, None if that was not tried. `blocked_by` is the rule that
    keeps the customer in a risk stage.
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


def distance(path: RulePath, test: CompiledCondition, missed_ratio: tuple[int, int]) -> RulePath:
    """How far a count of days, a score or a rate is from what is asked, or that nothing ever is."""
    value, condition = path.value, test.condition
    match condition.field:
        case ConditionField.RATE:
            return _rate_distance(path, condition, missed_ratio)
        case ConditionField.SCORE:
            units = round((value or 0) * FULL)
            target = smallest_accepted(test, units)
            if target is None or target > FULL:
                target = largest_accepted(test, units)
            if target is None or target < 0:
                return replace(path, state=PathState.IMPOSSIBLE)
            return replace(path, missing=abs(target - units) / FULL, is_less=target < units)
        case _:
            target = smallest_accepted(test, int(value or 0))
            if smallest_accepted(test, 0) is None or (target is None and path.trigger != INACTIVITY):
                return replace(path, state=PathState.IMPOSSIBLE)
            return replace(path, missing=None if target is None or value is None else target - value)


def _rate_distance(path: RulePath, condition: Condition, missed_ratio: tuple[int, int]) -> RulePath:
    number = Fraction(condition.number)
    ends = [(0, 1), (1, 1), *([number.as_integer_ratio()] if 0 <= number <= 1 else [])]
    if not any(condition.accepts_ratio(*ratio) for ratio in ends):
        return replace(path, state=PathState.IMPOSSIBLE)
    missed, asked = missed_ratio
    if not asked or condition.operator == "!=":
        return path
    rate = Fraction(missed, asked)
    is_less = rate > number or condition.operator == "<"
    return replace(path, missing=round(float(abs(number - rate)), 4) or None, is_less=is_less)


def smallest_accepted(test: CompiledCondition, floor: int) -> int | None:
    """The least number from `floor` up that the condition takes."""
    if not test.inside:
        return int(test.high) + 1 if test.low <= floor <= test.high else floor
    number = max(floor, test.low)
    return int(number) if number <= test.high else None


def largest_accepted(test: CompiledCondition, ceiling: int) -> int | None:
    """The greatest number from `ceiling` down that the condition takes."""
    if not test.inside:
        return int(test.low) - 1 if test.low <= ceiling <= test.high else ceiling
    number = min(ceiling, test.high)
    return int(number) if number >= test.low else None


def to_display_units(field: ConditionField, units: int) -> float | int:
    """A number of whole units as a person would write it."""
    return units if field.units == 1 else units / field.units
