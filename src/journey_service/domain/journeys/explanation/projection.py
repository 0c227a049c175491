"""What becomes of a customer if nothing happens: the engine, played forward on a copy."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple, TypeAlias

from journey_service.domain.journeys.engine import decide
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Transition
from journey_service.domain.stages.compiled_rules import CompiledRule, compile_stage

PROJECTION_HORIZON: Final = timedelta(days=3650)
"""How far ahead moves are looked for."""
MAX_EVALUATIONS: Final = 400
"""How many instants are looked at on the way there: moves beyond the last of them are not told."""
MAX_REPORTED_MOVES: Final = 5
"""How many of the moves found are told."""

RuleKey: TypeAlias = tuple[str, int]
"""A rule: its stage, and its place there."""


class Projection(NamedTuple):
    """What becomes of a journey if nothing happens to it.

    `held` tells when the rule of a question first held while it was asked, `overtaken` where the customer went
    before it ever did.
    """

    moves: list[Transition]
    held: Mapping[RuleKey, datetime]
    overtaken: Mapping[RuleKey, str]
    until: datetime

    def first_moves(self) -> list[tuple[str, datetime, str | None]]:
        """The first of the moves: (stage entered, instant, trigger)."""
        return [
            (move.to_stage, move.transitioned_at, move.trigger_event)
            for move in self.moves[:MAX_REPORTED_MOVES]
        ]

    def makes(self, to_stage: str, at: datetime) -> bool:
        """Whether a move into a stage is made at exactly this instant."""
        return any((move.to_stage, move.transitioned_at) == (to_stage, at) for move in self.moves)


def project(journey: Journey, now: datetime) -> Projection:
    """Let time pass over a journey that may be used up."""
    relationship = journey.relationship
    held: dict[RuleKey, datetime] = {}
    overtaken: dict[RuleKey, str] = {}
    waiting = _pending(journey)
    at, until = now, now + PROJECTION_HORIZON
    for _ in range(MAX_EVALUATIONS):
        due = relationship.next_evaluation_at
        if due is None or due > until:
            break
        at = max(due, relationship.stage_entered_at)
        decision = decide(relationship, journey.rulebook, at)
        held |= {key: at for key, question in waiting.items() if question.holds(decision)}
        move = journey.evaluate(at)
        if move is not None:
            asked = _pending(journey)
            overtaken |= {key: move.to_stage for key in waiting if key not in asked and key not in held}
            waiting = asked
        waiting = {key: question for key, question in waiting.items() if key not in held}
    else:
        until = at
    return Projection(journey.new_transitions, held, overtaken, until)


def _pending(journey: Journey) -> dict[RuleKey, CompiledRule]:
    """The questions that the passing of time alone may answer otherwise."""
    relationship = journey.relationship
    plan = compile_stage(journey.rulebook.stage_map, relationship.current_stage, relationship.last_progress)
    if plan is None:
        return {}
    asked = {id(question) for question in plan.pending[relationship.facts.total_appointments > 0]}
    return {
        key: question
        for key, question in with_rule_keys((*plan.risk.all_rules, *plan.progress.all_rules))
        if id(question) in asked
    }


def with_rule_keys(questions: Iterable[CompiledRule]) -> Iterator[tuple[RuleKey, CompiledRule]]:
    """Questions with the rules they are."""
    places: Counter[str] = Counter()
    for question in questions:
        places[question.stage.key] += 1
        yield (question.stage.key, places[question.stage.key]), question
