"""Campaigns over the wire."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from journey_service.api.actions.schemas.actions import ActionState
from journey_service.api.schema_fields import ResponseModel
from journey_service.domain.actions.records import DeliveryLogRow
from journey_service.domain.actions.stage_actions import Channel
from journey_service.services.actions.campaigns import CampaignView


class CampaignStepOut(ResponseModel):
    """A step of a campaign, and what has become of it."""

    number: int = Field(description="from 0")
    action_id: str
    channel: Channel
    state: ActionState
    reason: str | None = Field(description="why it was cancelled", examples=["no_consent"])
    due_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, step: DeliveryLogRow) -> "CampaignStepOut":
        """Show a step."""
        same = ("number", "channel", "state", "reason", "due_at", "finished_at")
        return cls(action_id=step.id, **{name: getattr(step, name) for name in same})


class CampaignOut(ResponseModel):
    """One run of a campaign for a customer, with its steps in order. Instants are the company's."""

    id: int
    customer_id: int
    type: str = Field(description="the stage it is for", examples=["at_risk"])
    status: Literal["running", "ended"]
    transition_seq: int = Field(description="of the move that began it")
    started_at: datetime
    ended_at: datetime | None
    reason: str | None = Field(description="why it ended", examples=["completed"])
    steps: list[CampaignStepOut]

    @classmethod
    def of(cls, view: CampaignView) -> "CampaignOut":
        """Show a campaign."""
        campaign = view.campaign
        return cls(
            id=campaign.id,
            customer_id=campaign.customer_id,
            type=campaign.type,
            status="running" if campaign.ended_at is None else "ended",
            transition_seq=campaign.transition_seq,
            started_at=campaign.started_at,
            ended_at=campaign.ended_at,
            reason=campaign.reason,
            steps=[CampaignStepOut.of(step) for step in view.steps],
        )


class CampaignsOut(ResponseModel):
    """A page of campaigns, newest first."""

    items: list[CampaignOut]
    next_cursor: str | None
