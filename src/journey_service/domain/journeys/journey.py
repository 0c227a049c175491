"""One customer's journey being worked on: time passes, events happen, people move and pin."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from journey_service.domain.errors import InvalidInputError, quote_value
from journey_service.domain.events.event import LATEST, MAX_SUM_CENTS, Event, EventType
from journey_service.domain.journeys.engine import Decision, DecisionWithoutReasons, decide
from journey_service.domain.journeys.errors import InactiveStageError, StageConflictError
from journey_service.domain.journeys.facts import Facts, fold
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
ARCHIVED_EVENT = "stage_archived"
REPAIRED_EVENT = "stage_repaired"


class Journey:
    """A relationship and the transitions written since it was loaded.

    Nothing here reads a clock: every step is told its instant. Instants never run backwards: a step told an
    instant before the last transition is taken at that transition's instant.
    """

    decide = staticmethod(decide)
    """How one decision is taken: the one thing another reading of the rules would do otherwise."""

    def __init__(self, relationship: Relationship, rulebook: Rulebook) -> None:
        self.relationship = relationship
        self.rulebook = rulebook
        self.new_transitions: list[Transition] = []
        self.decided_at: datetime | None = None
        """The instant of the last decision taken here."""

    @classmethod
    def open(
        cls, customer_id: int, rulebook: Rulebook, at: datetime, *, cause: TransitionCause | None = None
    ) -> "Journey":
        """Start a journey in the lowest active progress stage.

        Nothing is decided yet: that is for the first event, or for `settle`.
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
        """Note when to look next at a journey that was opened with no event."""
        self._plan(self.decide(self.relationship, self.rulebook, at))

    def is_late(self, instant: datetime) -> bool:
        """Whether the customer has an event or a transition later than the instant: news of it comes late."""
        last = self.relationship.facts.last_event_at
        return instant < self.relationship.stage_entered_at or (last is not None and instant < last)

    def advance_to(self, until: datetime) -> None:
        """Decide everything due up to and including `until`, each at its own due instant."""
        while (due := self.relationship.next_evaluation_at) is not None and due <= until:
            self.evaluate(due)

    def evaluate(self, at: datetime) -> Transition | None:
        """Decide as of `at` with no event, ending a pin that has run out."""
        at = max(at, self.relationship.stage_entered_at)
        due = self.relationship.next_evaluation_at
        if self.relationship.is_pinned(at) and (due is None or at < due):
            return None  # nothing can have changed since the last look: there is nothing new to note
        decision = self.decide(self.relationship, self.rulebook, at)
        self._end_pin(at)
        return self._carry_out(decision, at, TransitionCause("time", _instant(at)))

    def apply_event(self, event: Event, now: datetime) -> Transition | None:
        """Apply one event that was not applied before, as of `now`; what was due before is decided first."""
        now = max(now, self.relationship.stage_entered_at)
        self.advance_to(now)
        policy = self.rulebook.policy
        facts = fold(self.relationship.facts, event, policy)
        if max(facts.appointments_cents, facts.payments_cents, facts.refunds_cents) > MAX_SUM_CENTS:
            raise InvalidInputError.at("/data/total_amount", "would take the customer's total out of range")
        self.relationship.facts = facts
        decision = self.decide(self.relationship, self.rulebook, now, event)
        if self.relationship.is_pinned(now):
            self._remember(event, decision)
        return self._carry_out(decision, now, event_cause(event))

    def move(
        self,
        to_stage: str,
        now: datetime,
        *,
        actor: str,
        key: str,
        performed_by: int | None = None,
        notes: str | None = None,
        pin_until: datetime | None = None,
    ) -> bool:
        """Move by hand; returns whether the move had to be pinned because the rules would undo it at once.

        Raises InvalidInputError for an unknown stage, InactiveStageError, StageConflictError.
        """
        stage = self.rulebook.stage_map.by_key.get(to_stage)
        if stage is None:
            raise InvalidInputError.at("/to_stage", f"{quote_value(to_stage)} is not a stage of this company")
        if not stage.is_active:
            raise InactiveStageError(to_stage)
        before = self.relationship
        if before.current_stage == to_stage:
            raise StageConflictError(to_stage)
        now = max(now, before.stage_entered_at)
        before.pin_until, before.pin_state = None, NO_PIN_STATE
        reasons = self.decide(before, self.rulebook, now).reasons
        request: dict[str, str | None] = {"pin_until": None if pin_until is None else _instant(pin_until)}
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
            ),
        )
        decision = self.decide(self.relationship, self.rulebook, now)
        must_pin = pin_until is None and decision.move is not None
        if must_pin:
            pin_until = now + timedelta(days=self.rulebook.policy.manual_pin_days)
            # Kept with the move, so that a repeated request is answered alike.
            request["pinned_until"] = _instant(pin_until)
        if pin_until is not None:
            self.relationship.pin_until = pin_until
            decision = self.decide(self.relationship, self.rulebook, now)
            self._suppress(decision, now)
        self._plan(decision)
        return must_pin

    def pin(self, until: datetime, now: datetime) -> None:
        """Hold the customer in the present stage until a date; what an earlier pin noted is kept."""
        now = max(now, self.relationship.stage_entered_at)
        if not self.relationship.is_pinned(now):
            self.relationship.pin_state = NO_PIN_STATE
        self.relationship.pin_until = until
        decision = self.decide(self.relationship, self.rulebook, now)
        self._suppress(decision, now)
        self._plan(decision)

    def unpin(self, now: datetime) -> Transition | None:
        """Lift the pin: decided at once, as at its end."""
        now = max(now, self.relationship.stage_entered_at)
        self.relationship.pin_until = now
        return self.evaluate(now)

    def apply_stage_map(self, rulebook: Rulebook, at: datetime, activation: Activation) -> None:
        """Go over to another version of the stage map, put in force at `at`.

        What was due before is decided by the former rules. Whoever is then in a stage that the version has archived
        goes to that one's successor. Where it counts for present customers, they are decided by the new rules, as
        often as these want another move.
        """
        at = max(at, self.relationship.stage_entered_at)
        self.advance_to(at)
        self.rulebook = rulebook
        self.relationship.map_version = rulebook.stage_map.version
        successor = rulebook.stage_map.successor(self.relationship.current_stage)
        if successor is not None:
            self._leave_archived(successor.key, at)
            self._plan(self.decide(self.relationship, rulebook, at))
        if activation is not Activation.FUTURE_ONLY:
            cause = TransitionCause("map", str(rulebook.stage_map.version))
            self._decide_anew(at, cause, is_silent=activation is Activation.CURRENT_SILENT)

    def apply_policy(
        self, rulebook: Rulebook, since: datetime, *, at: datetime, facts: Facts | None = None
    ) -> None:
        """Go over to another policy, put in force `since`: silently decided anew as of `at`, which is not before.

        What was due before is decided by the former rules. `facts` are the customer's as the policy folds them, where
        it does so otherwise.
        """
        self.advance_to(since)
        self.rulebook = rulebook
        if facts is not None:
            self.relationship.facts = facts
        self.advance_to(at)
        at = max(at, self.relationship.stage_entered_at)
        self._decide_anew(at, TransitionCause("policy", _instant(since)), is_silent=True)

    def move_out_of_unknown_stage(self, at: datetime) -> None:
        """Leave a stage that the map does not know, or has archived, for its successor or the start of all journeys.

        Nothing is decided before: by a stage that nobody knows nothing can be.
        """
        at = max(at, self.relationship.stage_entered_at)
        stage_map = self.rulebook.stage_map
        stage = stage_map.by_key.get(self.relationship.current_stage)
        if stage is None or not stage.is_active:
            seq = self.relationship.version + 1
            home = stage_map.successor(self.relationship.current_stage) or stage_map.start
            self._enter(
                home.key,
                Transition(
                    seq=seq,
                    from_stage=self.relationship.current_stage,
                    to_stage=home.key,
                    transitioned_at=at,
                    trigger_type=TriggerType.SYSTEM,
                    trigger_event=REPAIRED_EVENT,
                    cause=TransitionCause("repair", f"{_instant(at)}/{seq}"),
                    map_version=stage_map.version,
                    is_silent=True,
                ),
            )
        self.relationship.map_version = stage_map.version
        self._plan(self.decide(self.relationship, self.rulebook, at))

    # ---- what the steps are made of

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

    def _decide_anew(self, at: datetime, cause: TransitionCause, *, is_silent: bool) -> None:
        wants_more = True
        while wants_more:
            decision = self.decide(self.relationship, self.rulebook, at)
            self._end_pin(at)
            wants_more = self._carry_out(decision, at, cause, is_silent=is_silent) is not None

    def _carry_out(
        self, decision: Decision, at: datetime, cause: TransitionCause, *, is_silent: bool = False
    ) -> Transition | None:
        if decision.is_suppressed:
            self._suppress(decision, at)
            self._plan(decision)
            return None
        if decision.move is None:
            self._plan(decision)
            return None
        transition = self._follow(decision, decision.move, at, cause, is_silent=is_silent)
        self._plan(self.decide(self.relationship, self.rulebook, at))
        return transition

    def _follow(
        self, decision: Decision, move: StageMove, at: datetime, cause: TransitionCause, *, is_silent: bool
    ) -> Transition:
        if cause.kind in ("time", "map", "policy"):
            # One instant may hold several moves: back from churned and then at risk, or any number of them
            # where a test clock stands still.
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

    def _plan(self, decision: Decision) -> None:
        """Note when to look again: at once if the rules already want another move, else at the next change."""
        self.decided_at = decision.now
        wants_more = decision.move is not None and not decision.is_suppressed
        at = self.relationship.stage_entered_at if wants_more else decision.next_at
        self.relationship.next_evaluation_at = at

    def _end_pin(self, at: datetime) -> None:
        relationship = self.relationship
        if relationship.pin_until is not None and relationship.pin_until <= at:
            relationship.pin_until = None
            relationship.pin_state = PinState(suppressed=relationship.pin_state.suppressed)

    def _remember(self, event: Event, decision: Decision) -> None:
        memory = self.relationship.pin_state
        self.relationship.pin_state = memory._replace(
            held=memory.held | decision.held_event_rules(),
            completed=memory.completed or event.type == EventType.APPOINTMENT_COMPLETED,
        )

    def _suppress(self, decision: Decision, at: datetime) -> None:
        move, memory = decision.move, self.relationship.pin_state
        if move is None or any(earlier.to_stage == move.to_stage for earlier in memory.suppressed):
            return
        noted = SuppressedMove(move.to_stage, at, move.trigger_event)
        self.relationship.pin_state = memory._replace(suppressed=(*memory.suppressed, noted))


class JourneyWithoutReasons(Journey):
    """A journey that is only tried out: nobody will ask for the reasons of its moves."""

    decide = staticmethod(DecisionWithoutReasons)


def event_cause(event: Event) -> TransitionCause:
    """The cause an event's transition carries: `source:id`, unambiguous for any source."""
    return TransitionCause("event", event_cause_id(event.source, event.event_id))


def event_cause_id(source: str, event_id: str) -> str:
    """How a cause names an event."""
    return f"{source.replace('%', '%25').replace(':', '%3A')}:{event_id}"


def split_event_cause(cause_id: str) -> tuple[str, str]:
    """The source and the id of the event that a cause names."""
    source, _, event_id = cause_id.partition(":")
    return source.replace("%3A", ":").replace("%25", "%"), event_id


def check_pin_until(pin_until: datetime, now: datetime, pointer: str) -> None:
    """A pin ends in the future, or the caller is told."""
    if not now < pin_until < LATEST:
        raise InvalidInputError.at(pointer, "must lie in the future")


def move_request(transition: Transition) -> Mapping[str, str | int | None]:
    """What a manual move asked for, to tell a repeated request from another one under the same key."""
    return {
        "to_stage": transition.to_stage,
        "notes": transition.notes,
        "performed_by": transition.performed_by,
        "pin_until": (transition.request or {}).get("pin_until"),
    }


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
