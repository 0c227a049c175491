"""Stored scores brought up to an instant: every night, or when somebody asks for it."""

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
from journey_service.services.jobs import JobPage, JobRun, LeaseLostError
from journey_service.services.journeys.sweep import decide_due

RESCORE: Final = "rescore"
CHUNK: Final = 1_000
"""How many customers one transaction looks at; of these it holds and writes those whose scores have changed."""
MAX_CHUNK_SIZE: Final = 5_000
MAX_NAMED_CUSTOMERS: Final = 10_000
_LOWEST: Final = 0
_PAUSE_SECONDS: Final = 0.02

_LOGGER = logging.getLogger(__name__)


async def queue_rescore(
    database: Database,
    company_id: int,
    *,
    actor: Actor,
    customer_ids: Sequence[int] | None = None,
    chunk: int = CHUNK,
) -> int:
    """Queue rescoring as of the company's now: of some customers, or of all. Returns the job's id.

    Raises CompanyNotFoundError, CustomerNotFoundError for the one customer named, InvalidInputError for
    unknown ones among several.
    """

    async def unit(uow: UnitOfWork) -> int:
        context = await uow.companies.context()
        parameters = {"as_of": context.now.isoformat(), "chunk": chunk, "night": None}
        if customer_ids is not None:
            await require_known(uow, customer_ids)
            parameters["customer_ids"] = sorted(set(customer_ids))
        job_id = await uow.jobs.queue(RESCORE, parameters, actor=actor.name)
        await uow.audit.record(actor, AuditEntry("company.rescore", target=f"job:{job_id}"))
        return job_id

    return await database.run(company_id, unit)


async def require_known(uow: UnitOfWork, customer_ids: Sequence[int]) -> None:
    """Refuse customers who have no journey."""
    known = await uow.relationships.known(customer_ids)
    missing = [index for index, customer_id in enumerate(customer_ids) if customer_id not in known]
    if missing and len(customer_ids) == 1:
        raise CustomerNotFoundError(customer_ids[0])
    if missing:
        raise InvalidInputError(
            [FieldError(f"/customer_ids/{index}", "is not a known customer") for index in missing]
        )


async def sweep_company(run: JobRun) -> None:
    """Decide whoever is due in the company, and wait for those who are in other hands.

    Whoever cannot be decided is a matter for the sweep, which tries one by one: scores do not wait for that.
    """

    async def batch(uow: UnitOfWork) -> JobPage:
        swept = await decide_due(uow)
        is_over = not swept.decided and not await has_due_customers(uow)
        return JobPage(
            {"after": _LOWEST} if is_over else {}, {"decided": swept.decided, "moved": swept.moved}
        )

    try:
        while "after" not in run.cursor:
            page = await run.page(batch)
            if not page.cursor and not page.counts["decided"]:
                await asyncio.sleep(_PAUSE_SECONDS)
    except RetriesExhaustedError:
        _LOGGER.exception("sweeping company %d before it is scored lost every race", run.company_id)
    except (LeaseLostError, UnavailableError):
        raise
    except Exception:
        _LOGGER.exception("sweeping company %d before it is scored failed", run.company_id)


async def has_due_customers(uow: UnitOfWork) -> bool:
    """Whether a customer is due, in whoever's hands."""
    return await uow.relationships.is_anybody_due((await uow.companies.context()).now)


async def score_company(run: JobRun, as_of: datetime) -> None:
    """Write the scores of every customer that are others as of an instant, by keyset."""
    chunk = run.job.parameters.get("chunk", CHUNK)

    async def page(uow: UnitOfWork) -> JobPage:
        after = run.cursor.get("after", _LOWEST)
        total = await uow.relationships.count() if after == _LOWEST else None
        policy = (await uow.companies.context()).rulebook.policy
        found = await uow.scores.page(after, limit=chunk, as_of=as_of, policy=policy)
        if found.last_id is None:
            await uow.companies.set_scored(as_of)
            return JobPage({"after": after, "scored": True}, total=total)
        changed = await uow.scores.rewrite(found.changed, as_of=as_of, policy=policy)
        counts = {"scored": found.seen, "changed": changed}
        return JobPage({"after": found.last_id}, counts, done=found.seen, total=total)

    while not run.cursor.get("scored"):
        await run.page(page)


async def score_named(run: JobRun, named: Sequence[int], as_of: datetime) -> None:
    """Rescore the named customers as of an instant, page by page."""
    chunk = run.job.parameters.get("chunk", CHUNK)

    async def page(uow: UnitOfWork) -> JobPage:
        at = run.cursor.get("at", 0)
        some = named[at : at + chunk]
        policy = (await uow.companies.context()).rulebook.policy
        changed = await uow.scores.rewrite(await uow.scores.ids(some), as_of=as_of, policy=policy)
        return JobPage(
            {"at": at + len(some)},
            {"scored": len(some), "changed": changed},
            done=len(some),
            total=len(named),
        )

    while run.cursor.get("at", 0) < len(named):
        await run.page(page)
