"""The guide's own loop, read literally: stages in order, the first whose rule holds wins, in any direction."""

from datetime import datetime

from domain.builders import rule, stage
from journey_service.domain.journeys.engine import Decision
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Relationship, Rulebook
from journey_service.domain.stages.compiled_rules import ArbitrationStep, StageMove

#: what the guide's `match` has an arm for; every other trigger falls to its `default => false`
ARMS = frozenset(("appointment_count", "lifetime_value", "days_since_last_appointment", "call_received"))

#: the guide's seven stages, each with the one rule it has there
STAGES = (
    stage("prospect", 1, rule("call_received")),
    stage("lead", 2, rule("appointment_requested", call_duration=">60")),
    stage("customer", 3, rule("appointment_completed")),
    stage("regular", 4, rule("appointment_count", count=">=3")),
    stage("vip", 5, rule("lifetime_value", value=">=1000")),
    stage("at_risk", 6, rule("days_since_last_appointment", days=">90")),
    stage("churned", 7, rule("days_since_last_appointment", days=">180")),
)


class FirstMatch(Decision):
    """The guide's `evaluateAutoTransitions`."""

    arms: frozenset[str] | None = None

    def _choose(self) -> StageMove | None:
        for asked, questions in self._compiled_stage.rules_by_stage:
            if any(self._has_arm(question.trigger) and question.holds(self) for question in questions):
                is_here = asked.key == self._relationship.current_stage
                return (
                    None
                    if is_here
                    else StageMove(asked.key, "auto_transition_rule_met", ArbitrationStep.PROGRESS)
                )
        return None

    def _has_arm(self, trigger: str) -> bool:
        return self.arms is None or trigger in self.arms

    @property
    def reasons(self):
        return ()  # the guide keeps none


class FirstMatchOfTheArms(FirstMatch):
    """The same, with only the triggers for which the guide's `match` has an arm."""

    arms = ARMS


def _deciding_by(reading: type[Decision]):
    def decide(relationship: Relationship, rulebook: Rulebook, now: datetime, event=None) -> Decision:
        return reading(relationship, rulebook, now, event)

    return staticmethod(decide)


class LiteralJourney(Journey):
    """A journey of the guide's loop, had its `match` every arm."""

    decide = _deciding_by(FirstMatch)


class ArmlessJourney(Journey):
    """A journey of the guide's loop as it stands."""

    decide = _deciding_by(FirstMatchOfTheArms)
