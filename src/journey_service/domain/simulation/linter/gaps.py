"""Gaps: values between the thresholds of the stages of one kind that no rule covers."""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from journey_service.domain.companies.currencies import Currency
from journey_service.domain.companies.policy import CompanyPolicy
from journey_service.domain.journeys.relationship import Rulebook
from journey_service.domain.simulation.linter.value_ranges import (
    Intervals,
    accepted_values,
    bounding_interval,
    intersect,
    possible_values,
    rates,
    rule_text,
    union,
)
from journey_service.domain.stages.rules import TRIGGERS, ConditionField, Rule, Trigger
from journey_service.domain.stages.stage_map import Stage, StageKind

# The days in a stage start again in every stage, so those of different stages cannot be compared.
_COMPARED_TRIGGERS = tuple(t for t in TRIGGERS.values() if not t.on_event and t.name != "days_in_stage")


class RuleGap(NamedTuple):
    """Values that no rule accepts, with the stages and the rule on either side of them."""

    above: Stage
    rule_index: int
    below: Stage
    message: str


class _RuleValues(NamedTuple):
    """Values that one rule accepts."""

    stage: Stage
    rule_index: int
    intervals: Intervals

    @property
    def rule(self) -> Rule:
        return self.stage.rules[self.rule_index]


def gaps(rulebook: Rulebook) -> Iterator[RuleGap]:
    """Yields the values that the stages of one kind leave out between their lowest and highest thresholds."""
    stage_map, policy, _ = rulebook
    for kind in StageKind:
        stages = [stage for stage in stage_map.active if stage.kind is kind]
        for trigger in _COMPARED_TRIGGERS:
            yield from _gaps_of(stages, trigger, kind, policy)


def _gaps_of(
    stages: list[Stage], trigger: Trigger, kind: StageKind, policy: CompanyPolicy
) -> Iterator[RuleGap]:
    field = trigger.fields[0]
    possible = possible_values(trigger, field, policy, kind)
    rules = [
        _RuleValues(stage, index, _accepted_by(rule, bounding_interval(possible)))
        for stage in stages
        for index, rule in enumerate(stage.rules)
        if rule.trigger is trigger
    ]
    rules = [each for each in rules if each.intervals]
    if len(rules) == 1:
        return  # a single rule such as `!=3` leaves its values out on purpose
    covered = union(interval for each in rules for interval in each.intervals)
    for (_, low), (high, _) in pairwise(covered):
        if not intersect(((low + 1, high - 1),), possible):
            continue  # no customer can have such a value
        above = next(each for each in rules if any(first == high for first, _ in each.intervals))
        below = next(each for each in rules if any(final == low for _, final in each.intervals))
        values = _range_text(field, low + 1, high - 1, policy.currency)
        yield RuleGap(
            above.stage,
            above.rule_index,
            below.stage,
            f"No {kind} stage covers {trigger.name} {values}: {below.stage.key!r} "
            f"requires {rule_text(below.rule)}, {above.stage.key!r} requires {rule_text(above.rule)}, and customers "
            "in between stay in their stage. Extend one of the two rules to close the gap.",
        )


def _accepted_by(rule: Rule, among: Intervals) -> Intervals:
    for condition in rule.conditions:
        among = accepted_values(condition, among) if among else ()
    return among


def _range_text(field: ConditionField, low: int, high: int, currency: Currency) -> str:
    ends = [_number_text(field, low, currency), _number_text(field, high, currency)]
    return ends[0] if ends[0] == ends[1] else f"from {ends[0]} to {ends[1]}"


def _number_text(field: ConditionField, units: int, currency: Currency) -> str:
    if field is ConditionField.RATE:
        return f"{float(rates()[units]):.4g}"
    if field.is_money:
        return currency.format(units)
    units_per_one = field.units_in(currency)
    return str(units) if units_per_one == 1 else f"{units / units_per_one:.2f}"
