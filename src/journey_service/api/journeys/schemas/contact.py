"""Fields of customers about contact: who can be reached on which channel, the open task, the running campaign."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field

from journey_service.api.schema_fields import Id, ResponseModel, Timestamp
from journey_service.domain.actions.contact_policy import ContactDecision
from journey_service.domain.actions.records import CustomerActions
from journey_service.domain.actions.stage_actions import Channel

_DECISIONS: Final = (
    "`ok`: it would be sent, if necessary after the quiet hours; `no_consent`: consent is missing; `no_address`: the"
    " address is unknown; `capped`: the frequency cap is reached"
)
CONSENT_CHANNELS: Final = ("email", "sms", "call", "offer")
ConsentChannel = Literal["email", "sms", "call", "offer"]
_Decision = Literal["ok", "no_consent", "no_address", "capped"]


class ConsentStatus(StrEnum):
    """Whether a customer may be contacted on a channel."""

    GRANTED = "granted"
    WITHDRAWN = "withdrawn"
    UNKNOWN = "unknown"


class Reach(ResponseModel):
    """Whether the customer can be contacted now, by channel."""

    call: _Decision = Field(description=f"A call. {_DECISIONS}", examples=["ok"])
    email: _Decision = Field(description=f"An email. {_DECISIONS}", examples=["no_consent"])
    sms: _Decision = Field(description=f"A text message. {_DECISIONS}", examples=["ok"])
    offer: _Decision = Field(description=f"A special offer. {_DECISIONS}", examples=["capped"])


class OpenTask(ResponseModel):
    """The open task of a customer that is due first."""

    id: Id = Field(description="Id of the task", examples=[12])
    channel: Literal["call", "task"] = Field(
        description="`call`: call the customer; `task`: anything else", examples=["call"]
    )
    assignee: str | None = Field(
        description="Employee who is to do the task; null if it is unassigned", examples=["ada"]
    )
    due_at: Timestamp = Field(description="When the task is due", examples=["2026-03-04T12:00:00Z"])


class RunningCampaign(ResponseModel):
    """The running campaign of a customer that started last."""

    id: Id = Field(description="Id of the campaign", examples=[12])
    type: str = Field(description="Key of the stage that the campaign belongs to", examples=["at_risk"])
    started_at: Timestamp = Field(description="When the campaign started", examples=["2026-01-12T10:00:00Z"])


Owner = Annotated[
    str | None,
    Field(
        description="Employee who is responsible for the customer; null if there is none", examples=["ben"]
    ),
]
CustomerReach = Annotated[Reach, Field(description="Whether the customer can be contacted now, by channel")]
CustomerTask = Annotated[
    OpenTask | None, Field(description="The open task that is due first; null if no task is open")
]
CustomerCampaign = Annotated[
    RunningCampaign | None,
    Field(description="The running campaign that started last; null if no campaign runs"),
]


def contact_fields(
    actions: CustomerActions, reach: Mapping[Channel, ContactDecision]
) -> tuple[Reach, OpenTask | None, RunningCampaign | None]:
    """Returns the values of the fields `reach`, `open_task` and `running_campaign` of a customer."""
    task, campaign = actions.open_task, actions.running_campaign
    return (
        Reach.model_validate(
            {
                channel.value: "ok" if decision is ContactDecision.SENT else decision.value
                for channel, decision in reach.items()
            }
        ),
        None if task is None else OpenTask.model_validate(task, from_attributes=True),
        None if campaign is None else RunningCampaign.model_validate(campaign, from_attributes=True),
    )
