"""What happens, told as it happens: server-sent events."""

from collections.abc import AsyncIterator, Collection
from contextlib import aclosing
from typing import Annotated

import orjson
from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

from journey_service.api.authentication import CustomerReader
from journey_service.api.dependencies import AppStateDep
from journey_service.api.problems import problems
from journey_service.domain.actions.action import OutboundEventType
from journey_service.domain.actions.records import OutboundEventRecord
from journey_service.domain.errors import UnavailableError
from journey_service.domain.events.event import MAX_ID
from journey_service.services.actions.event_stream import EventStream

router = APIRouter(tags=["stream"])

_COME_BACK_MS = 3_000


class EventStreamResponse(StreamingResponse):
    """Server-sent events."""

    media_type = "text/event-stream"


@router.get(
    "/stream",
    summary="Watch what happens",
    response_class=EventStreamResponse,
    responses=problems(),
)
async def get_stream(  # what FastAPI injects
    caller: CustomerReader,
    app_state: AppStateDep,
    types: Annotated[list[OutboundEventType] | None, Query(description="only these; left out: all")] = None,
    customer_id: Annotated[int | None, Query(ge=0, le=MAX_ID, description="only of this customer")] = None,
    last_event_id: Annotated[
        int | None,
        Query(ge=0, le=MAX_ID, description="the position to go on from; left out: the present one"),
    ] = None,
    seen: Annotated[
        int | None,
        Header(
            alias="Last-Event-ID",
            ge=0,
            le=MAX_ID,
            description="the same, as browsers say it; it counts first",
        ),
    ] = None,
) -> EventStreamResponse:
    """Moves, tasks and campaigns as server-sent events: `id` is a position, `event` a type, `data` is JSON.

    `data` is what webhooks are told: `{type, timestamp, data}`. Nothing is left out and nothing comes twice for whoever
    goes on from the last `id` they were told, which browsers do by themselves. A stream ends after a minute:
    come again.
    """
    head = await app_state.event_stream.head(caller.company_id)
    payload = last_event_id if seen is None else seen
    # A position that was never given is nobody's to wait for.
    after = head if payload is None else min(payload, head)
    wanted = _Wanted(frozenset(types or OutboundEventType), customer_id)
    return EventStreamResponse(
        _events(app_state.event_stream, caller.company_id, after, wanted),
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


class _Wanted:
    """Of which news somebody is told."""

    def __init__(self, types: Collection[str], customer_id: int | None) -> None:
        self._types = types
        self._customer_id = customer_id

    def has(self, item: OutboundEventRecord) -> bool:
        return item.type in self._types and self._customer_id in (None, item.customer_id)


async def _events(feed: EventStream, company_id: int, after: int, wanted: _Wanted) -> AsyncIterator[bytes]:
    position = after
    # Said before anything happens, so that whoever loses the connection first goes on from here.
    yield format_sse_event(id=str(position), retry=_COME_BACK_MS)
    try:
        async with aclosing(feed.follow(company_id, after)) as pages:
            async for items in pages:
                for item in items:
                    position = item.position
                    if wanted.has(item):
                        yield _event(item)
                if not items:
                    yield format_sse_event(comment="nothing else", id=str(position))
    except UnavailableError:
        return  # whoever comes back is told so


def _event(item: OutboundEventRecord) -> bytes:
    return format_sse_event(
        data_str=orjson.dumps(item.payload).decode(), event=item.type, id=str(item.position)
    )
