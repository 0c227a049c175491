"""Which values a rule accepts: intervals of whole numbers, within what a customer can have at all."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from datetime import timedelta
from fractions import Fraction
from functools import lru_cache, reduce
from itertools import product
from typing import Final, TypeAlias

from journey_service.domain.companies.policy import CompanyPolicy
from journey_service.domain.events.event import (
    EARLIEST,
    LATEST,
    MAX_AMOUNT_CENTS,
    MAX_CALL_SECONDS,
    MAX_SUM_CENTS,
)
from journey_service.domain.journeys.facts import MAX_KEPT_TIMES
from journey_service.domain.rounding import FULL, UNITS, half_up
from journey_service.domain.stages.rules import Condition, ConditionField, Rule, Trigger
from journey_service.domain.stages.stage_map import INACTIVITY, StageKind

Spans: TypeAlias = tuple[tuple[int, int], ...]
"""Disjoint intervals of whole numbers, ascending, both ends included."""

MAX_APPOINTMENTS: Final = 2**31 - 1
MAX_DAYS: Final = (LATEST - EARLIEST) // timedelta(days=1)


@lru_cache(maxsize=1)
def rates() -> tuple[Fraction, ...]:
    """Every rate that windows of 64 missed and 64 completed appointments can show, ascending.

    A rate is counted by its rank here, so that it is a whole number like every other value.
    """
    windows = range(MAX_KEPT_TIMES + 1)
    found = {(missed / asked, missed, asked) for missed in windows for asked in _asked(missed)}
    # Ratios of numbers this small are told apart by floats; equal ones come in several writings.
    by_size = {size: (missed, asked) for size, missed, asked in found}
    return tuple(Fraction(*by_size[size]) for size in sorted(by_size))


def _asked(missed: int) -> range:
    return range(max(1, missed), missed + MAX_KEPT_TIMES + 1)


def rank(part: int, whole: int) -> int:
    """The place of a rate among all rates."""
    return bisect_left(_sizes(), part / whole)


@lru_cache(maxsize=1)
def _sizes() -> tuple[float, ...]:
    return tuple(float(rate) for rate in rates())


def possible(trigger: Trigger, field: ConditionField, policy: CompanyPolicy, kind: StageKind) -> Spans:
    """The values a field can have where a stage of this kind asks, whatever happens to a customer."""
    highest = {
        ConditionField.COUNT: MAX_APPOINTMENTS,
        ConditionField.VALUE: MAX_SUM_CENTS,
        ConditionField.DAYS: MAX_DAYS,
        ConditionField.CALL_DURATION: MAX_CALL_SECONDS,
        ConditionField.TOTAL_AMOUNT: MAX_AMOUNT_CENTS,
    }
    match field:
        case ConditionField.RATE:
            return ((0, len(rates()) - 1),)
        case ConditionField.SCORE if trigger.name == "risk_score":
            return _risks(policy)
        case ConditionField.SCORE:
            numbers = policy.scoring.numbers
            units = numbers.frequency + numbers.recency + numbers.monetary + numbers.quality
            return ((0, min(FULL, max(half_up(units, UNITS // FULL), numbers.new_engagement))),)
        case ConditionField.VALUE if policy.revenue_source == "payments":
            return ((-MAX_SUM_CENTS, MAX_SUM_CENTS),)
        case ConditionField.COUNT if kind is StageKind.RISK:
            return ((1, MAX_APPOINTMENTS),)  # nobody lapses who never came
        case _:
            return ((0, highest[field]),)


@lru_cache(maxsize=64)
def _risks(policy: CompanyPolicy) -> Spans:
    """The scores that the weights of the risk factors add up to."""
    scoring, numbers = policy.scoring, policy.scoring.numbers
    scores = {numbers.new_risk}
    for short, long, *others in product((False, True), repeat=5):
        if scoring.inactive_days <= scoring.very_inactive_days and long and not short:
            continue
        weights = (numbers.inactive, numbers.very_inactive, numbers.missed, numbers.trend, numbers.tickets)
        units = sum(weight for weight, holds in zip(weights, (short, long, *others), strict=True) if holds)
        scores.add(min(FULL, half_up(units, UNITS // FULL)))
    return tuple((score, score) for score in sorted(scores))


def accepted(condition: Condition, among: Spans) -> Spans:
    """The values among the possible ones that a condition accepts."""
    low, high, is_inside = _ends(condition)
    first, last = among[0][0], among[-1][1]
    if is_inside:
        inner: Spans = ((int(max(low, first)), int(min(high, last))),)
    elif low > high:
        return among
    else:
        inner = ((first, int(low) - 1), (int(high) + 1, last))
    return both(among, inner)


def _ends(condition: Condition) -> tuple[float, float, bool]:
    if condition.field is not ConditionField.RATE:
        return condition.interval
    number = Fraction(condition.number)
    below, upto = bisect_left(rates(), number), bisect_right(rates(), number)
    match condition.operator:
        case ">":
            return upto, float("inf"), True
        case ">=":
            return below, float("inf"), True
        case "<":
            return float("-inf"), below - 1, True
        case "<=":
            return float("-inf"), upto - 1, True
        case "==":
            return below, upto - 1, True
        case "!=":
            return below, upto - 1, False


def both(one: Spans, other: Spans) -> Spans:
    """The values in both."""
    met = ((max(a, c), min(b, d)) for a, b in one for c, d in other)
    return tuple(sorted((low, high) for low, high in met if low <= high))


def either(spans: Iterable[tuple[int, int]]) -> Spans:
    """The values in any of the intervals, neighbours joined."""
    joined: list[tuple[int, int]] = []
    for low, high in sorted(spans):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return tuple(joined)


def hull(spans: Spans) -> Spans:
    """The one interval from the lowest value to the highest."""
    return ((spans[0][0], spans[-1][1]),)


def is_within(inner: Spans, outer: Spans) -> bool:
    """Whether every value of the one is in the other."""
    return both(inner, outer) == inner


def readings(rule: Rule, policy: CompanyPolicy, kind: StageKind) -> Mapping[ConditionField, Spans]:
    """What a rule accepts of each field it asks for; an empty tuple where nothing can satisfy it."""
    found: dict[ConditionField, Spans] = {}
    for condition in rule.conditions:
        among = found.get(condition.field, possible(rule.trigger, condition.field, policy, kind))
        found[condition.field] = accepted(condition, among) if among else ()
    return found


def with_retention(rule: Rule, days: int | None) -> Rule:
    """The rule as it is put to a customer whose stage has these `retention_days`."""
    if days is None or rule.trigger.name != INACTIVITY:
        return rule
    return Rule(rule.trigger, tuple(condition.with_number(days) for condition in rule.conditions))


def cuts(spans: Iterable[Spans]) -> tuple[int, ...]:
    """Where a growing value enters or leaves any of the intervals, ascending."""
    ends = (end for span in spans for low, high in span for end in (low, high + 1))
    return tuple(sorted(set(ends)))


def new_transitions(rule: Rule) -> str:
    """A rule as its author wrote it, on one line: `appointment_count >=3`."""
    if not rule.conditions:
        return f"`{rule.trigger.name}`"
    if len(rule.trigger.fields) == 1:
        return f"`{rule.trigger.name} {' and '.join(condition.text for condition in rule.conditions)}`"
    told = reduce(lambda text, c: f"{text} and {c.field.label} {c.text}", rule.conditions, "")
    return f"`{rule.trigger.name} with {told.removeprefix(' and ')}`"
