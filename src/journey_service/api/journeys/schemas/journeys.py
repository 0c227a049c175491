"""Request and response schemas of journeys."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from journey_service.api.journeys.schemas.transitions import MANUAL_MOVE_EXAMPLE, StageResult, Transition
from journey_service.api.schema_fields import (
    AnyCustomerId,
    CustomerRef,
    Instant,
    JsonObject,
    RequestModel,
    ResponseModel,
    SingleLineText,
    Text,
    Timestamp,
)
from journey_service.domain.journeys import relationship as domain
from journey_service.domain.journeys.booking_pause import next_booking
from journey_service.domain.journeys.facts import days_since
from journey_service.services.journeys import manual_changes
from journey_service.services.journeys.view import JourneyView


class PinUpdate(RequestModel):
    """The end of a pin."""

    pin_until: Instant = Field(
        description="Time until which the customer is pinned to the current stage; it must be in the future",
        examples=["2026-04-01T00:00:00Z"],
    )


class JourneyUpdate(RequestModel):
    """Owner, notes and metadata of a journey; omitted fields keep their values."""

    owner: SingleLineText | None = Field(
        default=None,
        description="Employee who is responsible for the customer, until an action assigns another one; null removes"
        " the owner",
        examples=["ben"],
    )

    notes: Text | None = Field(
        default=None,
        max_length=10_000,
        description="Free text; null removes the notes",
        examples=["Prefers mornings"],
    )
    metadata: JsonObject = Field(
        default=None,
        description="JSON object with keys of your choice, at most 8 KiB and 20 levels; it replaces the stored object."
        " Null removes the metadata",
        examples=[{"chair": 3}],
    )


class SuppressedMove(ResponseModel):
    """A move that the rules called for while the customer was pinned."""

    to_stage: str = Field(
        description="Key of the stage that the customer would have moved to", examples=["at_risk"]
    )
    at: Timestamp = Field(description="When the move would have happened", examples=["2026-05-31T11:00:00Z"])
    trigger_event: str = Field(
        description="Event type or trigger that called for the move", examples=["days_since_last_appointment"]
    )

    @classmethod
    def of(cls, move: domain.SuppressedMove) -> "SuppressedMove":
        """Builds the response from a suppressed move of the domain."""
        return cls(to_stage=move.to_stage, at=move.at, trigger_event=move.trigger_event)


class Journey(ResponseModel):
    """The current stage of a customer, with the facts and scores behind it."""

    customer_id: AnyCustomerId = Field(description="Id of the customer; negative: erased")
    customer_ref: CustomerRef
    current_stage: str = Field(description="Key of the current stage", examples=["regular"])
    stage_name: str = Field(description="Name of the current stage", examples=["Regular Customer"])
    stage_entered_at: Timestamp = Field(
        description="When the customer entered `current_stage`", examples=["2026-01-15T10:00:00Z"]
    )
    days_in_current_stage: int = Field(
        ge=0, description="Whole days of 24 hours since `stage_entered_at`", examples=[45]
    )
    previous_stage: str | None = Field(
        description="Key of the stage before `current_stage`; null if the journey began in `current_stage`",
        examples=["customer"],
    )
    version: int = Field(
        ge=1, description="Number of transitions of the journey; also its ETag", examples=[4]
    )
    pin_until: Timestamp | None = Field(
        description="Time until which a pin keeps the customer in `current_stage`; null if there is no pin",
        examples=[None],
    )
    suppressed: list[SuppressedMove] = Field(
        description="Moves that the pin until `pin_until` has suppressed; empty if there is no pin",
        examples=[[]],
    )
    lifetime_value: float = Field(
        description="Lifetime value: sum of the revenue from the customer, in the company's currency, by the setting"
        " `revenue_source`",
        examples=[349.9],
    )
    total_appointments: int = Field(ge=0, description="Number of completed appointments", examples=[5])
    total_missed: int = Field(ge=0, description="Number of missed appointments", examples=[2])
    first_appointment_at: Timestamp | None = Field(
        description="Time of the first completed appointment; null if there is none",
        examples=["2025-09-02T09:00:00Z"],
    )
    last_appointment_at: Timestamp | None = Field(
        description="Time of the last completed appointment; null if there is none",
        examples=["2026-03-01T09:30:00Z"],
    )
    next_booking_at: Timestamp | None = Field(
        description="Time of the earliest appointment that is booked and has no outcome, at most 24 hours ago; null if"
        " there is none",
        examples=[None],
    )
    last_event_at: Timestamp | None = Field(
        description="Time of the last event of any type; null if there is none",
        examples=["2026-03-01T09:30:00Z"],
    )
    risk_score: float = Field(
        ge=0,
        le=1,
        description="Risk of losing the customer, 0 (none) to 1, with two decimals",
        examples=[0.2],
    )
    engagement_score: float = Field(
        ge=0,
        le=1,
        description="Engagement of the customer, 0 (none) to 1, with two decimals",
        examples=[0.79],
    )
    scored_at: Timestamp = Field(
        description="Time as of which `risk_score` and `engagement_score` were computed",
        examples=["2026-03-01T12:00:00Z"],
    )
    next_evaluation_at: Timestamp | None = Field(
        description="When the passing of time next changes the result of a rule; null if it never does, and with"
        " `as_of`",
        examples=["2026-05-31T09:30:00Z"],
    )
    map_version: int = Field(ge=1, description="Version of the current stage map", examples=[3])
    owner: str | None = Field(
        description="Employee who is responsible for the customer: the last one that a person or an action set; null if"
        " there is none",
        examples=["ben"],
    )
    notes: str | None = Field(
        description="Free text of the company's staff; null if there is none", examples=["Prefers mornings"]
    )
    metadata: dict[str, Any] | None = Field(
        description="JSON object with keys of the company's choice; null if there is none",
        examples=[{"chair": 3}],
    )
    created_at: Timestamp = Field(description="When the journey began", examples=["2025-08-20T08:12:00Z"])
    updated_at: Timestamp | None = Field(
        description="When the stored journey was last changed, in real time; null with `as_of`",
        examples=["2026-03-01T09:30:01Z"],
    )

    @classmethod
    def of(cls, view: JourneyView) -> "Journey":
        """Builds the response from a stored journey and its scores."""
        return cls.model_construct(
            **_journey_values(view, [SuppressedMove.of(move) for move in _shown_moves(view)])
        )


def journey_values(view: JourneyView) -> dict[str, Any]:
    """Returns the fields of a Journey as plain values: for responses whose time matters."""
    return _journey_values(view, [move._asdict() for move in _shown_moves(view)])


def _shown_moves(view: JourneyView) -> Sequence[domain.SuppressedMove]:
    # Suppressed moves outlive their pin in storage; they are shown only while a pin holds.
    relationship = view.stored.relationship
    return relationship.pin_state.suppressed if relationship.pin_until else ()


def _journey_values(view: JourneyView, suppressed: Sequence[object]) -> dict[str, Any]:
    stored, relationship = view.stored, view.stored.relationship
    facts, policy = relationship.facts, view.context.rulebook.policy
    stage = view.context.rulebook.stage_map.by_key.get(relationship.current_stage)
    return {
        "customer_id": relationship.customer_id,
        "customer_ref": stored.customer_ref,
        "current_stage": relationship.current_stage,
        "stage_name": relationship.current_stage if stage is None else stage.name,
        "stage_entered_at": relationship.stage_entered_at,
        "days_in_current_stage": days_since(relationship.stage_entered_at, view.as_of),
        "previous_stage": relationship.previous_stage,
        "version": relationship.version,
        "pin_until": relationship.pin_until,
        "suppressed": suppressed,
        "lifetime_value": facts.lifetime_cents(policy) / policy.currency.units,
        "total_appointments": facts.total_appointments,
        "total_missed": facts.total_missed,
        "first_appointment_at": facts.first_appointment_at,
        "last_appointment_at": facts.last_appointment_at,
        "next_booking_at": next_booking(facts.open_bookings, view.as_of),
        "last_event_at": facts.last_event_at,
        "risk_score": view.risk / 100,
        "engagement_score": view.engagement / 100,
        "scored_at": view.as_of,
        "next_evaluation_at": relationship.next_evaluation_at,
        "map_version": view.context.company.map_version,
        "owner": stored.owner,
        "notes": stored.notes,
        "metadata": stored.metadata,
        "created_at": stored.created_at or relationship.stage_entered_at,
        "updated_at": stored.updated_at,
    }


class Evaluation(ResponseModel):
    """The outcome of an evaluation. In a dry run: the outcome that an evaluation would have."""

    status: Literal["moved", "stayed", "suppressed"] = Field(
        description="`moved`: the customer moved at least once. `stayed`: no rule moves the customer. `suppressed`: a"
        " rule would move the customer, but a pin prevents it",
        examples=["moved"],
    )
    dry_run: bool = Field(description="Whether this was a dry run, which writes nothing", examples=[False])
    transitions: list[Transition] = Field(
        description="Transitions in order; empty unless `status` is `moved`"
    )
    suppressed_to: str | None = Field(
        description="Key of the stage that the rules call for; null unless `status` is `suppressed`",
        examples=[None],
    )
    reasons: list[StageResult] = Field(
        description="Every stage that was evaluated for the last decision, with the results of its rules"
    )
    journey: Journey = Field(description="The journey after the evaluation")

    @classmethod
    def of(cls, evaluation: manual_changes.EvaluationResult) -> "Evaluation":
        """Builds the response from an evaluation."""
        unmoved: Literal["stayed", "suppressed"] = (
            "stayed" if evaluation.suppressed_to is None else "suppressed"
        )
        return cls(
            status="moved" if evaluation.moves else unmoved,
            dry_run=evaluation.is_dry_run,
            transitions=[Transition.of(entry) for entry in evaluation.moves],
            suppressed_to=evaluation.suppressed_to,
            reasons=[StageResult.of(reason) for reason in evaluation.reasons],
            journey=Journey.of(evaluation.view),
        )


class AutomaticPin(ResponseModel):
    """A pin that the service set, because the rules would have undone a manual move at once."""

    until: Timestamp = Field(description="End of the pin", examples=["2026-03-31T12:00:00Z"])
    reason: str = Field(
        description="Why the customer was pinned, in one English sentence",
        examples=["The rules would undo this move at once, so the customer is pinned."],
    )


class TransitionCreated(ResponseModel):
    """The outcome of a manual move."""

    transition: Transition = Field(
        description="The transition that was written", examples=[MANUAL_MOVE_EXAMPLE]
    )
    journey: Journey = Field(description="The journey in its current state")
    pinned: AutomaticPin | None = Field(
        description="The pin that the service set; null if it set none", examples=[None]
    )

    @classmethod
    def of(cls, moved: manual_changes.ManualMoveResult) -> "TransitionCreated":
        """Builds the response from the outcome of a manual move."""
        pinned = None
        if moved.pinned_until is not None:
            reason = "The rules would undo this move at once, so the customer is pinned."
            pinned = AutomaticPin(until=moved.pinned_until, reason=reason)
        return cls(transition=Transition.of(moved.entry), journey=Journey.of(moved.view), pinned=pinned)
