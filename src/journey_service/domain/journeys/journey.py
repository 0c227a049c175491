"""A customer's journey in memory: applies events, the passing of time, manual moves and pins."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from journey_service.domain.calendar import utc_text
from journey_service.domain.companies.currencies import Currency
from journey_service.domain.errors import InvalidInputError, quote_value
from journey_service.domain.events.event import LATEST, Event, max_sum
from journey_service.domain.journeys.engine import DecisionWithoutReasons
from journey_service.domain.journeys.errors import InactiveStageError, StageConflictError
from journey_service.domain.journeys.facts import NO_FACTS, Facts, apply_event_to_facts
from journey_service.domain.journeys.prediction.outlook import predict_hazards
from journey_service.domain.journeys.prediction.visit_state import has_same_visits
from journey_service.domain.journeys.relationship import (
    NO_PIN_STATE,
    Activation,
    ChurnHazards,
    Relationship,
    Rulebook,
    Transition,
    TransitionCause,
    TriggerType,
)
from journey_service.domain.journeys.transitions.causes import (
    ARCHIVED_EVENT,
    MERGED_EVENT,
    OPENING_EVENT,
    REPAIRED_EVENT,
    event_cause,
    timestamp_id,
)
from journey_service.domain.journeys.transitions.steps import JourneySteps
from journey_service.domain.stages.stage_map import MERGED_STAGE


class Journey(JourneySteps):
    """A relationship and its new transitions since it was loaded.

    The current time is always a parameter. Time is monotonic: a step at an instant before the last transition is
    taken at the instant of that transition.
    """

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
        return self._apply_decision(decision, at, TransitionCause("time", timestamp_id(at)))

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
        _check_sums(facts, policy.currency, "/data/total_amount")
        self.advance_to(now)
        self.set_facts(facts, now)
        decision = self.decide(self.relationship, self.rulebook, now, event if is_counted else None)
        if is_counted and self.relationship.is_pinned(now):
            self._record_pinned_event(event, decision)
        return self._apply_decision(decision, now, event_cause(event))

    def apply_churn_hazards(self, hazards: ChurnHazards | None, now: datetime) -> Transition | None:
        """Replaces the predicted hazards and evaluates the customer as of `now`, after the evaluations due before."""
        now = max(now, self.relationship.stage_entered_at)
        self.advance_to(now)
        self.relationship.churn_hazards = hazards
        decision = self.decide(self.relationship, self.rulebook, now)
        return self._apply_decision(decision, now, TransitionCause("time", timestamp_id(now)))

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
        runs_actions: bool | None = None,
    ) -> bool:
        """Moves the customer manually; returns whether a pin was set because the rules would move them back.

        `runs_actions`: whether the actions of the stage run; None if they run on a move up only.

        Raises InvalidInputError for an unknown stage, InactiveStageError, StageConflictError.
        """
        self._check_target(to_stage)
        before = self.relationship
        now = max(now, before.stage_entered_at)
        before.pin_until, before.pin_state = None, NO_PIN_STATE
        request: dict[str, str | bool | None] = {
            "pin_until": None if pin_until is None else utc_text(pin_until),
            "run_actions": runs_actions,
        }
        if runs_actions is None:
            runs_actions = self.rulebook.stage_map.is_up(before.current_stage, to_stage)
        self._enter(
            Transition(
                seq=before.version + 1,
                from_stage=before.current_stage,
                to_stage=to_stage,
                transitioned_at=now,
                trigger_type=TriggerType.MANUAL,
                trigger_event=None,
                cause=TransitionCause("manual", key),
                map_version=self.rulebook.stage_map.version,
                reasons=self.decide(before, self.rulebook, now).reasons,
                actor=actor,
                performed_by=performed_by,
                notes=notes,
                request=request,
                is_silent=not runs_actions,
                motion=self._motion_to(to_stage),
                since=before.stage_entered_at,
            )
        )
        return self._decide_after_move(now, pin_until, request)

    def _check_target(self, to_stage: str) -> None:
        stage = self.rulebook.stage_map.by_key.get(to_stage)
        if stage is None:
            raise InvalidInputError.at("/to_stage", f"{quote_value(to_stage)} is not a stage of the company")
        if not stage.is_active:
            raise InactiveStageError(to_stage)
        if self.relationship.current_stage == to_stage:
            raise StageConflictError(to_stage)

    def _decide_after_move(
        self, now: datetime, pin_until: datetime | None, request: dict[str, str | bool | None]
    ) -> bool:
        """Pins the customer if the rules would undo the manual move; returns whether they would."""
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
        cause = TransitionCause("map", str(rulebook.stage_map.version))
        successor = rulebook.stage_map.successor(self.relationship.current_stage)
        if successor is not None:
            self._enter_by_system(successor.key, at, ARCHIVED_EVENT, cause)
            self._schedule(self.decide(self.relationship, rulebook, at))
        if activation is not Activation.FUTURE_ONLY:
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
        self._evaluate_repeatedly(at, TransitionCause("policy", timestamp_id(since)), is_silent=True)

    def set_facts(self, facts: Facts, at: datetime) -> None:
        """Replaces the facts, and recomputes the prediction as of `at` if a fact that it depends on has changed."""
        relationship, model = self.relationship, self.rulebook.churn_model
        if not has_same_visits(facts, relationship.facts):
            values = None if model is None else predict_hazards(model, facts, at)
            relationship.churn_hazards = None if values is None else ChurnHazards(at, values)
        relationship.facts = facts

    def move_out_of_unknown_stage(self, at: datetime) -> None:
        """Moves a customer out of an unknown or archived stage, to its successor or the start stage.

        No evaluation is run before, because an unknown stage has no rules.
        """
        at = max(at, self.relationship.stage_entered_at)
        stage_map = self.rulebook.stage_map
        stage = stage_map.by_key.get(self.relationship.current_stage)
        if stage is None or not stage.is_active:
            target = stage_map.successor(self.relationship.current_stage) or stage_map.start
            cause = TransitionCause("repair", f"{timestamp_id(at)}/{self.relationship.version + 1}")
            self._enter_by_system(target.key, at, REPAIRED_EVENT, cause)
        self.relationship.map_version = stage_map.version
        self._schedule(self.decide(self.relationship, self.rulebook, at))

    def absorb(self, facts: Facts, newest: Event | None, at: datetime, *, key: str) -> None:
        """Decides the customer silently as of `at`, after another customer was merged into this one.

        `facts` are those of the events of both. The decision is made as if `newest`, the newest completed appointment
        among them, were being applied, and then repeated until no rule decides another move. `key` names the merge.

        Raises InvalidInputError if a sum would exceed the largest possible one.
        """
        _check_sums(facts, self.rulebook.policy.currency, "/merge")
        at = max(at, self.relationship.stage_entered_at)
        self.set_facts(facts, at)
        cause = TransitionCause("merge", key)
        decision = self.decide(self.relationship, self.rulebook, at, newest)
        if newest is not None and self.relationship.is_pinned(at):
            self._record_pinned_event(newest, decision)
        if self._apply_decision(decision, at, cause, is_silent=True) is not None:
            self._evaluate_repeatedly(at, cause, is_silent=True)

    def close_as_merged(self, at: datetime, *, actor: str, key: str) -> None:
        """Ends the journey of a customer who is merged into another one, as of `at`: no facts, no evaluation."""
        relationship = self.relationship
        at = max(at, relationship.stage_entered_at)
        self._enter_by_system(MERGED_STAGE, at, MERGED_EVENT, TransitionCause("merge", key), actor=actor)
        relationship.facts, relationship.churn_hazards = NO_FACTS, None
        relationship.pin_until, relationship.pin_state = None, NO_PIN_STATE
        relationship.next_evaluation_at = None
        self.decided_at = at


class JourneyWithoutReasons(Journey):
    """A journey for simulations: its decisions have no reasons."""

    decide = staticmethod(DecisionWithoutReasons)


def _check_sums(facts: Facts, currency: Currency, pointer: str) -> None:
    if max(facts.appointments_cents, facts.payments_cents, facts.refunds_cents) > max_sum(currency):
        raise InvalidInputError.at(pointer, "would exceed the largest possible total of the customer")


def check_pin_until(pin_until: datetime, now: datetime, pointer: str) -> None:
    """Checks that a pin ends in the future. Raises InvalidInputError."""
    if not now < pin_until < LATEST:
        raise InvalidInputError.at(pointer, "must be in the future")


def move_request(transition: Transition) -> Mapping[str, str | int | bool | None]:
    """Returns the request of a manual move, to detect a different request with the same key."""
    request = transition.request or {}
    return {
        "to_stage": transition.to_stage,
        "notes": transition.notes,
        "performed_by": transition.performed_by,
        "pin_until": request.get("pin_until"),
        "run_actions": request.get("run_actions"),
    }
