"""Sweep of due customers: decides each as of its due instant. Any number of workers share the work."""

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
"""Customers that one transaction locks; online requests for them wait until it commits."""
_BATCHES_PER_TURN: Final = 5
_SKIP_SECONDS: Final = 600.0
"""Time during which a customer whose decision failed is skipped."""

_LOGGER = logging.getLogger(__name__)


@dataclass(slots=True)
class SweepResult:
    """Counts of a sweep: customers decided and transitions written."""

    decided: int = 0
    moved: int = 0

    def add(self, other: "SweepResult") -> None:
        """Adds the counts of another sweep."""
        self.decided += other.decided
        self.moved += other.moved


async def sweep_batch(
    database: Database, company_id: int, *, limit: int = MAX_BATCH_SIZE, without: Collection[int] = ()
) -> SweepResult:
    """Decides the customers of one company that are due longest, in one transaction.

    Decides none if no customer is due or other transactions have locked all of them.
    """

    async def unit(uow: UnitOfWork) -> SweepResult:
        return await decide_due(uow, limit=limit, without=without)

    return await database.run(company_id, unit)


async def decide_due(
    uow: UnitOfWork, *, limit: int = MAX_BATCH_SIZE, without: Collection[int] = ()
) -> SweepResult:
    """Decides due customers within a transaction; otherwise as `sweep_batch`."""
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
    """Sweeps all companies in turns, so that a busy company does not delay the others.

    A customer whose decision fails is skipped for ten minutes and stays due, so that the health check reports it.
    """

    database: Database
    _skipped: dict[int, dict[int, float]] = field(default_factory=dict)
    """By company and customer: until when the customer is skipped, in the event loop's time."""

    async def sweep(self) -> SweepResult:
        """Decides every due customer of every company."""
        total = SweepResult()
        waiting = await self.database.read_due_work(lambda reader: reader.due_work.companies_with_customers())
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
        """Decides up to 1,000 customers of one company; none if none are left."""
        total = SweepResult()
        for _ in range(_BATCHES_PER_TURN):
            without = self._skipped_now(company_id)
            try:
                batch = await sweep_batch(self.database, company_id, without=without)
            except Exception as error:
                if is_database_outage(error):
                    raise
                _LOGGER.exception("sweep of company %d failed; retrying its customers one by one", company_id)
                batch = await self._sweep_one_by_one(company_id)
            total.add(batch)
            if batch.decided < MAX_BATCH_SIZE:
                break
        return total

    def _skipped_now(self, company_id: int) -> list[int]:
        now = _now()
        return [customer for customer, until in self._skipped.get(company_id, {}).items() if now < until]

    async def _sweep_one_by_one(self, company_id: int) -> SweepResult:
        """Decides the next customers in a transaction each, and notes those that fail."""
        skipped = self._skipped.setdefault(company_id, {})
        total = SweepResult()

        async def due(uow: UnitOfWork) -> list[int]:
            context = await uow.companies.get_context()
            without = self._skipped_now(company_id)
            return sorted(
                await uow.relationships.lock_due(context.now, limit=MAX_BATCH_SIZE, without=without)
            )

        for customer_id in await self.database.run(company_id, due):
            try:
                total.add(await self.database.run(company_id, partial(_decide_one, customer_id=customer_id)))
            except Exception as error:
                if is_database_outage(error):
                    raise
                # One line: the traceback of the batch has just been logged.
                _LOGGER.error(  # noqa: TRY400
                    "decision of customer %d of company %d failed: %r", customer_id, company_id, error
                )
                skipped[customer_id] = _now() + _SKIP_SECONDS
        return total


def _now() -> float:
    return asyncio.get_running_loop().time()
