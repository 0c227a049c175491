"""Test clocks: a company's time stands still until it is advanced; everything due on the way is then processed.

The clock is moved first. A job then evaluates the due customers one by one, each at its own due times, exactly as the
sweep does; an event that arrives meanwhile first advances its customer to the new time. Every nightly run on the way is
recorded; scores are written as of the last one, and the churn model is fitted by a job of its own.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import partial
from typing import Any, Final

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.timing import MAX_TRANSITION_AGE
from journey_service.domain.calendar import (
    latest_nightly_run_date,
    next_nightly_run_date,
    nightly_run_at,
    nightly_run_dates,
)
from journey_service.domain.companies.errors import NoTestClockError
from journey_service.domain.companies.records import Company
from journey_service.domain.errors import InvalidInputError, UnavailableError
from journey_service.domain.operations.records import Job
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.churn.fitting import enqueue_fit
from journey_service.services.analytics.snapshots import take_snapshots
from journey_service.services.companies.provisioning import get_company_context
from journey_service.services.jobs import (
    LEASE_SECONDS,
    InlineJob,
    JobRun,
    LeaseLostError,
    PageResult,
    ProgressCallback,
    enqueue_job,
    run_inline,
)
from journey_service.services.journeys.action_planning import ChangedJourney, has_test_clock, plan_actions
from journey_service.services.journeys.rescoring import evaluate_due_customers, score_company
from journey_service.services.journeys.transaction import load, write
from journey_service.services.operations.retention import clear_expired

ADVANCE_CLOCK_JOB: Final = "advance_clock"
INLINE_TIMEOUT_SECONDS: Final = 10.0
"""Seconds for which the request processes due work before it leaves the rest to a worker."""
ACTIONS_BATCH_SIZE: Final = 200
"""Customers whose due actions one transaction runs."""
MAX_STEP: Final = timedelta(days=50 * 365)
"""Maximum advance: all nightly runs on the way are recorded while the company is locked."""

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ClockAdvance:
    """An advanced test clock, and the job that processes what is due."""

    company: Company
    now: datetime
    job: Job


async def advance(
    database: Database,
    company_id: int,
    to: datetime | None,
    *,
    actor: Actor,
    timeout_seconds: float | None = INLINE_TIMEOUT_SECONDS,
    lease_seconds: float = LEASE_SECONDS,
    on_progress: ProgressCallback | None = None,
) -> ClockAdvance:
    """Advances a test clock to a time, or releases the company to real time (None), and processes what is due.

    Returns when everything is processed or the timeout has expired; a worker then continues the job. Raises
    CompanyNotFoundError, NoTestClockError for a company in real time, and InvalidInputError for a time before the
    clock's, or for a release while the clock is ahead of real time.
    """

    async def unit(uow: UnitOfWork) -> InlineJob:
        return await _move(uow, to, actor, lease_seconds)

    inline_job = await database.run(company_id, unit)
    job = await run_inline(
        database,
        company_id,
        inline_job,
        run_advance,
        lease_seconds=lease_seconds,
        timeout_seconds=timeout_seconds,
        on_progress=on_progress,
    )
    context = await get_company_context(database, company_id)
    return ClockAdvance(context.company, context.now, job)


async def run_advance(run: JobRun) -> None:
    """Job handler: evaluates due customers, runs due actions, and does what the last nightly run on the way does."""
    await evaluate_due_customers(run)
    await run_due_actions(run)
    as_of = run.job.parameters["as_of"]
    if as_of is not None:
        await score_company(run, datetime.fromisoformat(as_of))
        await clear_expired(run)
        await take_snapshots(run)
        await enqueue_fit(run.database, run.company_id)


async def run_due_actions(run: JobRun) -> None:
    """Part of a job: runs all due actions, each as of its own due time.

    An error is logged and not raised, so that scoring continues: the actions stay due for the next advance.
    """
    try:
        while not run.cursor.get("settled"):
            await run.page(partial(_run_actions_page, run.cursor))
    except (LeaseLostError, UnavailableError):
        raise
    except Exception:
        _LOGGER.exception("running due actions of company %d failed", run.company_id)


async def _run_actions_page(cursor: Mapping[str, Any], uow: UnitOfWork) -> PageResult:
    """Runs the due actions of some customers."""
    context = await uow.companies.get_context()
    customer_ids = (
        await uow.outbox.list_waiting_customers(context.now, limit=ACTIONS_BATCH_SIZE)
        if has_test_clock(context)
        else []
    )
    if not customer_ids:
        return PageResult({**cursor, "settled": True})
    transaction = await load(uow, customer_ids)
    unchanged = transaction.advance_all(transaction.now)
    unmoved = [
        ChangedJourney(transaction.relationships[customer_id].id, journey, is_new=False)
        for customer_id, journey in unchanged.items()
    ]
    await write(uow, transaction, as_decided=True)
    await plan_actions(uow, transaction.context, unmoved, now=transaction.now, runs_actions=True)
    return PageResult(cursor, {"acted_on": len(customer_ids)})


async def _move(uow: UnitOfWork, to: datetime | None, actor: Actor, lease_seconds: float) -> InlineJob:
    context = await uow.companies.lock()
    before = context.company.clock_at
    if before is None:
        raise NoTestClockError(uow.company_id)
    target = context.clock if to is None else to
    _check_target(before, target, is_release=to is None)
    zone = context.company.zone
    nights = [(night, nightly_run_at(night, zone)) for night in nightly_run_dates(before, target, zone)]
    parameters: dict[str, Any] = {
        "from": before.isoformat(),
        "to": target.isoformat(),
        "releases_clock": to is None,
        "nightly_runs": len(nights),
        "as_of": nights[-1][1].isoformat() if nights else None,
    }
    await _set_clock(uow, target, zone, is_release=to is None)
    inline_job = await enqueue_job(
        uow, ADVANCE_CLOCK_JOB, parameters, actor=actor.name, is_inline=True, lease_seconds=lease_seconds
    )
    await uow.jobs.insert_nightly_runs(nights, inline_job.job.id)
    moved = {"from": parameters["from"], "to": parameters["to"], "releases_clock": to is None}
    await uow.audit_log.record(
        actor, AuditEntry("test_clock.advance", target=f"job:{inline_job.job.id}", detail=moved)
    )
    return inline_job


def _check_target(before: datetime, target: datetime, *, is_release: bool) -> None:
    if target < before:
        pointer, what = ("/release", "real time") if is_release else ("/advance_to", "the new time")
        raise InvalidInputError.at(
            pointer, f"a test clock cannot go back: {what} is before the company's {before.isoformat()}"
        )
    if not is_release and target - before > MAX_STEP:
        raise InvalidInputError.at("/advance_to", f"must be at most {MAX_STEP.days} days ahead")


async def _set_clock(uow: UnitOfWork, target: datetime, zone: tzinfo, *, is_release: bool) -> None:
    """Sets the clock, or releases the company to real time, and schedules the first nightly run after it."""
    await uow.companies.set_clock(None if is_release else target)
    if is_release:
        await uow.outbox.release_test_clock(target, target - MAX_TRANSITION_AGE)
    await uow.companies.set_next_nightly_run(
        nightly_run_at(next_nightly_run_date(latest_nightly_run_date(target, zone), zone), zone)
    )
