"""Journeys, moves and their reasons over the wire."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from journey_service.api.schema_fields import Instant, JsonObject, RequestModel, ResponseModel, Text
from journey_service.domain.events.event import MAX_ID
from journey_service.domain.journeys.facts import days_since
from journey_service.domain.journeys.records import TransitionRecord
from journey_service.domain.journeys.relationship import StageReason, SuppressedMove
from journey_service.services.journeys.manual_changes import Evaluation, ManualMoveResult
from journey_service.services.journeys.view import JourneyView


class ManualMoveIn(RequestModel):
    """A move by hand."""

    to_stage: Text = Field(min_length=1, max_length=50, examples=["vip"])
    notes: Text | None = Field(default=None, max_length=10_000)
    performed_by: int | None = Field(
        default=None, ge=0, le=MAX_ID, description="the user's id, if a person is known"
    )
    pin_until: Instant | None = Field(default=None, description="hold the customer in the stage until then")


class PinIn(RequestModel):
    """How long a customer is held in the present stage."""

    pin_until: Instant


class AnnotationIn(RequestModel):
    """Notes and metadata of a journey; what is left out stays as it is."""

    notes: Text | None = Field(default=None, max_length=10_000)
    metadata: JsonObject = None


class SuppressedOut(ResponseModel):
    """A move the rules wanted while a pin held the customer."""

    to_stage: str
    at: datetime
    trigger_event: str

    @classmethod
    def of(cls, move: SuppressedMove) -> "SuppressedOut":
        """Show a suppressed move."""
        return cls(to_stage=move.to_stage, at=move.at, trigger_event=move.trigger_event)


class JourneyOut(ResponseModel):
    """Where a customer stands. Scores are from 0 to 1, as of `scored_at`."""

    customer_id: int
    current_stage: str
    stage_name: str
    stage_entered_at: datetime
    days_in_current_stage: int
    previous_stage: str | None
    version: int
    pin_until: datetime | None
    suppressed: list[SuppressedOut]
    lifetime_value: float
    total_appointments: int
    total_missed: int
    first_appointment_at: datetime | None
    last_appointment_at: datetime | None
    last_event_at: datetime | None
    risk_score: float
    engagement_score: float
    scored_at: datetime
    next_evaluation_at: datetime | None
    map_version: int
    owner: str | None = Field(description="whose the customer is: who was last assigned")
    notes: str | None
    metadata: dict[str, Any] | None
    created_at: datetime
    updated_at: datetime | None

    @classmethod
    def of(cls, view: JourneyView) -> "JourneyOut":
        """Show a customer's journey."""
        stored, relationship = view.stored, view.stored.relationship
        facts = relationship.facts
        stage = view.context.rulebook.stage_map.by_key.get(relationship.current_stage)
        return cls.model_construct(
            customer_id=relationship.customer_id,
            current_stage=relationship.current_stage,
            stage_name=relationship.current_stage if stage is None else stage.name,
            stage_entered_at=relationship.stage_entered_at,
            days_in_current_stage=days_since(relationship.stage_entered_at, view.as_of),
            previous_stage=relationship.previous_stage,
            version=relationship.version,
            pin_until=relationship.pin_until,
            # What an earlier pin held back is history: it is shown while one holds.
            suppressed=[
                SuppressedOut.of(move)
                for move in (relationship.pin_state.suppressed if relationship.pin_until else ())
            ],
            lifetime_value=facts.lifetime_cents(view.context.rulebook.policy) / 100,
            total_appointments=facts.total_appointments,
            total_missed=facts.total_missed,
            first_appointment_at=facts.first_appointment_at,
            last_appointment_at=facts.last_appointment_at,
            last_event_at=facts.last_event_at,
            risk_score=view.risk / 100,
            engagement_score=view.engagement / 100,
            scored_at=view.as_of,
            next_evaluation_at=relationship.next_evaluation_at,
            map_version=view.context.company.map_version,
            owner=stored.owner,
            notes=stored.notes,
            metadata=stored.metadata,
            created_at=stored.created_at or relationship.stage_entered_at,
            updated_at=stored.updated_at,
        )


class ConditionOut(ResponseModel):
    """A condition, the value it saw (null: unknown), and its answer."""

    field: str
    condition: str
    value: float | int | None
    held: bool


class RuleOut(ResponseModel):
    """A rule and its answer."""

    trigger: str
    held: bool
    conditions: list[ConditionOut]


class ReasonOut(ResponseModel):
    """A stage that was looked at."""

    stage: str
    kind: str
    held: bool
    rules: list[RuleOut]

    @classmethod
    def of(cls, reason: StageReason) -> "ReasonOut":
        """Show a reason."""
        return cls.model_construct(
            stage=reason.stage,
            kind=reason.kind,
            held=reason.held,
            rules=[
                RuleOut.model_construct(
                    trigger=rule.trigger,
                    held=rule.held,
                    conditions=[
                        ConditionOut.model_construct(**condition._asdict()) for condition in rule.conditions
                    ],
                )
                for rule in reason.rules
            ],
        )


class TransitionOut(ResponseModel):
    """One row of a journey's ledger. `id` is null in a dry run."""

    id: int | None
    seq: int
    from_stage: str | None
    to_stage: str
    transitioned_at: datetime
    recorded_at: datetime
    trigger_type: str
    trigger_event: str | None
    actor: str | None
    performed_by: int | None
    notes: str | None
    reasons: list[ReasonOut]
    map_version: int
    silent: bool = Field(description="whether the move runs no actions of the stage entered")

    @classmethod
    def of(cls, entry: TransitionRecord) -> "TransitionOut":
        """Show a ledger entry."""
        move = entry.transition
        return cls.model_construct(
            id=entry.id or None,
            seq=move.seq,
            from_stage=move.from_stage,
            to_stage=move.to_stage,
            transitioned_at=move.transitioned_at,
            recorded_at=entry.recorded_at,
            trigger_type=move.trigger_type.value,
            trigger_event=move.trigger_event,
            actor=move.actor,
            performed_by=move.performed_by,
            notes=move.notes,
            reasons=[ReasonOut.of(reason) for reason in move.reasons],
            map_version=move.map_version,
            silent=move.is_silent,
        )


class TransitionsOut(ResponseModel):
    """A page of a journey's ledger, newest first."""

    items: list[TransitionOut]
    next_cursor: str | None


class PinnedOut(ResponseModel):
    """That a move by hand was pinned, because the rules would have undone it at once."""

    until: datetime
    reason: str


class MovedOut(ResponseModel):
    """A move by hand."""

    transition: TransitionOut
    journey: JourneyOut
    pinned: PinnedOut | None

    @classmethod
    def of(cls, moved: ManualMoveResult) -> "MovedOut":
        """Show a move by hand."""
        pinned = None
        if moved.pinned_until is not None:
            reason = "The rules would have undone this move at once, so the customer is held in the stage until then."
            pinned = PinnedOut(until=moved.pinned_until, reason=reason)
        return cls(transition=TransitionOut.of(moved.entry), journey=JourneyOut.of(moved.view), pinned=pinned)


class EvaluationOut(ResponseModel):
    """What evaluating did, or in a dry run would do, in order; and why the customer is where they are now."""

    status: Literal["moved", "stayed", "suppressed"]
    dry_run: bool
    transitions: list[TransitionOut]
    suppressed_to: str | None
    reasons: list[ReasonOut]
    journey: JourneyOut

    @classmethod
    def of(cls, evaluation: Evaluation) -> "EvaluationOut":
        """Show an evaluation."""
        held = "suppressed" if evaluation.suppressed_to is not None else "stayed"
        return cls(
            status="moved" if evaluation.moves else "suppressed" if held == "suppressed" else "stayed",
            dry_run=evaluation.is_dry_run,
            transitions=[TransitionOut.of(entry) for entry in evaluation.moves],
            suppressed_to=evaluation.suppressed_to,
            reasons=[ReasonOut.of(reason) for reason in evaluation.reasons],
            journey=JourneyOut.of(evaluation.view),
        )
