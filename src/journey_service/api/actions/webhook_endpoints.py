"""A company's own systems that take webhooks: registered, changed, tried out."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path

from journey_service.api.actions.schemas.webhook_endpoints import (
    EndpointChangeIn,
    EndpointIn,
    EndpointOut,
    EndpointsOut,
    NewEndpointOut,
    SecretRotationIn,
    TestOut,
)
from journey_service.api.authentication import Admin, AdminReader
from journey_service.api.dependencies import (
    AppState,
    AppStateDep,
    Cursor,
    Limit,
    from_cursor,
    is_id,
    next_cursor,
)
from journey_service.api.problems import JSON_BODY, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, StrictRoute
from journey_service.domain.actions.errors import (
    EndpointInUseError,
    EndpointNotFoundError,
    EndpointTakenError,
)
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events.event import MAX_ID
from journey_service.gateways.http_client import OutgoingRefusedError
from journey_service.services.actions import webhook_endpoints as endpoints

router = APIRouter(prefix="/webhook-endpoints", tags=["webhooks"], route_class=StrictRoute)

EndpointId = Annotated[int, Path(ge=1, le=MAX_ID)]


@router.get("", summary="List webhook endpoints", responses=problems())
async def list_webhook_endpoints(
    caller: AdminReader, app_state: AppStateDep, limit: Limit = 50, cursor: Cursor = None
) -> EndpointsOut:
    """The company's endpoints by id, without their secrets."""
    after = from_cursor("webhook-endpoints", cursor, is_id)
    found = await endpoints.list_endpoints(app_state.database, caller.company_id)
    later = [endpoint for endpoint in found if after is None or endpoint.id > after[0]]
    items = [EndpointOut.of(endpoint) for endpoint in later[:limit]]
    return EndpointsOut(
        items=items, next_cursor=next_cursor("webhook-endpoints", later, limit, lambda row: [row.id])
    )


@router.post(
    "",
    summary="Register a webhook endpoint",
    status_code=201,
    responses=problems(EndpointTakenError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def post_webhook_endpoint(body: EndpointIn, caller: Admin, app_state: AppStateDep) -> NewEndpointOut:
    """Have a system of the company's told of what it names. The `secret` that signs it is shown this once."""
    _check(app_state, body.url)
    new = await endpoints.add_endpoint(
        app_state.database,
        caller.company_id,
        url=body.url,
        events=body.events,
        description=body.description,
        by=caller.actor,
    )
    return NewEndpointOut.of_new(new)


@router.get("/{endpoint_id}", summary="Read a webhook endpoint", responses=problems(EndpointNotFoundError))
async def get_webhook_endpoint(
    endpoint_id: EndpointId, caller: AdminReader, app_state: AppStateDep
) -> EndpointOut:
    """Where an endpoint is, what it takes, and whether anything reaches it."""
    return EndpointOut.of(await endpoints.get_endpoint(app_state.database, caller.company_id, endpoint_id))


@router.patch(
    "/{endpoint_id}",
    summary="Change a webhook endpoint",
    responses=problems(EndpointNotFoundError, EndpointTakenError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def patch_webhook_endpoint(
    endpoint_id: EndpointId, body: EndpointChangeIn, caller: Admin, app_state: AppStateDep
) -> EndpointOut:
    """Write what is given, the rest stays. One that is disabled is told nothing, and what waits for it is dropped."""
    values = body.model_dump(exclude_unset=True)
    if "url" in values:
        _check(app_state, values["url"])
    changed = await endpoints.change_endpoint(
        app_state.database, caller.company_id, endpoint_id, values, by=caller.actor
    )
    return EndpointOut.of(changed)


@router.delete(
    "/{endpoint_id}",
    summary="Remove a webhook endpoint",
    status_code=204,
    responses=problems(EndpointNotFoundError, EndpointInUseError),
)
async def delete_webhook_endpoint(endpoint_id: EndpointId, caller: Admin, app_state: AppStateDep) -> None:
    """Take away an endpoint that was never told anything; any other is disabled, as the log of deliveries names it."""
    await endpoints.remove_endpoint(app_state.database, caller.company_id, endpoint_id, by=caller.actor)


@router.post(
    "/{endpoint_id}/rotate",
    summary="Give a webhook endpoint another secret",
    responses=problems(EndpointNotFoundError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def post_webhook_rotation(
    endpoint_id: EndpointId, caller: Admin, app_state: AppStateDep, body: SecretRotationIn | None = None
) -> NewEndpointOut:
    """Sign with another secret, shown this once; for the overlap the former one signs beside it."""
    overlap = timedelta(seconds=(body or SecretRotationIn()).overlap_seconds)
    new = await endpoints.rotate_secret(
        app_state.database, caller.company_id, endpoint_id, overlap=overlap, by=caller.actor
    )
    return NewEndpointOut.of_new(new)


@router.post(
    "/{endpoint_id}/test", summary="Try a webhook endpoint out", responses=problems(EndpointNotFoundError)
)
async def post_webhook_test(endpoint_id: EndpointId, caller: Admin, app_state: AppStateDep) -> TestOut:
    """Send a message of the type `webhook.test`, signed like every other, and tell what has come of it."""
    outcome = await endpoints.test_endpoint(
        app_state.database, caller.company_id, endpoint_id, messenger=app_state.messenger, by=caller.actor
    )
    return TestOut.of(outcome)


def _check(app_state: AppState, url: str) -> None:
    """Refuse what could never be called, before anybody waits for it. Raises InvalidInputError."""
    try:
        app_state.outgoing_for_webhooks.check(url)
    except OutgoingRefusedError as error:
        raise InvalidInputError.at("/url", str(error)) from error
