"""Rollups that reports are read from: updated with every write, merged by the worker, rebuilt by a job."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Final, NamedTuple

from journey_service.domain.access.actors import SCHEDULE, Actor
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.analytics.rollups import Rollup, reached_by
from journey_service.domain.calendar import local_day
from journey_service.domain.errors import UnavailableError
from journey_service.domain.events.event import Event, EventType
from journey_service.domain.journeys.relationship import Transition
from journey_service.repositories.analytics.rollups import StageRevenue
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.jobs import JobRun, PageResult

REBUILD_ROLLUPS_JOB: Final = "count_rollups"
MAX_UNMERGED_ROWS: Final = 2_000
"""Unmerged rows of a company above which its rollups are merged."""
MERGE_BATCH_SIZE: Final = 20_000
"""Rows merged by one transaction."""
_REBUILD_TIMEOUT_MS: Final = 600_000
_MERGE_TIMEOUT_MS: Final = 60_000
_MAX_WRITE: Final = timedelta(minutes=5)
"""Maximum time between counting moves and the commit of their transaction."""

_LOGGER = logging.getLogger(__name__)


class RevenueChange(NamedTuple):
    """An event whose revenue counts from now on (`sign` 1) or no longer (-1), and the stage that it is credited to."""

    event: Event
    stage: str
    sign: int = 1


async def count_changes(
    uow: UnitOfWork,
    context: CompanyContext,
    moves: Mapping[int, Sequence[Transition]],
    revenue: Iterable[RevenueChange] = (),
    *,
    new: Sequence[int] = (),
) -> None:
    """Adds moves, by the id of the locked relationship, and changes of revenue to the rollups, in one statement.

    Call it before the moves are written. `new` are relationships without earlier moves.
    """
    rollup = Rollup(context.rulebook.stage_map, context.company.zone)
    by_relationship = {id_: transitions for id_, transitions in moves.items() if transitions}
    known = await uow.rollups.get_last_occurrences([*by_relationship.keys() - set(new)], rollup)
    for id_, transitions in by_relationship.items():
        rollup.count(transitions, known.get(id_, {}))
    sums = _sum_revenue(context, revenue)
    days = [*(flow.day for flow in rollup.flows), *(each.day for each, _ in sums)]
    await uow.rollups.add(rollup, sums, late=_earliest_dirty_day(context, days))


def _sum_revenue(context: CompanyContext, changes: Iterable[RevenueChange]) -> list[tuple[StageRevenue, int]]:
    """Returns the revenue by local day and stage, each with its number of events."""
    zone, currency = context.company.zone, context.rulebook.policy.currency
    revenue: dict[tuple[date, str], tuple[int, int, int]] = {}
    for each in changes:
        cents = each.sign * each.event.amount_cents
        appointments = cents if each.event.type == EventType.APPOINTMENT_COMPLETED else 0
        payments = {EventType.PAYMENT_RECEIVED: cents, EventType.PAYMENT_REFUNDED: -cents}.get(
            EventType(each.event.type), 0
        )
        if appointments or payments:
            day = local_day(each.event.occurred_at, zone)
            number, first, second = revenue.get((day, each.stage), (0, 0, 0))
            revenue[day, each.stage] = (number + each.sign, first + appointments, second + payments)
    return [
        (StageRevenue(day, stage, currency.to_amount(first), currency.to_amount(second)), number)
        for (day, stage), (number, first, second) in revenue.items()
    ]


def _earliest_dirty_day(context: CompanyContext, days: Iterable[date]) -> date | None:
    """Returns the earliest day whose snapshot may already be taken when this transaction commits."""
    ending = local_day(context.now + _MAX_WRITE, context.company.zone)
    return min((day for day in days if day < ending), default=None)


async def merge_rollups(database: Database, company_id: int) -> int:
    """Merges a company's unmerged rollup rows; returns how many there were."""

    async def unit(uow: UnitOfWork) -> int:
        await uow.companies.lock()
        return await uow.rollups.merge(limit=MERGE_BATCH_SIZE)

    merged = 0
    while batch := await database.run(company_id, unit, timeout_ms=_MERGE_TIMEOUT_MS):
        merged += batch
        if batch < MERGE_BATCH_SIZE:
            break
    return merged


async def merge_due_rollups(database: Database) -> int:
    """Merges the rollups of companies with many unmerged rows; returns how many rows there were.

    Also enqueues the rebuild of stale rollups. The failure of one company is logged and does not affect the others.
    Raises UnavailableError.
    """
    merged = 0
    for company_id in await database.read_due_work(
        lambda reader: reader.due_work.companies_with_stale_rollups()
    ):
        await database.run(company_id, lambda uow: enqueue_rollup_rebuild(uow, actor=SCHEDULE))
    company_ids = await database.read_due_work(
        lambda reader: reader.due_work.companies_with_unmerged_rollups(MAX_UNMERGED_ROWS)
    )
    for company_id in company_ids:
        try:
            merged += await merge_rollups(database, company_id)
        except UnavailableError:
            raise
        except Exception:
            _LOGGER.exception("merging the rollups of company %d failed", company_id)
    return merged


async def enqueue_rollup_rebuild(uow: UnitOfWork, *, actor: Actor) -> int:
    """Enqueues the rebuild of a company's rollups, unless it is queued already; returns the job's id."""
    job_id = await uow.jobs.find_unfinished(REBUILD_ROLLUPS_JOB)
    return job_id if job_id is not None else await uow.jobs.enqueue(REBUILD_ROLLUPS_JOB, {}, actor=actor.name)


async def rebuild_rollups(run: JobRun) -> None:
    """Job handler: rebuilds all rollups from the ledgers, exclusively in the company."""

    async def page(uow: UnitOfWork) -> PageResult:
        context = await uow.companies.get_context()
        stage_map = context.rulebook.stage_map
        await uow.rollups.rebuild(context.company.map_version, context.company.zone, reached_by(stage_map))
        first = (await uow.snapshots.get_bounds()).first
        if first is not None:
            await uow.snapshots.mark_dirty(first)
        return PageResult({"ended": True}, {"companies": 1}, done=1, total=1)

    while not run.cursor.get("ended"):
        await run.page(page, is_exclusive=True, timeout_ms=_REBUILD_TIMEOUT_MS)
