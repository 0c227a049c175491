"""The guide's transition loop, implemented literally: the first stage in order with a rule that holds."""

from datetime import datetime

from domain.builders import rule, stage
from journey_service.domain.journeys.engine import Decision
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Relationship, Rulebook
from journey_service.domain.stages.compiled_rules import ArbitrationStep, StageMove

#: triggers that the guide's `match` handles; every other trigger is `default => false`
ARMS = frozenset(("appointment_count", "lifetime_value", "days_since_last_appointment", "call_received"))

#: the guide's seven stages, each with its rule there
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
        for stage_, rules in self._compiled_stage.rules_by_stage:
            if any(self._has_arm(rule_.trigger) and rule_.holds(self) for rule_ in rules):
                is_here = stage_.key == self._relationship.current_stage
                return (
                    None
                    if is_here
                    else StageMove(stage_.key, "auto_transition_rule_met", ArbitrationStep.PROGRESS)
                )
        return None

    def _has_arm(self, trigger: str) -> bool:
        return self.arms is None or trigger in self.arms

    @property
    def reasons(self):
        return ()  # the guide has no reasons


class FirstMatchOfTheArms(FirstMatch):
    """`FirstMatch` with the triggers that the guide's `match` handles."""

    arms = ARMS


def _decide_with(decision: type[Decision]):
    def decide(relationship: Relationship, rulebook: Rulebook, now: datetime, event=None) -> Decision:
        return decision(relationship, rulebook, now, event)

    return staticmethod(decide)


class LiteralJourney(Journey):
    """A journey with the guide's loop, if its `match` handled every trigger."""

    decide = _decide_with(FirstMatch)


class ArmlessJourney(Journey):
    """A journey with the guide's loop as it is."""

    decide = _decide_with(FirstMatchOfTheArms)
