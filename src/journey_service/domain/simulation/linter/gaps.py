"""The values between those that the rules of a map ask for: nobody who has one is claimed by any stage."""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from journey_service.domain.companies.policy import CompanyPolicy
from journey_service.domain.journeys.relationship import Rulebook
from journey_service.domain.simulation.linter.value_ranges import (
    Spans,
    accepted,
    both,
    either,
    hull,
    new_transitions,
    possible,
    rates,
)
from journey_service.domain.stages.rules import TRIGGERS, ConditionField, Rule, Trigger
from journey_service.domain.stages.stage_map import Stage, StageKind

# Days in a stage begin again in each, so those of two stages are nothing to compare.
_COMPARED = tuple(t for t in TRIGGERS.values() if not t.on_event and t.name != "days_in_stage")


class RuleGap(NamedTuple):
    """Values that no rule accepts, with the stages and rules on either side of them."""

    above: Stage
    place: int
    below: Stage
    message: str


class _Claim(NamedTuple):
    """What one rule accepts of its trigger's values."""

    stage: Stage
    place: int
    spans: Spans

    @property
    def rule(self) -> Rule:
        return self.stage.rules[self.place]


def gaps(rulebook: Rulebook) -> Iterator[RuleGap]:
    """What the stages of one kind leave out between the least and the greatest value they ask for."""
    stage_map, policy = rulebook
    for kind in StageKind:
        stages = [stage for stage in stage_map.active if stage.kind is kind]
        for trigger in _COMPARED:
            yield from _left_out(stages, trigger, kind, policy)


def _left_out(
    stages: list[Stage], trigger: Trigger, kind: StageKind, policy: CompanyPolicy
) -> Iterator[RuleGap]:
    field = trigger.fields[0]
    having = possible(trigger, field, policy, kind)
    claims = [
        _Claim(stage, index, _accepted_by(rule, hull(having)))
        for stage in stages
        for index, rule in enumerate(stage.rules)
        if rule.trigger is trigger
    ]
    claims = [claim for claim in claims if claim.spans]
    claimed = either(span for claim in claims for span in claim.spans)
    if len(claims) == 1:
        return  # `!=3` means what it says
    for (_, low), (high, _) in pairwise(claimed):
        if not both(((low + 1, high - 1),), having):
            continue  # no customer can have such a value
        above = next(claim for claim in claims if any(first == high for first, _ in claim.spans))
        below = next(claim for claim in claims if any(final == low for _, final in claim.spans))
        yield RuleGap(
            above.stage,
            above.place,
            below.stage,
            f"{trigger.name} {_told(field, low + 1, high - 1)} is claimed by no {kind} stage: "
            f"{below.stage.key!r} asks for {new_transitions(below.rule)}, {above.stage.key!r} for {new_transitions(above.rule)}, "
            "and customers between the two stay where they are.",
        )


def _accepted_by(rule: Rule, among: Spans) -> Spans:
    for condition in rule.conditions:
        among = accepted(condition, among) if among else ()
    return among


def _told(field: ConditionField, low: int, high: int) -> str:
    ends = [_number(field, low), _number(field, high)]
    return ends[0] if ends[0] == ends[1] else f"from {ends[0]} to {ends[1]}"


def _number(field: ConditionField, units: int) -> str:
    if field is ConditionField.RATE:
        return f"{float(rates()[units]):.4g}"
    return str(units) if field.units == 1 else f"{units / field.units:.2f}"
