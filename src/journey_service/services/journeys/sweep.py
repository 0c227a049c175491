"""The due sweep: whoever falls due is decided, each at the own instant, by as many workers as there are."""

import asyncio
import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from journey_service.domain.errors import is_database_outage
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.journeys.transaction import JourneyTransaction, load, load_due, write

MAX_BATCH_SIZE: Final = 200
"""How many customers one transaction holds at most, so that online traffic waits for milliseconds only."""
_BATCHES_A_TURN: Final = 5
_LEFT_OUT_SECONDS: Final = 600.0

_LOGGER = logging.getLogger(__name__)


@dataclass(slots=True)
class SweepResult:
    """What a sweep has done: customers decided, and moves written."""

    decided: int = 0
    moved: int = 0

    def add(self, other: "SweepResult") -> None:
        """Count another sweep in."""
        self.decided += other.decided
        self.moved += other.moved


async def sweep_batch(
    database: Database, company_id: int, *, limit: int = MAX_BATCH_SIZE, without: Collection[int] = ()
) -> SweepResult:
    """Decide the customers of one company who are due longest, in one transaction.

    Nothing decided means that nobody was due, or that whoever was is in other hands at this moment.
    """

    async def unit(uow: UnitOfWork) -> SweepResult:
        return await decide_due(uow, limit=limit, without=without)

    return await database.run(company_id, unit)


async def decide_due(
    uow: UnitOfWork, *, limit: int = MAX_BATCH_SIZE, without: Collection[int] = ()
) -> SweepResult:
    """The sweep's part of a transaction."""
    return await _decide(uow, await load_due(uow, limit=limit, without=without))


async def _decide_one(uow: UnitOfWork, customer_id: int) -> SweepResult:
    return await _decide(uow, await load(uow, [customer_id]))


async def _decide(uow: UnitOfWork, transaction: JourneyTransaction) -> SweepResult:
    transaction.advance_all(transaction.now)
    await write(uow, transaction, as_decided=True)
    return SweepResult(
        len(transaction.relationships),
        sum(len(journey.new_transitions) for journey in transaction.journeys.values()),
    )


@dataclass(slots=True)
class Sweeper:
    """Sweeps all companies in turns, so that a busy one cannot keep the others waiting.

    A customer whom the service fails to decide must not hold up the others: they are left out for ten minutes,
    and stay due, where the health check finds them.
    """

    database: Database
    _failing: dict[int, dict[int, float]] = field(default_factory=dict)

    async def sweep(self) -> SweepResult:
        """Decide everybody due in any company."""
        total = SweepResult()
        waiting = await self.database.dispatch(lambda dispatch: dispatch.due.companies_with_customers())
        while waiting:
            left = []
            for company_id in waiting:
                turn = await self._turn(company_id)
                total.add(turn)
                if turn.decided:
                    left.append(company_id)
            waiting = left
        return total

    async def _turn(self, company_id: int) -> SweepResult:
        """Up to a thousand customers of one company; nothing decided when none are left."""
        total = SweepResult()
        for _ in range(_BATCHES_A_TURN):
            without = self._left_out(company_id)
            try:
                batch = await sweep_batch(self.database, company_id, without=without)
            except Exception as error:
                if is_database_outage(error):
                    raise
                _LOGGER.exception(
                    "sweeping company %d failed; its customers are tried one by one", company_id
                )
                batch = await self._one_by_one(company_id)
            total.add(batch)
            if batch.decided < MAX_BATCH_SIZE:
                break
        return total

    def _left_out(self, company_id: int) -> list[int]:
        now = _now()
        return [customer for customer, until in self._failing.get(company_id, {}).items() if now < until]

    async def _one_by_one(self, company_id: int) -> SweepResult:
        """Decide the next customers alone, and remember whom it is that fails."""
        failing = self._failing.setdefault(company_id, {})
        total = SweepResult()

        async def due(uow: UnitOfWork) -> list[int]:
            context = await uow.companies.context()
            without = self._left_out(company_id)
            found = await uow.relationships.lock_due(context.now, limit=MAX_BATCH_SIZE, without=without)
            return sorted(found)

        for customer_id in await self.database.run(company_id, due):
            try:
                total.add(await self.database.run(company_id, partial(_decide_one, customer_id=customer_id)))
            except Exception as error:
                if is_database_outage(error):
                    raise
                # In one line: the whole traceback has just been told for their batch.
                _LOGGER.error(  # noqa: TRY400
                    "customer %d of company %d cannot be decided: %r", customer_id, company_id, error
                )
                failing[customer_id] = _now() + _LEFT_OUT_SECONDS
        return total


def _now() -> float:
    return asyncio.get_running_loop().time()
