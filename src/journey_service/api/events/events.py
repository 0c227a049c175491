"""Routes of events: one, or a batch."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, cast

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response

from journey_service.api.authentication import EventWriter, charge_events
from journey_service.api.dependencies import AppState, AppStateDep
from journey_service.api.events.schemas.events import (
    BatchResult,
    CloudEvent,
    Event,
    EventResult,
    result_values,
)
from journey_service.api.middleware.request_slots import hold_slot
from journey_service.api.problems import JSON_BODY, problem_of, problems
from journey_service.api.request_bodies import (
    JSON,
    MAX_BATCH_BODY_BYTES,
    MAX_BATCH_EVENTS,
    MAX_BATCH_JSON_VALUES,
    MAX_BODY_BYTES,
    MAX_JSON_VALUES,
    NDJSON,
    StrictRoute,
    UnsupportedMediaTypeError,
    check_json_size,
    check_number_of_values,
    media_type,
    parse_json,
    read_body,
    read_json,
    split_lines,
    to_utf8,
)
from journey_service.domain.errors import FieldError, InvalidInputError, JourneyServiceError, MalformedError
from journey_service.domain.events import event as domain
from journey_service.domain.events.cloud_events import HEADER_PREFIX, message_of_headers, parse_message
from journey_service.domain.events.errors import EventConflictError
from journey_service.domain.events.parsing import parse_event
from journey_service.domain.operations.work import WorkKind
from journey_service.services.events.ingest import IngestOutcome, IngestResult, IngestStatus, ingest

router = APIRouter(tags=["events"], route_class=StrictRoute)

_CLOUD_EVENT: Final = "application/cloudevents+json"
_CLOUD_EVENT_BATCH: Final = "application/cloudevents-batch+json"
_CLOUD_EVENTS: Final = (_CLOUD_EVENT, _CLOUD_EVENT_BATCH)

_JSON_LINE: Final = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE
_ITEMS_AT_ONCE: Final = 50
"""Items of a batch between which other requests are served."""

MAX_ITEM_ERRORS: Final = 10
"""Errors of one event of a batch that the response reports; the first ones."""
_INGESTED_AT_ONCE: Final = 500
"""Events of a batch in one transaction."""

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
    return _json(result)


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

    Events are stored in transactions of 500. If one fails, the batch is answered with 503 although earlier events are
    stored: send the batch again, and those are answered as `duplicate`. A refused event has at most ten errors.

    A single CloudEvents message, in structured or binary mode, is a batch of one event.
    """
    body = await read_body(request)
    # After the body has arrived: a slow sender occupies no slot.
    await hold_slot(request.scope, app_state.database.admit(caller.company_id, WorkKind.BATCH))
    items = _items(request, body, media_type(request))
    charge_events(request, app_state, len(items))
    parsed: list[domain.Event | JourneyServiceError] = []
    for start in range(0, len(items), _ITEMS_AT_ONCE):
        parsed += [_attempt(parse) for parse in items[start : start + _ITEMS_AT_ONCE]]
        await asyncio.sleep(0)
    events = [event for event in parsed if isinstance(event, domain.Event)]
    outcomes: list[IngestResult] = []
    for start in range(0, len(events), _INGESTED_AT_ONCE):
        chunk = events[start : start + _INGESTED_AT_ONCE]
        outcomes += await ingest(app_state.database, caller.company_id, chunk)
    ingested = iter(outcomes)
    results = [next(ingested) if isinstance(event, domain.Event) else event for event in parsed]
    _wake_workers(app_state, results)
    return Response(await _batch_text(results), media_type=JSON)


async def _batch_text(results: Sequence[IngestResult]) -> bytes:
    """Returns a BatchResult as JSON, written in pieces between which other requests are served."""
    pieces: list[bytes] = []
    for start in range(0, len(results), _ITEMS_AT_ONCE):
        chunk = enumerate(results[start : start + _ITEMS_AT_ONCE], start)
        values = [_item_values(index, result) for index, result in chunk]
        pieces.append(orjson.dumps(values, option=orjson.OPT_UTC_Z)[1:-1])
        await asyncio.sleep(0)
    return b'{"results":[%b]}\n' % b",".join(pieces)


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


def _parse_item(item: Any, media: str) -> domain.Event:  # noqa: ANN401  # any JSON value
    check_number_of_values(item, MAX_JSON_VALUES)
    return _parse(item, media)


def _parse_line(line: bytes, media: str) -> domain.Event:
    return _parse(parse_json(line), media)


def _items(request: Request, body: bytes, media: str) -> list[Callable[[], domain.Event]]:
    """Returns a parser for each item of a batch."""
    if media == _CLOUD_EVENT or _is_binary(request, media):
        return [partial(_read_one, request, body, media)]
    if media in NDJSON:
        text = to_utf8(body)
        check_json_size(text, MAX_BATCH_JSON_VALUES)
        return [partial(_parse_line, line, media) for line in split_lines(text, MAX_BATCH_EVENTS)]
    raw = read_json(body, media, max_values=MAX_BATCH_JSON_VALUES)
    if not isinstance(raw, list):
        raise InvalidInputError(
            [FieldError("", "must be a list of events, or NDJSON as application/x-ndjson")]
        )
    if len(raw) > MAX_BATCH_EVENTS:
        raise InvalidInputError.at("", f"must have at most {MAX_BATCH_EVENTS} items")
    return [partial(_parse_item, item, media) for item in raw]


def _attempt(parse: Callable[[], domain.Event]) -> domain.Event | JourneyServiceError:
    try:
        return parse()
    except (InvalidInputError, MalformedError) as error:
        return error


def _item_values(index: int, result: IngestResult) -> dict[str, Any]:
    """Returns the fields of a BatchItemResult."""
    if isinstance(result, IngestOutcome):
        return {"index": index, **result_values(result), "problem": None}
    problem = problem_of(result)
    if "errors" in problem:
        problem["errors"] = problem["errors"][:MAX_ITEM_ERRORS]
    return {"index": index, "status": "refused", "journey": None, "transition": None, "problem": problem}


def _wake_workers(app_state: AppState, results: Iterable[IngestResult]) -> None:
    """Wakes the workers if an event caused a transition, whose actions are due at once."""
    outcomes = (result for result in results if isinstance(result, IngestOutcome))
    if any(outcome.status is IngestStatus.APPLIED and outcome.entry is not None for outcome in outcomes):
        app_state.wake_for_transitions()


def _json(result: IngestOutcome) -> Response:
    return Response(orjson.dumps(result_values(result), option=_JSON_LINE), media_type=JSON)
