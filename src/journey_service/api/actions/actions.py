"""Routes of actions: the delivery log, retries of dead actions, manual actions for a customer."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query

from journey_service.api.actions.schemas.actions import (
    ACTION_ID,
    Action,
    ActionDetail,
    ActionPage,
    ActionRequest,
)
from journey_service.api.authentication import ActionReader, ActionWriter
from journey_service.api.dependencies import (
    AnyCustomer,
    AppStateDep,
    Cursor,
    CustomerId,
    IdempotencyKey,
    Limit,
    WithCount,
    from_cursor,
    is_instant,
    is_uuid,
    next_cursor,
    repeatable,
)
from journey_service.api.middleware.idempotent_requests import ONCE_PER_KEY
from journey_service.api.problems import JSON_BODY, KEY_ERRORS, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, NOT_MODIFIED, StrictRoute
from journey_service.domain.actions.action import ActionState
from journey_service.domain.actions.errors import (
    ActionNotDeadError,
    ActionNotFoundError,
    EndpointDisabledError,
)
from journey_service.domain.actions.records import ActionFilter
from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.domain.errors import IdempotencyKeyReusedError
from journey_service.domain.events.event import MAX_ID
from journey_service.services.actions import delivery_log, manual_actions
from journey_service.services.customers.references import find_filtered

router = APIRouter(tags=["actions"], route_class=StrictRoute)

ActionIdPath = Annotated[UUID, Path(description="UUID of the action", examples=[ACTION_ID])]


StateParam = Annotated[
    list[ActionState] | None,
    repeatable(
        "Only actions in this state; actions that are `dead` can be retried manually", examples=[["dead"]]
    ),
]
ChannelParam = Annotated[
    list[Channel] | None,
    repeatable(
        "Only actions on this channel; default: all channels except `webhook`. Actions on `webhook` are included by"
        " default if `state` is `dead` or `endpoint_id` is given",
        examples=[["email"]],
    ),
]
CampaignIdParam = Annotated[
    int | None,
    Query(ge=1, le=MAX_ID, description="Only actions of the campaign with this id", examples=[12]),
]
EndpointIdParam = Annotated[
    int | None,
    Query(
        ge=1,
        le=MAX_ID,
        description="Only outbound events for the webhook endpoint with this id",
        examples=[12],
    ),
]


@router.get("/actions", summary="List actions", responses=problems())
async def list_actions(
    caller: ActionReader,
    app_state: AppStateDep,
    state: StateParam = None,
    channel: ChannelParam = None,
    customer_id: AnyCustomer = None,
    campaign_id: CampaignIdParam = None,
    endpoint_id: EndpointIdParam = None,
    count: WithCount = False,  # noqa: FBT002  # a query parameter
    limit: Limit = 50,
    cursor: Cursor = None,
) -> ActionPage:
    """Lists actions with their state and, if they are cancelled, the reason; newest first."""
    after = from_cursor("actions", cursor, is_instant, is_uuid)
    filter_ = ActionFilter(
        limit=limit + 1,
        states=state or (),
        channels=channel or (),
        customer_id=await find_filtered(app_state.database, caller.company_id, customer_id),
        campaign_id=campaign_id,
        endpoint_id=endpoint_id,
        is_counted=count,
        after=None if after is None else (datetime.fromisoformat(after[0]), after[1]),
    )
    rows, number = await delivery_log.list_actions(app_state.database, caller.company_id, filter_)
    return ActionPage(
        items=[Action.of(row) for row in rows[:limit]],
        next_cursor=next_cursor("actions", rows, limit, lambda row: [row.created_at.isoformat(), row.id]),
        total=number.total,
        total_estimate=number.estimate,
    )


@router.get(
    "/actions/{action_id}",
    summary="Get an action",
    responses={**NOT_MODIFIED, **problems(ActionNotFoundError)},
)
async def get_action(action_id: ActionIdPath, caller: ActionReader, app_state: AppStateDep) -> ActionDetail:
    """Returns an action with every delivery attempt and the responses to them."""
    view = await delivery_log.get_action(app_state.database, caller.company_id, str(action_id))
    return ActionDetail.of_view(view)


@router.post(
    "/actions/{action_id}/retry",
    summary="Retry a dead action",
    dependencies=[ONCE_PER_KEY],
    responses=problems(*KEY_ERRORS, ActionNotFoundError, ActionNotDeadError, EndpointDisabledError),
)
async def retry_action(action_id: ActionIdPath, caller: ActionWriter, app_state: AppStateDep) -> Action:
    """Delivers a dead action again, with the full number of attempts. Earlier attempts stay in its log."""
    row = await delivery_log.retry_action(
        app_state.database, caller.company_id, str(action_id), by=caller.actor
    )
    app_state.wake_for_transitions()
    return Action.of(row)


@router.post(
    "/customers/{customer_id}/actions",
    summary="Request an action for a customer",
    status_code=201,
    responses=problems(CustomerNotFoundError, IdempotencyKeyReusedError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def request_action(
    customer_id: CustomerId,
    body: ActionRequest,
    caller: ActionWriter,
    app_state: AppStateDep,
    idempotency_key: IdempotencyKey = None,
) -> Action:
    """Requests a call, an email or an offer. A call becomes a task at once; a message is sent as soon as possible.

    Consent, quiet hours and the frequency cap apply: an action that they forbid is returned as `cancelled` with the
    reason. A repeated request with the same `Idempotency-Key` returns the action of the first request in its current
    state, with 201 again.
    """
    row = await manual_actions.request_action(
        app_state.database, caller.company_id, customer_id, body.to_domain(idempotency_key), by=caller.actor
    )
    app_state.wake_for_transitions()
    return Action.of(row)
