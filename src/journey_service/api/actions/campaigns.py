"""Routes of campaigns."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query

from journey_service.api.actions.schemas.campaigns import Campaign, CampaignPage, CampaignSummary
from journey_service.api.authentication import ActionReader, ActionWriter
from journey_service.api.dependencies import (
    AnyCustomer,
    AppStateDep,
    Cursor,
    Limit,
    from_cursor,
    is_id,
    next_cursor,
    repeatable,
)
from journey_service.api.middleware.idempotent_requests import ONCE_PER_KEY
from journey_service.api.problems import KEY_ERRORS, problems
from journey_service.api.request_bodies import NOT_MODIFIED, StrictRoute
from journey_service.api.schema_fields import StageKey
from journey_service.domain.actions.errors import CampaignEndedError, CampaignNotFoundError
from journey_service.domain.actions.records import CampaignFilter
from journey_service.domain.events.event import MAX_ID
from journey_service.services.actions import campaigns
from journey_service.services.customers.references import find_filtered

router = APIRouter(prefix="/campaigns", tags=["campaigns"], route_class=StrictRoute)

CampaignIdPath = Annotated[int, Path(ge=1, le=MAX_ID, description="Id of the campaign", examples=[12])]


StatusParam = Annotated[
    list[Literal["running", "ended", "any"]] | None,
    repeatable("Only campaigns with this status; `any`: all; default: `any`", examples=[["running"]]),
]
TypeParam = Annotated[
    list[StageKey] | None,
    repeatable("Only campaigns of the stage with this key", examples=[["at_risk"]]),
]
ReturnedParam = Annotated[
    bool | None,
    Query(
        description="`true`: only campaigns that ended because the customer returned to a progress stage; `false`:"
        " only other campaigns, including running ones; default: all",
        examples=[True],
    ),
]


@router.get("", summary="List campaigns", responses=problems())
async def list_campaigns(
    caller: ActionReader,
    app_state: AppStateDep,
    status: StatusParam = None,
    type: TypeParam = None,  # noqa: A002  # the name of the field
    customer_id: AnyCustomer = None,
    returned: ReturnedParam = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> CampaignPage:
    """Returns campaigns with their steps, newest first."""
    before = from_cursor("campaigns", cursor, is_id)
    statuses = {*(status or ("any",))}
    filter_ = CampaignFilter(
        limit=limit + 1,
        is_running=None if "any" in statuses or len(statuses) > 1 else "running" in statuses,
        is_ended_by_return=returned,
        types=type or (),
        customer_id=await find_filtered(app_state.database, caller.company_id, customer_id),
        before=before[0] if before else None,
    )
    views = await campaigns.list_campaigns(app_state.database, caller.company_id, filter_)
    return CampaignPage(
        items=[Campaign.of(view) for view in views[:limit]],
        next_cursor=next_cursor("campaigns", views, limit, lambda row: [row.campaign.id]),
    )


@router.get("/summary", summary="Get the summary of campaigns", responses=problems())
async def get_campaign_summary(
    caller: ActionReader,
    app_state: AppStateDep,
    type: Annotated[  # noqa: A002  # the name of the field
        list[StageKey] | None,
        repeatable("Only campaigns of the stage with this key", examples=[["at_risk"]]),
    ] = None,
) -> CampaignSummary:
    """Returns how many campaigns run, how many ended because the customer returned, and the steps of running ones.

    Steps are counted by channel and by the state of their actions.
    """
    return CampaignSummary.of(
        await campaigns.count_campaigns(app_state.database, caller.company_id, type or ())
    )


@router.get(
    "/{campaign_id}", summary="Get a campaign", responses={**NOT_MODIFIED, **problems(CampaignNotFoundError)}
)
async def get_campaign(campaign_id: CampaignIdPath, caller: ActionReader, app_state: AppStateDep) -> Campaign:
    """Returns a campaign and the state of each of its steps."""
    return Campaign.of(await campaigns.get_campaign(app_state.database, caller.company_id, campaign_id))


@router.post(
    "/{campaign_id}/cancel",
    summary="Cancel a campaign",
    dependencies=[ONCE_PER_KEY],
    responses=problems(*KEY_ERRORS, CampaignNotFoundError, CampaignEndedError),
)
async def cancel_campaign(
    campaign_id: CampaignIdPath, caller: ActionWriter, app_state: AppStateDep
) -> Campaign:
    """Ends a running campaign: its pending steps are cancelled and its open tasks are closed.

    Cancelling a cancelled campaign changes nothing; one that ended otherwise returns 409.
    """
    view = await campaigns.cancel_campaign(
        app_state.database, caller.company_id, campaign_id, by=caller.actor
    )
    app_state.wake_for_transitions()
    return Campaign.of(view)
