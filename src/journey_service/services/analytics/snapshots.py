"""Daily snapshots: taken by the nightly run and after an import, and again for days with late events.

A transaction that changes data of an ended day marks the day as dirty. Each page deletes the dirty days, writes the
snapshots from the earliest of them on, and marks the day at which the next page continues. The dirty days are the only
cursor, so any later run continues unfinished work.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from journey_service.domain.access.actors import SCHEDULE, Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.analytics.date_ranges import DateRange, Period, RequestedRange, range_of_period
from journey_service.domain.analytics.duration_histograms import accumulate
from journey_service.domain.analytics.snapshots import (
    Interval,
    SnapshotMetrics,
    SnapshotPosition,
    active_stages_by_day,
    build_snapshots,
    combine_days,
    day_before,
    days_from,
)
from journey_service.domain.calendar import local_day, next_nightly_run_date
from journey_service.domain.errors import FieldError, InvalidInputError
from journey_service.domain.events.event import LATEST
from journey_service.domain.stages.stage_map import Stage
from journey_service.repositories.analytics.snapshots import (
    ContinuityGap,
    MetricSource,
    Snapshot,
    SnapshotBounds,
)
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.jobs import JobRun, PageResult

REBUILD_SNAPSHOTS_JOB: Final = "rebuild_metrics"
CHECK_SNAPSHOTS_JOB: Final = "check_metrics"
DAYS_BATCH_SIZE: Final = 366
"""Days written by one transaction."""
MAX_INTERVALS: Final = 400
"""Days, weeks or months in one response; longer ranges are rejected."""
DEFAULT_RANGE_DAYS: Final = 30
"""Days returned if no range is requested."""
_MAX_REPORTED_GAPS: Final = 5
_VISIT_DAYS_BATCH_SIZE: Final = 31
"""Days of stage visits read at once: a few hundred thousand rows with a million customers."""
_ONE_DAY: Final = timedelta(days=1)
_TIMEOUT_MS: Final = 60_000

_LOGGER = logging.getLogger(__name__)


class BrokenMetricsError(Exception):
    """The snapshots have gaps: days on which opening plus entered minus left customers are not the closing ones."""


@dataclass(frozen=True, slots=True)
class IntervalMetrics:
    """The metrics of a stage from `first` to `last`, with the latest revision of the days.

    `stage` is None if the current map does not have it.
    """

    first: date
    last: date
    stage_key: str
    stage: Stage | None
    metrics: SnapshotMetrics
    revision: int
    computed_at: datetime


@dataclass(frozen=True, slots=True)
class SnapshotPage:
    """Metrics of the intervals of a range of days."""

    currency: str
    interval: Interval
    first: date
    last: date
    items: Sequence[IntervalMetrics]


async def get_metrics(
    database: Database,
    company_id: int,
    requested: RequestedRange,
    stages: Sequence[str] = (),
    interval: Interval | None = None,
) -> SnapshotPage:
    """Returns the metrics of ended days; by default of the last thirty.

    The default of `interval` is a day, and a month for the period of all days. Raises CompanyNotFoundError,
    InvalidInputError.
    """
    first, last = requested.first, requested.last
    if requested.period is not None and (first or last):
        raise InvalidInputError.at("query/period", "cannot be combined with `from` or `to`")
    default = Interval.MONTH if requested.period is Period.ALL else Interval.DAY
    chosen = default if interval is None else interval

    async def unit(uow: UnitOfWork) -> SnapshotPage:
        context = await uow.companies.get_context()
        known = context.rulebook.stage_map.by_key
        if any(stage not in known for stage in stages):
            raise InvalidInputError.at("query/stage", "must be a stage of this company")
        until = last or last_ended(context)
        since = first or until - timedelta(days=DEFAULT_RANGE_DAYS - 1)
        if requested.period is not None:
            since = range_of_period(requested.period, until, (await uow.snapshots.get_bounds()).first).first
        if since > until:
            raise InvalidInputError.at("query/from", "must not be after `to`")
        if chosen.count_between(since, until) > MAX_INTERVALS:
            raise InvalidInputError.at(
                "query/from", f"must be less than {MAX_INTERVALS} {chosen}s before `to`"
            )
        found = await uow.snapshots.list_between(since, until, stages)
        return SnapshotPage(
            context.company.currency, chosen, since, until, _by_interval(found, chosen, known, since, until)
        )

    return await database.run(company_id, unit)


def _by_interval(
    snapshots: Iterable[Snapshot], interval: Interval, known: Mapping[str, Stage], since: date, until: date
) -> list[IntervalMetrics]:
    """Returns the metrics by interval and stage, in the order of the stages, from daily snapshots.

    The first and the last interval contain only the days of the range.
    """
    days: dict[date, list[Snapshot]] = {}
    for snapshot in snapshots:
        days.setdefault(interval.start_of(snapshot.day), []).append(snapshot)
    order = {key: index for index, key in enumerate(known)}
    items = []
    for start in sorted(days):
        last_known = max(each.day for each in days[start])
        following = start + {Interval.DAY: 1, Interval.WEEK: 7, Interval.MONTH: 31}[interval] * _ONE_DAY
        last = min(interval.start_of(following) - _ONE_DAY, until)
        by_stage: dict[str, list[Snapshot]] = {}
        for each in days[start]:
            by_stage.setdefault(each.stage, []).append(each)
        items += [
            IntervalMetrics(
                max(start, since),
                last,
                stage,
                known.get(stage),
                combine_days({each.day: each.metrics for each in by_stage[stage]}, last_known),
                max(each.revision for each in by_stage[stage]),
                max(each.computed_at for each in by_stage[stage]),
            )
            for stage in sorted(by_stage, key=lambda key: (order.get(key, len(order)), key))
        ]
    return items


async def enqueue_snapshot_rebuild(
    database: Database, company_id: int, first: date, last: date, *, actor: Actor
) -> int:
    """Enqueues the rebuild of the snapshots of ended days from the ledgers; returns the job's id.

    Raises CompanyNotFoundError, InvalidInputError for days that have not ended.
    """

    async def unit(uow: UnitOfWork) -> int:
        ended = last_ended(await uow.companies.get_context())
        errors = [
            *([FieldError("/from", "must not be after `to`")] if first > last else []),
            *(
                [FieldError("/to", f"must not be after {ended}, the last completed day")]
                if last > ended
                else []
            ),
        ]
        if errors:
            raise InvalidInputError(errors)
        days = {"from": first.isoformat(), "to": last.isoformat()}
        job_id = await uow.jobs.enqueue(REBUILD_SNAPSHOTS_JOB, days, actor=actor.name)
        await uow.audit_log.record(actor, AuditEntry("metrics.rebuild", target=f"job:{job_id}", detail=days))
        return job_id

    return await database.run(company_id, unit)


async def rebuild_snapshots(run: JobRun) -> None:
    """Job handler: rebuilds the snapshots of a range of days from the ledgers, then checks them for gaps."""
    last = date.fromisoformat(run.job.parameters["to"])

    async def page(uow: UnitOfWork) -> PageResult:
        context = await uow.companies.lock()
        first = date.fromisoformat(run.cursor.get("next", run.job.parameters["from"]))
        bounds = await uow.snapshots.get_bounds()
        known = [day for day in (bounds.first, bounds.first_rollup) if day is not None]
        first = max(first, min(known, default=LATEST.date()))
        missing = _first_missing(context, bounds)
        # Days without a snapshot are included, so that the snapshots stay consecutive.
        days = _days(context, first if missing is None else min(first, missing), last)
        written = await _write(uow, context, days, is_from_ledger=True)
        if not days or days[-1] >= last:
            return PageResult({"ended": True}, {"days": len(days), "written": written}, done=len(days))
        following = days[-1] + _ONE_DAY
        return PageResult(
            {"next": following.isoformat()}, {"days": len(days), "written": written}, done=len(days)
        )

    while not run.cursor.get("ended"):
        await run.page(page, timeout_ms=_TIMEOUT_MS)
    await check_snapshots(run)


async def check_snapshots(run: JobRun) -> None:
    """Job handler: checks the snapshots for gaps. The health check reports the failed job.

    Raises BrokenMetricsError if there are gaps.
    """

    async def unit(uow: UnitOfWork) -> str | None:
        return _describe_gaps(*await uow.snapshots.list_gaps(limit=_MAX_REPORTED_GAPS))

    broken = await run.database.run(run.company_id, unit, timeout_ms=_TIMEOUT_MS)
    if broken is not None:
        raise BrokenMetricsError(broken)


async def take_snapshots(run: JobRun) -> None:
    """Part of a job: writes the snapshots of ended days that are new or dirty, and of all days after a dirty one."""

    async def page(uow: UnitOfWork) -> PageResult:
        written, is_over = await take_page(uow)
        cursor = {**run.cursor, "snapshots": True} if is_over else run.cursor
        return PageResult(cursor, {"snapshots": written} if written else {})

    while not run.cursor.get("snapshots"):
        await run.page(page, timeout_ms=_TIMEOUT_MS)


async def take_page(uow: UnitOfWork) -> tuple[int, bool]:
    """Writes one page of snapshots; returns how many, and whether it was the last page."""
    # The lock on the company's row serializes the writers of snapshots.
    context = await uow.companies.lock()
    until = last_ended(context)
    if not context.company.rollup_version:
        return 0, True  # the rollups must be built first
    dirty = await uow.snapshots.pop_dirty_days(until)
    bounds = await uow.snapshots.get_bounds()
    first = _first_to_take(context, bounds, dirty, until)
    days = _days(context, first, until)
    written = await _write(uow, context, days, is_from_ledger=False)
    if days and days[-1] < until:
        await uow.snapshots.mark_dirty(days[-1] + _ONE_DAY)
        return written, False
    await _report_gaps(uow)
    return written, True


def last_ended(context: CompanyContext) -> date:
    """Returns the last local day that has ended."""
    zone = context.company.zone
    return day_before(local_day(context.now, zone), zone)


def _first_to_take(context: CompanyContext, bounds: SnapshotBounds, dirty: date | None, until: date) -> date:
    candidates = [_first_missing(context, bounds), dirty, until if bounds.last is None else None]
    return min(day for day in candidates if day is not None)


def _first_missing(context: CompanyContext, bounds: SnapshotBounds) -> date | None:
    """Returns the first day that needs a snapshot and has none."""
    return (
        bounds.first_rollup
        if bounds.last is None
        else next_nightly_run_date(bounds.last, context.company.zone)
    )


def _days(context: CompanyContext, first: date, last: date) -> Sequence[date]:
    zone = context.company.zone
    return list(days_from(first, min(last, first + timedelta(days=DAYS_BATCH_SIZE - 1)), zone))


async def _write(
    uow: UnitOfWork, context: CompanyContext, days: Sequence[date], *, is_from_ledger: bool
) -> int:
    """Writes the snapshots that differ from the stored ones; returns how many."""
    if not days:
        return 0
    known = {
        (each.day, each.stage): each.metrics for each in await uow.snapshots.list_between(days[0], days[-1])
    }
    metrics = await compute_snapshots(uow, context, days, known.keys(), is_from_ledger=is_from_ledger)
    changed = {key: value for key, value in metrics.items() if known.get(key) != value}
    await uow.snapshots.upsert(changed)
    await _write_visit_durations(uow, context, days)
    return len(changed)


async def _write_visit_durations(uow: UnitOfWork, context: CompanyContext, days: Sequence[date]) -> None:
    """Writes the cumulative histograms of visit durations of each day, from the ledger."""
    stages = [stage.key for stage in context.rulebook.stage_map.stages]
    known_stages = set(stages)
    known = await uow.visit_durations.get_cumulative(days[-1], stages)
    last = await uow.visit_durations.get_cumulative(days[0] - _ONE_DAY, stages)
    for start in range(0, len(days), _VISIT_DAYS_BATCH_SIZE):
        part = days[start : start + _VISIT_DAYS_BATCH_SIZE]
        span = DateRange(part[0], part[-1])
        ended = await uow.visit_durations.count_ended_by_day(span, context.company.zone)
        histograms, last = accumulate(last, (each for each in ended if each.stage in known_stages))
        await uow.visit_durations.replace(span, histograms)
    if known != last and days[-1] < last_ended(context):
        # The cumulative histograms of later days are based on these.
        await uow.snapshots.mark_dirty(days[-1] + _ONE_DAY)


async def compute_snapshots(
    uow: UnitOfWork,
    context: CompanyContext,
    days: Sequence[date],
    known: Iterable[SnapshotPosition],
    *,
    is_from_ledger: bool,
) -> dict[SnapshotPosition, SnapshotMetrics]:
    """Computes the snapshots of days from the rollups or the ledgers; every position in `known` is included."""
    zone = context.company.zone
    versions: list[tuple[date | None, list[str]]] = []
    for version in await uow.stage_maps.list_after(0):
        since = None if version.activated_at is None else local_day(version.activated_at, zone)
        stage_map = await uow.stage_maps.get(version.version, context.rulebook.policy.currency)
        versions.append((since, [stage.key for stage in stage_map.active]))
    active = active_stages_by_day(days, versions)
    source = MetricSource(
        from_payments=context.rulebook.policy.revenue_source == "payments",
        ledger_zone=context.company.zone if is_from_ledger else None,
    )
    opening, flows = await uow.snapshots.get_flows(days[0], days[-1], source)
    revenue = await uow.snapshots.get_revenue(days[0], days[-1], source)
    keys = {*known, *((day, stage) for day, stages in active.items() for stage in stages)}
    return build_snapshots(days, opening, flows, revenue, keys)


async def _report_gaps(uow: UnitOfWork) -> None:
    """Logs gaps of the snapshots, and enqueues the job whose failure the health check reports."""
    broken = _describe_gaps(*await uow.snapshots.list_gaps(limit=_MAX_REPORTED_GAPS))
    if broken is not None:
        _LOGGER.error("the snapshots of company %d have gaps: %s", uow.company_id, broken)
    elif not await uow.snapshots.has_failed_check():
        return
    if await uow.jobs.find_unfinished(CHECK_SNAPSHOTS_JOB) is None:
        await uow.jobs.enqueue(CHECK_SNAPSHOTS_JOB, {}, actor=SCHEDULE.name)


def _describe_gaps(number: int, gaps: Sequence[ContinuityGap]) -> str | None:
    if not number:
        return None
    examples = "; ".join(
        f"{gap.stage} on {gap.day}: {gap.opening} + {gap.entered} - {gap.left} is not {gap.closing}"
        for gap in gaps
    )
    return f"{number} gaps, such as {examples}"
