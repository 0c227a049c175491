"""Routes of webhook endpoints."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Header, Path

from journey_service.api.actions.schemas.webhook_endpoints import (
    SecretRotation,
    WebhookEndpoint,
    WebhookEndpointCreate,
    WebhookEndpointCreated,
    WebhookEndpointPage,
    WebhookEndpointUpdate,
    WebhookReplay,
    WebhookReplayRequest,
    WebhookTest,
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
from journey_service.api.middleware.idempotent_requests import ONCE_PER_KEY
from journey_service.api.problems import JSON_BODY, KEY_ERRORS, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, NOT_MODIFIED, StrictRoute
from journey_service.domain.actions.errors import (
    EndpointDisabledError,
    EndpointInUseError,
    EndpointNotFoundError,
    EventTypeConflictError,
)
from journey_service.domain.errors import IdempotencyKeyReusedError, InvalidInputError
from journey_service.domain.events.event import MAX_ID
from journey_service.gateways.http_client import OutgoingRefusedError
from journey_service.services.actions import webhook_endpoints as endpoints
from journey_service.services.actions.delivery import replay as replays

router = APIRouter(prefix="/webhook-endpoints", tags=["webhooks"], route_class=StrictRoute)

ReplayKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Key that the caller chooses, at most 255 printable ASCII characters. A repeated request with the"
        " same content is not carried out again: the response shows the replay of the first one. Other content is"
        " refused with 422",
        examples=["replay-crm-1"],
    ),
]
EndpointIdPath = Annotated[int, Path(ge=1, le=MAX_ID, description="Id of the endpoint", examples=[12])]


@router.get("", summary="List webhook endpoints", responses=problems())
async def list_webhook_endpoints(
    caller: AdminReader, app_state: AppStateDep, limit: Limit = 50, cursor: Cursor = None
) -> WebhookEndpointPage:
    """Lists the company's endpoints by id, without their secrets."""
    after = from_cursor("webhook-endpoints", cursor, is_id)
    stored = await endpoints.list_endpoints(app_state.database, caller.company_id)
    following = [endpoint for endpoint in stored if after is None or endpoint.id > after[0]]
    return WebhookEndpointPage(
        items=[WebhookEndpoint.of(endpoint) for endpoint in following[:limit]],
        next_cursor=next_cursor("webhook-endpoints", following, limit, lambda row: [row.id]),
    )


@router.post(
    "",
    summary="Create a webhook endpoint",
    status_code=201,
    dependencies=[ONCE_PER_KEY],
    responses=problems(*KEY_ERRORS, EventTypeConflictError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def create_webhook_endpoint(
    body: WebhookEndpointCreate, caller: Admin, app_state: AppStateDep
) -> WebhookEndpointCreated:
    """Creates an endpoint that receives messages of the given types. Its `secret` is shown only once."""
    await _check_url(app_state, body.url)
    new = await endpoints.add_endpoint(
        app_state.database,
        caller.company_id,
        url=body.url,
        events=body.events,
        description=body.description,
        by=caller.actor,
    )
    return WebhookEndpointCreated.of_new(new)


@router.get(
    "/{endpoint_id}",
    summary="Get a webhook endpoint",
    responses={**NOT_MODIFIED, **problems(EndpointNotFoundError)},
)
async def get_webhook_endpoint(
    endpoint_id: EndpointIdPath, caller: AdminReader, app_state: AppStateDep
) -> WebhookEndpoint:
    """Returns an endpoint without its secret, and whether it accepts messages."""
    stored = await endpoints.get_endpoint(app_state.database, caller.company_id, endpoint_id)
    return WebhookEndpoint.of(stored)


@router.patch(
    "/{endpoint_id}",
    summary="Update a webhook endpoint",
    responses=problems(EndpointNotFoundError, EventTypeConflictError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def update_webhook_endpoint(
    endpoint_id: EndpointIdPath, body: WebhookEndpointUpdate, caller: Admin, app_state: AppStateDep
) -> WebhookEndpoint:
    """Changes the given fields; omitted fields keep their values. Disabling cancels messages that are not sent yet.

    `is_enabled: false` for an endpoint that the service has disabled confirms that: `disabled_reason` becomes null, and
    the health of the company no longer warns of it.
    """
    values = body.model_dump(exclude_unset=True)
    if "url" in values:
        await _check_url(app_state, values["url"])
    updated = await endpoints.change_endpoint(
        app_state.database, caller.company_id, endpoint_id, values, by=caller.actor
    )
    return WebhookEndpoint.of(updated)


@router.delete(
    "/{endpoint_id}",
    summary="Delete a webhook endpoint",
    status_code=204,
    responses=problems(EndpointNotFoundError, EndpointInUseError),
)
async def delete_webhook_endpoint(endpoint_id: EndpointIdPath, caller: Admin, app_state: AppStateDep) -> None:
    """Deletes an endpoint to which no message was sent. Disable any other endpoint: the delivery log refers to it."""
    await endpoints.remove_endpoint(app_state.database, caller.company_id, endpoint_id, by=caller.actor)


@router.post(
    "/{endpoint_id}/rotate",
    summary="Rotate the secret of a webhook endpoint",
    dependencies=[ONCE_PER_KEY],
    responses=problems(*KEY_ERRORS, EndpointNotFoundError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def rotate_webhook_secret(
    endpoint_id: EndpointIdPath, caller: Admin, app_state: AppStateDep, body: SecretRotation | None = None
) -> WebhookEndpointCreated:
    """Replaces the secret, which is shown only once. During the overlap, the previous secret signs messages too."""
    overlap = timedelta(seconds=(body or SecretRotation()).overlap_seconds)
    new = await endpoints.rotate_secret(
        app_state.database, caller.company_id, endpoint_id, overlap=overlap, by=caller.actor
    )
    return WebhookEndpointCreated.of_new(new)


@router.post(
    "/{endpoint_id}/test",
    summary="Test a webhook endpoint",
    dependencies=[ONCE_PER_KEY],
    responses=problems(*KEY_ERRORS, EndpointNotFoundError),
)
async def test_webhook_endpoint(
    endpoint_id: EndpointIdPath, caller: Admin, app_state: AppStateDep
) -> WebhookTest:
    """Sends a signed message of the type `webhook.test`, and returns the endpoint's response."""
    outcome = await endpoints.test_endpoint(
        app_state.database, caller.company_id, endpoint_id, messenger=app_state.messenger, by=caller.actor
    )
    return WebhookTest.of(outcome)


@router.post(
    "/{endpoint_id}/replay",
    summary="Send a webhook endpoint earlier events again",
    responses=problems(EndpointNotFoundError, EndpointDisabledError, IdempotencyKeyReusedError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def replay_webhook_events(
    endpoint_id: EndpointIdPath,
    body: WebhookReplayRequest,
    caller: Admin,
    app_state: AppStateDep,
    idempotency_key: ReplayKey = None,
) -> WebhookReplay:
    """Sends an endpoint the outbound events of its types that it has missed since a time.

    Each event keeps the id of its message (`webhook-id`), so a receiver recognizes what it has already processed. At
    most 10,000 events are sent, the oldest first; `next_since` is the time from which to continue. Events that are
    waiting to be sent are left alone, and events older than the retention period of outbound events are gone. Messages
    of the types `action...` are not sent again: a late message to a customer may be wrong by now.
    """
    replay = await replays.replay_events(
        app_state.database,
        caller.company_id,
        endpoint_id,
        since=body.since,
        includes_delivered=body.include_delivered,
        key=idempotency_key,
        by=caller.actor,
    )
    app_state.wake_for_transitions()
    return WebhookReplay.of(replay)


async def _check_url(app_state: AppState, url: str) -> None:
    """Checks that the service may call a URL. Raises InvalidInputError."""
    try:
        await app_state.outgoing_for_webhooks.check_addresses(url)
    except OutgoingRefusedError as error:
        raise InvalidInputError.at("/url", str(error)) from error
