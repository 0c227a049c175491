"""Event stream of a company: yields outbound events after a position, in order, each once.

One poll per second for each company that has readers in this process, independent of their number.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from journey_service.domain.actions.records import OutboundEventRecord
from journey_service.domain.errors import Resource, UnavailableError
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.actions.delivery.publisher import publish

POLL_SECONDS: Final = 1.0
"""Seconds between two polls of a company."""
MAX_STREAM_SECONDS: Final = 60.0
"""Seconds after which a stream ends. The reader reconnects, and its credential is checked again."""
PAGE_SIZE: Final = 200
"""Maximum events in one page."""
MAX_READERS: Final = 100
"""Open streams of one company in one process; further ones are rejected with UnavailableError."""

_LOGGER = logging.getLogger(__name__)


@dataclass(slots=True)
class _WatchedCompany:
    """A company with readers: its latest position, and the task that polls it."""

    head: int = 0
    readers: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    polling: "asyncio.Task[None] | None" = None


@dataclass(slots=True)
class EventStream:
    """Event streams of all companies in this process."""

    database: Database
    poll_seconds: float = POLL_SECONDS
    max_stream_seconds: float = MAX_STREAM_SECONDS
    _watched: dict[int, _WatchedCompany] = field(default_factory=dict)
    _is_closed: bool = False

    async def head(self, company_id: int) -> int:
        """Returns the position of the latest event. Raises CompanyNotFoundError."""

        async def unit(uow: UnitOfWork) -> int:
            await uow.companies.get_context()
            return await uow.outbound_events.get_last_position()

        return await self.database.run(company_id, unit)

    async def follow(self, company_id: int, after: int) -> AsyncGenerator[list[OutboundEventRecord], None]:
        """Yields pages of events after a position; an empty page means that there are none for now.

        Ends after `max_stream_seconds`, and when the stream is closed. Raises UnavailableError with too many readers.
        """
        position = after
        ends_at = time.monotonic() + self.max_stream_seconds
        watched = self._join(company_id)
        try:
            while not self._is_closed:
                head, events = await self._read(company_id, position)
                yield events
                remaining = ends_at - time.monotonic()
                if remaining <= 0:
                    return
                if events:
                    position = events[-1].position
                    continue
                # Events of erased customers are left out: without any others, skip them.
                position = max(position, head)
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(10 * self.poll_seconds, remaining)), watched.changed:
                        await watched.changed.wait_for(partial(self._has_new, watched, position))
        finally:
            self._leave(company_id, watched)

    async def close(self) -> None:
        """Ends all streams, and every later one at once."""
        self._is_closed = True
        companies = list(self._watched.values())
        polling = [watched.polling for watched in companies if watched.polling is not None]
        for task in polling:
            task.cancel()
        for watched in companies:
            async with watched.changed:
                watched.changed.notify_all()
        await asyncio.gather(*polling, return_exceptions=True)

    def _has_new(self, watched: _WatchedCompany, position: int) -> bool:
        return watched.head > position or self._is_closed

    def _join(self, company_id: int) -> _WatchedCompany:
        watched = self._watched.setdefault(company_id, _WatchedCompany())
        if watched.readers >= MAX_READERS:
            raise UnavailableError(
                "This company has too many open event streams; try again shortly.", resource=Resource.STREAM
            )
        watched.readers += 1
        if watched.polling is None:
            watched.polling = asyncio.create_task(self._poll(company_id, watched))
        return watched

    def _leave(self, company_id: int, watched: _WatchedCompany) -> None:
        watched.readers -= 1
        if watched.readers == 0:
            if watched.polling is not None:
                watched.polling.cancel()
            self._watched.pop(company_id, None)

    async def _read(self, company_id: int, position: int) -> tuple[int, list[OutboundEventRecord]]:
        """Returns the latest position, read before the events, and the next events."""

        async def unit(uow: UnitOfWork) -> tuple[int, list[OutboundEventRecord]]:
            head = await uow.outbound_events.get_last_position()
            return head, await uow.outbound_events.list_after(position, limit=PAGE_SIZE)

        return await self.database.run(company_id, unit)

    async def _poll(self, company_id: int, watched: _WatchedCompany) -> None:
        """Polls for new events, and publishes those that no worker has published yet."""
        while True:
            try:
                head, has_unpublished = await self.database.run(company_id, _state)
                if has_unpublished:
                    await publish(self.database, company_id)
                    head, _ = await self.database.run(company_id, _state)
                if head > watched.head:
                    async with watched.changed:
                        watched.head = head
                        watched.changed.notify_all()
            except UnavailableError:
                pass  # readers wait; no event is lost
            except Exception:
                _LOGGER.exception("polling outbound events of company %d failed", company_id)
            await asyncio.sleep(self.poll_seconds)


async def _state(uow: UnitOfWork) -> tuple[int, bool]:
    return await uow.outbound_events.get_last_position(), await uow.outbound_events.has_unpublished()
