"""Test clocks: a company's time stands still until it is moved, and all that falls due on the way is done.

The clock is moved first, and what has so fallen due is then decided customer by customer, each at the own
instants, exactly as the sweep does it for everybody: whoever is told something meanwhile is brought to the
new time before. Nightly runs on the way are written down one by one; scores are written as of the last.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

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
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.operations.records import Job
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.snapshots import take_snapshots
from journey_service.services.companies.provisioning import get_company_context
from journey_service.services.jobs import (
    LEASE_SECONDS,
    InlineJob,
    JobPage,
    JobRun,
    ProgressCallback,
    enqueue_job,
    run_inline,
)
from journey_service.services.journeys.action_planning import ChangedJourney, has_test_clock, plan_actions
from journey_service.services.journeys.rescoring import score_company, sweep_company
from journey_service.services.journeys.transaction import load, write
from journey_service.services.operations.retention import clear_old

ADVANCE: Final = "advance_clock"
INLINE_TIMEOUT_SECONDS: Final = 10.0
"""How long a caller is kept waiting before the rest is left to the worker."""
CHUNK: Final = 200
LONGEST_STEP: Final = timedelta(days=50 * 365)
"""Every night on the way is written down while the clock is held: a step is as long as that may take."""


@dataclass(frozen=True, slots=True)
class Advanced:
    """A clock that was moved, and the job that does what fell due on the way."""

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
) -> Advanced:
    """Move a test clock to an instant, or (None) release the company to real time; do what falls due.

    Returns once all is done, or when patience ends, with the job still to be gone on with by the worker.
    Raises CompanyNotFoundError, NoTestClockError for a company in real time, and InvalidInputError for an
    instant before the clock's, or a release while the clock is ahead of real time.
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
    return Advanced(context.company, context.now, job)


async def run_advance(run: JobRun) -> None:
    """The job: decide all that has fallen due, then score as of the last night on the way."""
    await sweep_company(run)
    await settle_company(run)
    as_of = run.job.parameters["as_of"]
    if as_of is not None:
        await score_company(run, datetime.fromisoformat(as_of))
        await clear_old(run)
        await take_snapshots(run)


async def settle_company(run: JobRun) -> None:
    """Let whatever actions have fallen due happen, each at its own instant."""

    async def page(uow: UnitOfWork) -> JobPage:
        context = await uow.companies.get_context()
        some = (
            await uow.outbox.list_waiting_customers(context.now, limit=CHUNK)
            if has_test_clock(context)
            else []
        )
        if not some:
            return JobPage({**run.cursor, "settled": True})
        transaction = await load(uow, some)
        unchanged = transaction.advance_all(transaction.now)
        unmoved = [
            ChangedJourney(transaction.relationships[customer_id].id, journey, is_new=False)
            for customer_id, journey in unchanged.items()
        ]
        await write(uow, transaction, as_decided=True)
        await plan_actions(uow, transaction.context, unmoved, now=transaction.now, runs_actions=True)
        return JobPage(run.cursor, {"acted_on": len(some)})

    while not run.cursor.get("settled"):
        await run.page(page)


async def _move(uow: UnitOfWork, to: datetime | None, actor: Actor, lease_seconds: float) -> InlineJob:
    context = await uow.companies.lock()
    before = context.company.clock_at
    if before is None:
        raise NoTestClockError(uow.company_id)
    target = context.clock if to is None else to
    if target < before:
        pointer, what = ("/release", "real time") if to is None else ("/advance_to", "it")
        raise InvalidInputError.at(
            pointer, f"a clock goes forwards only: {what} lies before the company's {before.isoformat()}"
        )
    if to is not None and target - before > LONGEST_STEP:
        raise InvalidInputError.at("/advance_to", f"lies more than {LONGEST_STEP.days} days ahead")
    zone = ZoneInfo(context.company.timezone)
    nights = [(night, nightly_run_at(night, zone)) for night in nightly_run_dates(before, target, zone)]
    parameters: dict[str, Any] = {
        "from": before.isoformat(),
        "to": target.isoformat(),
        "is_release": to is None,
        "nights": len(nights),
        "as_of": nights[-1][1].isoformat() if nights else None,
    }
    await uow.companies.set_clock(None if to is None else target)
    if to is None:
        await uow.outbox.release_test_clock(target, target - MAX_TRANSITION_AGE)
    await uow.companies.set_next_nightly_run(
        nightly_run_at(next_nightly_run_date(latest_nightly_run_date(target, zone), zone), zone)
    )
    inline_job = await enqueue_job(
        uow, ADVANCE, parameters, actor=actor.name, is_inline=True, lease_seconds=lease_seconds
    )
    await uow.jobs.insert_nightly_runs(nights, inline_job.job.id)
    moved = {"from": parameters["from"], "to": parameters["to"], "is_release": to is None}
    await uow.audit_log.record(
        actor, AuditEntry("company.clock", target=f"job:{inline_job.job.id}", detail=moved)
    )
    return inline_job
