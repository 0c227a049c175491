"""Messages that the service sends to webhook endpoints, for the contract."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel, Field

from journey_service.api.actions.schemas.actions import ACTION_ID
from journey_service.api.actions.schemas.webhook_payloads import (
    SAMPLE_AT,
    SAMPLE_AT_RISK_AT,
    CampaignData,
    CrmUpdateData,
    EndpointDisabledData,
    SpecialOfferData,
    TaskData,
    TextMessageData,
    TransitionData,
    WebhookTestData,
)
from journey_service.api.schema_fields import ResponseModel, Timestamp

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
    "transitioned_at": SAMPLE_AT_RISK_AT,
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
    "started_at": SAMPLE_AT_RISK_AT,
    "ended_at": SAMPLE_AT,
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


class Message(ResponseModel):
    """A message with the time of its event."""

    timestamp: Timestamp = Field(
        description="When the event occurred, in real time; for `action...` types, when the action was due, in the"
        " company's time",
        examples=[SAMPLE_AT],
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
class MessageKind:
    """A kind of message: its type, its summary and description, and the schema of its body."""

    event_type: str
    summary: str
    description: str
    payload: type[BaseModel]


MESSAGES: Final[Sequence[MessageKind]] = (
    MessageKind(
        "stage.changed",
        "A customer has changed stage",
        "Sent after every transition, the first of a journey included. Messages about one customer are sent in the"
        " order of `seq`; retries may change the order in which they arrive.",
        StageChangedMessage,
    ),
    MessageKind(
        "customer.at_risk",
        "A customer is at risk",
        "Sent in addition to `stage.changed` when a customer enters the first risk stage.",
        CustomerAtRiskMessage,
    ),
    MessageKind(
        "task.created",
        "A task has been created",
        "Sent when the actions of a stage, a manual action, or a person create a task.",
        TaskCreatedMessage,
    ),
    MessageKind(
        "campaign.started",
        "A campaign has started",
        "Sent when a customer enters a stage that starts a campaign.",
        CampaignStartedMessage,
    ),
    MessageKind(
        "campaign.ended",
        "A campaign has ended",
        "Sent when all steps of a campaign are done, the customer has left the stage, or a person has cancelled the"
        " campaign.",
        CampaignEndedMessage,
    ),
    MessageKind(
        "endpoint.disabled",
        "A webhook endpoint has been disabled",
        "Sent to the other endpoints of the company when the service disables an endpoint, which answered 410 or has"
        " accepted no message for five days. `POST /webhook-endpoints/{endpoint_id}/replay` sends it later what it has"
        " missed.",
        EndpointDisabledMessage,
    ),
    MessageKind(
        "action.sms",
        "Send a text message",
        "Requests a text message to a customer. Consent, quiet hours and the frequency cap have been checked.",
        SmsActionMessage,
    ),
    MessageKind(
        "action.special_offer",
        "Make a special offer",
        "Requests a special offer to a customer. Consent, quiet hours and the frequency cap have been checked.",
        SpecialOfferActionMessage,
    ),
    MessageKind(
        "action.crm_update",
        "Update the CRM",
        "Requests an update of the customer in the company's CRM.",
        CrmUpdateActionMessage,
    ),
    MessageKind(
        "webhook.test",
        "Test an endpoint",
        "Sent by `POST /webhook-endpoints/{endpoint_id}/test`. The endpoint only has to accept it.",
        WebhookTestMessage,
    ),
)
"""Every kind of message, in the order of the contract."""
