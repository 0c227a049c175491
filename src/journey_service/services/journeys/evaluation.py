"""Bulk evaluation: a job that decides all or the named customers as of the company's now."""

from collections.abc import Sequence
from typing import Final

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.journeys.engine import decide
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.jobs import JobRun, PageResult
from journey_service.services.journeys.rescoring import require_known
from journey_service.services.journeys.transaction import load, write

EVALUATE_JOB: Final = "evaluate_transitions"
BATCH_SIZE: Final = 200
"""Customers in one page of the job."""
_LOWEST: Final = -(2**63)


async def queue_evaluation(
    database: Database, company_id: int, *, actor: Actor, customer_ids: Sequence[int] | None = None
) -> int:
    """Enqueues the evaluation of the named customers, or of all; returns the job's id.

    Raises CompanyNotFoundError, CustomerNotFoundError, InvalidInputError, as `queue_rescore` does.
    """

    async def unit(uow: UnitOfWork) -> int:
        await uow.companies.get_context()
        parameters: dict[str, object] = {}
        if customer_ids is not None:
            parameters["customer_ids"] = await require_known(uow, customer_ids)
        job_id = await uow.jobs.enqueue(EVALUATE_JOB, parameters, actor=actor.name)
        await uow.audit_log.record(actor, AuditEntry("company.evaluate", target=f"job:{job_id}"))
        return job_id

    return await database.run(company_id, unit)


async def evaluate_all(run: JobRun) -> None:
    """Job handler: decides everything due for each customer, then as of now; writes the changed journeys."""
    named = run.job.parameters.get("customer_ids")

    async def page(uow: UnitOfWork) -> PageResult:
        after = run.cursor.get("after", _LOWEST)
        if named is None:
            customer_ids = await uow.relationships.page_customer_ids(after, limit=BATCH_SIZE)
        else:
            customer_ids = [customer_id for customer_id in named if customer_id > after][:BATCH_SIZE]
        total = None
        if not run.cursor:
            total = await uow.relationships.count() if named is None else len(named)
        if not customer_ids:
            return PageResult({"after": after, "ended": True}, total=total)
        moved, suppressed = await _evaluate(uow, customer_ids)
        counts = {"evaluated": len(customer_ids), "moved": moved, "suppressed": suppressed}
        return PageResult({"after": customer_ids[-1]}, counts, done=len(customer_ids), total=total)

    while not run.cursor.get("ended"):
        await run.page(page)


async def _evaluate(uow: UnitOfWork, customer_ids: Sequence[int]) -> tuple[int, int]:
    """Evaluates customers; returns the numbers of transitions written and of moves suppressed by a pin."""
    transaction = await load(uow, customer_ids)
    unchanged = transaction.advance_all(transaction.now, with_evaluation=True)
    moved = sum(len(journey.new_transitions) for journey in transaction.journeys.values())
    suppressed = sum(
        decide(journey.relationship, transaction.context.rulebook, transaction.now).is_suppressed
        for journey in (*transaction.journeys.values(), *unchanged.values())
    )
    await write(uow, transaction)
    return moved, suppressed
