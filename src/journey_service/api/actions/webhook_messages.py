"""Messages that the service sends to webhook endpoints, for the contract."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal

from pydantic import BaseModel, Field

from journey_service.api.actions.schemas.actions import ACTION_ID
from journey_service.api.actions.schemas.tasks import TaskChannel
from journey_service.api.journeys.schemas.journeys import RuleResult, StageResult
from journey_service.api.schema_fields import Id, ResponseModel, Timestamp
from journey_service.domain.actions.action import EndReason
from journey_service.domain.events.event import MAX_CUSTOMER_ID, MAX_ID
from journey_service.domain.journeys.relationship import TriggerType

_AT: Final = "2026-03-01T12:00:00Z"
_REGULAR_AT: Final = "2026-01-15T10:00:00Z"
_AT_RISK_AT: Final = "2026-01-12T10:00:00Z"
_INACTIVITY: Final[dict[str, Any]] = {
    "trigger": "days_since_last_appointment",
    "held": True,
    "conditions": [{"field": "days", "condition": ">90", "value": 91, "held": True}],
}
_AT_RISK: Final[dict[str, Any]] = {
    "company_id": 42,
    "customer_id": 4712,
    "seq": 5,
    "from_stage": "regular",
    "to_stage": "at_risk",
    "transitioned_at": _AT_RISK_AT,
    "recorded_at": "2026-01-12T10:00:01Z",
    "trigger_type": "automatic",
    "trigger_event": "days_since_last_appointment",
    "performed_by": None,
    "map_version": 3,
    "is_silent": False,
    "rule": _INACTIVITY,
    "reasons": [
        {"stage": "at_risk", "kind": "risk", "held": True, "paused_by": None, "rules": [_INACTIVITY]}
    ],
}
_ENDED_CAMPAIGN: Final[dict[str, Any]] = {
    "company_id": 42,
    "customer_id": 4712,
    "campaign_id": 12,
    "type": "at_risk",
    "started_at": _AT_RISK_AT,
    "ended_at": _AT,
    "reason": "manual",
}
_CRM_UPDATE: Final[dict[str, Any]] = {
    "company_id": 42,
    "customer_id": 4711,
    "action_id": ACTION_ID,
    "name": "update_crm_status",
    "stage": "customer",
    "campaign_id": None,
    "step": 0,
    "current_stage": {"key": "customer", "name": "Customer"},
    "owner": "ben",
}


class MessageData(ResponseModel):
    """Data of every message about a customer."""

    company_id: Id = Field(description="Id of the company", examples=[42])
    customer_id: int = Field(ge=0, le=MAX_CUSTOMER_ID, description="Id of the customer", examples=[4711])


class TransitionData(MessageData):
    """A transition of a customer."""

    seq: int = Field(ge=1, description="Number of the transition in the journey, from 1", examples=[4])
    from_stage: str | None = Field(
        description="Key of the stage that the customer left; null for the first transition of a journey",
        examples=["customer"],
    )
    to_stage: str = Field(description="Key of the stage that the customer entered", examples=["regular"])
    transitioned_at: Timestamp = Field(description="When the transition took effect", examples=[_REGULAR_AT])
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
        le=MAX_CUSTOMER_ID,
        description="Id of the customer; null for a task about no customer",
        examples=[4711],
    )
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
    created_at: Timestamp = Field(description="When the task was created", examples=[_AT_RISK_AT])


class CampaignData(MessageData):
    """A campaign that has started or ended."""

    campaign_id: Id = Field(description="Id of the campaign", examples=[12])
    type: str = Field(description="Key of the stage that the campaign belongs to", examples=["at_risk"])
    started_at: Timestamp = Field(description="When the campaign started", examples=[_AT_RISK_AT])
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
        examples=[_AT],
    )
    disabled_at: Timestamp = Field(
        description="When the endpoint was last disabled: the `since` of a replay", examples=[_AT]
    )


class Message(ResponseModel):
    """A message with the time of its event."""

    timestamp: Timestamp = Field(
        description="When the event occurred, in real time; for `action...` types, when the action was due, in the"
        " company's time",
        examples=[_AT],
    )


class StageChangedMessage(Message):
    """A customer has moved to another stage, or has started the journey."""

    type: Literal["stage.changed"] = Field(description="Type of the message", examples=["stage.changed"])
    data: TransitionData = Field(description="The transition")


class CustomerAtRiskMessage(Message):
    """A customer has entered the first risk stage."""

    type: Literal["customer.at_risk"] = Field(
        description="Type of the message", examples=["customer.at_risk"]
    )
    data: TransitionData = Field(description="The transition", examples=[_AT_RISK])


class TaskCreatedMessage(Message):
    """A task has been created."""

    type: Literal["task.created"] = Field(description="Type of the message", examples=["task.created"])
    data: TaskData = Field(description="The task")


class CampaignStartedMessage(Message):
    """A campaign has started."""

    type: Literal["campaign.started"] = Field(
        description="Type of the message", examples=["campaign.started"]
    )
    data: CampaignData = Field(description="The campaign")


class CampaignEndedMessage(Message):
    """A campaign has ended."""

    type: Literal["campaign.ended"] = Field(description="Type of the message", examples=["campaign.ended"])
    data: CampaignData = Field(description="The campaign", examples=[_ENDED_CAMPAIGN])


class SmsActionMessage(Message):
    """A request to send a text message."""

    type: Literal["action.sms"] = Field(description="Type of the message", examples=["action.sms"])
    data: TextMessageData = Field(description="The text message")


class SpecialOfferActionMessage(Message):
    """A request to make a special offer."""

    type: Literal["action.special_offer"] = Field(
        description="Type of the message", examples=["action.special_offer"]
    )
    data: SpecialOfferData = Field(description="The special offer")


class CrmUpdateActionMessage(Message):
    """A request to update the CRM."""

    type: Literal["action.crm_update"] = Field(
        description="Type of the message", examples=["action.crm_update"]
    )
    data: CrmUpdateData = Field(description="The state of the customer", examples=[_CRM_UPDATE])


class EndpointDisabledMessage(Message):
    """The service has disabled another webhook endpoint of the company."""

    type: Literal["endpoint.disabled"] = Field(
        description="Type of the message", examples=["endpoint.disabled"]
    )
    data: EndpointDisabledData = Field(description="The disabled endpoint")


class WebhookTestMessage(Message):
    """A test message. It requires no action."""

    type: Literal["webhook.test"] = Field(description="Type of the message", examples=["webhook.test"])
    data: WebhookTestData = Field(description="The endpoint under test")


@dataclass(frozen=True, slots=True)
class WebhookMessage:
    """A kind of message: its type, its summary and description, and the schema of its body."""

    event_type: str
    summary: str
    description: str
    payload: type[BaseModel]


MESSAGES: Final[Sequence[WebhookMessage]] = (
    WebhookMessage(
        "stage.changed",
        "A customer has changed stage",
        "Sent after every transition, the first of a journey included. Messages about one customer are sent in the"
        " order of `seq`; retries may change the order in which they arrive.",
        StageChangedMessage,
    ),
    WebhookMessage(
        "customer.at_risk",
        "A customer is at risk",
        "Sent in addition to `stage.changed` when a customer enters the first risk stage.",
        CustomerAtRiskMessage,
    ),
    WebhookMessage(
        "task.created",
        "A task has been created",
        "Sent when the actions of a stage, a manual action, or a person create a task.",
        TaskCreatedMessage,
    ),
    WebhookMessage(
        "campaign.started",
        "A campaign has started",
        "Sent when a customer enters a stage that starts a campaign.",
        CampaignStartedMessage,
    ),
    WebhookMessage(
        "campaign.ended",
        "A campaign has ended",
        "Sent when all steps of a campaign are done, the customer has left the stage, or a person has cancelled the"
        " campaign.",
        CampaignEndedMessage,
    ),
    WebhookMessage(
        "endpoint.disabled",
        "A webhook endpoint has been disabled",
        "Sent to the other endpoints of the company when the service disables an endpoint, which answered 410 or has"
        " accepted no message for five days. `POST /webhook-endpoints/{endpoint_id}/replay` sends it later what it has"
        " missed.",
        EndpointDisabledMessage,
    ),
    WebhookMessage(
        "action.sms",
        "Send a text message",
        "Requests a text message to a customer. Consent, quiet hours and the frequency cap have been checked.",
        SmsActionMessage,
    ),
    WebhookMessage(
        "action.special_offer",
        "Make a special offer",
        "Requests a special offer to a customer. Consent, quiet hours and the frequency cap have been checked.",
        SpecialOfferActionMessage,
    ),
    WebhookMessage(
        "action.crm_update",
        "Update the CRM",
        "Requests an update of the customer in the company's CRM.",
        CrmUpdateActionMessage,
    ),
    WebhookMessage(
        "webhook.test",
        "Test an endpoint",
        "Sent by `POST /webhook-endpoints/{endpoint_id}/test`. The endpoint only has to accept it.",
        WebhookTestMessage,
    ),
)
"""Every kind of message, in the order of the contract."""
