"""What the rules of a map say of each other without trying: which of them can never decide, and why.

Only what is certain is said here. That a rule can decide is shown by a history in which it does.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from journey_service.domain.events.event import MAX_SUM_CENTS, EventType
from journey_service.domain.journeys.relationship import Rulebook
from journey_service.domain.simulation.linter.value_ranges import (
    MAX_APPOINTMENTS,
    Spans,
    is_within,
    new_transitions,
    possible,
    readings,
    with_retention,
)
from journey_service.domain.stages.rules import ConditionField, Rule
from journey_service.domain.stages.stage_map import INACTIVITY, Stage, StageKind

_LIMITS: Final[Mapping[ConditionField, str]] = {
    ConditionField.COUNT: f"a number of appointments is a whole number from 0 to {MAX_APPOINTMENTS}",
    ConditionField.DAYS: "days are counted in whole numbers from 0, for two centuries at most",
    ConditionField.RATE: "a rate lies between 0 and 1 and compares at most 64 missed with 64 completed appointments",
    ConditionField.CALL_DURATION: "a call lasts whole seconds, never fewer than 0",
    ConditionField.TOTAL_AMOUNT: "an amount has two decimals and is never negative",
}


class Why(StrEnum):
    """What keeps a rule from deciding."""

    IMPOSSIBLE = "impossible"
    OUTRANKED = "outranked"
    REPEATED = "repeated"


class Never(NamedTuple):
    """A rule that never decides: what keeps it from that, which stage does, and the sentence."""

    why: Why
    by: str
    message: str


class Precedence:
    """The rules of one map, held against each other."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._stage_map, self._policy = rulebook
        # The numbers of `retention_days` that a customer's stage may give, none among them.
        self._variants = tuple({stage.retention_days for stage in self._stage_map.progress})
        self._read: dict[tuple[int, int | None, StageKind], Mapping[ConditionField, Spans]] = {}
        self._never: dict[tuple[str, int], Never | None] = {}

    def why_never(self, stage: Stage, index: int) -> Never | None:
        """Why a rule of a stage can never be the one that decides; None where that is not certain."""
        place = stage.key, index
        if place not in self._never:
            self._never[place] = self._why_never(stage, index)
        return self._never[place]

    def why_unreachable(self, stage: Stage) -> tuple[Never, ...] | None:
        """Why none of its rules ever leads into a stage; None where that is not certain of each."""
        reasons = []
        for index in range(len(stage.rules)):
            never = self.why_never(stage, index)
            if never is None:
                return None
            # What keeps back the earlier rule that covers this one keeps back both.
            if never.why is not Why.REPEATED:
                reasons.append(never)
        return tuple(reasons)

    def _why_never(self, stage: Stage, index: int) -> Never | None:
        rule = stage.rules[index]
        if all(self._is_empty(stage, rule, days, stage.kind) for days in self._variants):
            return Never(
                Why.IMPOSSIBLE,
                stage.key,
                f"{new_transitions(rule)} can never hold: {self._limit(stage, rule)}",
            )
        for other, outer in self._outranking(stage, rule):
            if self._covers(other, outer, stage, rule):
                return Never(
                    Why.OUTRANKED,
                    other.key,
                    f"whenever {new_transitions(rule)} holds, {new_transitions(outer)} of {other.key!r} holds as well, "
                    f"and {other.key!r} takes precedence",
                )
        for earlier in stage.rules[:index]:
            if self._covers(stage, earlier, stage, rule):
                return Never(
                    Why.REPEATED,
                    stage.key,
                    f"whenever {new_transitions(rule)} holds, {new_transitions(earlier)} holds as well, and is asked before it",
                )
        return None

    # ---- what a rule accepts

    def _accepts(
        self, stage: Stage, rule: Rule, days: int | None, kind: StageKind
    ) -> Mapping[ConditionField, Spans]:
        """What a stage's rule accepts of a customer with these `retention_days`, in a stage of that kind."""
        place = id(rule), days, kind
        if place not in self._read:
            put = with_retention(rule, days) if stage is self._stage_map.mildest_risk else rule
            self._read[place] = readings(put, self._policy, kind)
        return self._read[place]

    def _is_empty(self, stage: Stage, rule: Rule, days: int | None, kind: StageKind) -> bool:
        return () in self._accepts(stage, rule, days, kind).values()

    def _outranking(self, stage: Stage, rule: Rule) -> Iterator[tuple[Stage, Rule]]:
        """The rules that are asked before this one in every decision that it could take part in."""
        above: list[Stage] = []
        if stage.kind is StageKind.RISK:
            above += [other for other in self._stage_map.risk_descending if other.order > stage.order]
        else:
            # A return from the most severe risk stage is kept back by no other one, so only that one is asked
            # before a progress stage always, and only once there was an appointment.
            if self._implies_appointment(rule):
                above += self._stage_map.risk_descending[:1]
            above += [other for other in self._stage_map.progress_descending if other.order > stage.order]
        return ((other, outer) for other in above for outer in other.rules)

    def _covers(self, outer_stage: Stage, outer: Rule, stage: Stage, rule: Rule) -> bool:
        """Whether the outer rule holds whenever the rule does, for every number of `retention_days`."""
        same = outer.trigger.name == rule.trigger.name
        if not same and outer.trigger.name not in ("appointment_count", "lifetime_value"):
            return False
        for days in self._variants:
            inner = self._accepts(stage, rule, days, stage.kind)
            if () in inner.values():
                continue
            known = None if same else self._implied(rule, inner).get(outer.trigger.name)
            if not same and known is None:
                return False
            for field, spans in self._accepts(outer_stage, outer, days, stage.kind).items():
                if not is_within(known or self._known(inner, rule, field, stage.kind), spans):
                    return False
        return True

    def _known(
        self, inner: Mapping[ConditionField, Spans], rule: Rule, field: ConditionField, kind: StageKind
    ) -> Spans:
        """What is certain of a field while the rule holds."""
        if field in inner:
            return inner[field]
        among = possible(rule.trigger, field, self._policy, kind)
        # A call's length may be unknown, and then no condition on it holds: more than any interval.
        return ((among[0][0] - 1, among[-1][1]),) if field is ConditionField.CALL_DURATION else among

    def _implied(self, rule: Rule, inner: Mapping[ConditionField, Spans]) -> Mapping[str, Spans]:
        """What a rule that holds tells of other triggers."""
        implied: dict[str, Spans] = {}
        if self._implies_appointment(rule):
            implied["appointment_count"] = ((1, MAX_APPOINTMENTS),)
        amounts = inner.get(ConditionField.TOTAL_AMOUNT)
        is_visit = rule.trigger.event is EventType.APPOINTMENT_COMPLETED
        if amounts and is_visit and self._policy.revenue_source == "appointments":
            implied["lifetime_value"] = ((amounts[0][0], MAX_SUM_CENTS),)
        return implied

    def _implies_appointment(self, rule: Rule) -> bool:
        """Whether the rule holds of nobody who never came."""
        if rule.trigger.event is EventType.APPOINTMENT_COMPLETED or rule.trigger.name == INACTIVITY:
            return True
        is_sum = rule.trigger.name == "lifetime_value" and self._policy.revenue_source == "appointments"
        if rule.trigger.name != "appointment_count" and not is_sum:
            return False
        spans = readings(rule, self._policy, StageKind.PROGRESS)
        return all(not span or span[0][0] > 0 for span in spans.values())

    # ---- how it is said

    def _limit(self, stage: Stage, rule: Rule) -> str:
        """The sentence on the values that a rule's field can have."""
        kind, policy = stage.kind, self._policy
        accepts = readings(rule, policy, kind)
        field = next((field for field, spans in accepts.items() if not spans), None)
        if field is None:
            return "the retention_days of the progress stages leave it no day"
        conditions = [condition for condition in rule.conditions if condition.field is field]
        if all(readings(Rule(rule.trigger, (one,)), policy, kind)[field] for one in conditions):
            return f"its conditions on {field.label!r} contradict each other"
        if (
            field is ConditionField.COUNT
            and kind is StageKind.RISK
            and readings(rule, policy, StageKind.PROGRESS)[field]
        ):
            return "only a customer with at least one completed appointment can lapse"
        if field is ConditionField.SCORE:
            return (
                f"a score lies between 0 and 1, and the scoring policy makes none such ({rule.trigger.name})"
            )
        if field is ConditionField.VALUE:
            lowest = "" if policy.revenue_source == "payments" else "is never negative, "
            return f"a lifetime value {lowest}has two decimals, and at most {MAX_SUM_CENTS / 100:.2f} is kept"
        return _LIMITS[field]
