"""POST /events and /events/batch: what happened, told by other services."""

from collections.abc import Callable, Iterable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from journey_service.api.authentication import EventWriter
from journey_service.api.dependencies import AppState, AppStateDep
from journey_service.api.events.schemas.events import BatchOut, CloudEventIn, EventIn, EventOut, ResultOut
from journey_service.api.problems import JSON_BODY, problem_of, problems
from journey_service.api.request_bodies import (
    MAX_BATCH_BODY_BYTES,
    MAX_BATCH_EVENTS,
    MAX_BODY_BYTES,
    NDJSON,
    StrictRoute,
    media_type,
    parse_json,
    read_json,
)
from journey_service.domain.errors import FieldError, InvalidInputError, JourneyServiceError, MalformedError
from journey_service.domain.events.errors import EventConflictError
from journey_service.domain.events.event import Event
from journey_service.domain.events.parsing import parse_cloud_event, parse_event
from journey_service.services.events.ingest import IngestOutcome, IngestResult, IngestStatus, ingest

router = APIRouter(tags=["events"], route_class=StrictRoute)

_CLOUD_EVENT = "application/cloudevents+json"
_CLOUD_EVENTS = (_CLOUD_EVENT, "application/cloudevents-batch+json")

_EVENT = {
    "summary": "An event",
    "value": {
        "id": "appt-1001-completed",
        "source": "booking",
        "type": "appointment_completed",
        "customer_id": 4711,
        "occurred_at": "2026-03-01T09:30:00Z",
        "data": {"total_amount": 49.9, "booking_id": "b-1001"},
    },
}


def _ref(*names: str) -> dict[str, Any]:
    refs = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    return refs[0] if len(refs) == 1 else {"anyOf": refs}


def _content(media: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": media}}


_ONE = _content(
    {
        "application/json": {"schema": _ref("EventIn", "CloudEventIn"), "examples": {"event": _EVENT}},
        _CLOUD_EVENT: {"schema": _ref("CloudEventIn")},
    }
)
_MANY = _content(
    {
        "application/json": {
            "schema": {
                "type": "array",
                "maxItems": MAX_BATCH_EVENTS,
                "items": _ref("EventIn", "CloudEventIn"),
            }
        },
        "application/x-ndjson": {"schema": {"type": "string", "description": "one event a line"}},
        _CLOUD_EVENTS[1]: {"schema": {"type": "array", "items": _ref("CloudEventIn")}},
    }
)


@router.post(
    "/events",
    summary="Tell one event",
    responses=problems(EventConflictError, *JSON_BODY),
    response_model=EventOut,
    openapi_extra=_ONE,
    max_body_size=MAX_BODY_BYTES,
)
async def post_event(request: Request, caller: EventWriter, app_state: AppStateDep) -> Response:
    """Apply one event; answered once it is committed.

    The same id from the same source counts once, for ever: told again it is answered `duplicate`, with other
    content 409.
    """
    media = media_type(request)
    event = _parse(read_json(await request.body(), media), media)
    answer = await app_state.ingest_batcher.submit(caller.company_id, event)
    if isinstance(answer, JourneyServiceError):
        raise answer
    _ring_for(app_state, [answer])
    return _json(EventOut.of(answer))


@router.post(
    "/events/batch",
    summary="Tell many events",
    responses=problems(*JSON_BODY),
    response_model=BatchOut,
    openapi_extra=_MANY,
    max_body_size=MAX_BATCH_BODY_BYTES,
)
async def post_events(request: Request, caller: EventWriter, app_state: AppStateDep) -> Response:
    """Apply up to 5,000 events in their order; one result each. A refused one does not sink the others."""
    items = _items(await request.body(), media_type(request))
    if len(items) > MAX_BATCH_EVENTS:
        raise InvalidInputError.at("", f"must hold at most {MAX_BATCH_EVENTS} events, not {len(items)}")
    parsed = [_attempt(read) for read in items]
    events = [event for event in parsed if isinstance(event, Event)]
    answers = await ingest(app_state.database, caller.company_id, events) if events else []
    _ring_for(app_state, answers)
    remaining = iter(answers)
    results = [
        _result(index, next(remaining) if isinstance(event, Event) else event)
        for index, event in enumerate(parsed)
    ]
    return _json(BatchOut.model_construct(results=results))


def _parse(raw: Any, media: str) -> Event:  # noqa: ANN401  # any JSON value
    is_cloud_event = media in _CLOUD_EVENTS or (isinstance(raw, dict) and "specversion" in raw)
    return parse_cloud_event(raw) if is_cloud_event else parse_event(raw)


def _items(body: bytes, media: str) -> list[Callable[[], Event]]:
    """What reads each item of a batch."""
    if media in NDJSON:
        lines = [line for line in body.split(b"\n") if line.strip()]
        return [lambda line=line: _parse(parse_json(line), media) for line in lines]  # type: ignore[misc]
    raw = read_json(body, media)
    if not isinstance(raw, list):
        raise InvalidInputError(
            [FieldError("", "must be a list of events, or NDJSON as application/x-ndjson")]
        )
    return [lambda item=item: _parse(item, media) for item in raw]  # type: ignore[misc]


def _attempt(read: Callable[[], Event]) -> Event | JourneyServiceError:
    try:
        return read()
    except (InvalidInputError, MalformedError) as error:
        return error


def _result(index: int, answer: IngestResult) -> ResultOut:
    if isinstance(answer, JourneyServiceError):
        return ResultOut(index=index, status="refused", problem=problem_of(answer))
    shown = EventOut.of(answer)
    return ResultOut.model_construct(
        index=index, status=shown.status, journey=shown.journey, transition=shown.transition, problem=None
    )


def _ring_for(app_state: AppState, answers: Iterable[IngestResult]) -> None:
    """Have what new moves call for begun at once."""
    told = (answer for answer in answers if isinstance(answer, IngestOutcome))
    if any(answer.status is IngestStatus.APPLIED and answer.entry is not None for answer in told):
        app_state.wake_for_transitions()


def _json(shape: EventOut | BatchOut) -> Response:
    return Response(shape.model_dump_json(), media_type="application/json")


# Named here so that the contract describes bodies that are read as they come.
EVENT_SCHEMAS = (EventIn, CloudEventIn)
