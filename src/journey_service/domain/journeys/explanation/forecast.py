"""Forecast: upcoming moves of a customer, and what is missing for each stage.

Computed by the engine itself on copies of the relationship: time passes and events are applied to a copy, and its
moves are reported. What is missing for a rule is computed from its compiled conditions.
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
    Event,
    EventType,
    max_sum,
)
from journey_service.domain.journeys.booking_pause import next_pause_change, pausing_booking
from journey_service.domain.journeys.engine import decide
from journey_service.domain.journeys.explanation.paths import (
    ONE_APPOINTMENT,
    SINCE_LAST,
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
from journey_service.domain.journeys.relationship import NO_PIN_STATE, Relationship, Rulebook, SuppressedMove
from journey_service.domain.stages.compiled_rules import (
    ArbitrationStep,
    CompiledCondition,
    CompiledRule,
    compile_stage,
)
from journey_service.domain.stages.reasons import RuleReason
from journey_service.domain.stages.rules import ConditionField
from journey_service.domain.stages.stage_map import StageKind

MAX_APPOINTMENTS_TRIED: Final = 1_000
"""Maximum number of appointments that are applied to a copy; `leads_to` is None for more."""

_STEP_ORDER: Final = (ArbitrationStep.PROGRESS, ArbitrationStep.RETURN, ArbitrationStep.RISK)


class UpcomingMove(NamedTuple):
    """A future move without new events. `is_averted`: an appointment completed now would prevent it."""

    to_stage: str
    at: datetime
    trigger_event: str | None
    is_averted: bool


class DueMove(NamedTuple):
    """A move that the rules decide now. `due_at` is when it was due; None: no evaluation was due."""

    to_stage: str
    trigger_event: str | None
    due_at: datetime | None
    is_suppressed: bool


@dataclass(frozen=True, slots=True)
class Forecast:
    """The forecast for a customer as of an instant.

    `upcoming` are the first MAX_REPORTED_MOVES moves up to `searched_until`, including due moves that are not recorded
    yet. `pin_until` is None without a pin; `suppressed` are the moves that the pin has suppressed. `paused_by` is the
    time of the appointment whose booking pauses moves to risk stages until `pause_ends`.
    """

    as_of: datetime
    current_stage: str
    has_appointments: bool
    pin_until: datetime | None
    suppressed: tuple[SuppressedMove, ...]
    due_move: DueMove | None
    upcoming: tuple[UpcomingMove, ...]
    searched_until: datetime
    paths: tuple[RulePath, ...]
    paused_by: datetime | None = None
    pause_ends: datetime | None = None


def build_forecast(relationship: Relationship, rulebook: Rulebook, now: datetime) -> Forecast:
    """Returns the forecast for a customer; the relationship is not modified."""
    return _ForecastBuilder(relationship, rulebook, max(now, relationship.stage_entered_at)).build()


class _ForecastBuilder:
    """Builds the forecast for one customer at one instant."""

    def __init__(self, relationship: Relationship, rulebook: Rulebook, now: datetime) -> None:
        self._relationship = relationship
        self._rulebook = rulebook
        self._now = now
        self._compiled_stage = compile_stage(
            rulebook.stage_map, relationship.current_stage, relationship.last_progress
        )
        self._decision = decide(relationship, rulebook, now)
        self._projection = project(self._journey(), now)
        present = self._journey()
        present.advance_to(now)
        self._present = present
        self._with_appointments = self._journey()
        self._stages_after = [present.relationship.current_stage]

    def build(self) -> Forecast:
        """Returns the forecast."""
        present = self._present.relationship
        is_pinned = present.is_pinned(self._now)
        open_bookings, policy = present.facts.open_bookings, self._rulebook.policy
        paused_by = pausing_booking(open_bookings, policy, self._now)
        paths = [] if self._compiled_stage is None else sorted(self._paths(), key=self._rank)
        return Forecast(
            as_of=self._now,
            current_stage=self._relationship.current_stage,
            has_appointments=present.facts.total_appointments > 0,
            pin_until=present.pin_until if is_pinned else None,
            suppressed=present.pin_state.suppressed if is_pinned else (),
            due_move=self._due_move(),
            upcoming=tuple(
                UpcomingMove(to_stage, at, trigger_event, self._is_prevented(to_stage, at))
                for to_stage, at, trigger_event in self._projection.first_moves()
            ),
            searched_until=self._projection.until,
            paths=tuple(paths),
            paused_by=paused_by,
            pause_ends=None if paused_by is None else next_pause_change(open_bookings, policy, self._now),
        )

    # ---- copies

    def _journey(self) -> Journey:
        return Journey(copy(self._relationship), self._rulebook)

    def _event(self, required: RequiredEvents, number: int = 1) -> Event:
        return Event(
            source="forecast",
            event_id=str(number),
            customer_id=self._relationship.customer_id,
            type=required.event,
            occurred_at=self._now,
            amount_cents=required.amount_cents or 0,
            call_duration=required.call_duration,
        )

    def _stage_after(self, required: RequiredEvents) -> str | None:
        """Returns the stage after the required events; None if they cannot be applied."""
        if required._replace(times=1) == ONE_APPOINTMENT:
            return self._stage_after_appointments(required.times)
        journey = self._journey()
        try:
            journey.apply_event(self._event(required), self._now)
        except InvalidInputError:
            return None
        journey.advance_to(self._now)
        return journey.relationship.current_stage

    def _stage_after_appointments(self, times: int) -> str | None:
        if times > MAX_APPOINTMENTS_TRIED:
            return None
        while len(self._stages_after) <= times:
            appointment = self._event(ONE_APPOINTMENT, len(self._stages_after))
            self._with_appointments.apply_event(appointment, self._now)
            self._with_appointments.advance_to(self._now)
            self._stages_after.append(self._with_appointments.relationship.current_stage)
        return self._stages_after[times]

    @cached_property
    def _projection_after_appointment(self) -> Projection:
        journey = self._journey()
        appointment, last = self._event(ONE_APPOINTMENT), self._relationship.facts.last_appointment_at
        if last is not None and last >= self._now:
            # A test clock may stand still, but the appointment must be later than the last one.
            appointment = appointment._replace(occurred_at=last + timedelta.resolution)
        journey.apply_event(appointment, self._now)
        return project(journey, self._now)

    def _is_prevented(self, to_stage: str, at: datetime) -> bool:
        """Returns whether an appointment completed now would prevent a future move."""
        projection = self._projection_after_appointment
        return at <= projection.until and not projection.contains_move(to_stage, at)

    # ---- due move

    def _due_move(self) -> DueMove | None:
        if self._present.new_transitions:
            due = self._present.new_transitions[0]
            return DueMove(due.to_stage, due.trigger_event, due.transitioned_at, is_suppressed=False)
        decision = decide(self._present.relationship, self._rulebook, self._now)
        if decision.move is None:
            return None
        move = decision.move
        return DueMove(move.to_stage, move.trigger_event, None, is_suppressed=decision.is_suppressed)

    # ---- paths

    def _rank(self, path: RulePath) -> tuple[int, int]:
        stage = self._rulebook.stage_map.by_key[path.to_stage]
        return _STEP_ORDER.index(path.step), stage.order

    def _paths(self) -> Iterator[RulePath]:
        assert self._compiled_stage is not None  # checked by the caller
        if self._compiled_stage.is_risk:
            return_path = self._return_path()
            yield return_path
            stages, is_open = self._rulebook.stage_map.by_key, return_path.blocked_by is None
            appointment = self._event(ONE_APPOINTMENT)
            for rule in self._compiled_stage.returns.for_event(appointment):
                # Customers return to the highest possible stage, so lower stages require nothing more.
                if not is_open or rule.stage.order > stages[return_path.to_stage].order:
                    yield self._path(rule)
        for key, rule in with_rule_keys(
            (*self._compiled_stage.risk.all_rules, *self._compiled_stage.progress.all_rules)
        ):
            yield self._path(rule, key)

    def _return_path(self) -> RulePath:
        """Returns the path of an appointment out of a risk stage; a pin affects `leads_to` only."""
        unpinned = self._journey()
        unpinned.relationship.pin_until, unpinned.relationship.pin_state = None, NO_PIN_STATE
        appointment = self._event(ONE_APPOINTMENT)
        unpinned.apply_event(appointment, self._now)
        stages = self._rulebook.stage_map
        reached = next(
            (
                m.to_stage
                for m in unpinned.new_transitions
                if stages.by_key[m.to_stage].kind is StageKind.PROGRESS
            ),
            None,
        )
        before = stages.find(self._relationship.last_progress) or stages.start
        return RulePath(
            reached or before.key,
            ArbitrationStep.RETURN,
            appointment.type,
            needs=ONE_APPOINTMENT,
            leads_to=self._stage_after(ONE_APPOINTMENT),
            blocked_by=None if reached else self._blocker(unpinned.relationship, appointment),
        )

    def _blocker(self, relationship: Relationship, appointment: Event) -> RuleReason | None:
        compiled = compile_stage(
            self._rulebook.stage_map, relationship.current_stage, relationship.last_progress
        )
        decision = decide(relationship, self._rulebook, self._now, appointment)
        for rule in () if compiled is None else compiled.blockers.for_event(appointment):
            if rule.holds(decision):
                return rule.explain(decision)
        return None

    def _path(self, rule: CompiledRule, key: RuleKey | None = None) -> RulePath:
        conditions = rule.conditions
        is_event_rule = rule.event is not None
        path = RulePath(
            rule.stage.key,
            rule.move.step,
            rule.trigger,
            tuple(condition.condition for condition in conditions),
            None if is_event_rule else conditions[0].display_value(self._decision),
            UNITS[conditions[0].condition.field] if len(conditions) == 1 else None,
        )
        present = self._present.relationship.current_stage
        # Rules of a return are not evaluated by the passing of time: it takes an appointment.
        at = None if key is None else self._projection.held.get(key)
        overtaken_by = None if key is None else self._projection.overtaken_by.get(key)
        if present == path.to_stage:
            return replace(path, state=PathState.DUE, at=at, leads_to=present)
        if is_event_rule:
            return self._event_path(path, EventType(rule.trigger), conditions)
        if rule.holds(self._decision):
            return replace(path, state=PathState.HOLDS, missing=0, leads_to=present)
        match rule.trigger:
            case "lifetime_value":
                return self._money_path(path, conditions[0])
            case "appointment_count":
                return self._count_path(path, conditions[0])
            case _:
                return self._time_path(path, conditions[0], at, overtaken_by)

    def _event_path(
        self, path: RulePath, type_: EventType, conditions: Iterable[CompiledCondition]
    ) -> RulePath:
        """Completes the path of an event rule with the smallest event that makes it hold."""
        smallest: dict[ConditionField, int] = {}
        missing: float | int | None = None
        for condition in conditions:
            field = condition.condition.field
            maximum = MAX_CALL_SECONDS if field is ConditionField.CALL_DURATION else MAX_AMOUNT_CENTS
            number = smallest_accepted(condition, 0)
            if number is None or number > maximum:
                return replace(path, state=PathState.IMPOSSIBLE)
            smallest[field] = number
            missing = to_display_units(condition.condition, number)
        required = RequiredEvents(
            type_, 1, smallest.get(ConditionField.TOTAL_AMOUNT), smallest.get(ConditionField.CALL_DURATION)
        )
        # Only a rule with a single condition has a unit.
        return replace(
            path,
            missing=None if path.unit is None else missing,
            needs=required,
            leads_to=self._stage_after(required),
        )

    def _money_path(self, path: RulePath, condition: CompiledCondition) -> RulePath:
        """Completes the path of a rule on the lifetime value with the exact amount."""
        value = self._decision.lifetime_cents
        facts = self._relationship.facts
        is_paid = self._rulebook.policy.revenue_source == "payments"
        event, total = EventType.APPOINTMENT_COMPLETED, facts.appointments_cents
        if is_paid:
            event, total = EventType.PAYMENT_RECEIVED, facts.payments_cents
        target = smallest_accepted(condition, value)
        if target is None and is_paid:
            event, total = EventType.PAYMENT_REFUNDED, facts.refunds_cents
            target = largest_accepted(condition, value)
        amount = None if target is None else abs(target - value)
        if amount is None or total + amount > max_sum(self._rulebook.policy.currency):
            return replace(path, state=PathState.IMPOSSIBLE)
        path = replace(
            path,
            missing=to_display_units(condition.condition, amount),
            is_less=event is EventType.PAYMENT_REFUNDED,
        )
        if amount > MAX_AMOUNT_CENTS:
            return path  # more than an event may have
        required = RequiredEvents(event, 1, amount)
        return self._unless_shadowed(path, required, RequiredEvents(event, 1, amount - 1))

    def _count_path(self, path: RulePath, condition: CompiledCondition) -> RulePath:
        """Completes the path of a rule on the number of appointments."""
        value = self._decision.appointments
        target = smallest_accepted(condition, value)
        if target is None:
            return replace(path, state=PathState.IMPOSSIBLE)
        required = RequiredEvents(EventType.APPOINTMENT_COMPLETED, target - value)
        return self._unless_shadowed(
            replace(path, missing=required.times), required, required._replace(times=required.times - 1)
        )

    def _unless_shadowed(self, path: RulePath, required: RequiredEvents, less: RequiredEvents) -> RulePath:
        """Sets the required events and where they lead; SHADOWED if fewer lead to the same stage."""
        leads_to = self._stage_after(required)
        if leads_to == path.to_stage == self._stage_after(less):
            return replace(path, state=PathState.SHADOWED)
        return replace(path, needs=required, leads_to=leads_to)

    def _time_path(
        self, path: RulePath, condition: CompiledCondition, at: datetime | None, overtaken_by: str | None
    ) -> RulePath:
        """Completes the path of a rule that holds by the passing of time."""
        path = distance(path, condition, self._decision.missed_ratio)
        if path.state is PathState.IMPOSSIBLE:
            return path
        if at is not None:
            before = [move.to_stage for move in self._projection.moves if move.transitioned_at <= at]
            return replace(
                path,
                at=at,
                leads_to=before[-1] if before else self._relationship.current_stage,
                is_averted=self._projection.contains_move(path.to_stage, at)
                and self._is_prevented(path.to_stage, at),
            )
        if path.unit not in ("days", "ratio"):
            return path
        if path.trigger in SINCE_LAST and path.missing is None and smallest_accepted(condition, 0) == 0:
            # The appointment resets the number of days.
            return replace(path, needs=ONE_APPOINTMENT, leads_to=self._stage_after(ONE_APPOINTMENT))
        state = PathState.SHADOWED if overtaken_by == path.to_stage else path.state
        return replace(path, state=state, leads_to=None if state is PathState.SHADOWED else overtaken_by)
