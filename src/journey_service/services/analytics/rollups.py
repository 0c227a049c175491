"""Sums that figures are answered from: added to with every write, tightened by the worker, counted anew when asked."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from journey_service.domain.access.actors import SCHEDULE, Actor
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.analytics.rollups import Rollup, reached_by
from journey_service.domain.calendar import local_day
from journey_service.domain.errors import UnavailableError
from journey_service.domain.events.event import EventType
from journey_service.domain.journeys.relationship import Transition
from journey_service.repositories.analytics.rollups import Money
from journey_service.repositories.database import Database
from journey_service.repositories.events.ledger import AppliedEvent
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.jobs import JobPage, JobRun

COUNT: Final = "count_rollups"
LOOSE_ALLOWED: Final = 2_000
"""From how many loose rows on a company's sums are tightened."""
CHUNK: Final = 20_000
_TIMEOUT_MS: Final = 600_000
_LONGEST_WRITE: Final = timedelta(minutes=5)

_LOGGER = logging.getLogger(__name__)


async def count_moves(
    uow: UnitOfWork, context: CompanyContext, moves: Mapping[int, Sequence[Transition]], *, new: Sequence[int]
) -> None:
    """Add moves that are about to be written, by the id of the relationship, which is held; `new` had none before."""
    moved = {id_: written for id_, written in moves.items() if written}
    if not moved:
        return
    rollup = Rollup(context.rulebook.stage_map, ZoneInfo(context.company.timezone))
    known = await uow.rollups.get_last_occurrences([*moved.keys() - set(new)], rollup)
    for id_, written in moved.items():
        rollup.count(written, known.get(id_, {}))
    await uow.rollups.add(rollup, late=_late(context, (flow.day for flow in rollup.flows)))


async def count_money(uow: UnitOfWork, context: CompanyContext, applied: Sequence[AppliedEvent]) -> None:
    """Add the revenue of events just written."""
    zone = ZoneInfo(context.company.timezone)
    sums: dict[tuple[date, str], tuple[int, int, int]] = {}
    for one in applied:
        cents = one.event.amount_cents
        appointments = cents if one.event.type == EventType.APPOINTMENT_COMPLETED else 0
        payments = {EventType.PAYMENT_RECEIVED: cents, EventType.PAYMENT_REFUNDED: -cents}.get(
            EventType(one.event.type), 0
        )
        if appointments or payments:
            day = local_day(one.event.occurred_at, zone)
            number, first, second = sums.get((day, one.stage), (0, 0, 0))
            sums[day, one.stage] = (number + 1, first + appointments, second + payments)
    await uow.rollups.add_revenue(
        (
            (Money(day, stage, Decimal(first) / 100, Decimal(second) / 100), number)
            for (day, stage), (number, first, second) in sums.items()
        ),
        late=_late(context, (day for day, _ in sums)),
    )


def _late(context: CompanyContext, days: Iterable[date]) -> date | None:
    """The earliest of the days that have ended, or will have before this is written: their snapshots may be taken."""
    ending = local_day(context.now + _LONGEST_WRITE, ZoneInfo(context.company.timezone))
    return min((day for day in days if day < ending), default=None)


async def merge_rollups(database: Database, company_id: int) -> int:
    """Add a company's loose sums up; returns how many there were."""

    async def unit(uow: UnitOfWork) -> int:
        await uow.companies.lock()
        return await uow.rollups.merge(most=CHUNK)

    tightened = 0
    while found := await database.run(company_id, unit, timeout_ms=60_000):
        tightened += found
        if found < CHUNK:
            break
    return tightened


async def tighten_due(database: Database) -> int:
    """Tighten the sums of every company that has many loose ones; returns how many there were.

    Companies whose sums are to be counted anew are seen to as well.
    """
    tightened = 0
    for company_id in await database.read_due_work(
        lambda reader: reader.due_work.companies_with_stale_rollups()
    ):
        await database.run(company_id, lambda uow: queue_count(uow, actor=SCHEDULE))
    found = await database.read_due_work(
        lambda reader: reader.due_work.companies_with_unmerged_rollups(LOOSE_ALLOWED)
    )
    for company_id in found:
        try:
            tightened += await merge_rollups(database, company_id)
        except UnavailableError:
            raise
        except Exception:
            _LOGGER.exception("tightening the sums of company %d failed", company_id)
    return tightened


async def queue_count(uow: UnitOfWork, *, actor: Actor) -> int:
    """Have a company's sums counted anew by a worker; returns the job's id."""
    under_way = await uow.jobs.find_unfinished(COUNT)
    return under_way if under_way is not None else await uow.jobs.enqueue(COUNT, {}, actor=actor.name)


async def rebuild_rollups(run: JobRun) -> None:
    """The job: count every sum anew from the ledgers, between the company's other transactions."""

    async def page(uow: UnitOfWork) -> JobPage:
        context = await uow.companies.get_context()
        stage_map = context.rulebook.stage_map
        await uow.rollups.rebuild(
            context.company.map_version, context.company.timezone, reached_by(stage_map)
        )
        first = (await uow.snapshots.get_bounds()).first
        if first is not None:
            await uow.snapshots.mark_dirty(first)
        return JobPage({"ended": True}, {"companies": 1}, done=1, total=1)

    while not run.cursor.get("ended"):
        await run.page(page, is_exclusive=True, timeout_ms=_TIMEOUT_MS)
