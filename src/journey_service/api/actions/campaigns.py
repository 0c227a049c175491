"""Campaigns: who is in one, how far it is, and its end by hand."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query

from journey_service.api.actions.schemas.campaigns import CampaignOut, CampaignsOut
from journey_service.api.authentication import ActionReader, ActionWriter
from journey_service.api.dependencies import (
    AnyCustomer,
    AppStateDep,
    Cursor,
    Limit,
    StageName,
    from_cursor,
    is_id,
    next_cursor,
)
from journey_service.api.problems import problems
from journey_service.api.request_bodies import StrictRoute
from journey_service.domain.actions.errors import CampaignEndedError, CampaignNotFoundError
from journey_service.domain.actions.records import CampaignFilter
from journey_service.domain.events.event import MAX_ID
from journey_service.services.actions import campaigns

router = APIRouter(prefix="/campaigns", tags=["campaigns"], route_class=StrictRoute)

CampaignId = Annotated[int, Path(ge=1, le=MAX_ID)]


@router.get("", summary="List campaigns", responses=problems())
async def list_campaigns(
    caller: ActionReader,
    app_state: AppStateDep,
    status: Annotated[Literal["running", "ended", "any"], Query()] = "any",
    type: Annotated[StageName | None, Query(description="the stage it is for")] = None,  # noqa: A002  # as it is shown
    customer_id: AnyCustomer = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> CampaignsOut:
    """Campaigns that fit, newest first, each with its steps."""
    before = from_cursor("campaigns", cursor, is_id)
    wanted = CampaignFilter(
        limit=limit + 1,
        is_running=None if status == "any" else status == "running",
        type=type,
        customer_id=customer_id,
        before=before[0] if before else None,
    )
    found = await campaigns.list_campaigns(app_state.database, caller.company_id, wanted)
    items = [CampaignOut.of(view) for view in found[:limit]]
    return CampaignsOut(
        items=items, next_cursor=next_cursor("campaigns", found, limit, lambda row: [row.campaign.id])
    )


@router.get("/{campaign_id}", summary="Read a campaign", responses=problems(CampaignNotFoundError))
async def get_campaign(campaign_id: CampaignId, caller: ActionReader, app_state: AppStateDep) -> CampaignOut:
    """A campaign and what has become of each of its steps."""
    return CampaignOut.of(await campaigns.get_campaign(app_state.database, caller.company_id, campaign_id))


@router.post(
    "/{campaign_id}/cancel",
    summary="End a campaign",
    responses=problems(CampaignNotFoundError, CampaignEndedError),
)
async def post_campaign_cancellation(
    campaign_id: CampaignId, caller: ActionWriter, app_state: AppStateDep
) -> CampaignOut:
    """End a campaign by hand: what has not gone out yet never does, and its tasks are closed.

    Ending it once more changes nothing.
    """
    view = await campaigns.cancel_campaign(
        app_state.database, caller.company_id, campaign_id, by=caller.actor
    )
    app_state.wake_for_transitions()
    return CampaignOut.of(view)
