"""Sweep: evaluates due customers, each as of its due time. Any number of workers can run it concurrently."""

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
from journey_service.services.tracing import background_span

MAX_BATCH_SIZE: Final = 200
"""Customers that one transaction locks; online requests for them wait until it commits."""
_BATCHES_PER_COMPANY: Final = 5
"""Batches of one company before the sweep continues with the next company."""
_SKIP_SECONDS: Final = 600.0
"""Time for which a customer whose evaluation failed is skipped."""

_LOGGER = logging.getLogger(__name__)


@dataclass(slots=True)
class SweepResult:
    """Numbers of customers evaluated and of transitions written."""

    evaluated: int = 0
    moved: int = 0

    def add(self, other: "SweepResult") -> None:
        """Adds the counts of another sweep."""
        self.evaluated += other.evaluated
        self.moved += other.moved


async def sweep_batch(
    database: Database, company_id: int, *, limit: int = MAX_BATCH_SIZE, without: Collection[int] = ()
) -> SweepResult:
    """Evaluates up to `limit` due customers of a company in one transaction, the longest due first.

    Customers that another transaction has locked are skipped, as are those in `without`.
    """

    async def unit(uow: UnitOfWork) -> SweepResult:
        return await evaluate_due_batch(uow, limit=limit, without=without)

    return await database.run(company_id, unit)


async def evaluate_due_batch(
    uow: UnitOfWork, *, limit: int = MAX_BATCH_SIZE, without: Collection[int] = ()
) -> SweepResult:
    """Does the work of `sweep_batch` within the transaction of the caller."""
    return await _evaluate(uow, await load_due(uow, limit=limit, without=without))


async def _evaluate_one(uow: UnitOfWork, customer_id: int) -> SweepResult:
    return await _evaluate(uow, await load(uow, [customer_id]))


async def _evaluate(uow: UnitOfWork, transaction: JourneyTransaction) -> SweepResult:
    transaction.advance_all(transaction.now)
    await write(uow, transaction, as_decided=True)
    return SweepResult(
        len(transaction.relationships),
        sum(len(journey.new_transitions) for journey in transaction.journeys.values()),
    )


@dataclass(slots=True)
class Sweeper:
    """Sweeps all companies in turns, so that a busy company does not delay the others.

    A customer whose evaluation fails is skipped for ten minutes. It stays due, so the health check reports the delay.
    """

    database: Database
    _skipped: dict[int, dict[int, float]] = field(default_factory=dict)
    """Time (of the event loop) until which a customer is skipped, by company id and customer id."""

    async def sweep(self) -> SweepResult:
        """Evaluates every due customer of every company."""
        total = SweepResult()
        waiting = await self.database.read_due_work(lambda reader: reader.due_work.companies_with_customers())
        while waiting:
            remaining = []
            for company_id in waiting:
                result = await self._sweep_company(company_id)
                total.add(result)
                if result.evaluated:
                    remaining.append(company_id)
            waiting = remaining
        return total

    async def _sweep_company(self, company_id: int) -> SweepResult:
        """Evaluates up to `_BATCHES_PER_COMPANY` batches of due customers of one company."""
        with background_span("sweep", company_id=company_id) as span:
            total = await self._sweep_batches(company_id)
            span.set_attribute("journey.evaluated", total.evaluated)
            span.set_attribute("journey.moved", total.moved)
        return total

    async def _sweep_batches(self, company_id: int) -> SweepResult:
        total = SweepResult()
        for _ in range(_BATCHES_PER_COMPANY):
            without = self._skipped_now(company_id)
            try:
                batch = await sweep_batch(self.database, company_id, without=without)
            except Exception as error:
                if is_database_outage(error):
                    raise
                _LOGGER.exception(
                    "evaluating due customers of company %d failed; retrying them one by one", company_id
                )
                batch = await self._sweep_one_by_one(company_id)
            total.add(batch)
            if batch.evaluated < MAX_BATCH_SIZE:
                break
        return total

    def _skipped_now(self, company_id: int) -> list[int]:
        now = _now()
        return [customer for customer, until in self._skipped.get(company_id, {}).items() if now < until]

    async def _sweep_one_by_one(self, company_id: int) -> SweepResult:
        """Evaluates the customers of one batch in a transaction each; skips those that fail for `_SKIP_SECONDS`."""
        skipped = self._skipped.setdefault(company_id, {})
        total = SweepResult()

        async def due_relationships(uow: UnitOfWork) -> dict[int, int]:
            context = await uow.companies.get_context()
            without = self._skipped_now(company_id)
            due = await uow.relationships.lock_due(context.now, limit=MAX_BATCH_SIZE, without=without)
            return {customer_id: due[customer_id].id for customer_id in sorted(due)}

        relationship_ids = await self.database.run(company_id, due_relationships)
        for customer_id, relationship_id in relationship_ids.items():
            try:
                total.add(
                    await self.database.run(company_id, partial(_evaluate_one, customer_id=customer_id))
                )
            except Exception as error:
                if is_database_outage(error):
                    raise
                # One line: the traceback of the batch has just been logged. The customer's own id is personal data.
                _LOGGER.error(  # noqa: TRY400
                    "evaluating relationship %d of company %d failed: %r", relationship_id, company_id, error
                )
                skipped[customer_id] = _now() + _SKIP_SECONDS
        return total


def _now() -> float:
    return asyncio.get_running_loop().time()
