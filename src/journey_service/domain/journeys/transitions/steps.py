"""Steps of a journey: applies decisions, enters stages, records pinned events, schedules the next evaluation."""

from datetime import datetime

from journey_service.domain.events.event import Event, EventType
from journey_service.domain.journeys.engine import Decision, decide
from journey_service.domain.journeys.relationship import (
    Motion,
    PinState,
    Relationship,
    Rulebook,
    SuppressedMove,
    Transition,
    TransitionCause,
    TriggerType,
)
from journey_service.domain.stages.compiled_rules import StageMove
from journey_service.domain.stages.stage_map import StageKind


class JourneySteps:
    """A relationship, its new transitions, and the changes that every operation of a journey is made of."""

    decide = staticmethod(decide)
    """The decision function; subclasses replace it to simulate other rules."""

    def __init__(self, relationship: Relationship, rulebook: Rulebook) -> None:
        self.relationship = relationship
        self.rulebook = rulebook
        self.new_transitions: list[Transition] = []
        self.decided_at: datetime | None = None
        """The instant of the last decision."""

    def _evaluate_repeatedly(self, at: datetime, cause: TransitionCause, *, is_silent: bool) -> None:
        wants_more = True
        while wants_more:
            decision = self.decide(self.relationship, self.rulebook, at)
            self._end_pin(at)
            wants_more = self._apply_decision(decision, at, cause, is_silent=is_silent) is not None

    def _apply_decision(
        self, decision: Decision, at: datetime, cause: TransitionCause, *, is_silent: bool = False
    ) -> Transition | None:
        if decision.is_suppressed:
            self._record_suppressed_move(decision, at)
            self._schedule(decision)
            return None
        if decision.move is None:
            self._schedule(decision)
            return None
        transition = self._make_move(decision, decision.move, at, cause, is_silent=is_silent)
        self._schedule(self.decide(self.relationship, self.rulebook, at))
        return transition

    def _make_move(
        self, decision: Decision, move: StageMove, at: datetime, cause: TransitionCause, *, is_silent: bool
    ) -> Transition:
        if cause.kind in ("time", "map", "policy", "merge"):
            # Several moves may have the same instant: back from churned and then at risk, or any number of moves while
            # a test clock stands still.
            cause = TransitionCause(cause.kind, f"{cause.id}/{self.relationship.version + 1}")
        relationship = self.relationship
        transition = Transition(
            seq=relationship.version + 1,
            from_stage=relationship.current_stage,
            to_stage=move.to_stage,
            transitioned_at=at,
            trigger_type=TriggerType.AUTOMATIC,
            trigger_event=move.trigger_event,
            cause=cause,
            map_version=self.rulebook.stage_map.version,
            reasons=decision.reasons,
            is_silent=is_silent,
            motion=self._motion_to(move.to_stage),
            since=relationship.stage_entered_at,
        )
        return self._enter(transition)

    def _enter_by_system(
        self, key: str, at: datetime, event: str, cause: TransitionCause, *, actor: str | None = None
    ) -> None:
        """Moves the customer silently to a stage without a decision of the rules."""
        transition = Transition(
            seq=self.relationship.version + 1,
            from_stage=self.relationship.current_stage,
            to_stage=key,
            transitioned_at=at,
            trigger_type=TriggerType.SYSTEM,
            trigger_event=event,
            cause=cause,
            map_version=self.rulebook.stage_map.version,
            actor=actor,
            is_silent=True,
            motion=Motion.REMAP,
            since=self.relationship.stage_entered_at,
        )
        self._enter(transition)

    def _enter(self, transition: Transition) -> Transition:
        relationship, key = self.relationship, transition.to_stage
        stage = self.rulebook.stage_map.by_key.get(key)
        is_progress = stage is not None and stage.kind is StageKind.PROGRESS
        relationship.previous_stage = relationship.current_stage
        relationship.current_stage = key
        relationship.stage_entered_at = transition.transitioned_at
        relationship.version = transition.seq
        if is_progress:
            relationship.last_progress = key
            relationship.stages_held |= {key}
        self.new_transitions.append(transition)
        return transition

    def _motion_to(self, key: str) -> Motion:
        """Returns the direction of a move from the present stage, by a rule or by a person."""
        stages = self.rulebook.stage_map.by_key
        to_stage, from_stage = stages[key], stages.get(self.relationship.current_stage)
        if to_stage.kind is StageKind.RISK:
            return Motion.LAPSE
        if from_stage is None or from_stage.kind is StageKind.RISK:
            return Motion.RETURN
        return Motion.ENTRY if to_stage.order > from_stage.order else Motion.DOWN

    def _schedule(self, decision: Decision) -> None:
        """Schedules the next evaluation: now if the rules decide another move, else at the next change."""
        self.decided_at = decision.now
        wants_more = decision.move is not None and not decision.is_suppressed
        at = self.relationship.stage_entered_at if wants_more else decision.next_at
        self.relationship.next_evaluation_at = at

    def _end_pin(self, at: datetime) -> None:
        relationship = self.relationship
        if relationship.pin_until is not None and relationship.pin_until <= at:
            relationship.pin_until = None
            relationship.pin_state = PinState(suppressed=relationship.pin_state.suppressed)

    def _record_pinned_event(self, event: Event, decision: Decision) -> None:
        state = self.relationship.pin_state
        self.relationship.pin_state = state._replace(
            held=state.held | decision.held_event_rules(),
            completed=state.completed or event.type == EventType.APPOINTMENT_COMPLETED,
        )

    def _record_suppressed_move(self, decision: Decision, at: datetime) -> None:
        move, state = decision.move, self.relationship.pin_state
        if move is None or any(earlier.to_stage == move.to_stage for earlier in state.suppressed):
            return
        suppressed = SuppressedMove(move.to_stage, at, move.trigger_event)
        self.relationship.pin_state = state._replace(suppressed=(*state.suppressed, suppressed))
