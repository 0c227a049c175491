"""Journeys that are evaluated at every change of a score, not only where a condition changes."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, TypeAlias

from journey_service.domain.companies.policy import CompanyPolicy
from journey_service.domain.events.event import Event
from journey_service.domain.journeys import scoring
from journey_service.domain.journeys.engine import Decision, decide
from journey_service.domain.journeys.facts import Facts
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Relationship, Rulebook
from journey_service.domain.stages.compiled_rules import CompiledRule
from journey_service.domain.stages.reasons import StageReason

_MAX_SCORE_STEPS: Final = 64
"""Score changes followed ahead; at the limit, the evaluation is scheduled early."""

Score: TypeAlias = Callable[[Facts, CompanyPolicy, datetime], object]

_SCORES: Final[Mapping[str, Score]] = {
    "engagement_score": scoring.engagement,
    "risk_score": scoring.risk,
    "missed_rate": scoring.missed_ratio,
}


def with_score_lookahead(journey_type: type[Journey]) -> type[Journey]:
    """Returns a journey type with the same decisions and more evaluations.

    A journey type with another decision function is returned unchanged: it schedules its own evaluations.
    """
    if journey_type.decide is not decide:
        return journey_type
    return type(journey_type.__name__, (journey_type,), {"decide": staticmethod(_decide)})


def _decide(
    relationship: Relationship, rulebook: Rulebook, now: datetime, event: Event | None = None
) -> Decision:
    return _LookaheadDecision(relationship, rulebook, now, event)


class _LookaheadDecision(Decision):
    """Decision whose next evaluation is at the next change of a score.

    The service follows a score to where it changes the result of a rule. Here it is followed to its next change, once
    for all rules: a map may have many.
    """

    __slots__ = ("_upcoming",)

    def __init__(
        self, relationship: Relationship, rulebook: Rulebook, now: datetime, event: Event | None
    ) -> None:
        self._upcoming: dict[str, datetime | None] = {}
        super().__init__(relationship, rulebook, now, event)

    @property
    def reasons(self) -> tuple[StageReason, ...]:
        """The entered stage and its rules; other evaluated stages are omitted."""
        if self._compiled_stage is None or self.move is None:
            return ()
        stage, compiled_rules = self._compiled_stage.evaluated_stages(self.move)[-1]
        rules = tuple([self._explain(rule) for rule in compiled_rules])
        return (StageReason(stage.key, stage.kind.value, any(rule.held for rule in rules), rules),)

    def _score_change(self, rule: CompiledRule, before: datetime | None) -> datetime | None:
        trigger, condition = rule.trigger, rule.conditions[0]
        if trigger == "risk_score" and self._is_unreachable(condition, before) and not condition.passes(self):
            return None
        if trigger not in self._upcoming:
            self._upcoming[trigger] = self._next_change(trigger)
        at = self._upcoming[trigger]
        return None if at is None or (before is not None and at >= before) else at

    def _next_change(self, trigger: str) -> datetime | None:
        read, at = _SCORES[trigger], self.now
        value = read(self._facts, self._policy, at)
        for _ in range(_MAX_SCORE_STEPS):
            step = self._next_score_instant(trigger, at)
            if step is None:
                return None
            at = step
            if read(self._facts, self._policy, at) != value:
                break
        return at
