"""Request and response schemas of transitions: a manual move, and the stored transition with its reasons."""

from collections.abc import Sequence
from typing import Any, Final

from pydantic import Field

from journey_service.api.schema_fields import (
    Id,
    Instant,
    NextCursor,
    RequestModel,
    ResponseModel,
    Text,
    Timestamp,
)
from journey_service.domain.events.event import MAX_ID
from journey_service.domain.journeys.records import TransitionRecord
from journey_service.domain.journeys.relationship import TriggerType
from journey_service.domain.stages.reasons import StageReason
from journey_service.domain.stages.stage_map import StageKind

MANUAL_MOVE_EXAMPLE: Final[dict[str, Any]] = {
    "id": 9005,
    "seq": 5,
    "from_stage": "regular",
    "to_stage": "vip",
    "transitioned_at": "2026-03-01T12:00:00Z",
    "recorded_at": "2026-03-01T12:00:00Z",
    "trigger_type": "manual",
    "trigger_event": None,
    "actor": "key:console",
    "performed_by": 77,
    "notes": "Has agreed on monthly appointments",
    "reasons": [],
    "map_version": 3,
    "is_silent": False,
}


class TransitionCreate(RequestModel):
    """A manual move of a customer to another stage."""

    to_stage: Text = Field(
        min_length=1, max_length=50, description="Key of an active stage", examples=["vip"]
    )
    notes: Text | None = Field(
        default=None,
        max_length=10_000,
        description="Reason for the move, stored with the transition; null or omitted: none",
        examples=["Has agreed on monthly appointments"],
    )
    performed_by: int | None = Field(
        default=None,
        ge=0,
        le=MAX_ID,
        description="Id, in the caller's system, of the person who makes the move; null or omitted: unknown",
        examples=[77],
    )
    pin_until: Instant | None = Field(
        default=None,
        description="Time until which the customer is pinned to the stage; it must be in the future. Null or omitted:"
        " the customer is pinned only if the rules would undo the move at once",
        examples=[None],
    )
    run_actions: bool | None = Field(
        default=None,
        strict=True,
        description="Whether the actions of the stage are carried out; a move without them has `is_silent`. Null or"
        " omitted: on a move up, to a higher progress stage, into a risk stage, or to a more severe one; not on a move"
        " down or a return",
        examples=[True],
    )


class ConditionResult(ResponseModel):
    """The result of one condition."""

    field: str = Field(
        description="Field of the trigger that was compared: `count`, `value`, `days`, `ratio`,"
        " `probability`, `score`, `rate`, `call_duration` or `total_amount`",
        examples=["count"],
    )
    condition: str = Field(
        description="Operator and number that the value was compared with", examples=[">=3"]
    )
    value: float | int | None = Field(
        description="Value that was compared, in the unit of the field; null if it is unknown", examples=[3]
    )
    held: bool = Field(description="Whether the value met the condition", examples=[True])


class RuleResult(ResponseModel):
    """The result of one rule."""

    trigger: str = Field(description="Trigger of the rule", examples=["appointment_count"])
    held: bool = Field(description="Whether all conditions of the rule were met", examples=[True])
    conditions: list[ConditionResult] = Field(
        description="Conditions in the order in which they were evaluated; empty if the rule has none"
    )


class StageResult(ResponseModel):
    """The result of the rules of one stage."""

    stage: str = Field(description="Key of the stage", examples=["regular"])
    kind: StageKind = Field(description="Kind of the stage: `progress` or `risk`", examples=["progress"])
    held: bool = Field(description="Whether at least one rule of the stage held", examples=[True])
    paused_by: Timestamp | None = Field(
        description="Time of the appointment whose booking kept the customer out of a risk stage that held; null if"
        " there was none",
        examples=[None],
    )
    rules: list[RuleResult] = Field(description="Rules in the order in which they were evaluated")

    @classmethod
    def of(cls, reason: StageReason) -> "StageResult":
        """Builds the response from a reason of the domain."""
        values = stage_values(reason)
        rules = [
            RuleResult.model_construct(
                trigger=rule["trigger"],
                held=rule["held"],
                conditions=[ConditionResult.model_construct(**each) for each in rule["conditions"]],
            )
            for rule in values["rules"]
        ]
        return cls.model_construct(**{**values, "rules": rules})


def stage_values(reason: StageReason) -> dict[str, Any]:
    """Returns the fields of a StageResult as plain values."""
    return {
        "stage": reason.stage,
        "kind": StageKind(reason.kind),
        "held": reason.held,
        "paused_by": reason.paused_by,
        "rules": [
            {
                "trigger": rule.trigger,
                "held": rule.held,
                "conditions": [condition._asdict() for condition in rule.conditions],
            }
            for rule in reason.rules
        ],
    }


class Transition(ResponseModel):
    """A transition in a journey's ledger."""

    id: Id | None = Field(description="Id of the transition; null in a dry run", examples=[9001])
    seq: int = Field(ge=1, description="Number of the transition in the journey, from 1", examples=[4])
    from_stage: str | None = Field(
        description="Key of the stage that the customer left; null for the first transition of a journey",
        examples=["customer"],
    )
    to_stage: str = Field(description="Key of the stage that the customer entered", examples=["regular"])
    transitioned_at: Timestamp = Field(
        description="When the transition took effect", examples=["2026-01-15T10:00:00Z"]
    )
    recorded_at: Timestamp = Field(
        description="When the transition was written, in real time; later than `transitioned_at` for imports and late"
        " events",
        examples=["2026-01-15T10:00:01Z"],
    )
    trigger_type: TriggerType = Field(
        description="What caused the transition. `manual`: a person; `automatic`: a rule; `system`: the service itself",
        examples=["automatic"],
    )
    trigger_event: str | None = Field(
        description="Event type or trigger that caused the transition; null if `trigger_type` is `manual`",
        examples=["appointment_count"],
    )
    actor: str | None = Field(
        description="Credential that made a manual move: `key:<id>` or `user:<subject>`; null for other transitions",
        examples=[None],
    )
    performed_by: int | None = Field(
        ge=0,
        le=MAX_ID,
        description="Id, in the caller's system, of the person who made a manual move; null if it is unknown, and for"
        " other transitions",
        examples=[None],
    )
    notes: str | None = Field(
        description="Reason that was given for a manual move; null if there is none", examples=[None]
    )
    reasons: list[StageResult] = Field(
        description="Every stage that was evaluated, with the results of its rules; empty if `trigger_type` is"
        " `manual` or `system`"
    )
    map_version: int = Field(
        ge=1, description="Version of the stage map that decided the transition", examples=[3]
    )
    is_silent: bool = Field(description="Whether the actions of `to_stage` were skipped", examples=[False])

    @classmethod
    def of(cls, entry: TransitionRecord) -> "Transition":
        """Builds the response from a ledger entry."""
        reasons = [StageResult.of(reason) for reason in entry.transition.reasons]
        return cls.model_construct(**_transition_values(entry, reasons))


def transition_values(entry: TransitionRecord) -> dict[str, Any]:
    """Returns the fields of a Transition as plain values: for responses whose time matters."""
    return _transition_values(entry, [stage_values(reason) for reason in entry.transition.reasons])


def _transition_values(entry: TransitionRecord, reasons: Sequence[object]) -> dict[str, Any]:
    move = entry.transition
    return {
        "id": entry.id or None,
        "seq": move.seq,
        "from_stage": move.from_stage,
        "to_stage": move.to_stage,
        "transitioned_at": move.transitioned_at,
        "recorded_at": entry.recorded_at,
        "trigger_type": move.trigger_type,
        "trigger_event": move.trigger_event,
        "actor": move.actor,
        "performed_by": move.performed_by,
        "notes": move.notes,
        "reasons": reasons,
        "map_version": move.map_version,
        "is_silent": move.is_silent,
    }


class TransitionPage(ResponseModel):
    """A page of a journey's transitions, newest first."""

    items: list[Transition] = Field(description="The transitions of this page")
    next_cursor: NextCursor
