"""Looking at a journey at every instant at which a score changes, rather than where an answer does."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, TypeAlias

from journey_service.domain.companies.policy import CompanyPolicy
from journey_service.domain.events.event import Event
from journey_service.domain.journeys import scoring
from journey_service.domain.journeys.engine import Decision, decide
from journey_service.domain.journeys.facts import Facts
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Relationship, Rulebook, StageReason
from journey_service.domain.stages.compiled_rules import CompiledRule

_FAR: Final = 64
"""How many instants a score is followed ahead."""

Score: TypeAlias = Callable[[Facts, CompanyPolicy, datetime], object]

_SCORES: Final[Mapping[str, Score]] = {
    "engagement_score": scoring.engagement,
    "risk_score": scoring.risk,
    "missed_rate": scoring.missed_ratio,
}


def with_score_lookahead(journeys: type[Journey]) -> type[Journey]:
    """The same journeys, decided on alike, and looked at more often.

    Another reading of the rules is left as it is: it knows best when to look again.
    """
    if journeys.decide is not decide:
        return journeys
    return type(journeys.__name__, (journeys,), {"decide": staticmethod(_decide)})


def _decide(
    relationship: Relationship, rulebook: Rulebook, now: datetime, event: Event | None = None
) -> Decision:
    return _Attentive(relationship, rulebook, now, event)


class _Attentive(Decision):
    """The same decision, with a next time that is earlier where a score is asked for.

    The service follows a score ahead to where it changes the answer to a question. Here it is followed to
    where it changes at all, once for all questions: a map may ask many.
    """

    __slots__ = ("_upcoming",)

    def __init__(
        self, relationship: Relationship, rulebook: Rulebook, now: datetime, event: Event | None
    ) -> None:
        self._upcoming: dict[str, datetime | None] = {}
        super().__init__(relationship, rulebook, now, event)

    @property
    def reasons(self) -> tuple[StageReason, ...]:
        """The stage moved to and its rules; the others that were looked at are nobody's concern here."""
        if self._compiled_stage is None or self.move is None:
            return ()
        stage, questions = self._compiled_stage.evaluated_stages(self.move)[-1]
        rules = tuple([self._reason(question) for question in questions])
        return (StageReason(stage.key, stage.kind.value, any(rule.held for rule in rules), rules),)

    def _score_change(self, question: CompiledRule, before: datetime | None) -> datetime | None:
        trigger, test = question.trigger, question.conditions[0]
        if trigger == "risk_score" and self._is_out_of_reach(test, before) and not test.passes(self):
            return None
        if trigger not in self._upcoming:
            self._upcoming[trigger] = self._next_change(trigger)
        at = self._upcoming[trigger]
        return None if at is None or (before is not None and at >= before) else at

    def _next_change(self, trigger: str) -> datetime | None:
        read, at = _SCORES[trigger], self.now
        value = read(self._facts, self._policy, at)
        for _ in range(_FAR):
            step = self._next_score_instant(trigger, at)
            if step is None:
                return None
            at = step
            if read(self._facts, self._policy, at) != value:
                break
        return at
