"""Projection: the future moves of a customer without new events, computed by the engine on a copy."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple, TypeAlias

from journey_service.domain.journeys.engine import decide
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Transition
from journey_service.domain.stages.compiled_rules import CompiledRule, compile_stage

PROJECTION_HORIZON: Final = timedelta(days=3650)
"""How far into the future moves are computed."""
MAX_EVALUATIONS: Final = 400
"""Maximum number of evaluations of a projection; later moves are not computed."""
MAX_REPORTED_MOVES: Final = 5
"""Maximum number of moves that a forecast reports."""

RuleKey: TypeAlias = tuple[str, int]
"""Identifies a rule: its stage, and its position there, from 1."""


class Projection(NamedTuple):
    """The future of a journey without new events, up to `until`.

    `held` is when a pending rule first holds. `overtaken_by` is the stage that the customer moves to before a pending
    rule holds.
    """

    moves: list[Transition]
    held: Mapping[RuleKey, datetime]
    overtaken_by: Mapping[RuleKey, str]
    until: datetime

    def first_moves(self) -> list[tuple[str, datetime, str | None]]:
        """Returns the first MAX_REPORTED_MOVES moves as (stage, instant, trigger)."""
        return [
            (move.to_stage, move.transitioned_at, move.trigger_event)
            for move in self.moves[:MAX_REPORTED_MOVES]
        ]

    def contains_move(self, to_stage: str, at: datetime) -> bool:
        """Returns whether the customer moves to a stage at exactly this instant."""
        return any((move.to_stage, move.transitioned_at) == (to_stage, at) for move in self.moves)


def project(journey: Journey, now: datetime) -> Projection:
    """Lets time pass for a journey, which is modified, and returns its projection."""
    relationship = journey.relationship
    held: dict[RuleKey, datetime] = {}
    overtaken_by: dict[RuleKey, str] = {}
    waiting = _pending(journey)
    at, until = now, now + PROJECTION_HORIZON
    for _ in range(MAX_EVALUATIONS):
        due = relationship.next_evaluation_at
        if due is None or due > until:
            break
        at = max(due, relationship.stage_entered_at)
        decision = decide(relationship, journey.rulebook, at)
        held |= {key: at for key, rule in waiting.items() if rule.holds(decision)}
        move = journey.evaluate(at)
        if move is not None:
            pending = _pending(journey)
            overtaken_by |= {key: move.to_stage for key in waiting if key not in pending and key not in held}
            waiting = pending
        waiting = {key: rule for key, rule in waiting.items() if key not in held}
    else:
        until = at
    return Projection(journey.new_transitions, held, overtaken_by, until)


def _pending(journey: Journey) -> dict[RuleKey, CompiledRule]:
    """Returns the rules whose result can change by the passing of time."""
    relationship = journey.relationship
    compiled = compile_stage(
        journey.rulebook.stage_map, relationship.current_stage, relationship.last_progress
    )
    if compiled is None:
        return {}
    time_dependent = {id(rule) for rule in compiled.pending[relationship.facts.total_appointments > 0]}
    return {
        key: rule
        for key, rule in with_rule_keys((*compiled.risk.all_rules, *compiled.progress.all_rules))
        if id(rule) in time_dependent
    }


def with_rule_keys(rules: Iterable[CompiledRule]) -> Iterator[tuple[RuleKey, CompiledRule]]:
    """Yields rules with their keys."""
    positions: Counter[str] = Counter()
    for rule in rules:
        positions[rule.stage.key] += 1
        yield (rule.stage.key, positions[rule.stage.key]), rule
