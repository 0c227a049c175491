"""Rescoring: updates stored scores as of an instant, every night or on request."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.domain.errors import (
    FieldError,
    InvalidInputError,
    RetriesExhaustedError,
    UnavailableError,
)
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.jobs import JobRun, LeaseLostError, PageResult
from journey_service.services.journeys.sweep import evaluate_due_batch

RESCORE_JOB: Final = "rescore"
BATCH_SIZE: Final = 1_000
"""Customers that one transaction reads; it locks and writes those whose scores have changed."""
MAX_BATCH_SIZE: Final = 5_000
MAX_NAMED_CUSTOMERS: Final = 10_000
"""Customers that one request may name; more are rejected."""
_LOWEST: Final = 0
_PAUSE_SECONDS: Final = 0.02

_LOGGER = logging.getLogger(__name__)


async def queue_rescore(
    database: Database,
    company_id: int,
    *,
    actor: Actor,
    customer_ids: Sequence[int] | None = None,
    batch_size: int = BATCH_SIZE,
) -> int:
    """Enqueues the rescoring of the named customers, or of all, as of the company's current time; returns the job's id.

    Raises CompanyNotFoundError, CustomerNotFoundError if the only named customer is unknown, and InvalidInputError if
    some of several are.
    """

    async def unit(uow: UnitOfWork) -> int:
        context = await uow.companies.get_context()
        parameters = {"as_of": context.now.isoformat(), "batch_size": batch_size, "night": None}
        if customer_ids is not None:
            parameters["customer_ids"] = await require_known(uow, customer_ids)
        job_id = await uow.jobs.enqueue(RESCORE_JOB, parameters, actor=actor.name)
        await uow.audit_log.record(actor, AuditEntry("company.rescore", target=f"job:{job_id}"))
        return job_id

    return await database.run(company_id, unit)


async def require_known(uow: UnitOfWork, customer_ids: Sequence[int]) -> list[int]:
    """Returns the customers to whom the ids lead, in order, each once; a merged one leads to the survivor.

    Raises CustomerNotFoundError, InvalidInputError if one has no journey.
    """
    known = await uow.relationships.resolve(customer_ids)
    missing = [index for index, customer_id in enumerate(customer_ids) if customer_id not in known]
    if missing and len(customer_ids) == 1:
        raise CustomerNotFoundError(customer_ids[0])
    if missing:
        raise InvalidInputError(
            [FieldError(f"/customer_ids/{index}", "is not a known customer") for index in missing]
        )
    return sorted(set(known.values()))


async def evaluate_due_customers(run: JobRun) -> None:
    """Part of a job: evaluates every due customer of the company, and waits for locked ones.

    An error is logged and not raised, so that scoring continues: the worker's sweep retries the customers one by one.
    """

    async def batch(uow: UnitOfWork) -> PageResult:
        result = await evaluate_due_batch(uow)
        is_done = not result.evaluated and not await has_due_customers(uow)
        return PageResult(
            {"after": _LOWEST} if is_done else {}, {"evaluated": result.evaluated, "moved": result.moved}
        )

    try:
        while "after" not in run.cursor:
            page = await run.page(batch)
            if not page.cursor and not page.counts["evaluated"]:
                await asyncio.sleep(_PAUSE_SECONDS)
    except RetriesExhaustedError:
        _LOGGER.exception(
            "evaluating due customers of company %d before rescoring failed: too many concurrent changes",
            run.company_id,
        )
    except (LeaseLostError, UnavailableError):
        raise
    except Exception:
        _LOGGER.exception("evaluating due customers of company %d before rescoring failed", run.company_id)


async def has_due_customers(uow: UnitOfWork) -> bool:
    """Returns whether any customer is due, locked or not."""
    return await uow.relationships.has_due((await uow.companies.get_context()).now)


async def score_company(run: JobRun, as_of: datetime) -> None:
    """Updates every stored score that differs as of `as_of`, by keyset."""
    batch_size = run.job.parameters.get("batch_size", BATCH_SIZE)

    async def page(uow: UnitOfWork) -> PageResult:
        after = run.cursor.get("after", _LOWEST)
        total = await uow.relationships.count() if after == _LOWEST else None
        policy = (await uow.companies.get_context()).rulebook.policy
        scores = await uow.scores.compare_page(after, limit=batch_size, as_of=as_of, policy=policy)
        if scores.last_id is None:
            await uow.companies.set_scored(as_of)
            return PageResult({"after": after, "scored": True}, total=total)
        changed = await uow.scores.update(scores.changed, as_of=as_of, policy=policy)
        counts = {"scored": scores.seen, "changed": changed}
        return PageResult({"after": scores.last_id}, counts, done=scores.seen, total=total)

    while not run.cursor.get("scored"):
        await run.page(page)


async def score_named(run: JobRun, named: Sequence[int], as_of: datetime) -> None:
    """Updates the scores of the named customers as of `as_of`, page by page."""
    batch_size = run.job.parameters.get("batch_size", BATCH_SIZE)

    async def page(uow: UnitOfWork) -> PageResult:
        at = run.cursor.get("at", 0)
        customer_ids = named[at : at + batch_size]
        policy = (await uow.companies.get_context()).rulebook.policy
        changed = await uow.scores.update(
            await uow.scores.get_relationship_ids(customer_ids), as_of=as_of, policy=policy
        )
        return PageResult(
            {"at": at + len(customer_ids)},
            {"scored": len(customer_ids), "changed": changed},
            done=len(customer_ids),
            total=len(named),
        )

    while run.cursor.get("at", 0) < len(named):
        await run.page(page)
