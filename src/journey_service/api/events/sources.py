"""Routes of sources: webhooks of other systems that become events."""

from datetime import UTC
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request

from journey_service.api.authentication import Admin, AdminReader, charge_company
from journey_service.api.dependencies import (
    AppStateDep,
    Cursor,
    Limit,
    from_cursor,
    is_instant,
    is_text,
    next_cursor,
)
from journey_service.api.events.schemas.sources import (
    Source,
    SourceCreate,
    SourcePage,
    SourceTemplate,
    SourceTemplateList,
    SourceTest,
    SourceUpdate,
    WebhookResult,
)
from journey_service.api.middleware.idempotent_requests import ONCE_PER_KEY
from journey_service.api.problems import JSON_BODY, KEY_ERRORS, problems
from journey_service.api.request_bodies import (
    MAX_BODY_BYTES,
    NOT_MODIFIED,
    StrictRoute,
    media_type,
    read_body,
    read_json,
)
from journey_service.domain.errors import FieldError, InvalidInputError, JourneyServiceError
from journey_service.domain.events.errors import EventConflictError, SourceNotFoundError
from journey_service.domain.events.sources.records import NewSource, SourceMapping, StoredSource
from journey_service.domain.events.sources.signatures import Signature
from journey_service.domain.events.sources.templates import TEMPLATES
from journey_service.services.events import sources
from journey_service.services.events.ingest import IngestStatus

router = APIRouter(prefix="/sources", tags=["sources"], route_class=StrictRoute)
webhooks = APIRouter(prefix="/api/v1/sources", tags=["sources"], route_class=StrictRoute)
"""The route that needs no credential but the signature of the source."""

SourceId = Annotated[
    str, Path(max_length=40, description="Id of the source", examples=["42-0123456789abcdef"])
]
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "additionalProperties": True,
                    "description": "Body of a webhook, as the source sends it",
                },
                "examples": {
                    "booking": {
                        "summary": "A booking at Cal.com",
                        "value": {
                            "triggerEvent": "BOOKING_CREATED",
                            "createdAt": "2026-03-01T09:30:00Z",
                            "payload": {
                                "uid": "b-1001",
                                "startTime": "2026-03-08T09:30:00Z",
                                "attendees": [{"email": "ada@example.com"}],
                            },
                        },
                    }
                },
            }
        },
    }
}


@router.get("", summary="List sources", responses=problems())
async def list_sources(
    caller: AdminReader, app_state: AppStateDep, limit: Limit = 50, cursor: Cursor = None
) -> SourcePage:
    """Lists the company's sources, oldest first, without their secrets."""
    after = from_cursor("sources", cursor, is_instant, is_text)
    stored = await sources.list_sources(app_state.database, caller.company_id)
    following = [source for source in stored if after is None or _position(source) > after]
    return SourcePage(
        items=[Source.of(source) for source in following[:limit]],
        next_cursor=next_cursor("sources", following, limit, _position),
    )


@router.get("/templates", summary="List templates of sources", responses=problems())
async def list_source_templates(caller: AdminReader) -> SourceTemplateList:  # noqa: ARG001  # for its check
    """Lists ready-made signatures and mappings for the webhooks of booking systems."""
    return SourceTemplateList(items=[SourceTemplate.of(template) for template in TEMPLATES.values()])


@router.post(
    "",
    summary="Create a source",
    status_code=201,
    dependencies=[ONCE_PER_KEY],
    responses=problems(*KEY_ERRORS, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def create_source(body: SourceCreate, caller: Admin, app_state: AppStateDep) -> Source:
    """Creates a source. Webhooks sent to its `webhook_path` become events."""
    signature, mapping = _definitions(body)
    new = NewSource(body.name, body.event_source or body.name, body.secret, signature, mapping)
    stored = await sources.add_source(app_state.database, caller.company_id, new, by=caller.actor)
    return Source.of(stored)


@router.get(
    "/{source_id}", summary="Get a source", responses={**NOT_MODIFIED, **problems(SourceNotFoundError)}
)
async def get_source(source_id: SourceId, caller: AdminReader, app_state: AppStateDep) -> Source:
    """Returns a source without its secret."""
    return Source.of(await sources.get_source(app_state.database, caller.company_id, source_id))


@router.patch(
    "/{source_id}",
    summary="Update a source",
    responses=problems(SourceNotFoundError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def update_source(
    source_id: SourceId, body: SourceUpdate, caller: Admin, app_state: AppStateDep
) -> Source:
    """Changes the given fields; omitted fields keep their values. A signature or mapping is replaced as a whole."""
    values: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set}
    if body.signature is not None:
        values["signature"] = body.signature.to_signature()
    if body.mapping is not None:
        values["mapping"] = body.mapping.to_mapping()
    updated = await sources.change_source(
        app_state.database, caller.company_id, source_id, values, by=caller.actor
    )
    return Source.of(updated)


@router.delete(
    "/{source_id}", summary="Delete a source", status_code=204, responses=problems(SourceNotFoundError)
)
async def delete_source(source_id: SourceId, caller: Admin, app_state: AppStateDep) -> None:
    """Deletes a source. Its events remain; its webhooks are answered with 401."""
    await sources.remove_source(app_state.database, caller.company_id, source_id, by=caller.actor)


@router.post(
    "/{source_id}/test",
    summary="Test a source",
    responses=problems(SourceNotFoundError, *JSON_BODY),
    openapi_extra=_BODY,
    max_body_size=MAX_BODY_BYTES,
)
async def test_source(
    source_id: SourceId, request: Request, caller: AdminReader, app_state: AppStateDep
) -> SourceTest:
    """Returns the event that the body of a webhook yields, and stores nothing.

    A body that yields none is answered with 422, and with the pointer of the expression in the mapping.
    """
    raw = read_json(await read_body(request), media_type(request))
    source = await sources.get_source(app_state.database, caller.company_id, source_id)
    event = await sources.read_webhook(app_state.database, source, raw)
    if event is None:
        raise InvalidInputError.at("/mapping/types", "yields no event: webhooks of this type are ignored")
    return SourceTest.of(event)


@webhooks.post(
    "/{source_id}/events",
    summary="Receive a webhook of a source",
    responses={
        status: response
        for status, response in problems(EventConflictError, *JSON_BODY, of_company=False).items()
        if status != HTTPStatus.FORBIDDEN
    },
    openapi_extra=_BODY,
    max_body_size=MAX_BODY_BYTES,
)
async def ingest_source_event(source_id: SourceId, request: Request, app_state: AppStateDep) -> WebhookResult:
    """Stores the event that a webhook yields, once for all attempts of the webhook.

    The signature of the source is the credential. The response is sent once the event is stored durably. Pointers of
    errors point into the mapping of the source.
    """
    source = await sources.authenticate_webhook(
        app_state.database, source_id, headers=request.headers, body=await request.body()
    )
    await charge_company(request, app_state, source.company_id)
    raw = read_json(await read_body(request), media_type(request))
    event = await sources.read_webhook(app_state.database, source, raw)
    if event is None:
        return WebhookResult(status="ignored", event_id=None)
    result = await app_state.ingest_batcher.submit(source.company_id, event)
    if isinstance(result, JourneyServiceError):
        raise result
    if result.status is IngestStatus.APPLIED and result.entry is not None:
        app_state.wake_for_transitions()
    return WebhookResult(status=result.status.value, event_id=event.event_id)


def _position(source: StoredSource) -> list[str]:
    return [source.created_at.astimezone(UTC).isoformat(timespec="microseconds"), source.key]


def _definitions(body: SourceCreate) -> tuple[Signature, SourceMapping]:
    """Returns the signature and the mapping of a new source: its own, or those of its template."""
    template = None if body.template is None else TEMPLATES.get(body.template)
    if body.template is not None and template is None:
        raise InvalidInputError.at("/template", f"must be one of {', '.join(TEMPLATES)}")
    signature = None if template is None else template.signature
    mapping = None if template is None else template.mapping
    if body.signature is not None:
        signature = body.signature.to_signature()
    if body.mapping is not None:
        mapping = body.mapping.to_mapping()
    if signature is None or mapping is None:
        given = {"/signature": signature, "/mapping": mapping}
        raise InvalidInputError(
            [FieldError(pointer, "is required") for pointer, value in given.items() if value is None]
        )
    return signature, mapping
