"""Rules that can never decide a move, and the reasons, derived from the rules alone.

Only certain results are reported. A rule is shown to decide by an example history in which it does.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from journey_service.domain.events.event import EventType, max_sum
from journey_service.domain.journeys.relationship import Rulebook
from journey_service.domain.simulation.linter.value_ranges import (
    MAX_APPOINTMENTS,
    Intervals,
    accepted_by_field,
    is_within,
    possible_values,
    rule_text,
    with_retention,
)
from journey_service.domain.stages.rules import CHURN, RHYTHM, ConditionField, Rule
from journey_service.domain.stages.stage_map import INACTIVITY, Stage, StageKind

_AFTER_APPOINTMENT: Final = (INACTIVITY, RHYTHM, CHURN)
"""Triggers whose value is unknown before the first completed appointment."""
_LIMITS: Final[Mapping[ConditionField, str]] = {
    ConditionField.COUNT: f"the number of appointments is a whole number from 0 to {MAX_APPOINTMENTS}",
    ConditionField.DAYS: "days are whole numbers from 0 to about 200 years",
    ConditionField.RATIO: "a ratio has two decimals and is not negative",
    ConditionField.PROBABILITY: "a probability has two decimals and is between 0 and 1",
    ConditionField.RATE: "a rate is between 0 and 1, computed from at most 64 missed and 64 completed appointments",
    ConditionField.CALL_DURATION: "the duration of a call is a whole number of seconds, at least 0",
    ConditionField.TOTAL_AMOUNT: "an amount has no more decimals than the currency and is not negative",
}


class DeadRuleCause(StrEnum):
    """Cause that keeps a rule from deciding."""

    IMPOSSIBLE = "impossible"
    OUTRANKED = "outranked"
    REPEATED = "repeated"


class DeadRule(NamedTuple):
    """Rule that never decides: the cause, the key of the stage that causes it, and a clause for messages."""

    cause: DeadRuleCause
    by: str
    message: str


class RulePrecedence:
    """Compares the rules of one map with each other."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._stage_map, self._policy, _ = rulebook
        # The `retention_days` that a customer's stage may have, including None.
        self._retention_variants = tuple({stage.retention_days for stage in self._stage_map.progress})
        self._accepted: dict[tuple[int, int | None, StageKind], Mapping[ConditionField, Intervals]] = {}
        self._dead_rules: dict[tuple[str, int], DeadRule | None] = {}

    def find_dead_rule(self, stage: Stage, index: int) -> DeadRule | None:
        """Returns why a rule of a stage never decides; None if that is not certain."""
        key = stage.key, index
        if key not in self._dead_rules:
            self._dead_rules[key] = self._find_dead_rule(stage, index)
        return self._dead_rules[key]

    def unreachable_reasons(self, stage: Stage) -> tuple[DeadRule, ...] | None:
        """Returns why no rule of a stage ever leads into it; None if that is not certain of every rule."""
        reasons = []
        for index in range(len(stage.rules)):
            dead_rule = self.find_dead_rule(stage, index)
            if dead_rule is None:
                return None
            # A repeated rule is dead for the same cause as the earlier rule that covers it.
            if dead_rule.cause is not DeadRuleCause.REPEATED:
                reasons.append(dead_rule)
        return tuple(reasons)

    def _find_dead_rule(self, stage: Stage, index: int) -> DeadRule | None:
        rule = stage.rules[index]
        if all(self._is_empty(stage, rule, days, stage.kind) for days in self._retention_variants):
            return DeadRule(
                DeadRuleCause.IMPOSSIBLE,
                stage.key,
                f"{rule_text(rule)} can never hold, because {self._limit(stage, rule)}",
            )
        for other, outer in self._outranking(stage, rule):
            if self._covers(other, outer, stage, rule):
                return DeadRule(
                    DeadRuleCause.OUTRANKED,
                    other.key,
                    f"whenever {rule_text(rule)} holds, {rule_text(outer)} of {other.key!r} holds as well, "
                    f"and {other.key!r} takes precedence",
                )
        for earlier in stage.rules[:index]:
            if self._covers(stage, earlier, stage, rule):
                return DeadRule(
                    DeadRuleCause.REPEATED,
                    stage.key,
                    f"whenever {rule_text(rule)} holds, {rule_text(earlier)} holds as well and is evaluated first",
                )
        return None

    # ---- accepted values

    def _accepts(
        self, stage: Stage, rule: Rule, days: int | None, kind: StageKind
    ) -> Mapping[ConditionField, Intervals]:
        """Returns the values that a rule accepts of a customer with these `retention_days`, in such a stage."""
        key = id(rule), days, kind
        if key not in self._accepted:
            put = with_retention(rule, days) if stage is self._stage_map.mildest_risk else rule
            self._accepted[key] = accepted_by_field(put, self._policy, kind)
        return self._accepted[key]

    def _is_empty(self, stage: Stage, rule: Rule, days: int | None, kind: StageKind) -> bool:
        return () in self._accepts(stage, rule, days, kind).values()

    def _outranking(self, stage: Stage, rule: Rule) -> Iterator[tuple[Stage, Rule]]:
        """Yields the rules that are evaluated before this one in every decision that it can take part in."""
        above: list[Stage] = []
        if stage.kind is StageKind.RISK:
            above += [other for other in self._stage_map.risk_descending if other.order > stage.order]
        else:
            # Only the most severe risk stage is always evaluated before a progress stage, as no other one prevents a
            # return from it, and only after the first appointment.
            if self._implies_appointment(rule):
                above += self._stage_map.risk_descending[:1]
            above += [other for other in self._stage_map.progress_descending if other.order > stage.order]
        return ((other, outer) for other in above for outer in other.rules)

    def _covers(self, outer_stage: Stage, outer: Rule, stage: Stage, rule: Rule) -> bool:
        """Returns whether the outer rule holds whenever the rule does, for all `retention_days`."""
        same = outer.trigger.name == rule.trigger.name
        if not same and outer.trigger.name not in ("appointment_count", "lifetime_value"):
            return False
        for days in self._retention_variants:
            inner = self._accepts(stage, rule, days, stage.kind)
            if () in inner.values():
                continue
            known = None if same else self._implied(rule, inner).get(outer.trigger.name)
            if not same and known is None:
                return False
            for field, intervals in self._accepts(outer_stage, outer, days, stage.kind).items():
                if not is_within(known or self._known(inner, rule, field, stage.kind), intervals):
                    return False
        return True

    def _known(
        self, inner: Mapping[ConditionField, Intervals], rule: Rule, field: ConditionField, kind: StageKind
    ) -> Intervals:
        """Returns the values that a field can have while the rule holds."""
        if field in inner:
            return inner[field]
        among = possible_values(rule.trigger, field, self._policy, kind)
        # The duration of a call may be unknown, and then no condition on it holds: a value outside every interval.
        return ((among[0][0] - 1, among[-1][1]),) if field is ConditionField.CALL_DURATION else among

    def _implied(self, rule: Rule, inner: Mapping[ConditionField, Intervals]) -> Mapping[str, Intervals]:
        """Returns the values of other triggers that are implied by a rule that holds."""
        implied: dict[str, Intervals] = {}
        if self._implies_appointment(rule):
            implied["appointment_count"] = ((1, MAX_APPOINTMENTS),)
        amounts = inner.get(ConditionField.TOTAL_AMOUNT)
        is_visit = rule.trigger.event is EventType.APPOINTMENT_COMPLETED
        if amounts and is_visit and self._policy.revenue_source == "appointments":
            implied["lifetime_value"] = ((amounts[0][0], max_sum(self._policy.currency)),)
        return implied

    def _implies_appointment(self, rule: Rule) -> bool:
        """Returns whether the rule holds only for customers with a completed appointment."""
        if rule.trigger.event is EventType.APPOINTMENT_COMPLETED or rule.trigger.name in _AFTER_APPOINTMENT:
            return True
        is_sum = rule.trigger.name == "lifetime_value" and self._policy.revenue_source == "appointments"
        if rule.trigger.name != "appointment_count" and not is_sum:
            return False
        intervals = accepted_by_field(rule, self._policy, StageKind.PROGRESS)
        return all(not values or values[0][0] > 0 for values in intervals.values())

    # ---- messages

    def _limit(self, stage: Stage, rule: Rule) -> str:
        """Returns the clause on the values that the field of an impossible rule can have."""
        kind, policy = stage.kind, self._policy
        accepts = accepted_by_field(rule, policy, kind)
        field = next((field for field, intervals in accepts.items() if not intervals), None)
        if field is None:
            return "the `retention_days` of the progress stages leave no day that it accepts"
        conditions = [condition for condition in rule.conditions if condition.field is field]
        if all(
            accepted_by_field(Rule(rule.trigger, (condition,)), policy, kind)[field]
            for condition in conditions
        ):
            return f"its conditions on {field.label!r} contradict each other"
        if (
            field is ConditionField.COUNT
            and kind is StageKind.RISK
            and accepted_by_field(rule, policy, StageKind.PROGRESS)[field]
        ):
            return "a customer without a completed appointment cannot lapse"
        if field is ConditionField.SCORE:
            return f"a score is between 0 and 1, and the scoring policy yields no such {rule.trigger.name}"
        if field is ConditionField.VALUE:
            lowest = "" if policy.revenue_source == "payments" else "is not negative, "
            decimals = ("no", "one", "two", "three")[policy.currency.decimals]
            highest = policy.currency.format(max_sum(policy.currency))
            return f"the lifetime value {lowest}has {decimals} decimals, and is at most {highest}"
        return _LIMITS[field]
