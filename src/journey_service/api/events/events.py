"""Routes of events: one, or a batch."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, cast

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response

from journey_service.api.authentication import EventWriter
from journey_service.api.dependencies import AppState, AppStateDep
from journey_service.api.events.schemas.events import (
    BatchItemResult,
    BatchResult,
    CloudEvent,
    Event,
    EventResult,
)
from journey_service.api.problems import JSON_BODY, problem_of, problems
from journey_service.api.request_bodies import (
    MAX_BATCH_BODY_BYTES,
    MAX_BATCH_EVENTS,
    MAX_BODY_BYTES,
    NDJSON,
    StrictRoute,
    UnsupportedMediaTypeError,
    media_type,
    parse_json,
    read_body,
    read_json,
    to_utf8,
)
from journey_service.domain.errors import FieldError, InvalidInputError, JourneyServiceError, MalformedError
from journey_service.domain.events import event as domain
from journey_service.domain.events.cloud_events import HEADER_PREFIX, message_of_headers, parse_message
from journey_service.domain.events.errors import EventConflictError
from journey_service.domain.events.parsing import parse_event
from journey_service.services.events.ingest import IngestOutcome, IngestResult, IngestStatus, ingest

router = APIRouter(tags=["events"], route_class=StrictRoute)

_CLOUD_EVENT: Final = "application/cloudevents+json"
_CLOUD_EVENT_BATCH: Final = "application/cloudevents-batch+json"
_CLOUD_EVENTS: Final = (_CLOUD_EVENT, _CLOUD_EVENT_BATCH)

EVENT_SCHEMAS: Final = (Event, CloudEvent)
"""Schemas of bodies that the routes parse themselves."""
_EVENT_EXAMPLE, _CLOUD_EVENT_EXAMPLE = (
    cast("Mapping[str, Any]", schema.model_config["json_schema_extra"])["examples"][0]
    for schema in EVENT_SCHEMAS
)


def _ref(*names: str) -> dict[str, Any]:
    refs = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    return refs[0] if len(refs) == 1 else {"anyOf": refs}


def _content(media: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": media}}


_ONE: Final = _content(
    {
        "application/json": {
            "schema": _ref("Event", "CloudEvent"),
            "examples": {
                "event": {"summary": "An event", "value": _EVENT_EXAMPLE},
                "cloud_event": {
                    "summary": "An event as a CloudEvents message",
                    "value": _CLOUD_EVENT_EXAMPLE,
                },
            },
        },
        _CLOUD_EVENT: {"schema": _ref("CloudEvent")},
    }
)
_MANY: Final = _content(
    {
        "application/json": {
            "schema": {"type": "array", "maxItems": MAX_BATCH_EVENTS, "items": _ref("Event", "CloudEvent")}
        },
        "application/x-ndjson": {
            "schema": {"type": "string", "description": "One event on each line"},
            "examples": {
                "events": {
                    "summary": "One event on each line",
                    "value": f"{orjson.dumps(_EVENT_EXAMPLE).decode()}\n",
                }
            },
        },
        _CLOUD_EVENT_BATCH: {"schema": {"type": "array", "items": _ref("CloudEvent")}},
    }
)


@router.post(
    "/events",
    summary="Ingest an event",
    responses=problems(EventConflictError, *JSON_BODY),
    response_model=EventResult,
    openapi_extra=_ONE,
    max_body_size=MAX_BODY_BYTES,
)
async def ingest_event(request: Request, caller: EventWriter, app_state: AppStateDep) -> Response:
    """Stores an event and evaluates the customer's stage. The response is sent once both are stored durably.

    `source` and `id` identify an event permanently: the same event again is answered with the status `duplicate`, the
    same id with other content with 409. The body is an event, or a CloudEvents 1.0 message in structured mode. With a
    header `ce-specversion`, it is the data of a message in binary mode, whose attributes are headers. The type of a
    message may have a prefix that ends with a dot, such as `com.example.appointment_completed`.
    """
    media = media_type(request)
    if media == _CLOUD_EVENT_BATCH:
        raise UnsupportedMediaTypeError(media, accepted="one event, or to /events/batch")
    event = _read_one(request, await read_body(request), media)
    result = await app_state.ingest_batcher.submit(caller.company_id, event)
    if isinstance(result, JourneyServiceError):
        raise result
    _wake_workers(app_state, [result])
    return _json(EventResult.of(result))


@router.post(
    "/events/batch",
    summary="Ingest events",
    responses=problems(*JSON_BODY),
    response_model=BatchResult,
    openapi_extra=_MANY,
    max_body_size=MAX_BATCH_BODY_BYTES,
)
async def ingest_events(request: Request, caller: EventWriter, app_state: AppStateDep) -> Response:
    """Ingests up to 5,000 events in order, with one result for each. A refused event does not affect the others.

    A single CloudEvents message, in structured or binary mode, is a batch of one event.
    """
    items = _items(request, await read_body(request), media_type(request))
    if len(items) > MAX_BATCH_EVENTS:
        raise InvalidInputError.at("", f"must have at most {MAX_BATCH_EVENTS} items, not {len(items)}")
    parsed = [_attempt(parse) for parse in items]
    events = [event for event in parsed if isinstance(event, domain.Event)]
    results = await ingest(app_state.database, caller.company_id, events) if events else []
    _wake_workers(app_state, results)
    remaining = iter(results)
    return _json(
        BatchResult.model_construct(
            results=[
                _item_result(index, next(remaining) if isinstance(event, domain.Event) else event)
                for index, event in enumerate(parsed)
            ]
        )
    )


def _parse(raw: Any, media: str) -> domain.Event:  # noqa: ANN401  # any JSON value
    is_cloud_event = media in _CLOUD_EVENTS or (isinstance(raw, dict) and "specversion" in raw)
    return parse_message(raw) if is_cloud_event else parse_event(raw)


def _is_binary(request: Request, media: str) -> bool:
    """Whether the headers are the attributes of a CloudEvents message; a media type of CloudEvents takes precedence."""
    return f"{HEADER_PREFIX}specversion" in request.headers and media not in _CLOUD_EVENTS


def _read_one(request: Request, body: bytes, media: str) -> domain.Event:
    if not _is_binary(request, media):
        return _parse(read_json(body, media), media)
    data = read_json(body, media) if body else None
    return parse_message(message_of_headers(request.headers.items(), data))


def _parse_line(line: bytes, media: str) -> domain.Event:
    return _parse(parse_json(line), media)


def _items(request: Request, body: bytes, media: str) -> list[Callable[[], domain.Event]]:
    """Returns a parser for each item of a batch."""
    if media == _CLOUD_EVENT or _is_binary(request, media):
        return [partial(_read_one, request, body, media)]
    if media in NDJSON:
        lines = [line for line in to_utf8(body).split(b"\n") if line.strip()]
        return [partial(_parse_line, line, media) for line in lines]
    raw = read_json(body, media)
    if not isinstance(raw, list):
        raise InvalidInputError(
            [FieldError("", "must be a list of events, or NDJSON as application/x-ndjson")]
        )
    return [partial(_parse, item, media) for item in raw]


def _attempt(parse: Callable[[], domain.Event]) -> domain.Event | JourneyServiceError:
    try:
        return parse()
    except (InvalidInputError, MalformedError) as error:
        return error


def _item_result(index: int, result: IngestResult) -> BatchItemResult:
    if isinstance(result, JourneyServiceError):
        return BatchItemResult(index=index, status="refused", problem=problem_of(result))
    single = EventResult.of(result)
    return BatchItemResult.model_construct(
        index=index, status=single.status, journey=single.journey, transition=single.transition, problem=None
    )


def _wake_workers(app_state: AppState, results: Iterable[IngestResult]) -> None:
    """Wakes the workers if an event caused a transition, whose actions are due at once."""
    outcomes = (result for result in results if isinstance(result, IngestOutcome))
    if any(outcome.status is IngestStatus.APPLIED and outcome.entry is not None for outcome in outcomes):
        app_state.wake_for_transitions()


def _json(result: EventResult | BatchResult) -> Response:
    return Response(result.model_dump_json(), media_type="application/json")
