"""News as they come: for whoever watches a company, from any position on, each once and in order.

One look a second for each company that is watched here, however many watch it.
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
from journey_service.domain.errors import UnavailableError
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.actions.delivery.publisher import publish

LOOK_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 60.0
"""For how long somebody is told news before they have to come again, and to be let in again."""
PAGE: Final = 200
MOST_WATCHERS: Final = 100
"""How many streams of one company a process keeps open."""

_LOGGER = logging.getLogger(__name__)


@dataclass(slots=True)
class _Watch:
    """A company that is watched: how far its news go, and how many wait for more."""

    head: int = 0
    watchers: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    looking: "asyncio.Task[None] | None" = None


@dataclass(slots=True)
class EventStream:
    """The news of the companies that somebody watches through this process."""

    database: Database
    look_seconds: float = LOOK_SECONDS
    longest_seconds: float = LONGEST_SECONDS
    _watched: dict[int, _Watch] = field(default_factory=dict)
    _is_closed: bool = False

    async def head(self, company_id: int) -> int:
        """The position of the latest news. Raises CompanyNotFoundError."""

        async def unit(uow: UnitOfWork) -> int:
            await uow.companies.context()
            return await uow.outbound_events.head()

        return await self.database.run(company_id, unit)

    async def follow(self, company_id: int, after: int) -> AsyncGenerator[list[OutboundEventRecord], None]:
        """News beyond a position, page by page; an empty page says that there are none for now.

        It ends by itself after `longest_seconds`, and when the feed is closed.
        """
        position = after
        ends_at = time.monotonic() + self.longest_seconds
        watch = self._join(company_id)
        try:
            while not self._is_closed:
                head, items = await self._read(company_id, position)
                yield items
                left = ends_at - time.monotonic()
                if left <= 0:
                    return
                if items:
                    position = items[-1].position
                    continue
                # What is left up to there is of whoever was erased, and told to nobody.
                position = max(position, head)
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(10 * self.look_seconds, left)), watch.changed:
                        await watch.changed.wait_for(partial(self._has_new, watch, position))
        finally:
            self._leave(company_id, watch)

    async def close(self) -> None:
        """Let everybody go who watches, now and from now on."""
        self._is_closed = True
        watched = list(self._watched.values())
        looking = [watch.looking for watch in watched if watch.looking is not None]
        for task in looking:
            task.cancel()
        for watch in watched:
            async with watch.changed:
                watch.changed.notify_all()
        await asyncio.gather(*looking, return_exceptions=True)

    def _has_new(self, watch: _Watch, position: int) -> bool:
        return watch.head > position or self._is_closed

    def _join(self, company_id: int) -> _Watch:
        watch = self._watched.setdefault(company_id, _Watch())
        if watch.watchers >= MOST_WATCHERS:
            raise UnavailableError("Too many watch this company already; try again shortly.")
        watch.watchers += 1
        if watch.looking is None:
            watch.looking = asyncio.create_task(self._look(company_id, watch))
        return watch

    def _leave(self, company_id: int, watch: _Watch) -> None:
        watch.watchers -= 1
        if watch.watchers == 0:
            if watch.looking is not None:
                watch.looking.cancel()
            self._watched.pop(company_id, None)

    async def _read(self, company_id: int, position: int) -> tuple[int, list[OutboundEventRecord]]:
        """How far news go, and the next ones: there is nothing more up to there if these are none."""

        async def unit(uow: UnitOfWork) -> tuple[int, list[OutboundEventRecord]]:
            return await uow.outbound_events.head(), await uow.outbound_events.after(position, limit=PAGE)

        return await self.database.run(company_id, unit)

    async def _look(self, company_id: int, watch: _Watch) -> None:
        """See whether there is more, and put in order what no worker has yet."""
        while True:
            try:
                head, has_unpublished = await self.database.run(company_id, _state)
                if has_unpublished:
                    await publish(self.database, company_id)
                    head, _ = await self.database.run(company_id, _state)
                if head > watch.head:
                    async with watch.changed:
                        watch.head = head
                        watch.changed.notify_all()
            except UnavailableError:
                pass  # nobody is told anything meanwhile, and nothing is lost
            except Exception:
                _LOGGER.exception("looking for news of company %d failed", company_id)
            await asyncio.sleep(self.look_seconds)


async def _state(uow: UnitOfWork) -> tuple[int, bool]:
    return await uow.outbound_events.head(), await uow.outbound_events.has_unpublished()
