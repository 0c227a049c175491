"""The log of deliveries, dead letters tried again, and what people do about a customer themselves."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query

from journey_service.api.actions.schemas.actions import ActionDetailOut, ActionIn, ActionOut, ActionsOut
from journey_service.api.authentication import ActionReader, ActionWriter
from journey_service.api.dependencies import (
    AnyCustomer,
    AppStateDep,
    Cursor,
    CustomerId,
    IdempotencyKey,
    Limit,
    from_cursor,
    is_instant,
    is_uuid,
    next_cursor,
)
from journey_service.api.problems import JSON_BODY, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, StrictRoute
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
from journey_service.services.actions import delivery_log as actions
from journey_service.services.actions import manual_actions

router = APIRouter(tags=["actions"], route_class=StrictRoute)

ActionId = Annotated[UUID, Path()]


@router.get("/actions", summary="List actions", responses=problems())
async def list_actions(  # noqa: PLR0913, PLR0917  # one parameter a filter
    caller: ActionReader,
    app_state: AppStateDep,
    state: Annotated[
        Literal["pending", "leased", "done", "cancelled", "dead"] | None,
        Query(description="`dead`: what somebody has to look at"),
    ] = None,
    channel: Annotated[
        Channel | None, Query(description="`webhook`: news for endpoints, which are left out otherwise")
    ] = None,
    customer_id: AnyCustomer = None,
    campaign_id: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
    endpoint_id: Annotated[int | None, Query(ge=1, le=MAX_ID, description="news for this endpoint")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> ActionsOut:
    """What was done or sent, is to be, or was cancelled, and why; newest first, page by page."""
    after = from_cursor("actions", cursor, is_instant, is_uuid)
    wanted = ActionFilter(
        limit=limit + 1,
        state=state,
        channel=channel,
        customer_id=customer_id,
        campaign_id=campaign_id,
        endpoint_id=endpoint_id,
        after=None if after is None else (datetime.fromisoformat(after[0]), after[1]),
    )
    found = await actions.list_actions(app_state.database, caller.company_id, wanted)
    items = [ActionOut.of(action) for action in found[:limit]]
    return ActionsOut(
        items=items,
        next_cursor=next_cursor("actions", found, limit, lambda row: [row.created_at.isoformat(), row.id]),
    )


@router.get("/actions/{action_id}", summary="Read an action", responses=problems(ActionNotFoundError))
async def get_action(action_id: ActionId, caller: ActionReader, app_state: AppStateDep) -> ActionDetailOut:
    """An action with every attempt, and what the other side said."""
    return ActionDetailOut.of_view(
        await actions.get_action(app_state.database, caller.company_id, str(action_id))
    )


@router.post(
    "/actions/{action_id}/retry",
    summary="Try a dead action again",
    responses=problems(ActionNotFoundError, ActionNotDeadError, EndpointDisabledError),
)
async def post_action_retry(action_id: ActionId, caller: ActionWriter, app_state: AppStateDep) -> ActionOut:
    """Have a dead action tried again at once, as if for the first time; its attempts stay on record."""
    action = await actions.retry_action(
        app_state.database, caller.company_id, str(action_id), by=caller.actor
    )
    app_state.wake_for_transitions()
    return ActionOut.of(action)


@router.post(
    "/customers/{customer_id}/actions",
    summary="Call, mail, or make an offer to a customer",
    status_code=201,
    responses=problems(CustomerNotFoundError, IdempotencyKeyReusedError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def post_action(
    customer_id: CustomerId,
    body: ActionIn,
    caller: ActionWriter,
    app_state: AppStateDep,
    idempotency_key: IdempotencyKey = None,
) -> ActionOut:
    """Act on a customer by hand: a call becomes a task at once, a mail or an offer goes out as soon as may be.

    Consent, quiet hours and the frequency cap count here too: what may not be done is answered as cancelled, with the
    reason. The same request under the same Idempotency-Key is answered with the action as it is by then.
    """
    action = await manual_actions.request_action(
        app_state.database, caller.company_id, customer_id, body.as_wish(idempotency_key), by=caller.actor
    )
    app_state.wake_for_transitions()
    return ActionOut.of(action)
