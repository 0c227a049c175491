"""Response schemas of campaigns and their steps."""

from enum import StrEnum
from typing import Final

from pydantic import Field

from journey_service.api.actions.schemas.actions import ACTION_ID
from journey_service.api.schema_fields import (
    AnyCustomerId,
    CustomerRef,
    Id,
    NextCursor,
    ResponseModel,
    Timestamp,
)
from journey_service.domain.actions.action import ActionState, EndReason
from journey_service.domain.actions.records import CampaignCounts, DeliveryLogRow
from journey_service.domain.actions.stage_actions import Channel
from journey_service.services.actions.campaigns import CampaignView

_AT: Final = "2026-01-12T10:00:00Z"


class CampaignStatus(StrEnum):
    """State of a campaign."""

    RUNNING = "running"
    ENDED = "ended"


class CampaignStep(ResponseModel):
    """A step of a campaign."""

    number: int = Field(ge=0, description="Index of the step, from 0", examples=[0])
    action_id: str = Field(description="UUID of the step's action", examples=[ACTION_ID])
    channel: Channel = Field(description="How the step is carried out", examples=["email"])
    state: ActionState = Field(
        description="`pending`: planned; `leased`: being delivered; `done`: carried out; `cancelled`: not carried out,"
        " see `reason`; `dead`: delivery has failed permanently",
        examples=["done"],
    )
    reason: EndReason | None = Field(
        description="Why the step was cancelled; null unless `state` is `cancelled`", examples=[None]
    )
    due_at: Timestamp = Field(description="When the step is due", examples=[_AT])
    finished_at: Timestamp | None = Field(
        description="When the step was done or cancelled; null if it is neither", examples=[_AT]
    )

    @classmethod
    def of(cls, step: DeliveryLogRow) -> "CampaignStep":
        """Builds the response from a row of the delivery log."""
        same = ("number", "channel", "state", "reason", "due_at", "finished_at")
        return cls.model_validate({"action_id": step.id, **{name: getattr(step, name) for name in same}})


class Campaign(ResponseModel):
    """A run of a campaign for one customer."""

    id: Id = Field(description="Id of the campaign")
    customer_id: AnyCustomerId = Field(
        description="Id of the customer; negative for an erased customer", examples=[4712]
    )
    customer_ref: CustomerRef
    customer_name: str | None = Field(
        description="Name of the customer; null if it is unknown or erased", examples=["Grace Hopper"]
    )
    type: str = Field(description="Key of the stage that the campaign belongs to", examples=["at_risk"])
    status: CampaignStatus = Field(
        description="`running`: steps are still due; `ended`: no more steps are carried out",
        examples=["running"],
    )
    transition_seq: int = Field(
        ge=1, description="`seq` of the transition that started the campaign", examples=[5]
    )
    started_at: Timestamp = Field(description="When the campaign started", examples=[_AT])
    ended_at: Timestamp | None = Field(
        description="When the campaign ended; null if `status` is `running`", examples=[None]
    )
    reason: EndReason | None = Field(
        description="Why the campaign ended; null if `status` is `running`", examples=[None]
    )
    steps: list[CampaignStep] = Field(description="Steps of the campaign in order")

    @classmethod
    def of(cls, view: CampaignView) -> "Campaign":
        """Builds the response from a campaign and its steps."""
        campaign = view.campaign
        same = (
            "id",
            "customer_id",
            "customer_ref",
            "customer_name",
            "type",
            "transition_seq",
            "started_at",
            "ended_at",
            "reason",
        )
        status = CampaignStatus.RUNNING if campaign.ended_at is None else CampaignStatus.ENDED
        return cls.model_validate(
            {
                **{name: getattr(campaign, name) for name in same},
                "status": status,
                "steps": [CampaignStep.of(step) for step in view.steps],
            }
        )


class CampaignStepCount(ResponseModel):
    """Actions at one step and channel of the running campaigns, by state."""

    number: int = Field(ge=0, description="Index of the step, from 0", examples=[0])
    channel: Channel = Field(description="How the step is carried out", examples=["email"])
    due: int = Field(
        ge=0, description="Steps that are still to be carried out: `pending` or `leased`", examples=[4]
    )
    done: int = Field(ge=0, description="Steps that were carried out", examples=[8])
    cancelled: int = Field(ge=0, description="Steps that are not carried out", examples=[1])
    dead: int = Field(ge=0, description="Steps whose delivery has failed permanently", examples=[0])


class CampaignSummary(ResponseModel):
    """Numbers of campaigns, and of the steps of the running ones."""

    running: int = Field(
        ge=0, description="Campaigns that have not ended: `GET /campaigns?status=running`", examples=[12]
    )
    ended_by_return: int = Field(
        ge=0,
        description="Campaigns that ended because the customer returned to a progress stage, of all times:"
        " `GET /campaigns?returned=true`",
        examples=[31],
    )
    steps: list[CampaignStepCount] = Field(
        description="Steps of the running campaigns by number and channel; empty if no campaign runs"
    )

    @classmethod
    def of(cls, counts: CampaignCounts) -> "CampaignSummary":
        """Builds the response from the counts."""
        return cls.model_validate(counts, from_attributes=True)


class CampaignPage(ResponseModel):
    """A page of campaigns, newest first."""

    items: list[Campaign] = Field(description="The campaigns of this page")
    next_cursor: NextCursor
