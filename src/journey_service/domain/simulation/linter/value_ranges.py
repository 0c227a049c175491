"""Values that rules accept: intervals of whole numbers, within the values that a customer can have."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from datetime import timedelta
from fractions import Fraction
from functools import lru_cache, reduce
from itertools import product
from typing import Final, NamedTuple, TypeAlias

from journey_service.domain.companies.policy import CompanyPolicy
from journey_service.domain.events.event import (
    EARLIEST,
    LATEST,
    MAX_AMOUNT_CENTS,
    MAX_CALL_SECONDS,
    max_sum,
)
from journey_service.domain.journeys.facts import MAX_KEPT_TIMES
from journey_service.domain.rounding import FULL, UNITS, half_up
from journey_service.domain.stages.rules import Condition, ConditionField, Rule, Trigger
from journey_service.domain.stages.stage_map import INACTIVITY, StageKind

Intervals: TypeAlias = tuple[tuple[int, int], ...]
"""Disjoint intervals of whole numbers, ascending, both ends included."""

MAX_APPOINTMENTS: Final = 2**31 - 1
"""Appointments that are counted for one customer."""
MAX_DAYS: Final = (LATEST - EARLIEST) // timedelta(days=1)
"""Days between the earliest and the latest time of an event."""


@lru_cache(maxsize=1)
def rates() -> tuple[Fraction, ...]:
    """Returns every rate that windows of 64 missed and 64 completed appointments can have, ascending.

    Rates are represented by their rank in this list, so that they are whole numbers like all other values.
    """
    windows = range(MAX_KEPT_TIMES + 1)
    ratios = {(missed / total, missed, total) for missed in windows for total in _possible_totals(missed)}
    # Floats distinguish ratios of numbers this small; equal ratios occur with several numerators.
    by_size = {size: (missed, total) for size, missed, total in ratios}
    return tuple(Fraction(*by_size[size]) for size in sorted(by_size))


def _possible_totals(missed: int) -> range:
    return range(max(1, missed), missed + MAX_KEPT_TIMES + 1)


def rank(part: int, whole: int) -> int:
    """Returns the rank of a rate among all rates."""
    return bisect_left(_sizes(), part / whole)


@lru_cache(maxsize=1)
def _sizes() -> tuple[float, ...]:
    return tuple(float(rate) for rate in rates())


def possible_values(
    trigger: Trigger, field: ConditionField, policy: CompanyPolicy, kind: StageKind
) -> Intervals:
    """Returns the values that a field can have when a stage of this kind is evaluated."""
    highest = {
        ConditionField.COUNT: MAX_APPOINTMENTS,
        ConditionField.VALUE: max_sum(policy.currency),
        ConditionField.DAYS: MAX_DAYS,
        ConditionField.RATIO: FULL * MAX_DAYS,  # a usual gap is at least one day
        ConditionField.CALL_DURATION: MAX_CALL_SECONDS,
        ConditionField.TOTAL_AMOUNT: MAX_AMOUNT_CENTS,
    }
    match field:
        case ConditionField.RATE:
            return ((0, len(rates()) - 1),)
        case ConditionField.PROBABILITY:
            return ((0, FULL),)
        case ConditionField.SCORE if trigger.name == "risk_score":
            return _risks(policy)
        case ConditionField.SCORE:
            numbers = policy.scoring.numbers
            units = numbers.frequency + numbers.recency + numbers.monetary + numbers.quality
            return ((0, min(FULL, max(half_up(units, UNITS // FULL), numbers.initial_engagement))),)
        case ConditionField.VALUE if policy.revenue_source == "payments":
            return ((-max_sum(policy.currency), max_sum(policy.currency)),)
        case ConditionField.COUNT if kind is StageKind.RISK:
            return ((1, MAX_APPOINTMENTS),)  # a customer without an appointment cannot lapse
        case _:
            return ((0, highest[field]),)


@lru_cache(maxsize=64)
def _risks(policy: CompanyPolicy) -> Intervals:
    """Returns the risk scores that the weights of the risk factors can add up to."""
    scoring, numbers = policy.scoring, policy.scoring.numbers
    scores = {numbers.initial_risk}
    for short, long, *further in product((False, True), repeat=5):
        if scoring.inactive_days <= scoring.very_inactive_days and long and not short:
            continue
        weights = (numbers.inactive, numbers.very_inactive, numbers.missed, numbers.trend, numbers.tickets)
        units = sum(weight for weight, holds in zip(weights, (short, long, *further), strict=True) if holds)
        scores.add(min(FULL, half_up(units, UNITS // FULL)))
    return tuple((score, score) for score in sorted(scores))


def accepted_values(condition: Condition, among: Intervals) -> Intervals:
    """Returns the values of `among` that a condition accepts."""
    low, high, is_inside = _ends(condition)
    first, last = among[0][0], among[-1][1]
    if is_inside:
        inner: Intervals = ((int(max(low, first)), int(min(high, last))),)
    elif low > high:
        return among
    else:
        inner = ((first, int(low) - 1), (int(high) + 1, last))
    return intersect(among, inner)


def _ends(condition: Condition) -> tuple[float, float, bool]:
    if condition.field is not ConditionField.RATE:
        return condition.interval
    number = Fraction(condition.number)
    below, up_to = bisect_left(rates(), number), bisect_right(rates(), number)
    match condition.operator:
        case ">":
            return up_to, float("inf"), True
        case ">=":
            return below, float("inf"), True
        case "<":
            return float("-inf"), below - 1, True
        case "<=":
            return float("-inf"), up_to - 1, True
        case "==":
            return below, up_to - 1, True
        case "!=":
            return below, up_to - 1, False


def intersect(first: Intervals, second: Intervals) -> Intervals:
    """Returns the values in both sets."""
    overlaps = ((max(a, c), min(b, d)) for a, b in first for c, d in second)
    return tuple(sorted((low, high) for low, high in overlaps if low <= high))


def union(intervals: Iterable[tuple[int, int]]) -> Intervals:
    """Returns the values in any of the intervals; adjacent intervals are joined."""
    joined: list[tuple[int, int]] = []
    for low, high in sorted(intervals):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return tuple(joined)


def bounding_interval(intervals: Intervals) -> Intervals:
    """Returns the interval from the lowest to the highest value."""
    return ((intervals[0][0], intervals[-1][1]),)


def is_within(inner: Intervals, outer: Intervals) -> bool:
    """Returns whether every value of `inner` is in `outer`."""
    return intersect(inner, outer) == inner


def accepted_by_field(
    rule: Rule, policy: CompanyPolicy, kind: StageKind
) -> Mapping[ConditionField, Intervals]:
    """Returns the values that a rule accepts of each of its fields; empty if nothing satisfies it."""
    accepted: dict[ConditionField, Intervals] = {}
    for condition in rule.conditions:
        among = accepted.get(condition.field, possible_values(rule.trigger, condition.field, policy, kind))
        accepted[condition.field] = accepted_values(condition, among) if among else ()
    return accepted


def with_retention(rule: Rule, days: int | None) -> Rule:
    """Returns the rule as it applies to a customer whose stage has these `retention_days`."""
    if days is None or rule.trigger.name != INACTIVITY:
        return rule
    return Rule(rule.trigger, tuple(condition.with_number(days) for condition in rule.conditions))


class ValueScale(NamedTuple):
    """Breakpoints at which a rule changes its result. They divide the values into buckets of equivalent values."""

    breakpoints: tuple[int, ...]

    def bucket(self, value: int | None) -> int:
        """Returns the index of the bucket that a value lies in; -1 for None."""
        return -1 if value is None else bisect_right(self.breakpoints, value)

    def above(self, value: int) -> tuple[int, ...]:
        """Returns the lowest value of each bucket above that of `value`, the nearest first."""
        return self.breakpoints[bisect_right(self.breakpoints, value) :]

    def below(self, value: int) -> tuple[int, ...]:
        """Returns the highest value of each bucket below that of `value`, the nearest first."""
        return tuple(
            point - 1 for point in reversed(self.breakpoints[: bisect_right(self.breakpoints, value)])
        )


def breakpoints(sets: Iterable[Intervals]) -> tuple[int, ...]:
    """Returns the values at which a growing value enters or leaves an interval, ascending."""
    ends = (end for intervals in sets for low, high in intervals for end in (low, high + 1))
    return tuple(sorted(set(ends)))


def rule_text(rule: Rule) -> str:
    """Returns a rule as its author wrote it, on one line: `appointment_count >=3`."""
    if not rule.conditions:
        return f"`{rule.trigger.name}`"
    if len(rule.trigger.fields) == 1:
        return f"`{rule.trigger.name} {' and '.join(condition.text for condition in rule.conditions)}`"
    conditions = reduce(lambda text, c: f"{text} and {c.field.label} {c.text}", rule.conditions, "")
    return f"`{rule.trigger.name} with {conditions.removeprefix(' and ')}`"
