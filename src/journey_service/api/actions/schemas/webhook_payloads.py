"""Schemas of the `data` of outbound events and action messages."""

from datetime import date
from typing import Final, Literal

from pydantic import Field

from journey_service.api.actions.schemas.actions import ACTION_ID
from journey_service.api.actions.schemas.tasks import TaskChannel
from journey_service.api.journeys.schemas.transitions import RuleResult, StageResult
from journey_service.api.schema_fields import CustomerRef, Id, ResponseModel, Timestamp
from journey_service.domain.actions.action import EndReason
from journey_service.domain.events.event import MAX_ID
from journey_service.domain.journeys.relationship import TriggerType

SAMPLE_AT: Final = "2026-03-01T12:00:00Z"
SAMPLE_REGULAR_AT: Final = "2026-01-15T10:00:00Z"
SAMPLE_AT_RISK_AT: Final = "2026-01-12T10:00:00Z"
"""Instants of the examples."""


class MessageData(ResponseModel):
    """Data of every message about a customer."""

    company_id: Id = Field(description="Id of the company", examples=[42])
    customer_id: int = Field(ge=0, le=MAX_ID, description="Id of the customer", examples=[4711])
    customer_ref: CustomerRef


class TransitionData(MessageData):
    """A transition of a customer."""

    seq: int = Field(ge=1, description="Number of the transition in the journey, from 1", examples=[4])
    from_stage: str | None = Field(
        description="Key of the stage that the customer left; null for the first transition of a journey",
        examples=["customer"],
    )
    to_stage: str = Field(description="Key of the stage that the customer entered", examples=["regular"])
    transitioned_at: Timestamp = Field(
        description="When the transition took effect", examples=[SAMPLE_REGULAR_AT]
    )
    recorded_at: Timestamp = Field(
        description="When the transition was written, in real time", examples=["2026-01-15T10:00:01Z"]
    )
    trigger_type: TriggerType = Field(
        description="What caused the transition. `manual`: a person; `automatic`: a rule; `system`: the service itself",
        examples=["automatic"],
    )
    trigger_event: str | None = Field(
        description="Event type or trigger that caused the transition; null if `trigger_type` is `manual`",
        examples=["appointment_count"],
    )
    performed_by: int | None = Field(
        ge=0,
        le=MAX_ID,
        description="Id, in the caller's system, of the person who made a manual move; null if it is unknown, and for"
        " other transitions",
        examples=[None],
    )
    map_version: int = Field(
        ge=1, description="Version of the stage map that decided the transition", examples=[3]
    )
    is_silent: bool = Field(description="Whether the actions of `to_stage` were skipped", examples=[False])
    rule: RuleResult | None = Field(
        description="The rule that moved the customer; null if `trigger_type` is `manual` or `system`"
    )
    reasons: list[StageResult] = Field(
        description="Every stage that was evaluated, with the results of its rules; empty if `trigger_type` is"
        " `manual` or `system`"
    )


class TaskData(ResponseModel):
    """A new task."""

    company_id: Id = Field(description="Id of the company", examples=[42])
    customer_id: int | None = Field(
        ge=0,
        le=MAX_ID,
        description="Id of the customer; null for a task about no customer",
        examples=[4711],
    )
    customer_ref: CustomerRef
    task_id: Id = Field(description="Id of the task", examples=[12])
    title: str = Field(description="What is to be done", examples=["Check in with a customer"])
    channel: TaskChannel = Field(
        description="`call`: call the customer; `task`: anything else", examples=["call"]
    )
    name: str = Field(
        description="Name of the action that created the task; `personal_task` if a person created it",
        examples=["schedule_check_in_call"],
    )
    stage: str | None = Field(
        description="Key of the customer's stage; null for a task about no customer", examples=["at_risk"]
    )
    assignee: str | None = Field(
        description="Employee who is to do the task; null if it is unassigned", examples=["ada"]
    )
    due_at: Timestamp = Field(description="When the task is due", examples=["2026-01-15T10:00:00Z"])
    created_at: Timestamp = Field(description="When the task was created", examples=[SAMPLE_AT_RISK_AT])


class CampaignData(MessageData):
    """A campaign that has started or ended."""

    campaign_id: Id = Field(description="Id of the campaign", examples=[12])
    type: str = Field(description="Key of the stage that the campaign belongs to", examples=["at_risk"])
    started_at: Timestamp = Field(description="When the campaign started", examples=[SAMPLE_AT_RISK_AT])
    ended_at: Timestamp | None = Field(
        description="When the campaign ended; null if it is running when the message is sent", examples=[None]
    )
    reason: EndReason | None = Field(
        description="Why the campaign ended; null if it is running when the message is sent", examples=[None]
    )


class ActionData(MessageData):
    """An action for the endpoint to carry out."""

    action_id: str = Field(description="UUID of the action: the same for every attempt", examples=[ACTION_ID])
    name: str = Field(
        description="Name of the action in the actions of the stage, or `personal_offer` for a manual action",
        examples=["create_retention_campaign"],
    )
    stage: str = Field(
        description="Key of the customer's stage when the action was planned", examples=["at_risk"]
    )
    campaign_id: Id | None = Field(
        description="Id of the campaign that the action belongs to; null if there is none", examples=[12]
    )
    step: int = Field(ge=0, description="Index of the step within the action, from 0", examples=[1])


class TextMessageData(ActionData):
    """A message to send to the customer."""

    customer_name: str | None = Field(
        description="Name of the customer; null if it is unknown", examples=["Grace Hopper"]
    )
    phone: str | None = Field(description="Phone number; null if it is unknown", examples=["+49 30 7654321"])
    text: str = Field(
        description="Text of the message, rendered for the customer",
        examples=["Hello Grace, we would like to see you again."],
    )
    language: str | None = Field(
        description="Language of the template; null if it is unknown", examples=["en"]
    )


class OfferTerms(ResponseModel):
    """Terms of a special offer. Terms that the company has not set are missing."""

    title: str | None = Field(
        default=None,
        description="Title; null or missing if it is not set",
        examples=["A treat for your next visit"],
    )
    description: str | None = Field(
        default=None,
        description="Terms in one line; null or missing if they are not set",
        examples=["10% off your next appointment"],
    )
    code: str | None = Field(
        default=None,
        description="Code that the customer presents; null or missing if it is not set",
        examples=["HELLO10"],
    )
    valid_until: date | None = Field(
        default=None,
        description="Last local day on which the offer is valid; null or missing if it is unlimited",
        examples=["2026-02-24"],
    )


class SpecialOfferData(TextMessageData):
    """A special offer to make to the customer."""

    email: str | None = Field(
        description="Email address; null if it is unknown", examples=["grace@customers.example"]
    )
    offer: OfferTerms = Field(description="Terms of the offer")


class StageName(ResponseModel):
    """A stage with its name."""

    key: str = Field(description="Key of the stage", examples=["customer"])
    name: str = Field(description="Name of the stage", examples=["Customer"])


class CrmUpdateData(ActionData):
    """The state of a customer for the company's CRM."""

    current_stage: StageName = Field(description="Stage of the customer when the message is sent")
    owner: str | None = Field(
        description="Employee who is responsible for the customer; null if there is none", examples=["ada"]
    )


class WebhookTestData(ResponseModel):
    """Data of a test message."""

    company_id: Id = Field(description="Id of the company", examples=[42])
    endpoint_id: Id = Field(description="Id of the endpoint", examples=[12])


class EndpointDisabledData(ResponseModel):
    """A webhook endpoint that the service has disabled, as it is when the message is sent."""

    company_id: Id = Field(description="Id of the company", examples=[42])
    endpoint_id: Id = Field(description="Id of the endpoint", examples=[12])
    description: str | None = Field(
        description="Description of the endpoint in words; null if there is none", examples=["CRM"]
    )
    reason: Literal["failing", "gone"] | None = Field(
        description="Why the service disabled the endpoint. `failing`: it accepted no message for days; `gone`: it"
        " answered 410. Null if the endpoint is enabled again, or a person has confirmed its state",
        examples=["gone"],
    )
    failing_since: Timestamp | None = Field(
        description="Time since which the endpoint has accepted no message; null if it is enabled again",
        examples=[SAMPLE_AT],
    )
    disabled_at: Timestamp = Field(
        description="When the endpoint was last disabled: the `since` of a replay", examples=[SAMPLE_AT]
    )
