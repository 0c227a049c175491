"""A customer's journey in memory: applies events, the passing of time, manual moves and pins."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from journey_service.domain.calendar import utc_text
from journey_service.domain.errors import InvalidInputError, quote_value
from journey_service.domain.events.event import LATEST, Event, EventType, max_sum
from journey_service.domain.journeys.engine import Decision, DecisionWithoutReasons, decide
from journey_service.domain.journeys.errors import InactiveStageError, StageConflictError
from journey_service.domain.journeys.facts import Facts, apply_event_to_facts
from journey_service.domain.journeys.relationship import (
    NO_PIN_STATE,
    Activation,
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

OPENING_EVENT = "journey_started"
"""`trigger_event` of the first transition."""
ARCHIVED_EVENT = "stage_archived"
"""`trigger_event` of a move out of an archived stage."""
REPAIRED_EVENT = "stage_repaired"
"""`trigger_event` of a move out of an unknown stage."""


class Journey:
    """A relationship and its new transitions since it was loaded.

    The current time is always a parameter. Time is monotonic: a step at an instant before the last transition is
    taken at the instant of that transition.
    """

    decide = staticmethod(decide)
    """The decision function; subclasses replace it to simulate other rules."""

    def __init__(self, relationship: Relationship, rulebook: Rulebook) -> None:
        self.relationship = relationship
        self.rulebook = rulebook
        self.new_transitions: list[Transition] = []
        self.decided_at: datetime | None = None
        """The instant of the last decision."""

    @classmethod
    def open(
        cls, customer_id: int, rulebook: Rulebook, at: datetime, *, cause: TransitionCause | None = None
    ) -> "Journey":
        """Creates a journey in the lowest active progress stage.

        Nothing is evaluated yet: apply the first event, or call `schedule_first_evaluation`.
        """
        start = rulebook.stage_map.start
        relationship = Relationship(
            customer_id=customer_id,
            current_stage=start.key,
            stage_entered_at=at,
            version=1,
            last_progress=start.key,
            stages_held=frozenset((start.key,)),
            map_version=rulebook.stage_map.version,
        )
        journey = cls(relationship, rulebook)
        journey.new_transitions.append(
            Transition(
                seq=1,
                from_stage=None,
                to_stage=start.key,
                transitioned_at=at,
                trigger_type=TriggerType.SYSTEM,
                trigger_event=OPENING_EVENT,
                cause=cause or TransitionCause("start", ""),
                map_version=rulebook.stage_map.version,
            )
        )
        return journey

    def schedule_first_evaluation(self, at: datetime) -> None:
        """Schedules the next evaluation of a journey that was created without an event."""
        self._schedule(self.decide(self.relationship, self.rulebook, at))

    def is_late(self, instant: datetime) -> bool:
        """Returns whether an event at this instant is late: the customer has a later event or transition."""
        last = self.relationship.facts.last_event_at
        return instant < self.relationship.stage_entered_at or (last is not None and instant < last)

    def advance_to(self, until: datetime) -> None:
        """Runs all evaluations due up to and including `until`, each as of its due instant."""
        while (due := self.relationship.next_evaluation_at) is not None and due <= until:
            self.evaluate(due)

    def evaluate(self, at: datetime) -> Transition | None:
        """Evaluates the customer as of `at` without an event; ends an expired pin."""
        at = max(at, self.relationship.stage_entered_at)
        due = self.relationship.next_evaluation_at
        if self.relationship.is_pinned(at) and (due is None or at < due):
            return None  # no change is due while the customer is pinned
        decision = self.decide(self.relationship, self.rulebook, at)
        self._end_pin(at)
        return self._apply_decision(decision, at, TransitionCause("time", _timestamp(at)))

    def apply_event(
        self, event: Event, now: datetime, *, facts: Facts | None = None, is_counted: bool = True
    ) -> Transition | None:
        """Applies an event as of `now`, after the evaluations that were due before.

        `facts` are the customer's facts with the event; by default it adds to the present ones. An event that does not
        count (`is_counted`) triggers no rule.

        Raises InvalidInputError if a sum of the customer would exceed the largest possible one.
        """
        now = max(now, self.relationship.stage_entered_at)
        policy = self.rulebook.policy
        if facts is None:
            facts = apply_event_to_facts(self.relationship.facts, event, policy)
        if max(facts.appointments_cents, facts.payments_cents, facts.refunds_cents) > max_sum(
            policy.currency
        ):
            raise InvalidInputError.at(
                "/data/total_amount", "would exceed the largest possible total of the customer"
            )
        self.advance_to(now)
        self.relationship.facts = facts
        decision = self.decide(self.relationship, self.rulebook, now, event if is_counted else None)
        if is_counted and self.relationship.is_pinned(now):
            self._record_pinned_event(event, decision)
        return self._apply_decision(decision, now, event_cause(event))

    def move(  # noqa: PLR0913  # the parts of a request
        self,
        to_stage: str,
        now: datetime,
        *,
        actor: str,
        key: str,
        performed_by: int | None = None,
        notes: str | None = None,
        pin_until: datetime | None = None,
        is_silent: bool = False,
    ) -> bool:
        """Moves the customer manually; returns whether a pin was set because the rules would move them back.

        The actions of the stage are skipped if `is_silent`.

        Raises InvalidInputError for an unknown stage, InactiveStageError, StageConflictError.
        """
        stage = self.rulebook.stage_map.by_key.get(to_stage)
        if stage is None:
            raise InvalidInputError.at("/to_stage", f"{quote_value(to_stage)} is not a stage of the company")
        if not stage.is_active:
            raise InactiveStageError(to_stage)
        before = self.relationship
        if before.current_stage == to_stage:
            raise StageConflictError(to_stage)
        now = max(now, before.stage_entered_at)
        before.pin_until, before.pin_state = None, NO_PIN_STATE
        reasons = self.decide(before, self.rulebook, now).reasons
        request: dict[str, str | None] = {"pin_until": None if pin_until is None else utc_text(pin_until)}
        self._enter(
            to_stage,
            Transition(
                seq=before.version + 1,
                from_stage=before.current_stage,
                to_stage=to_stage,
                transitioned_at=now,
                trigger_type=TriggerType.MANUAL,
                trigger_event=None,
                cause=TransitionCause("manual", key),
                map_version=self.rulebook.stage_map.version,
                reasons=reasons,
                actor=actor,
                performed_by=performed_by,
                notes=notes,
                request=request,
                is_silent=is_silent,
            ),
        )
        decision = self.decide(self.relationship, self.rulebook, now)
        must_pin = pin_until is None and decision.move is not None
        if must_pin:
            pin_until = now + timedelta(days=self.rulebook.policy.manual_pin_days)
            # Stored with the move, so that a repeated request gets the same response.
            request["pinned_until"] = utc_text(pin_until)
        if pin_until is not None:
            self.relationship.pin_until = pin_until
            decision = self.decide(self.relationship, self.rulebook, now)
            self._record_suppressed_move(decision, now)
        self._schedule(decision)
        return must_pin

    def pin(self, until: datetime, now: datetime) -> None:
        """Pins the customer to the present stage; suppressed moves of an active pin are kept."""
        now = max(now, self.relationship.stage_entered_at)
        if not self.relationship.is_pinned(now):
            self.relationship.pin_state = NO_PIN_STATE
        self.relationship.pin_until = until
        decision = self.decide(self.relationship, self.rulebook, now)
        self._record_suppressed_move(decision, now)
        self._schedule(decision)

    def unpin(self, now: datetime) -> Transition | None:
        """Removes the pin and evaluates the customer as at its end."""
        now = max(now, self.relationship.stage_entered_at)
        self.relationship.pin_until = now
        return self.evaluate(now)

    def apply_stage_map(self, rulebook: Rulebook, at: datetime, activation: Activation) -> None:
        """Migrates the journey to another version of the stage map that is in force since `at`.

        Evaluations due before are run with the previous rules. A customer in a stage that is now archived moves to its
        successor. Unless the activation is FUTURE_ONLY, the customer is then evaluated with the new rules until no
        rule decides another move.
        """
        at = max(at, self.relationship.stage_entered_at)
        self.advance_to(at)
        self.rulebook = rulebook
        self.relationship.map_version = rulebook.stage_map.version
        successor = rulebook.stage_map.successor(self.relationship.current_stage)
        if successor is not None:
            self._leave_archived(successor.key, at)
            self._schedule(self.decide(self.relationship, rulebook, at))
        if activation is not Activation.FUTURE_ONLY:
            cause = TransitionCause("map", str(rulebook.stage_map.version))
            self._evaluate_repeatedly(at, cause, is_silent=activation is Activation.CURRENT_SILENT)

    def apply_policy(
        self, rulebook: Rulebook, since: datetime, *, at: datetime, facts: Facts | None = None
    ) -> None:
        """Migrates the journey to another policy and evaluates it silently as of `at`.

        The policy is in force since `since`: evaluations due before are run with the previous policy. `facts` replace
        the customer's facts if the policy derives facts from events differently.
        """
        self.advance_to(since)
        self.rulebook = rulebook
        if facts is not None:
            self.relationship.facts = facts
        self.advance_to(at)
        at = max(at, self.relationship.stage_entered_at)
        self._evaluate_repeatedly(at, TransitionCause("policy", _timestamp(since)), is_silent=True)

    def move_out_of_unknown_stage(self, at: datetime) -> None:
        """Moves a customer out of an unknown or archived stage, to its successor or the start stage.

        No evaluation is run before, because an unknown stage has no rules.
        """
        at = max(at, self.relationship.stage_entered_at)
        stage_map = self.rulebook.stage_map
        stage = stage_map.by_key.get(self.relationship.current_stage)
        if stage is None or not stage.is_active:
            seq = self.relationship.version + 1
            target = stage_map.successor(self.relationship.current_stage) or stage_map.start
            self._enter(
                target.key,
                Transition(
                    seq=seq,
                    from_stage=self.relationship.current_stage,
                    to_stage=target.key,
                    transitioned_at=at,
                    trigger_type=TriggerType.SYSTEM,
                    trigger_event=REPAIRED_EVENT,
                    cause=TransitionCause("repair", f"{_timestamp(at)}/{seq}"),
                    map_version=stage_map.version,
                    is_silent=True,
                ),
            )
        self.relationship.map_version = stage_map.version
        self._schedule(self.decide(self.relationship, self.rulebook, at))

    # ---- steps

    def _leave_archived(self, successor: str, at: datetime) -> None:
        version = self.rulebook.stage_map.version
        self._enter(
            successor,
            Transition(
                seq=self.relationship.version + 1,
                from_stage=self.relationship.current_stage,
                to_stage=successor,
                transitioned_at=at,
                trigger_type=TriggerType.SYSTEM,
                trigger_event=ARCHIVED_EVENT,
                cause=TransitionCause("map", str(version)),
                map_version=version,
                is_silent=True,
            ),
        )

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
        if cause.kind in ("time", "map", "policy"):
            # Several moves may have the same instant: back from churned and then at risk, or any number of moves while
            # a test clock stands still.
            cause = TransitionCause(cause.kind, f"{cause.id}/{self.relationship.version + 1}")
        transition = Transition(
            seq=self.relationship.version + 1,
            from_stage=self.relationship.current_stage,
            to_stage=move.to_stage,
            transitioned_at=at,
            trigger_type=TriggerType.AUTOMATIC,
            trigger_event=move.trigger_event,
            cause=cause,
            map_version=self.rulebook.stage_map.version,
            reasons=decision.reasons,
            is_silent=is_silent,
        )
        return self._enter(move.to_stage, transition)

    def _enter(self, key: str, transition: Transition) -> Transition:
        relationship = self.relationship
        is_progress = self.rulebook.stage_map.by_key[key].kind is StageKind.PROGRESS
        transition = transition._replace(motion=self._motion(transition), since=relationship.stage_entered_at)
        relationship.previous_stage = relationship.current_stage
        relationship.current_stage = key
        relationship.stage_entered_at = transition.transitioned_at
        relationship.version = transition.seq
        if is_progress:
            relationship.last_progress = key
            relationship.stages_held |= {key}
        self.new_transitions.append(transition)
        return transition

    def _motion(self, transition: Transition) -> Motion:
        if transition.trigger_type is TriggerType.SYSTEM:
            return Motion.REMAP
        stages = self.rulebook.stage_map.by_key
        to_stage, from_stage = stages[transition.to_stage], stages.get(transition.from_stage or "")
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


class JourneyWithoutReasons(Journey):
    """A journey for simulations: its decisions have no reasons."""

    decide = staticmethod(DecisionWithoutReasons)


def event_cause(event: Event) -> TransitionCause:
    """Returns the cause of transitions by an event: `source:id`, unambiguous for any source."""
    return TransitionCause("event", event_cause_id(event.source, event.event_id))


def event_cause_id(source: str, event_id: str) -> str:
    """Returns the id of an event's cause."""
    return f"{source.replace('%', '%25').replace(':', '%3A')}:{event_id}"


def split_event_cause(cause_id: str) -> tuple[str, str]:
    """Returns the source and the id of the event of a cause."""
    source, _, event_id = cause_id.partition(":")
    return source.replace("%3A", ":").replace("%25", "%"), event_id


def check_pin_until(pin_until: datetime, now: datetime, pointer: str) -> None:
    """Checks that a pin ends in the future. Raises InvalidInputError."""
    if not now < pin_until < LATEST:
        raise InvalidInputError.at(pointer, "must be in the future")


def move_request(transition: Transition) -> Mapping[str, str | int | None]:
    """Returns the request of a manual move, to detect a different request with the same key."""
    return {
        "to_stage": transition.to_stage,
        "notes": transition.notes,
        "performed_by": transition.performed_by,
        "pin_until": (transition.request or {}).get("pin_until"),
        "runs_actions": not transition.is_silent,
    }


def _timestamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
