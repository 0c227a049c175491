"""decide: which stage a customer belongs in, why, and when that could change. A pure function.

Arbitration, first answer wins: a pin holds; a completed appointment returns a lapsed customer; the most
severe risk stage whose rule holds; the highest progress stage whose rule holds, never downwards; stay.
"""

from datetime import datetime, timedelta
from typing import Final

from journey_service.domain.events.event import Event, EventType
from journey_service.domain.journeys import scoring
from journey_service.domain.journeys.facts import DAY, days_since
from journey_service.domain.journeys.relationship import (
    ConditionReason,
    Relationship,
    Rulebook,
    RuleReason,
    StageReason,
)
from journey_service.domain.stages.compiled_rules import (
    ArbitrationStep,
    CompiledCondition,
    CompiledRule,
    CompiledStage,
    RuleSequence,
    StageMove,
    compile_stage,
)
from journey_service.domain.stages.stage_map import INACTIVITY, StageKind

_WALK: Final = 64
"""How many instants a score is followed ahead before settling for an early, still correct, answer."""

_SCORES: Final = frozenset(("risk_score", "engagement_score", "missed_rate"))
_NOTHING_HELD: Final[frozenset[tuple[str, str]]] = frozenset()


class Decision:
    """What was decided about one customer at one instant, and all it rests on, computed when first read.

    `move` is the move the rules want, None to stay; `is_suppressed` tells that a pin holds it back.
    """

    __slots__ = (
        "_engagement",
        "_facts",
        "_held",
        "_is_completed",
        "_plan",
        "_policy",
        "_relationship",
        "_risk",
        "_stage_map",
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
        self._stage_map, self._policy = rulebook
        self._compiled_stage = compile_stage(
            self._stage_map, relationship.current_stage, relationship.last_progress
        )
        self._risk: int | None = None
        self._engagement: int | None = None
        self._held = _NOTHING_HELD
        self._is_completed = event is not None and event.type == EventType.APPOINTMENT_COMPLETED
        self.now = now
        self.event = event
        pin_until = relationship.pin_until
        if pin_until is None:
            self.move = self._choose()
            self.is_suppressed = False
            return
        if pin_until <= now:  # the pin's end: what happened during it counts as being applied
            self._held = relationship.pin_state.held
            self._is_completed = self._is_completed or relationship.pin_state.completed
        self.move = self._choose()
        self.is_suppressed = self.move is not None and now < pin_until

    # ---- arbitration

    def _choose(self) -> StageMove | None:
        plan = self._compiled_stage
        if plan is None:
            return None  # a stage the map does not know is a matter for repair, not for rules
        if self._is_completed and plan.is_risk and self._first(plan.blockers) is None:
            return self._return(plan)
        if self._facts.total_appointments:
            found = self._first(plan.risk)
            if found is not None:
                return found.move
        found = self._first(plan.progress)
        return None if found is None else found.move

    def _return(self, plan: CompiledStage) -> StageMove:
        found = self._first(plan.returns)
        target = self._stage_map.start if found is None else found.stage
        for key in self._relationship.stages_held:
            stage = self._stage_map.find(key)
            if stage is not None and stage.kind is StageKind.PROGRESS and stage.order > target.order:
                target = stage
        return StageMove(target.key, EventType.APPOINTMENT_COMPLETED.value, ArbitrationStep.RETURN)

    def _first(self, asked: RuleSequence) -> CompiledRule | None:
        if self._held:
            for question in asked.all_rules:
                if self._holds(question):
                    return question
            return None
        event = self.event
        for question in asked.for_event(event):
            for _, read, low, high, inside, _ in question.conditions:
                value = read(self)
                if value is None or (low <= value <= high) is not inside:
                    break
            else:
                return question
        return None

    def _holds(self, question: CompiledRule) -> bool:
        return (question.stage.key, question.trigger) in self._held or question.holds(self)

    # ---- what questions read

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
        last = self._facts.last_appointment_at
        return None if last is None else days_since(last, self.now)

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
        """What the risk certainly does not exceed, told more cheaply."""
        return scoring.risk_upper_bound(self._facts, self._policy, self.days_inactive)

    @property
    def engagement(self) -> int:
        """Engagement in hundredths."""
        if self._engagement is None:
            self._engagement = scoring.engagement(self._facts, self._policy, self.now)
        return self._engagement

    # ---- the next time

    @property
    def next_at(self) -> datetime | None:
        """When the decision for the customer *in the present stage* can change with no new event.

        It may be early, never late; None if it never can.
        """
        soonest = self._relationship.pin_until
        if soonest is not None and soonest <= self.now:
            soonest = None
        if self._compiled_stage is None:
            return soonest
        scores: list[CompiledRule] = []
        for question in self._compiled_stage.pending[self._facts.total_appointments > 0]:
            if question.change_offsets:
                soonest = self._sooner_turn(question, soonest)
            elif question.trigger in _SCORES:
                scores.append(question)
        for question in scores:
            change = self._score_change(question, soonest)
            if change is not None:
                soonest = change
        return soonest

    def _sooner_turn(self, question: CompiledRule, soonest: datetime | None) -> datetime | None:
        """When a count of days next changes the question's answer, if that is sooner."""
        is_inactivity = question.trigger == INACTIVITY
        anchor = self._facts.last_appointment_at if is_inactivity else self._relationship.stage_entered_at
        if anchor is not None:
            for turn in question.change_offsets:
                at = anchor + turn
                if at > self.now and (soonest is None or at < soonest):
                    soonest = at
        return soonest

    def _score_change(self, question: CompiledRule, before: datetime | None) -> datetime | None:
        """When the answer of a question about a score changes, if that is before `before`."""
        test = question.conditions[0]
        answer = test.passes(self)
        if not answer and question.trigger == "risk_score" and self._is_out_of_reach(test, before):
            return None
        at = self.now
        for _ in range(_WALK):
            step = self._next_score_instant(question.trigger, at)
            if step is None or (before is not None and step >= before):
                return None
            at = step
            if test.passes(_later(self, at)) is not answer:
                return at
        return at

    def _is_out_of_reach(self, test: CompiledCondition, before: datetime | None) -> bool:
        """Whether risk cannot rise far enough before the given instant: the usual case, told without a walk."""
        if test.condition.operator not in (">", ">="):
            return False
        last = self._facts.last_appointment_at
        if last is None:
            days = None
        elif before is None:
            return False
        else:
            days = max(0, (before - last - timedelta.resolution).days)
        return scoring.risk_upper_bound(self._facts, self._policy, days) < test.low

    def _next_score_instant(self, trigger: str, at: datetime) -> datetime | None:
        """The first instant after `at` at which any part of what the trigger reads can change."""
        facts, policy = self._facts, self._policy.scoring
        numbers = policy.numbers
        last = facts.last_appointment_at
        instants: list[datetime | None] = []
        if trigger == "engagement_score":
            if last is not None and (days := days_since(last, at)) < policy.recency_horizon_days:
                instants.append(last + (days + 1) * DAY)
            kept = (facts.completed, facts.long_calls, facts.missed, facts.tickets)
            instants.append(_first_leaving(at, numbers.frequency_window, facts.completed))
            instants.append(_first_leaving(at, numbers.quality_window, *kept))
        else:
            instants.append(_first_leaving(at, numbers.missed_window, facts.missed, facts.completed))
        if trigger == "risk_score":
            if last is not None:
                change_offsets = (
                    last + (days + 1) * DAY for days in (policy.inactive_days, policy.very_inactive_days)
                )
                instants += [turn for turn in change_offsets if turn > at]
            instants.append(_first_leaving(at, numbers.trend_window, facts.completed))
            instants.append(_first_leaving(at, 2 * numbers.trend_window, facts.completed))
            instants.append(_first_leaving(at, numbers.tickets_window, facts.tickets))
        return min((instant for instant in instants if instant is not None), default=None)

    # ---- reasons

    @property
    def reasons(self) -> tuple[StageReason, ...]:
        """Each stage looked at, each condition, the value it saw, held or not."""
        if self._compiled_stage is None:
            return ()
        reasons = []
        for stage, questions in self._compiled_stage.evaluated_stages(self.move):
            rules = tuple([self._reason(question) for question in questions])
            reasons.append(StageReason(stage.key, stage.kind.value, any(rule.held for rule in rules), rules))
        return tuple(reasons)

    def held_event_rules(self) -> frozenset[tuple[str, str]]:
        """The (stage, trigger) pairs of event rules that hold while the event is being applied."""
        if self._compiled_stage is None:
            return _NOTHING_HELD
        return frozenset(
            (stage.key, question.trigger)
            for stage, questions in self._compiled_stage.rules_by_stage
            for question in questions
            if question.event is not None and question.holds(self)
        )

    def _reason(self, question: CompiledRule) -> RuleReason:
        event = self.event
        held = triggers_actions = question.event is None or (
            event is not None and event.type == question.event
        )
        conditions = []
        for test in question.conditions:
            passes = triggers_actions and test.passes(self)
            held = held and passes
            value = test.display_value(self) if triggers_actions else None
            conditions.append(ConditionReason(test.condition.field.label, test.condition.text, value, passes))
        was_held = (question.stage.key, question.trigger) in self._held
        return RuleReason(question.trigger, held or was_held, tuple(conditions))


class DecisionWithoutReasons(Decision):
    """A decision nobody will ask for its reasons: working them out is a third of the work of a move."""

    __slots__ = ()

    @property
    def reasons(self) -> tuple[StageReason, ...]:
        """None."""
        return ()


def decide(
    relationship: Relationship, rulebook: Rulebook, now: datetime, event: Event | None = None
) -> Decision:
    """Decide about one customer as of `now`, with `event` folded in already and being applied.

    At a pin's end (the relationship still carries the pin, and `now` has reached it) what the pin held back
    counts as being applied.
    """
    return Decision(relationship, rulebook, now, event)


def _later(decision: Decision, at: datetime) -> Decision:
    """The same customer, untouched, at a later instant."""
    return Decision(decision._relationship, Rulebook(decision._stage_map, decision._policy), at, None)  # noqa: SLF001  # the same class


def _first_leaving(now: datetime, window: timedelta, *kept: tuple[datetime, ...]) -> datetime | None:
    """When the first of the kept instants that are still inside the window leaves it."""
    edge = now - window
    leaving = [inside for times in kept if (inside := next((t for t in times if t > edge), None)) is not None]
    return min(leaving) + window if leaving else None
