"""Snapshots of ended days: taken by the nightly run and after an import, anew where something came late.

Whoever writes about a day that has ended leaves a mark. A page takes marks away, writes the snapshots from the earliest
of them on, and leaves a mark where the next page goes on: that is all there is of a cursor, and whatever a runner that
fell silent has left undone is seen by everybody.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from journey_service.domain.access.actors import SCHEDULE, Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.analytics.date_ranges import DateRange, RequestedRange, range_of_period
from journey_service.domain.analytics.duration_histograms import cumulated
from journey_service.domain.analytics.snapshots import (
    SnapshotMetrics,
    SnapshotPosition,
    active_on,
    day_before,
    days_from,
    snapshots,
)
from journey_service.domain.calendar import local_day, next_nightly_run_date
from journey_service.domain.errors import FieldError, InvalidInputError
from journey_service.domain.events.event import LATEST
from journey_service.domain.stages.stage_map import Stage
from journey_service.repositories.analytics.snapshots import Bounds, ContinuityGap, Snapshot, Source
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.jobs import JobPage, JobRun

REBUILD: Final = "rebuild_metrics"
CHECK: Final = "check_metrics"
CHUNK: Final = 366
"""How many days one transaction writes."""
MAX_RANGE_DAYS: Final = 400
"""How many days are shown at once."""
DAYS_SHOWN: Final = 30
_GAPS_NAMED: Final = 5
_STAYS_CHUNK: Final = 31
"""How many days of visits are read at once: of a million customers a few hundred thousand rows."""
_ONE_DAY: Final = timedelta(days=1)
_TIMEOUT_MS: Final = 60_000

_LOGGER = logging.getLogger(__name__)


class BrokenMetricsError(Exception):
    """Snapshots in which customers have come from nowhere, or are gone."""


@dataclass(frozen=True, slots=True)
class SnapshotPage:
    """Snapshots of some days, and how today's map names their stages."""

    currency: str
    first: date
    last: date
    snapshots: Sequence[tuple[Snapshot, Stage | None]]


async def get_metrics(
    database: Database, company_id: int, asked: RequestedRange, stage: str | None
) -> SnapshotPage:
    """Snapshots of ended days; left out, the last thirty that have ended. Raises InvalidInputError."""
    first, last = asked.first, asked.last
    if asked.period is not None and (first or last):
        raise InvalidInputError.at("query/period", "must be left out beside `from` and `to`")

    async def unit(uow: UnitOfWork) -> SnapshotPage:
        context = await uow.companies.get_context()
        stages = context.rulebook.stage_map.by_key
        if stage is not None and stage not in stages:
            raise InvalidInputError.at("query/stage", "is not a stage of this company")
        until = last or last_ended(context)
        since = first or until - timedelta(days=DAYS_SHOWN - 1)
        if asked.period is not None:
            since = range_of_period(asked.period, until, (await uow.snapshots.get_bounds()).first).first
        if since > until:
            raise InvalidInputError.at("query/from", "must not be after `to`")
        if (until - since).days >= MAX_RANGE_DAYS:
            raise InvalidInputError.at("query/from", f"lies more than {MAX_RANGE_DAYS} days before `to`")
        found = await uow.snapshots.list_between(since, until, stage)
        order = {key: place for place, key in enumerate(stages)}
        found.sort(key=lambda one: (one.day, order.get(one.stage, len(order)), one.stage))
        return SnapshotPage(
            context.company.currency, since, until, [(one, stages.get(one.stage)) for one in found]
        )

    return await database.run(company_id, unit)


async def queue_rebuild(database: Database, company_id: int, first: date, last: date, *, actor: Actor) -> int:
    """Have the snapshots of past days rebuilt from the ledgers; returns the job's id.

    Raises CompanyNotFoundError, InvalidInputError for days that have not ended.
    """

    async def unit(uow: UnitOfWork) -> int:
        ended = last_ended(await uow.companies.get_context())
        faults = [
            *([FieldError("/from", "must not be after `to`")] if first > last else []),
            *(
                [FieldError("/to", f"has not ended: the last day to be rebuilt is {ended}")]
                if last > ended
                else []
            ),
        ]
        if faults:
            raise InvalidInputError(faults)
        days = {"from": first.isoformat(), "to": last.isoformat()}
        job_id = await uow.jobs.enqueue(REBUILD, days, actor=actor.name)
        await uow.audit_log.record(actor, AuditEntry("metrics.rebuild", target=f"job:{job_id}", detail=days))
        return job_id

    return await database.run(company_id, unit)


async def rebuild(run: JobRun) -> None:
    """The job: write the snapshots of some days as the ledgers have them, and see whether all add up."""
    last = date.fromisoformat(run.job.parameters["to"])

    async def page(uow: UnitOfWork) -> JobPage:
        context = await uow.companies.lock()
        first = date.fromisoformat(run.cursor.get("next", run.job.parameters["from"]))
        bounds = await uow.snapshots.get_bounds()
        known = [day for day in (bounds.first, bounds.first_sum) if day is not None]
        first = max(first, min(known, default=LATEST.date()))
        missing = _first_missing(context, bounds)
        # Days that no night has come to yet are taken too: there are no holes between snapshots.
        days = _days(context, first if missing is None else min(first, missing), last)
        written = await _write(uow, context, days, is_from_ledger=True)
        if not days or days[-1] >= last:
            return JobPage({"ended": True}, {"days": len(days), "written": written}, done=len(days))
        following = days[-1] + _ONE_DAY
        return JobPage(
            {"next": following.isoformat()}, {"days": len(days), "written": written}, done=len(days)
        )

    while not run.cursor.get("ended"):
        await run.page(page, timeout_ms=_TIMEOUT_MS)
    await check(run)


async def check(run: JobRun) -> None:
    """The job: see whether the snapshots add up. Raises BrokenMetricsError, which the health check tells of."""

    async def unit(uow: UnitOfWork) -> str | None:
        return _told(*await uow.snapshots.list_gaps(limit=_GAPS_NAMED))

    broken = await run.database.run(run.company_id, unit, timeout_ms=_TIMEOUT_MS)
    if broken is not None:
        raise BrokenMetricsError(broken)


async def take_snapshots(run: JobRun) -> None:
    """Part of a job: write the snapshots of ended days that are new, or about which something came late."""

    async def page(uow: UnitOfWork) -> JobPage:
        written, is_over = await take_page(uow)
        cursor = {**run.cursor, "snapshots": True} if is_over else run.cursor
        return JobPage(cursor, {"snapshots": written} if written else {})

    while not run.cursor.get("snapshots"):
        await run.page(page, timeout_ms=_TIMEOUT_MS)


async def take_page(uow: UnitOfWork) -> tuple[int, bool]:
    """Write some snapshots of ended days; returns how many, and whether these were the last."""
    # Whoever writes snapshots holds the company's row: one at a time.
    context = await uow.companies.lock()
    until = last_ended(context)
    if not context.company.rollup_version:
        return 0, True  # the sums are to be counted first
    marked = await uow.snapshots.pop_dirty_days(until)
    bounds = await uow.snapshots.get_bounds()
    first = _first_to_take(context, bounds, marked, until)
    days = _days(context, first, until)
    written = await _write(uow, context, days, is_from_ledger=False)
    if days and days[-1] < until:
        await uow.snapshots.mark_dirty(days[-1] + _ONE_DAY)
        return written, False
    await _look_for_gaps(uow)
    return written, True


def last_ended(context: CompanyContext) -> date:
    """The last local day that has ended."""
    zone = ZoneInfo(context.company.timezone)
    return day_before(local_day(context.now, zone), zone)


def _first_to_take(context: CompanyContext, bounds: Bounds, marked: date | None, until: date) -> date:
    candidates = [_first_missing(context, bounds), marked, until if bounds.last is None else None]
    return min(day for day in candidates if day is not None)


def _first_missing(context: CompanyContext, bounds: Bounds) -> date | None:
    """The first day that has no snapshot yet, of those of which there is anything to tell."""
    return (
        bounds.first_sum
        if bounds.last is None
        else next_nightly_run_date(bounds.last, ZoneInfo(context.company.timezone))
    )


def _days(context: CompanyContext, first: date, last: date) -> Sequence[date]:
    zone = ZoneInfo(context.company.timezone)
    return list(days_from(first, min(last, first + timedelta(days=CHUNK - 1)), zone))


async def _write(
    uow: UnitOfWork, context: CompanyContext, days: Sequence[date], *, is_from_ledger: bool
) -> int:
    """Write the snapshots of days that are others than before; returns how many."""
    if not days:
        return 0
    known = {(one.day, one.stage): one.metrics for one in await uow.snapshots.list_between(days[0], days[-1])}
    metrics = await figures_of(uow, context, days, known.keys(), is_from_ledger=is_from_ledger)
    changed = {place: each for place, each in metrics.items() if known.get(place) != each}
    await uow.snapshots.upsert(changed)
    await _write_stays(uow, context, days)
    return len(changed)


async def _write_stays(uow: UnitOfWork, context: CompanyContext, days: Sequence[date]) -> None:
    """Write how long the visits have lasted that had ended by each of the days, as the ledger has them."""
    stages = [stage.key for stage in context.rulebook.stage_map.stages]
    named = set(stages)
    known = await uow.visit_durations.get_cumulated(days[-1], stages)
    last = await uow.visit_durations.get_cumulated(days[0] - _ONE_DAY, stages)
    for start in range(0, len(days), _STAYS_CHUNK):
        part = days[start : start + _STAYS_CHUNK]
        span = DateRange(part[0], part[-1])
        ended = await uow.visit_durations.count_ended_by_day(span, context.company.timezone)
        cumulated_, last = cumulated(last, (each for each in ended if each.stage in named))
        await uow.visit_durations.replace(span, cumulated_)
    if known != last and days[-1] < last_ended(context):
        # All histograms of later days rest on these.
        await uow.snapshots.mark_dirty(days[-1] + _ONE_DAY)


async def figures_of(
    uow: UnitOfWork,
    context: CompanyContext,
    days: Sequence[date],
    known: Iterable[SnapshotPosition],
    *,
    is_from_ledger: bool,
) -> dict[SnapshotPosition, SnapshotMetrics]:
    """What the snapshots of days are to be, from the sums or from the ledgers; `known` are those there are."""
    zone = ZoneInfo(context.company.timezone)
    versions: list[tuple[date | None, list[str]]] = []
    for version in await uow.stage_maps.list_after(0):
        since = None if version.activated_at is None else local_day(version.activated_at, zone)
        stage_map = await uow.stage_maps.get(version.version)
        versions.append((since, [stage.key for stage in stage_map.active]))
    active = active_on(days, versions)
    source = Source(
        from_payments=context.rulebook.policy.revenue_source == "payments",
        ledger_zone=context.company.timezone if is_from_ledger else None,
    )
    opening, flows = await uow.snapshots.get_flows(days[0], days[-1], source)
    revenue = await uow.snapshots.get_revenue(days[0], days[-1], source)
    wanted = {*known, *((day, stage) for day, stages in active.items() for stage in stages)}
    return snapshots(days, opening, flows, revenue, wanted)


async def _look_for_gaps(uow: UnitOfWork) -> None:
    """Say it when snapshots do not add up, or do again, and have a job tell, by which the health check knows."""
    broken = _told(*await uow.snapshots.list_gaps(limit=_GAPS_NAMED))
    if broken is not None:
        _LOGGER.error("the snapshots of company %d do not add up: %s", uow.company_id, broken)
    elif not await uow.snapshots.has_failed_check():
        return
    if await uow.jobs.find_unfinished(CHECK) is None:
        await uow.jobs.enqueue(CHECK, {}, actor=SCHEDULE.name)


def _told(number: int, gaps: Sequence[ContinuityGap]) -> str | None:
    if not number:
        return None
    named = "; ".join(
        f"{gap.stage} on {gap.day}: {gap.opening} + {gap.entered} - {gap.left} is not {gap.closing}"
        for gap in gaps
    )
    return f"{number} days of stages, such as {named}"
