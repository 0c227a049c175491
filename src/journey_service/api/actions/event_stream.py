"""Route of the event stream: outbound events as server-sent events."""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

from journey_service.api.actions.stream_messages import stream_message_schema
from journey_service.api.authentication import CustomerReader
from journey_service.api.dependencies import AnyCustomer, AppStateDep
from journey_service.api.problems import problems
from journey_service.api.request_bodies import StrictRoute
from journey_service.domain.actions.action import OutboundEventType
from journey_service.domain.actions.records import OutboundEventRecord
from journey_service.domain.errors import UnavailableError
from journey_service.domain.events.event import MAX_ID
from journey_service.services.access.credentials import Principal
from journey_service.services.actions.bulk_actions import BULK_JOB
from journey_service.services.actions.webhook_endpoints import OUTBOUND_EVENT_TYPES
from journey_service.services.customers.bulk_moves import BULK_MOVES_JOB
from journey_service.services.customers.references import find_filtered, list_customer_ids

router = APIRouter(tags=["stream"], route_class=StrictRoute)

_POSITION: Final = re.compile(r"\d{1,16}", re.ASCII)
_RETRY_MS: Final = 3_000
"""Milliseconds after which a browser reconnects."""
_EXAMPLE: Final = (
    "retry: 3000\nid: 41\n\n"
    "event: stage.changed\nid: 42\n"
    'data: {"type":"stage.changed","timestamp":"2026-01-15T10:00:00Z",'
    '"data":{"company_id":42,"customer_id":4711,"seq":4,"from_stage":"customer","to_stage":"regular"}}\n\n'
)
_CONTENT: Final[dict[str, Any]] = {
    "text/event-stream": {
        "schema": {
            "type": "string",
            "description": "Server-sent events. Of each event, `id` is its position, `event` is its type, and `data`"
            " is a message as JSON, on one line, whose `type` is the same. Messages of the types that webhook endpoints"
            " can receive are those that endpoints receive. Comments keep the connection open",
            "contentMediaType": "text/event-stream",
            "contentSchema": {
                "type": "array",
                "description": "The `data` of each event",
                "items": {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": stream_message_schema(),
                },
            },
        },
        "examples": {"example": {"summary": "A customer moves", "value": _EXAMPLE}},
    }
}


class EventStreamResponse(StreamingResponse):
    """A response of server-sent events."""

    media_type = "text/event-stream"


TypesParam = Annotated[
    list[OutboundEventType] | None,
    Query(
        description="Only events of this type; repeat the parameter to match any of several types. Default: all"
        " types that webhook endpoints can receive, without `task.changed`, `action.finished` and `job.progress`."
        " `job.progress` of bulk actions is sent only to callers with the scope `actions:read`, and of other jobs"
        " but bulk moves only to callers with the scope `admin`, which `endpoint.disabled` requires too",
        examples=[["stage.changed"]],
    ),
]
LastEventIdParam = Annotated[
    int | None,
    Query(
        ge=0,
        le=MAX_ID,
        description="Position after which the stream begins; default: the latest one",
        examples=[41],
    ),
]
SeenParam = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        description="Like `last_event_id`, which it takes precedence over; browsers send it when they reconnect. A"
        " value that is no position of this stream is ignored",
        examples=["41"],
    ),
]


@router.get(
    "/stream",
    summary="Stream outbound events",
    response_class=EventStreamResponse,
    responses={200: {"description": "A stream of events", "content": _CONTENT}, **problems()},
)
async def stream_events(
    caller: CustomerReader,
    app_state: AppStateDep,
    types: TypesParam = None,
    customer_id: AnyCustomer = None,
    last_event_id: LastEventIdParam = None,
    seen: SeenParam = None,
) -> EventStreamResponse:
    """Streams transitions, tasks, campaigns, actions and jobs as server-sent events, in order.

    A client that reconnects with the last `id` that it received gets every later event exactly once; browsers reconnect
    by themselves. A stream ends after one minute: reconnect. Events of a customer include those of customers who were
    merged into the customer; the id of a merged customer leads to the survivor.
    """
    head = await app_state.event_stream.head(caller.company_id)
    # A position beyond the head was never assigned: waiting for it would skip events.
    after = head if last_event_id is None else min(last_event_id, head)
    if seen is not None and _POSITION.fullmatch(seen) and int(seen) <= head:
        after = int(seen)
    customer = await find_filtered(app_state.database, caller.company_id, customer_id)
    customer_ids = (
        None
        if customer is None
        else partial(list_customer_ids, app_state.database, caller.company_id, customer)
    )
    event_filter = _EventFilter(frozenset(types or OUTBOUND_EVENT_TYPES), customer_ids, caller.principal)
    pages = app_state.event_stream.follow(caller.company_id, after)
    # Read before the response begins: a stream over the limit of the company is answered with 503.
    first: list[OutboundEventRecord] | None = await anext(pages, None)
    return EventStreamResponse(
        _events(first, pages, after, event_filter),
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


class _EventFilter:
    """The filter of a stream. `list_ids` lists the ids of the customer; None: events of all customers."""

    def __init__(
        self,
        types: Collection[str],
        list_ids: Callable[[], Awaitable[Collection[int]]] | None,
        reader: Principal,
    ) -> None:
        self._types = types
        self._list_ids = list_ids
        self._is_admin = reader.may("admin")
        self._sees_bulk_actions = reader.may("actions:read")

    async def matching(self, page: Sequence[OutboundEventRecord]) -> Sequence[OutboundEventRecord]:
        """Returns the events of a page that match.

        The ids of the customer are read with every page: after a merge, the events are those of the survivor.
        """
        ids = await self._list_ids() if page and self._list_ids is not None else None
        return [event for event in page if self._matches(event, ids)]

    def _matches(self, event: OutboundEventRecord, customer_ids: Collection[int] | None) -> bool:
        return (
            event.type in self._types
            and (customer_ids is None or event.customer_id in customer_ids)
            and (event.type != OutboundEventType.JOB_PROGRESS or self._may_see_job(event.data["kind"]))
            and (event.type != OutboundEventType.ENDPOINT_DISABLED or self._is_admin)
        )

    def _may_see_job(self, kind: str) -> bool:
        is_of_reader = kind == BULK_MOVES_JOB or (kind == BULK_JOB and self._sees_bulk_actions)
        return self._is_admin or is_of_reader


async def _events(
    first: list[OutboundEventRecord] | None,
    rest: AsyncGenerator[list[OutboundEventRecord], None],
    after: int,
    event_filter: _EventFilter,
) -> AsyncIterator[bytes]:
    position = after
    async with aclosing(rest):
        # Sent before any event, so that a client that loses the connection early resumes from here.
        yield format_sse_event(id=str(position), retry=_RETRY_MS)
        with suppress(UnavailableError):  # the client is answered with 503 when it reconnects
            page = first
            while page is not None:
                for event in await event_filter.matching(page):
                    yield _to_message(event)
                if page:
                    position = page[-1].position
                else:
                    yield format_sse_event(comment="no new events", id=str(position))
                page = await anext(rest, None)


def _to_message(event: OutboundEventRecord) -> bytes:
    data = orjson.dumps(event.payload, option=orjson.OPT_UTC_Z).decode()
    return format_sse_event(data_str=data, event=event.type, id=str(event.position))
