"""What will move a customer, and what is missing for each stage: found out on copies, by the engine itself.

No rule is read twice. Time passes and events happen to copies of the relationship, and what becomes of them is
told: what a rule misses comes from the engine's own questions, and where that leads from a journey that has it.
"""

from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final, NamedTuple

from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events.event import (
    MAX_AMOUNT_CENTS,
    MAX_CALL_SECONDS,
    MAX_SUM_CENTS,
    Event,
    EventType,
)
from journey_service.domain.journeys.engine import decide
from journey_service.domain.journeys.explanation.paths import (
    ONE_APPOINTMENT,
    UNITS,
    PathState,
    RequiredEvents,
    RulePath,
    distance,
    largest_accepted,
    smallest_accepted,
    to_display_units,
)
from journey_service.domain.journeys.explanation.projection import (
    Projection,
    RuleKey,
    project,
    with_rule_keys,
)
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import (
    NO_PIN_STATE,
    ConditionReason,
    Relationship,
    Rulebook,
    RuleReason,
    SuppressedMove,
)
from journey_service.domain.stages.compiled_rules import (
    ArbitrationStep,
    CompiledCondition,
    CompiledRule,
    compile_stage,
)
from journey_service.domain.stages.rules import ConditionField
from journey_service.domain.stages.stage_map import INACTIVITY, StageKind

MAX_APPOINTMENTS_TRIED: Final = 1_000
"""How many more appointments are tried out: what more of them would lead to is not told."""

_FAMILIES: Final = (ArbitrationStep.PROGRESS, ArbitrationStep.RETURN, ArbitrationStep.RISK)


class UpcomingMove(NamedTuple):
    """A move that follows if nothing happens. `is_averted`: not if an appointment is completed now."""

    to_stage: str
    at: datetime
    trigger_event: str | None
    is_averted: bool


class DueMove(NamedTuple):
    """A move the rules want now. `due_at` is when it was due, None if nothing has been scheduled for it."""

    to_stage: str
    trigger_event: str | None
    due_at: datetime | None
    is_suppressed: bool


@dataclass(frozen=True, slots=True)
class Forecast:
    """What lies ahead of a customer as of an instant, if nothing happens and if something does.

    `upcoming` holds the first MAX_REPORTED_MOVES moves up to `looked_until`, those that are due and not written among
    them. `pin_until` is None if no pin holds the customer; `suppressed` is what it has held back.
    """

    as_of: datetime
    current_stage: str
    has_appointments: bool
    pin_until: datetime | None
    suppressed: tuple[SuppressedMove, ...]
    due_move: DueMove | None
    upcoming: tuple[UpcomingMove, ...]
    looked_until: datetime
    paths: tuple[RulePath, ...]


def build_forecast(relationship: Relationship, rulebook: Rulebook, now: datetime) -> Forecast:
    """What lies ahead of the customer, who is not touched."""
    return _ForecastBuilder(relationship, rulebook, max(now, relationship.stage_entered_at)).outlook()


class _ForecastBuilder:
    """One customer at one instant, and the copies on which things are tried out."""

    def __init__(self, relationship: Relationship, rulebook: Rulebook, now: datetime) -> None:
        self._relationship = relationship
        self._rulebook = rulebook
        self._now = now
        self._plan = compile_stage(rulebook.stage_map, relationship.current_stage, relationship.last_progress)
        self._decision = decide(relationship, rulebook, now)
        self._future = project(self._journey(), now)
        present = self._journey()
        present.advance_to(now)
        self._present = present
        self._visited = self._journey()
        self._stages = [present.relationship.current_stage]

    def outlook(self) -> Forecast:
        """All that lies ahead."""
        present = self._present.relationship
        is_pinned = present.is_pinned(self._now)
        paths = [] if self._plan is None else sorted(self._paths(), key=self._rank)
        return Forecast(
            as_of=self._now,
            current_stage=self._relationship.current_stage,
            has_appointments=present.facts.total_appointments > 0,
            pin_until=present.pin_until if is_pinned else None,
            suppressed=present.pin_state.suppressed if is_pinned else (),
            due_move=self._wanted(),
            upcoming=tuple(
                UpcomingMove(to_stage, at, trigger_event, self._is_averted(to_stage, at))
                for to_stage, at, trigger_event in self._future.first_moves()
            ),
            looked_until=self._future.until,
            paths=tuple(paths),
        )

    # ---- copies

    def _journey(self) -> Journey:
        return Journey(copy(self._relationship), self._rulebook)

    def _event(self, need: RequiredEvents, number: int = 1) -> Event:
        return Event(
            source="outlook",
            event_id=str(number),
            customer_id=self._relationship.customer_id,
            type=need.event,
            occurred_at=self._now,
            amount_cents=need.amount_cents or 0,
            call_duration=need.call_duration,
        )

    def _stage_after(self, need: RequiredEvents) -> str | None:
        """The stage the customer is in once what is needed has happened now; None if it was not tried."""
        if need._replace(times=1) == ONE_APPOINTMENT:
            return self._stage_after_visits(need.times)
        journey = self._journey()
        try:
            journey.apply_event(self._event(need), self._now)
        except InvalidInputError:
            return None
        journey.advance_to(self._now)
        return journey.relationship.current_stage

    def _stage_after_visits(self, times: int) -> str | None:
        if times > MAX_APPOINTMENTS_TRIED:
            return None
        while len(self._stages) <= times:
            visit = self._event(ONE_APPOINTMENT, len(self._stages))
            self._visited.apply_event(visit, self._now)
            self._visited.advance_to(self._now)
            self._stages.append(self._visited.relationship.current_stage)
        return self._stages[times]

    @cached_property
    def _future_after_a_visit(self) -> Projection:
        journey = self._journey()
        visit, last = self._event(ONE_APPOINTMENT), self._relationship.facts.last_appointment_at
        if (
            last is not None and last >= self._now
        ):  # a clock stands still: the visit is another one than the last
            visit = visit._replace(occurred_at=last + timedelta.resolution)
        journey.apply_event(visit, self._now)
        return project(journey, self._now)

    def _is_averted(self, to_stage: str, at: datetime) -> bool:
        """Whether a move that time would bring is not made then if an appointment is completed now."""
        other = self._future_after_a_visit
        return at <= other.until and not other.makes(to_stage, at)

    # ---- what is wanted now

    def _wanted(self) -> DueMove | None:
        if self._present.new_transitions:
            due = self._present.new_transitions[0]
            return DueMove(due.to_stage, due.trigger_event, due.transitioned_at, is_suppressed=False)
        decision = decide(self._present.relationship, self._rulebook, self._now)
        if decision.move is None:
            return None
        move = decision.move
        return DueMove(move.to_stage, move.trigger_event, None, is_suppressed=decision.is_suppressed)

    # ---- what is missing

    def _rank(self, path: RulePath) -> tuple[int, int]:
        stage = self._rulebook.stage_map.by_key[path.to_stage]
        return _FAMILIES.index(path.step), stage.order

    def _paths(self) -> Iterator[RulePath]:
        assert self._plan is not None  # noqa: S101  # asked by the caller
        if self._plan.is_risk:
            back = self._way_back()
            yield back
            stages, is_open = self._rulebook.stage_map.by_key, back.blocked_by is None
            visit = self._event(ONE_APPOINTMENT)
            for question in self._plan.returns.for_event(visit):
                # Whoever comes back goes to the highest stage there is for them: what is lower asks nothing.
                if not is_open or question.stage.order > stages[back.to_stage].order:
                    yield self._path(question)
        for key, question in with_rule_keys((*self._plan.risk.all_rules, *self._plan.progress.all_rules)):
            yield self._path(question, key)

    def _way_back(self) -> RulePath:
        """What an appointment does for a customer in a risk stage; a pin is left out of account but for `leads_to`."""
        free = self._journey()
        free.relationship.pin_until, free.relationship.pin_state = None, NO_PIN_STATE
        visit = self._event(ONE_APPOINTMENT)
        free.apply_event(visit, self._now)
        stages = self._rulebook.stage_map
        reached = next(
            (
                m.to_stage
                for m in free.new_transitions
                if stages.by_key[m.to_stage].kind is StageKind.PROGRESS
            ),
            None,
        )
        before = stages.find(self._relationship.last_progress) or stages.start
        return RulePath(
            reached or before.key,
            ArbitrationStep.RETURN,
            visit.type,
            needs=ONE_APPOINTMENT,
            leads_to=self._stage_after(ONE_APPOINTMENT),
            blocked_by=None if reached else self._blocker(free.relationship, visit),
        )

    def _blocker(self, relationship: Relationship, visit: Event) -> RuleReason | None:
        plan = compile_stage(self._rulebook.stage_map, relationship.current_stage, relationship.last_progress)
        decision = decide(relationship, self._rulebook, self._now, visit)
        for question in () if plan is None else plan.blockers.for_event(visit):
            if question.holds(decision):
                seen = [
                    ConditionReason(
                        test.condition.field.label,
                        test.condition.text,
                        test.display_value(decision),
                        held=True,
                    )
                    for test in question.conditions
                ]
                return RuleReason(question.trigger, held=True, conditions=tuple(seen))
        return None

    def _path(self, question: CompiledRule, key: RuleKey | None = None) -> RulePath:
        conditions = question.conditions
        is_of_event = question.event is not None
        path = RulePath(
            question.stage.key,
            question.move.step,
            question.trigger,
            tuple(test.condition for test in conditions),
            None if is_of_event else conditions[0].display_value(self._decision),
            UNITS[conditions[0].condition.field] if len(conditions) == 1 else None,
        )
        present = self._present.relationship.current_stage
        # Time answers no question of a way back: that takes an appointment.
        at = None if key is None else self._future.held.get(key)
        overtaken = None if key is None else self._future.overtaken.get(key)
        if present == path.to_stage:
            return replace(path, state=PathState.DUE, at=at, leads_to=present)
        if is_of_event:
            return self._by_event(path, EventType(question.trigger), conditions)
        if question.holds(self._decision):
            return replace(path, state=PathState.HOLDS, missing=0, leads_to=present)
        match question.trigger:
            case "lifetime_value":
                return self._by_money(path, conditions[0])
            case "appointment_count":
                return self._by_visits(path, conditions[0])
            case _:
                return self._by_time(path, conditions[0], at, overtaken)

    def _by_event(
        self, path: RulePath, type_: EventType, conditions: Iterable[CompiledCondition]
    ) -> RulePath:
        """The least event that the rule takes."""
        smallest: dict[ConditionField, int] = {}
        for test in conditions:
            field = test.condition.field
            largest_accepted = MAX_CALL_SECONDS if field is ConditionField.CALL_DURATION else MAX_AMOUNT_CENTS
            number = smallest_accepted(test, 0)
            if number is None or number > largest_accepted:
                return replace(path, state=PathState.IMPOSSIBLE)
            smallest[field] = number
        need = RequiredEvents(
            type_, 1, smallest.get(ConditionField.TOTAL_AMOUNT), smallest.get(ConditionField.CALL_DURATION)
        )
        missing = None if path.unit is None else to_display_units(*next(iter(smallest.items())))
        return replace(path, missing=missing, needs=need, leads_to=self._stage_after(need))

    def _by_money(self, path: RulePath, test: CompiledCondition) -> RulePath:
        """The exact amount, and what brings it."""
        value = self._decision.lifetime_cents
        facts = self._relationship.facts
        is_paid = self._rulebook.policy.revenue_source == "payments"
        event, told = EventType.APPOINTMENT_COMPLETED, facts.appointments_cents
        if is_paid:
            event, told = EventType.PAYMENT_RECEIVED, facts.payments_cents
        target = smallest_accepted(test, value)
        if target is None and is_paid:
            event, told = EventType.PAYMENT_REFUNDED, facts.refunds_cents
            target = largest_accepted(test, value)
        amount = None if target is None else abs(target - value)
        if amount is None or told + amount > MAX_SUM_CENTS:
            return replace(path, state=PathState.IMPOSSIBLE)
        path = replace(
            path,
            missing=to_display_units(ConditionField.VALUE, amount),
            is_less=event is EventType.PAYMENT_REFUNDED,
        )
        if amount > MAX_AMOUNT_CENTS:
            return path  # more than one event can carry
        need = RequiredEvents(event, 1, amount)
        return self._unless_shadowed(path, need, RequiredEvents(event, 1, amount - 1))

    def _by_visits(self, path: RulePath, test: CompiledCondition) -> RulePath:
        """How many more appointments."""
        value = self._decision.appointments
        target = smallest_accepted(test, value)
        if target is None:
            return replace(path, state=PathState.IMPOSSIBLE)
        need = RequiredEvents(EventType.APPOINTMENT_COMPLETED, target - value)
        return self._unless_shadowed(
            replace(path, missing=need.times), need, need._replace(times=need.times - 1)
        )

    def _unless_shadowed(self, path: RulePath, need: RequiredEvents, less: RequiredEvents) -> RulePath:
        """What is needed and where it leads; not if less of it leads to the same stage, by another rule."""
        leads_to = self._stage_after(need)
        if leads_to == path.to_stage == self._stage_after(less):
            return replace(path, state=PathState.SHADOWED)
        return replace(path, needs=need, leads_to=leads_to)

    def _by_time(
        self, path: RulePath, test: CompiledCondition, at: datetime | None, overtaken: str | None
    ) -> RulePath:
        """When the passing of time makes it hold, and how far from that it is."""
        path = distance(path, test, self._decision.missed_ratio)
        if path.state is PathState.IMPOSSIBLE:
            return path
        if at is not None:
            before = [move.to_stage for move in self._future.moves if move.transitioned_at <= at]
            return replace(
                path,
                at=at,
                leads_to=before[-1] if before else self._relationship.current_stage,
                is_averted=self._future.makes(path.to_stage, at) and self._is_averted(path.to_stage, at),
            )
        if path.unit != "days":
            return path
        if path.trigger == INACTIVITY and path.missing is None and smallest_accepted(test, 0) == 0:
            # The days are counted anew.
            return replace(path, needs=ONE_APPOINTMENT, leads_to=self._stage_after(ONE_APPOINTMENT))
        state = PathState.SHADOWED if overtaken == path.to_stage else path.state
        return replace(path, state=state, leads_to=None if state is PathState.SHADOWED else overtaken)
