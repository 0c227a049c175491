"""The decision: which stage a customer belongs in, why, and when this can change. A pure function.

Arbitration, the first match decides: a pin keeps the stage; a completed appointment returns a customer from a risk
stage; the most severe risk stage with a rule that holds, unless an open booking pauses it; the highest progress stage
above the present one with a rule that holds; otherwise the customer stays.
"""

from datetime import datetime, timedelta
from typing import Final

from journey_service.domain.events.event import Event, EventType
from journey_service.domain.journeys import scoring
from journey_service.domain.journeys.booking_pause import next_pause_change, pausing_booking
from journey_service.domain.journeys.churn_hazards import churn_hundredths, churn_reached_at
from journey_service.domain.journeys.facts import DAY, days_since
from journey_service.domain.journeys.relationship import Relationship, Rulebook
from journey_service.domain.journeys.rhythm import ratio_hundredths, ratio_reached_at, usual_gap_seconds
from journey_service.domain.stages.compiled_rules import (
    ArbitrationStep,
    CompiledCondition,
    CompiledRule,
    CompiledStage,
    RuleSequence,
    StageMove,
    compile_stage,
)
from journey_service.domain.stages.reasons import RuleReason, StageReason
from journey_service.domain.stages.rules import CHURN, RHYTHM
from journey_service.domain.stages.stage_map import INACTIVITY, StageKind

_MAX_SCORE_STEPS: Final = 64
"""Maximum number of score changes to examine; at the limit, the evaluation is scheduled early."""

_SCORES: Final = frozenset(("risk_score", "engagement_score", "missed_rate"))
_GROWING_RATIOS: Final = frozenset((RHYTHM, CHURN))
"""Triggers whose values grow from day to day until the next appointment."""
_NOTHING_HELD: Final[frozenset[tuple[str, str]]] = frozenset()


class Decision:
    """The decision about one customer at one instant; its inputs are computed when first read.

    `move` is the move that the rules decide, None to stay; `is_suppressed`: whether a pin suppresses it.
    """

    __slots__ = (
        "_compiled_stage",
        "_days_inactive",
        "_engagement",
        "_facts",
        "_held",
        "_is_completed",
        "_policy",
        "_relationship",
        "_risk",
        "_stage_map",
        "_usual_gap",
        "event",
        "is_suppressed",
        "move",
        "now",
    )

    def __init__(
        self, relationship: Relationship, rulebook: Rulebook, now: datetime, event: Event | None = None
    ) -> None:
        self._relationship = relationship
        self._facts = relationship.facts
        self._stage_map, self._policy, _ = rulebook
        self._compiled_stage = compile_stage(
            self._stage_map, relationship.current_stage, relationship.last_progress
        )
        self._days_inactive: int | None = None
        self._risk: int | None = None
        self._engagement: int | None = None
        self._usual_gap: int | None = None
        self._held = _NOTHING_HELD
        self._is_completed = event is not None and event.type == EventType.APPOINTMENT_COMPLETED
        self.now = now
        self.event = event
        pin_until = relationship.pin_until
        if pin_until is None:
            self.move = self._choose()
            self.is_suppressed = False
            return
        if pin_until <= now:  # at the end of a pin, events during the pin count as being applied
            self._held = relationship.pin_state.held
            self._is_completed = self._is_completed or relationship.pin_state.completed
        self.move = self._choose()
        self.is_suppressed = self.move is not None and now < pin_until

    # ---- arbitration

    def _choose(self) -> StageMove | None:
        compiled = self._compiled_stage
        if compiled is None:
            return None  # a customer in an unknown stage is repaired, not evaluated
        if self._is_completed and compiled.is_risk and self._first(compiled.blockers) is None:
            return self._return(compiled)
        if self._facts.total_appointments:
            rule = self._first(compiled.risk)
            if rule is not None and self.paused_by is None:
                return rule.move
        rule = self._first(compiled.progress)
        return None if rule is None else rule.move

    def _return(self, compiled: CompiledStage) -> StageMove:
        rule = self._first(compiled.returns)
        target = self._stage_map.start if rule is None else rule.stage
        for key in self._relationship.stages_held:
            stage = self._stage_map.find(key)
            if stage is not None and stage.kind is StageKind.PROGRESS and stage.order > target.order:
                target = stage
        return StageMove(target.key, EventType.APPOINTMENT_COMPLETED.value, ArbitrationStep.RETURN)

    def _first(self, sequence: RuleSequence) -> CompiledRule | None:
        if self._held:
            for rule in sequence.all_rules:
                if self._holds(rule):
                    return rule
            return None
        event = self.event
        for rule in sequence.for_event(event):
            for read, low, high, inside in rule.comparisons:
                value = read(self)
                if value is None or (low <= value <= high) is not inside:
                    break
            else:
                return rule
        return None

    def _holds(self, rule: CompiledRule) -> bool:
        return (rule.stage.key, rule.trigger) in self._held or rule.holds(self)

    @property
    def paused_by(self) -> datetime | None:
        """The time of the appointment whose open booking pauses moves to risk stages; None without one."""
        return pausing_booking(self._facts.open_bookings, self._policy, self.now)

    # ---- inputs of rules

    @property
    def appointments(self) -> int:
        """Completed appointments."""
        return self._facts.total_appointments

    @property
    def lifetime_cents(self) -> int:
        """Lifetime value in cents."""
        return self._facts.lifetime_cents(self._policy)

    @property
    def days_inactive(self) -> int | None:
        """Whole days since the last completed appointment; None without one."""
        days = self._days_inactive
        if days is None:
            last = self._facts.last_appointment_at
            if last is None:
                return None
            self._days_inactive = days = days_since(last, self.now)
        return days

    @property
    def rhythm_ratio(self) -> int | None:
        """Days since the last completed appointment over the usual gap, in hundredths; None without one."""
        days = self.days_inactive
        return None if days is None else ratio_hundredths(days, self._usual_gap_seconds())

    @property
    def churn_probability(self) -> int | None:
        """Churn probability in hundredths; None without a prediction."""
        hazards, last = self._relationship.churn_hazards, self._facts.last_appointment_at
        return churn_hundredths(hazards, last, self._stage_map.churn_days, self.now)

    def _usual_gap_seconds(self) -> int:
        if self._usual_gap is None:
            self._usual_gap = usual_gap_seconds(self._facts.completed, self._policy.usual_gap_days)
        return self._usual_gap

    @property
    def days_in_stage(self) -> int:
        """Whole days since the stage was entered."""
        return days_since(self._relationship.stage_entered_at, self.now)

    @property
    def missed_ratio(self) -> tuple[int, int]:
        """(missed, completed + missed) within the policy's window."""
        return scoring.missed_ratio(self._facts, self._policy, self.now)

    @property
    def risk(self) -> int:
        """Risk in hundredths."""
        if self._risk is None:
            self._risk = scoring.risk(self._facts, self._policy, self.now)
        return self._risk

    @property
    def risk_upper_bound(self) -> int:
        """An upper bound of `risk` that is cheaper to compute."""
        return scoring.risk_upper_bound(self._facts, self._policy, self.days_inactive)

    @property
    def engagement(self) -> int:
        """Engagement in hundredths."""
        if self._engagement is None:
            self._engagement = scoring.engagement(self._facts, self._policy, self.now)
        return self._engagement

    # ---- next evaluation

    @property
    def next_at(self) -> datetime | None:
        """When the decision for a customer in the present stage can change without a new event.

        It may be too early, but never too late; None if the decision cannot change.
        """
        soonest = self._relationship.pin_until
        if soonest is not None and soonest <= self.now:
            soonest = None
        if self._compiled_stage is None:
            return soonest
        if self._facts.open_bookings:
            soonest = _sooner(soonest, next_pause_change(self._facts.open_bookings, self._policy, self.now))
        scores: list[CompiledRule] = []
        for rule in self._compiled_stage.pending[self._facts.total_appointments > 0]:
            if rule.change_offsets:
                soonest = self._next_day_change(rule, soonest)
            elif rule.trigger in _SCORES:
                scores.append(rule)
            elif rule.trigger in _GROWING_RATIOS:
                soonest = self._next_ratio_change(rule, soonest)
        for rule in scores:
            change = self._score_change(rule, soonest)
            if change is not None:
                soonest = change
        return soonest

    def _next_day_change(self, rule: CompiledRule, soonest: datetime | None) -> datetime | None:
        """Returns when a number of days next changes the rule's result, or `soonest` if that is earlier."""
        is_inactivity = rule.trigger == INACTIVITY
        anchor = self._facts.last_appointment_at if is_inactivity else self._relationship.stage_entered_at
        if anchor is not None:
            for offset in rule.change_offsets:
                at = anchor + offset
                if at > self.now and (soonest is None or at < soonest):
                    soonest = at
        return soonest

    def _next_ratio_change(self, rule: CompiledRule, soonest: datetime | None) -> datetime | None:
        """Returns when a growing ratio next changes the rule's result, or `soonest` if that is earlier."""
        last = self._facts.last_appointment_at
        if last is None:
            return soonest
        hazards, churn_days = self._relationship.churn_hazards, self._stage_map.churn_days
        for hundredths in rule.conditions[0].condition.change_points:
            if rule.trigger == RHYTHM:
                at = ratio_reached_at(last, hundredths, self._usual_gap_seconds())
            else:
                at = churn_reached_at(hazards, last, churn_days, hundredths, self.now)
            if at is not None and at > self.now:
                soonest = _sooner(soonest, at)
        return soonest

    def _score_change(self, rule: CompiledRule, before: datetime | None) -> datetime | None:
        """Returns when the result of a rule on a score changes, if that is before `before`."""
        condition = rule.conditions[0]
        result = condition.passes(self)
        if not result and rule.trigger == "risk_score" and self._is_unreachable(condition, before):
            return None
        at = self.now
        for _ in range(_MAX_SCORE_STEPS):
            step = self._next_score_instant(rule.trigger, at)
            if step is None or (before is not None and step >= before):
                return None
            at = step
            if condition.passes(self._later(at)) is not result:
                return at
        return at

    def _later(self, at: datetime) -> "Decision":
        """Returns the decision about the same customer at a later instant, without events in between."""
        return Decision(self._relationship, Rulebook(self._stage_map, self._policy), at)

    def _is_unreachable(self, condition: CompiledCondition, before: datetime | None) -> bool:
        """Returns whether the risk cannot reach the threshold before an instant: a shortcut."""
        if condition.condition.operator not in (">", ">="):
            return False
        last = self._facts.last_appointment_at
        if last is None:
            days = None
        elif before is None:
            return False
        else:
            days = max(0, (before - last - timedelta.resolution).days)
        return scoring.risk_upper_bound(self._facts, self._policy, days) < condition.low

    def _next_score_instant(self, trigger: str, at: datetime) -> datetime | None:
        """Returns the first instant after `at` at which a value that the trigger reads can change."""
        facts, policy = self._facts, self._policy.scoring
        numbers = policy.numbers
        last = facts.last_appointment_at
        instants: list[datetime | None] = []
        if trigger == "engagement_score":
            if last is not None and (days := days_since(last, at)) < policy.recency_horizon_days:
                instants.append(last + (days + 1) * DAY)
            times = (facts.completed, facts.long_calls, facts.missed, facts.tickets)
            instants.append(_first_leaving(at, numbers.frequency_window, facts.completed))
            instants.append(_first_leaving(at, numbers.quality_window, *times))
        else:
            instants.append(_first_leaving(at, numbers.missed_window, facts.missed, facts.completed))
        if trigger == "risk_score":
            if last is not None:
                thresholds = (
                    last + (days + 1) * DAY for days in (policy.inactive_days, policy.very_inactive_days)
                )
                instants += [instant for instant in thresholds if instant > at]
            instants.append(_first_leaving(at, numbers.trend_window, facts.completed))
            instants.append(_first_leaving(at, 2 * numbers.trend_window, facts.completed))
            instants.append(_first_leaving(at, numbers.tickets_window, facts.tickets))
        return min((instant for instant in instants if instant is not None), default=None)

    # ---- reasons

    @property
    def reasons(self) -> tuple[StageReason, ...]:
        """The evaluated stages with the results of their rules and conditions."""
        if self._compiled_stage is None:
            return ()
        reasons = []
        is_return = self.move is not None and self.move.step is ArbitrationStep.RETURN
        paused_by = None if is_return else self.paused_by
        for stage, rules in self._compiled_stage.evaluated_stages(self.move):
            results = tuple([self._explain(rule) for rule in rules])
            held = any(result.held for result in results)
            is_paused = held and stage.kind is StageKind.RISK
            reasons.append(
                StageReason(stage.key, stage.kind.value, held, results, paused_by if is_paused else None)
            )
        return tuple(reasons)

    def held_event_rules(self) -> frozenset[tuple[str, str]]:
        """Returns the (stage, trigger) pairs of event rules that hold while the event is being applied."""
        if self._compiled_stage is None:
            return _NOTHING_HELD
        return frozenset(
            (stage.key, rule.trigger)
            for stage, rules in self._compiled_stage.rules_by_stage
            for rule in rules
            if rule.event is not None and rule.holds(self)
        )

    def _explain(self, rule: CompiledRule) -> RuleReason:
        reason = rule.explain(self)
        was_held = bool(self._held) and (rule.stage.key, rule.trigger) in self._held
        return reason._replace(held=True) if was_held else reason


class DecisionWithoutReasons(Decision):
    """A decision without reasons, for simulations: computing them takes a third of the time of a move."""

    __slots__ = ()

    @property
    def reasons(self) -> tuple[StageReason, ...]:
        """Empty."""
        return ()


def decide(
    relationship: Relationship, rulebook: Rulebook, now: datetime, event: Event | None = None
) -> Decision:
    """Decides about one customer as of `now`.

    `event` is the event being applied, already applied to the facts. At the end of a pin (the relationship still has
    the pin and `now` has reached its end), the event rules that held during the pin count as holding.
    """
    return Decision(relationship, rulebook, now, event)


def _sooner(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((at for at in (one, other) if at is not None), default=None)


def _first_leaving(now: datetime, window: timedelta, *series: tuple[datetime, ...]) -> datetime | None:
    """Returns when the first instant of the series within the window leaves it."""
    edge = now - window
    leaving = [first for times in series if (first := next((t for t in times if t > edge), None)) is not None]
    return min(leaving) + window if leaving else None
