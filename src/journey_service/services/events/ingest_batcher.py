"""Batches concurrent single events of a company, so that they share a transaction."""

from collections.abc import Sequence
from typing import Final

from journey_service.domain.events.event import Event
from journey_service.repositories.database import Database
from journey_service.services.batching import BatchLimits, KeyedBatcher
from journey_service.services.events.ingest import IngestResult, ingest

_LIMITS: Final = BatchLimits(batch_size=256, queue_limit=10_000, retries_one_by_one=True)


class IngestBatcher:
    """Ingests concurrent events in one transaction per company and batch; callers wait for the commit.

    If the transaction fails, each of its events is ingested alone: an event fails only by its own error.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._batcher: KeyedBatcher[int, Event, IngestResult] = KeyedBatcher(self._ingest, _LIMITS)

    async def submit(self, company_id: int, event: Event) -> IngestResult:
        """Ingests one event, batched with the company's other waiting events; returns after the commit.

        Raises UnavailableError if 10,000 events of the company are waiting.
        """
        return await self._batcher.submit(company_id, event)

    async def drain(self) -> None:
        """Waits until every submitted event has its result."""
        await self._batcher.drain()

    async def _ingest(self, company_id: int, events: Sequence[Event]) -> Sequence[IngestResult]:
        return await ingest(self._database, company_id, events)
