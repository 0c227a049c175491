"""Reconciliation: computes every metric of a company in two ways, as of one time, and lists the differences."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, TypeAlias

from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.analytics.rollups import STAGE_REACHED, reached_by
from journey_service.domain.analytics.snapshots import day_before, days_from
from journey_service.domain.calendar import local_day, utc_text
from journey_service.domain.stages.stage_map import MERGED_STAGE
from journey_service.repositories.analytics.snapshots import MetricSource, SnapshotBounds
from journey_service.repositories.database import Database
from journey_service.repositories.operations.reconciliation import Mismatches
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.overview import customers_by_stage
from journey_service.services.analytics.snapshots import compute_snapshots
from journey_service.services.journeys.policy_rollout import load_pending_changes
from journey_service.services.operations.health import HealthCheckResult, HealthStatus

MAX_DIFFERENCES: Final = 100
"""Differences listed for one check; all are counted."""
_TIMEOUT_MS: Final = 60_000


class ReconciliationStatus(StrEnum):
    """Result of a check; pending while one of the compared values is still being computed."""

    OK = "ok"
    FAILED = "failed"
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """One check: how many values were compared, and how many of them differ."""

    name: str
    description: str
    checked: int
    differing: int
    status: ReconciliationStatus


@dataclass(frozen=True, slots=True)
class MetricDifference:
    """A value that differs: the check, the kind of value, and its details by name."""

    check: str
    subject: str
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ReconciliationReport:
    """All checks, and their differences, at most `MAX_DIFFERENCES` of each."""

    checks: Sequence[MetricComparison]
    differences: Sequence[MetricDifference]

    @property
    def status(self) -> ReconciliationStatus:
        """Failed if any check failed; otherwise pending if any is pending; otherwise OK."""
        found = {check.status for check in self.checks}
        for status in (ReconciliationStatus.FAILED, ReconciliationStatus.PENDING):
            if status in found:
                return status
        return ReconciliationStatus.OK

    @property
    def agrees(self) -> bool:
        """Whether no check failed."""
        return all(check.status is not ReconciliationStatus.FAILED for check in self.checks)


@dataclass(slots=True)
class _CheckResult:
    checked: int = 0
    differing: int = 0
    differences: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    is_pending: bool = False

    @property
    def status(self) -> ReconciliationStatus:
        if self.is_pending:
            return ReconciliationStatus.PENDING
        return ReconciliationStatus.FAILED if self.differing else ReconciliationStatus.OK

    def add(self, subject: str, mismatches: Mismatches) -> None:
        self.differing += mismatches.number
        self.differences += [(subject, details) for details in mismatches.first]


async def reconcile(database: Database, company_id: int) -> ReconciliationReport:
    """Runs all checks. Raises CompanyNotFoundError."""

    async def unit(uow: UnitOfWork) -> ReconciliationReport:
        context = await uow.companies.get_context()
        checks, differences = [], []
        for name, (description, run_check) in _CHECKS.items():
            found = await run_check(uow, context)
            checks.append(MetricComparison(name, description, found.checked, found.differing, found.status))
            differences += [
                MetricDifference(name, subject, to_json(details))
                for subject, details in found.differences[:MAX_DIFFERENCES]
            ]
        return ReconciliationReport(checks, differences)

    return await database.run(company_id, unit, timeout_ms=_TIMEOUT_MS, is_repeatable_read=True)


def to_json(details: Mapping[str, Any]) -> Mapping[str, Any]:
    """Converts details to JSON values: decimals become numbers, times and other values become text."""
    return {name: _json_value(value) for name, value in details.items()}


def _json_value(value: object) -> object:
    match value:
        case None | str() | int() | float():
            return value
        case Decimal():
            return float(value)
        case Mapping():
            return to_json(value)
        case list() | tuple():
            return [_json_value(each) for each in value]
        case datetime():
            return utc_text(value)
        case date():
            return value.isoformat()
    return str(value)


def to_health_check(found: Mapping[int, ReconciliationReport]) -> HealthCheckResult:
    """Summarizes the reconciliations of companies, by company id, as one health check."""
    failed = [reconciliation for reconciliation in found.values() if not reconciliation.agrees]
    if not failed:
        return HealthCheckResult("reconciliation", HealthStatus.OK, 0, "all metrics agree")
    differing = sum(check.differing for reconciliation in failed for check in reconciliation.checks)
    names = {check.name for reconciliation in failed for check in reconciliation.checks if check.differing}
    values = "1 value differs" if differing == 1 else f"{differing} values differ"
    message = f"{values} ({', '.join(sorted(names))}) in {len(failed)} of {len(found)} companies"
    return HealthCheckResult("reconciliation", HealthStatus.FAILED, differing, message)


async def _chains(uow: UnitOfWork, _: CompanyContext) -> _CheckResult:
    sizes = await uow.reconciliation.get_sizes()
    found = _CheckResult(sizes.transitions + sizes.customers)
    found.add("customer", await uow.reconciliation.check_chains(limit=MAX_DIFFERENCES))
    return found


async def _stages(uow: UnitOfWork, context: CompanyContext) -> _CheckResult:
    """The distribution is read from the rollups, if they are built."""
    shown = await customers_by_stage(uow, context)
    stored = await uow.distribution.count_now()
    found = _CheckResult(len(stored))
    mismatches = await uow.reconciliation.compare_stages(limit=MAX_DIFFERENCES)
    details = [{**row, "distribution": shown.get(row["stage"], 0)} for row in mismatches.first]
    found.add("stage", Mismatches(mismatches.number, details))
    named = {row["stage"] for row in mismatches.first}
    for stage in sorted(shown.keys() | stored.keys()):
        if stage not in named and shown.get(stage, 0) != stored.get(stage, 0):
            row = {
                "stage": stage,
                "stored": stored.get(stage, 0),
                "distribution": shown.get(stage, 0),
            }
            found.add("stage", Mismatches(1, [row]))
    return found


async def _snapshots(uow: UnitOfWork, context: CompanyContext) -> _CheckResult:
    """Dirty days are not compared: the next nightly run takes their snapshots again."""
    bounds = await uow.snapshots.get_bounds()
    last = _last_compared(context, bounds)
    if bounds.first is None or last is None or not context.company.rollup_version:
        return _CheckResult(is_pending=not context.company.rollup_version)
    found = _CheckResult()
    if bounds.first <= last:
        await _compare_days(uow, context, bounds.first, last, found)
    gaps, named = await uow.snapshots.list_gaps(limit=MAX_DIFFERENCES)
    found.differing += gaps
    found.differences += [
        (
            "continuity of a day",
            {
                "day": gap.day,
                "stage": gap.stage,
                "opening": gap.opening,
                "entered": gap.entered,
                "left": gap.left,
                "closing": gap.closing,
            },
        )
        for gap in named
    ]
    found.add(
        "visit durations",
        await uow.reconciliation.compare_durations(
            zone=context.company.zone, until=last, limit=MAX_DIFFERENCES
        ),
    )
    await _compare_present(uow, context, last, found)
    return found


def _last_compared(context: CompanyContext, bounds: SnapshotBounds) -> date | None:
    if bounds.first_dirty_day is None or bounds.last is None:
        return bounds.last
    return min(bounds.last, day_before(bounds.first_dirty_day, context.company.zone))


async def _compare_days(
    uow: UnitOfWork, context: CompanyContext, first: date, last: date, found: _CheckResult
) -> None:
    days = list(days_from(first, last, context.company.zone))
    stored = {(each.day, each.stage): each.metrics for each in await uow.snapshots.list_between(first, last)}
    ledger = await compute_snapshots(uow, context, days, stored, is_from_ledger=True)
    found.checked += len(stored.keys() | ledger.keys())
    for key in sorted(ledger.keys() | stored.keys()):
        if stored.get(key) != ledger.get(key):
            day, stage = key
            found.differing += 1
            details = {
                "day": day,
                "stage": stage,
                "snapshot": None if key not in stored else stored[key]._asdict(),
                "ledger": None if key not in ledger else ledger[key]._asdict(),
            }
            found.differences.append(("snapshot", details))


async def _compare_present(uow: UnitOfWork, context: CompanyContext, last: date, found: _CheckResult) -> None:
    """Compares the last snapshot plus the later moves with the current customers by stage."""
    customers = {each.stage: each.metrics.customers for each in await uow.snapshots.list_between(last, last)}
    zone = context.company.zone
    # A move is dated by the company's clock, which may be slightly ahead of this transaction.
    until = local_day(context.now, zone) + timedelta(days=2)
    source = MetricSource(from_payments=False, ledger_zone=context.company.zone)
    _, flows = await uow.snapshots.get_flows(last + timedelta(days=1), until, source)
    for flow in flows:
        customers[flow.to_stage] = customers.get(flow.to_stage, 0) + flow.number
        if flow.from_stage is not None:
            customers[flow.from_stage] = customers.get(flow.from_stage, 0) - flow.number
    shown = await uow.distribution.count_now()
    stages = sorted((customers.keys() | shown.keys()) - {MERGED_STAGE})
    found.checked += len(stages)
    for stage in stages:
        expected, now = customers.get(stage, 0), shown.get(stage, 0)
        if expected != now:
            found.differing += 1
            details = {"stage": stage, "day": last, "snapshot_and_flows": expected, "distribution": now}
            found.differences.append(("snapshot and later moves", details))


async def _visits(uow: UnitOfWork, _: CompanyContext) -> _CheckResult:
    sizes = await uow.reconciliation.get_sizes()
    found = _CheckResult(sizes.transitions)
    found.add("visit", await uow.reconciliation.check_visits(limit=MAX_DIFFERENCES))
    completed = sizes.transitions - sizes.openings
    if completed + sizes.customers != sizes.transitions:
        found.differing += 1
        details = {"completed": completed, "open": sizes.customers, "transitions": sizes.transitions}
        found.differences.insert(0, ("all visits", details))
    return found


async def _reached(uow: UnitOfWork, context: CompanyContext) -> _CheckResult:
    version = context.company.rollup_version
    if not version:
        return _CheckResult(is_pending=True)
    counted_by = reached_by(await uow.stage_maps.get(version, context.rulebook.policy.currency))
    if version != context.company.map_version and counted_by != reached_by(context.rulebook.stage_map):
        return _CheckResult(is_pending=True)
    found = _CheckResult(len(await uow.rollups.count_since(STAGE_REACHED, date.min)))
    zone = context.company.zone
    mismatches = await uow.reconciliation.compare_reached(
        zone=zone, reached_by=counted_by, limit=MAX_DIFFERENCES
    )
    found.add("stage reached", mismatches)
    return found


async def _flows(uow: UnitOfWork, context: CompanyContext) -> _CheckResult:
    if not context.company.rollup_version:
        return _CheckResult(is_pending=True)
    sizes, zone = await uow.reconciliation.get_sizes(), context.company.zone
    found = _CheckResult(sizes.transitions)
    found.add("moves of a day", await uow.reconciliation.compare_flows(zone=zone, limit=MAX_DIFFERENCES))
    found.add(
        "latest moves of a flow",
        await uow.reconciliation.compare_last_flows(zone=zone, limit=MAX_DIFFERENCES),
    )
    found.add("totals of all days", await uow.reconciliation.compare_totals(limit=MAX_DIFFERENCES))
    if sizes.flows != sizes.transitions - sizes.openings:
        found.differing += 1
        details = {"flows": sizes.flows, "transitions": sizes.transitions, "openings": sizes.openings}
        found.differences.insert(0, ("all flows", details))
    return found


async def _facts(uow: UnitOfWork, context: CompanyContext) -> _CheckResult:
    found = _CheckResult((await uow.reconciliation.get_sizes()).customers)
    policy = context.rulebook.policy
    found.add(
        "customer",
        await uow.reconciliation.compare_facts(
            long_call_seconds=policy.scoring.long_call_seconds,
            from_payments=policy.revenue_source == "payments",
            is_settled=not await load_pending_changes(uow),
            limit=MAX_DIFFERENCES,
        ),
    )
    if context.company.rollup_version:
        found.add(
            "revenue",
            await uow.reconciliation.compare_revenue(zone=context.company.zone, limit=MAX_DIFFERENCES),
        )
    return found


_RunCheck: TypeAlias = Callable[[UnitOfWork, CompanyContext], Awaitable[_CheckResult]]
_CHECKS: Final[Mapping[str, tuple[str, _RunCheck]]] = {
    "chains": (
        "Transitions of every journey: each continues from the one before, and the last one leads to the current stage",
        _chains,
    ),
    "stages": (
        "Customers by stage: ledger, stored stages, open stage visits, distribution",
        _stages,
    ),
    "snapshots": (
        (
            "Daily snapshots and visit durations: stored values and ledgers; each day continues from the one before,"
            " and the last snapshot plus the later moves gives the current customers"
        ),
        _snapshots,
    ),
    "visits": ("Ended and open stage visits: stored visits and the transitions that began them", _visits),
    "reached": ("Customers who reached a stage: rollups and ledger", _reached),
    "flows": (
        "Moves between stages, by day and in total: rollups and ledger",
        _flows,
    ),
    "facts": (
        "Facts of every customer and daily revenue: stored values and event ledger",
        _facts,
    ),
}
