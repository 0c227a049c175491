"""Divides connections of a pool between companies: none holds more than its share, free ones go round in turn."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from journey_service.domain.errors import Resource, UnavailableError

QUEUE_LIMIT: Final = 100
"""Requests of one company that may wait for its share; further ones are rejected at once."""

_TEXTS: Final = {
    Resource.POOL: "The service is busy; try again shortly.",
    Resource.COMPANY_SHARE: "The company already uses its share of the service; try again shortly.",
    Resource.QUEUE: "Too many requests of the company are waiting; try again shortly.",
}


@dataclass(slots=True)
class _CompanyUse:
    """Units that a company holds, and its waiting requests in order of arrival."""

    held: int = 0
    waiting: deque[tuple[int, asyncio.Future[None]]] = field(default_factory=deque)


class FairShares:
    """A number of units, such as connections, that companies hold for a time.

    A company holds at most `per_company` units. If units are short, each free one goes to the waiting company that
    holds the fewest. A request waits at most `timeout` seconds, and at most `queue_limit` requests of a company wait.
    """

    def __init__(
        self, capacity: int, per_company: int, *, timeout: float, queue_limit: int = QUEUE_LIMIT
    ) -> None:
        self._free = capacity
        self._capacity = capacity
        self._per_company = max(1, min(per_company, capacity))
        self._timeout = timeout
        self._queue_limit = queue_limit
        self._companies: dict[int, _CompanyUse] = {}

    @property
    def in_use(self) -> int:
        """The number of units that companies hold."""
        return self._capacity - self._free

    def held_by(self, company_id: int) -> int:
        """Returns the number of units that a company holds."""
        company = self._companies.get(company_id)
        return 0 if company is None else company.held

    @asynccontextmanager
    async def hold(self, company_id: int, units: int = 1) -> AsyncIterator[None]:
        """Holds units for a company during a `with` block. A request for more than its share gets its share.

        Raises UnavailableError, which names the resource that was short.
        """
        units = min(units, self._per_company)
        await self._acquire(company_id, units)
        try:
            yield
        finally:
            self._release(company_id, units)

    async def _acquire(self, company_id: int, units: int) -> None:
        company = self._companies.setdefault(company_id, _CompanyUse())
        if len(company.waiting) >= self._queue_limit:
            raise _shortage(Resource.QUEUE)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        company.waiting.append((units, future))
        self._grant()
        if future.done():
            return
        try:
            async with asyncio.timeout(self._timeout):
                await future
        except BaseException as error:
            is_late = isinstance(error, TimeoutError)
            if not future.cancelled():  # granted at the same moment
                if is_late:
                    return
                self._release(company_id, units)
                raise
            is_share_used = company.held + units > self._per_company
            self._forget(company_id, (units, future))
            if is_late:
                raise _shortage(Resource.COMPANY_SHARE if is_share_used else Resource.POOL) from None
            raise

    def _forget(self, company_id: int, request: tuple[int, asyncio.Future[None]]) -> None:
        # Its entry stays: `waiting` held this request until now.
        company = self._companies[company_id]
        with contextlib.suppress(ValueError):  # `_grant` may have dropped it
            company.waiting.remove(request)
        self._grant()  # a request for many units may have held back smaller ones
        self._drop_if_unused(company_id)

    def _release(self, company_id: int, units: int) -> None:
        company = self._companies[company_id]
        company.held -= units
        self._free += units
        self._grant()
        self._drop_if_unused(company_id)

    def _drop_if_unused(self, company_id: int) -> None:
        company = self._companies.get(company_id)
        if company is not None and not company.held and not company.waiting:
            del self._companies[company_id]

    def _grant(self) -> None:
        """Gives free units to waiting requests, one at a time, to the company that holds the fewest."""
        while self._free:
            waiting = [
                company
                for company in self._companies.values()
                if company.waiting and company.held + company.waiting[0][0] <= self._per_company
            ]
            if not waiting:
                return
            company = min(waiting, key=lambda each: each.held)
            units, future = company.waiting[0]
            if units > self._free:
                return  # kept free for it: smaller requests do not overtake it for ever
            company.waiting.popleft()
            if not future.done():
                company.held += units
                self._free -= units
                future.set_result(None)


def _shortage(resource: Resource) -> UnavailableError:
    return UnavailableError(_TEXTS[resource], resource=resource)
