"""Concurrent single events share a transaction: one queue a company, one writer that takes what waits."""

import asyncio
from collections import deque
from collections.abc import Sequence

from journey_service.domain.errors import UnavailableError
from journey_service.domain.events.event import Event
from journey_service.repositories.database import Database
from journey_service.services.events.ingest import IngestResult, ingest

_MOST_AT_ONCE = 256
_MOST_WAITING = 10_000


class IngestBatcher:
    """Takes events as they come and has them ingested together; every caller waits for the commit.

    While one transaction of a company is under way, what arrives meanwhile waits and goes into the next.
    Alone, an event waits for nothing. If a shared transaction fails, each of its events is tried alone, so
    that no caller pays for another's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[int, deque[tuple[Event, asyncio.Future[IngestResult]]]] = {}
        self._writers: dict[int, asyncio.Task[None]] = {}

    async def submit(self, company_id: int, event: Event) -> IngestResult:
        """Ingest one event, together with whatever else waits; answered after the commit."""
        waiting = self._waiting.setdefault(company_id, deque())
        if len(waiting) >= _MOST_WAITING:
            raise UnavailableError("Too many events are waiting; try again shortly.")
        future: asyncio.Future[IngestResult] = asyncio.get_running_loop().create_future()
        waiting.append((event, future))
        if company_id not in self._writers:
            self._writers[company_id] = asyncio.create_task(self._write(company_id, waiting))
        return await future

    async def drain(self) -> None:
        """Wait until everything submitted is answered."""
        while self._writers:
            await asyncio.gather(*self._writers.values())

    async def _write(
        self, company_id: int, waiting: deque[tuple[Event, asyncio.Future[IngestResult]]]
    ) -> None:
        try:
            while waiting:
                together = [waiting.popleft() for _ in range(min(len(waiting), _MOST_AT_ONCE))]
                await self._ingest(company_id, together)
        finally:
            del self._writers[company_id]
            del self._waiting[company_id]

    async def _ingest(
        self, company_id: int, together: Sequence[tuple[Event, asyncio.Future[IngestResult]]]
    ) -> None:
        try:
            answers: Sequence[IngestResult] = await ingest(
                self._database, company_id, [event for event, _ in together]
            )
        except Exception as error:  # noqa: BLE001  # whatever it is, it belongs to those who wait for it
            if len(together) > 1 and not isinstance(error, UnavailableError):
                for pair in together:
                    await self._ingest(company_id, [pair])
                return
            for _, future in together:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(together, answers, strict=True):
            if not future.done():
                future.set_result(answer)
