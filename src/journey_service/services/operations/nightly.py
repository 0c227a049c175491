"""Nightly run: once per local date, at 02:00 of the company's time zone; caught up once after an outage."""

from datetime import datetime

from journey_service.domain.access.actors import SCHEDULE
from journey_service.domain.calendar import latest_nightly_run_date, next_nightly_run_date, nightly_run_at
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.churn.fitting import enqueue_fit
from journey_service.services.analytics.snapshots import take_snapshots
from journey_service.services.jobs import JobRun
from journey_service.services.journeys.rescoring import (
    BATCH_SIZE,
    RESCORE_JOB,
    evaluate_due_customers,
    score_company,
    score_named,
)
from journey_service.services.operations.checks import enqueue_checks
from journey_service.services.operations.retention import clear_expired


async def start_nightly_run(database: Database, company_id: int) -> int | None:
    """Enqueues a company's due nightly run and returns its job id; None if it is not due or already enqueued.

    Of several runs missed during an outage, only the latest is run.
    """

    async def unit(uow: UnitOfWork) -> int | None:
        context = await uow.companies.lock()
        due_at = context.company.next_nightly_run_at
        if due_at is not None and due_at > context.now:
            return None
        zone = context.company.zone
        night = latest_nightly_run_date(context.now, zone)
        await uow.companies.set_next_nightly_run(nightly_run_at(next_nightly_run_date(night, zone), zone))
        if await uow.jobs.has_nightly_run(night):
            return None
        as_of = nightly_run_at(night, zone)
        parameters = {"as_of": as_of.isoformat(), "batch_size": BATCH_SIZE, "night": night.isoformat()}
        job_id = await uow.jobs.enqueue(RESCORE_JOB, parameters, actor=SCHEDULE.name)
        await uow.jobs.insert_nightly_runs([(night, as_of)], job_id)
        return job_id

    return await database.run(company_id, unit)


async def start_due_nightly_runs(database: Database) -> int:
    """Enqueues the due nightly runs of all companies; returns how many."""
    due = await database.read_due_work(lambda reader: reader.due_work.companies_with_nightly_runs())
    return sum([await start_nightly_run(database, company_id) is not None for company_id in due])


async def run_rescoring(run: JobRun) -> None:
    """Job handler: rescores the named customers, or all, as of `as_of`; with a `night` it is a nightly run."""
    as_of = datetime.fromisoformat(run.job.parameters["as_of"])
    customer_ids = run.job.parameters.get("customer_ids")
    if customer_ids is not None:
        await score_named(run, customer_ids, as_of)
    elif run.job.parameters.get("night") is not None:
        await run_nightly(run, as_of)
    else:
        await rescore_company(run, as_of)


async def run_nightly(run: JobRun, as_of: datetime) -> None:
    """Nightly run: evaluates due customers, updates scores, clears expired data, takes the daily snapshots.

    Then it enqueues the fit of the churn model, and the checks of the data, whose results are stored until the next
    night.
    """
    await rescore_company(run, as_of)
    await clear_expired(run)
    await take_snapshots(run)
    await enqueue_fit(run.database, run.company_id)
    await enqueue_checks(run.database, run.company_id)


async def rescore_company(run: JobRun, as_of: datetime) -> None:
    """Evaluates all due customers, then updates every stored score that differs as of `as_of`."""
    await evaluate_due_customers(run)
    await score_company(run, as_of)
