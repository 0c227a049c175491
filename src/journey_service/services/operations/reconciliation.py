"""Whether all figures of a company agree: each told two ways, as of one instant, with every place where they differ."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo

from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.analytics.rollups import reached_by
from journey_service.domain.analytics.snapshots import day_before, days_from
from journey_service.domain.calendar import local_day
from journey_service.repositories.analytics.snapshots import MetricSource, SnapshotBounds
from journey_service.repositories.database import Database
from journey_service.repositories.operations.reconciliation import Mismatches
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.overview import customers_by_stage
from journey_service.services.analytics.snapshots import compute_snapshots
from journey_service.services.journeys.policy_rollout import load_pending_changes
from journey_service.services.operations import health

MOST_NAMED: Final = 100
"""How many differences of one check are named; all are counted."""
_TIMEOUT_MS: Final = 60_000


class Status(StrEnum):
    """How a check came out; pending, as long as what it compares is still being worked out."""

    OK = "ok"
    FAILED = "failed"
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class Check:
    """One check: how many things were compared, and how many of them differ."""

    name: str
    description: str
    checked: int
    differing: int
    status: Status


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two figures differ: what it is about, and what is told of it, by name."""

    check: str
    subject: str
    told: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Every check, and every difference found, up to a hundred each."""

    checks: Sequence[Check]
    differences: Sequence[Difference]

    @property
    def agrees(self) -> bool:
        """Whether nothing differs."""
        return all(check.status is not Status.FAILED for check in self.checks)


@dataclass(slots=True)
class _Finding:
    checked: int = 0
    differing: int = 0
    differences: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    is_pending: bool = False

    def add(self, subject: str, answer: Mismatches) -> None:
        self.differing += answer.number
        self.differences += [(subject, told) for told in answer.first]


async def reconcile(database: Database, company_id: int) -> Reconciliation:
    """Compare everything. Raises CompanyNotFoundError."""

    async def unit(uow: UnitOfWork) -> Reconciliation:
        context = await uow.companies.get_context()
        checks, differences = [], []
        for name, (description, look) in _CHECKS.items():
            found = await look(uow, context)
            status = Status.PENDING if found.is_pending else Status.FAILED if found.differing else Status.OK
            checks.append(Check(name, description, found.checked, found.differing, status))
            differences += [
                Difference(name, subject, plain(told)) for subject, told in found.differences[:MOST_NAMED]
            ]
        return Reconciliation(checks, differences)

    return await database.run(company_id, unit, timeout_ms=_TIMEOUT_MS, is_repeatable_read=True)


def plain(told: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is told of a difference, as JSON has it: money is a number."""
    return {
        name: float(value)
        if isinstance(value, Decimal)
        else plain(value)
        if isinstance(value, Mapping)
        else value
        for name, value in told.items()
    }


def judge_figures(found: Mapping[int, Reconciliation]) -> health.Check:
    """What comparing the figures of companies means for the health of the service."""
    wrong = {id_: one for id_, one in found.items() if not one.agrees}
    if not wrong:
        return health.Check("reconciliation", health.Status.OK, 0, "All figures agree.")
    differing = sum(check.differing for one in wrong.values() for check in one.checks)
    names = sorted({check.name for one in wrong.values() for check in one.checks if check.differing})
    sentence = (
        f"{differing} figures do not agree ({', '.join(names)}), in {len(wrong)} of {len(found)} companies."
    )
    return health.Check("reconciliation", health.Status.FAILED, differing, sentence)


async def _chains(uow: UnitOfWork, _: CompanyContext) -> _Finding:
    sizes = await uow.reconciliation.get_sizes()
    found = _Finding(sizes.transitions + sizes.customers)
    found.add("customer", await uow.reconciliation.check_chains(limit=MOST_NAMED))
    return found


async def _stages(uow: UnitOfWork, context: CompanyContext) -> _Finding:
    """Distribution is what the sums tell, where there are any."""
    shown = await customers_by_stage(uow, context)
    standing = await uow.distribution.count_now()
    found = _Finding(len(standing))
    answer = await uow.reconciliation.compare_stages(limit=MOST_NAMED)
    told = [{**one, "distribution": shown.get(one["stage"], 0)} for one in answer.first]
    found.add("stage", Mismatches(answer.number, told))
    named = {one["stage"] for one in answer.first}
    for stage in sorted(shown.keys() | standing.keys()):
        if stage not in named and shown.get(stage, 0) != standing.get(stage, 0):
            differs = {
                "stage": stage,
                "standing": standing.get(stage, 0),
                "distribution": shown.get(stage, 0),
            }
            found.add("stage", Mismatches(1, [differs]))
    return found


async def _snapshots(uow: UnitOfWork, context: CompanyContext) -> _Finding:
    """Days that are marked are to be taken anew in the next night, and are not compared."""
    bounds = await uow.snapshots.get_bounds()
    last = _last_compared(context, bounds)
    if bounds.first is None or last is None or not context.company.rollup_version:
        return _Finding(is_pending=not context.company.rollup_version)
    found = _Finding()
    if bounds.first <= last:
        await _compare_days(uow, context, bounds.first, last, found)
    gaps, named = await uow.snapshots.list_gaps(limit=MOST_NAMED)
    found.differing += gaps
    found.differences += [
        (
            "flows of a day",
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
        "how long visits lasted",
        await uow.reconciliation.compare_durations(
            zone=context.company.timezone, until=last, limit=MOST_NAMED
        ),
    )
    await _compare_present(uow, context, last, found)
    return found


def _last_compared(context: CompanyContext, bounds: SnapshotBounds) -> date | None:
    if bounds.stale_from is None or bounds.last is None:
        return bounds.last
    return min(bounds.last, day_before(bounds.stale_from, ZoneInfo(context.company.timezone)))


async def _compare_days(
    uow: UnitOfWork, context: CompanyContext, first: date, last: date, found: _Finding
) -> None:
    days = list(days_from(first, last, ZoneInfo(context.company.timezone)))
    stored = {(one.day, one.stage): one.metrics for one in await uow.snapshots.list_between(first, last)}
    ledger = await compute_snapshots(uow, context, days, stored, is_from_ledger=True)
    found.checked += len(stored.keys() | ledger.keys())
    for place in sorted(ledger.keys() | stored.keys()):
        if stored.get(place) != ledger.get(place):
            day, stage = place
            found.differing += 1
            told = {
                "day": day,
                "stage": stage,
                "snapshot": None if place not in stored else stored[place]._asdict(),
                "ledger": None if place not in ledger else ledger[place]._asdict(),
            }
            found.differences.append(("snapshot", told))


async def _compare_present(uow: UnitOfWork, context: CompanyContext, last: date, found: _Finding) -> None:
    """The last snapshot and the moves of the days since are who is where now."""
    customers = {one.stage: one.metrics.customers for one in await uow.snapshots.list_between(last, last)}
    zone = ZoneInfo(context.company.timezone)
    # A move is dated by the company's clock, which may be a moment ahead of this look.
    until = local_day(context.now, zone) + timedelta(days=2)
    source = MetricSource(from_payments=False, ledger_zone=context.company.timezone)
    _, flows = await uow.snapshots.get_flows(last + timedelta(days=1), until, source)
    for flow in flows:
        customers[flow.to_stage] = customers.get(flow.to_stage, 0) + flow.number
        if flow.from_stage is not None:
            customers[flow.from_stage] = customers.get(flow.from_stage, 0) - flow.number
    shown = await uow.distribution.count_now()
    stages = sorted(customers.keys() | shown.keys())
    found.checked += len(stages)
    for stage in stages:
        expected, now = customers.get(stage, 0), shown.get(stage, 0)
        if expected != now:
            found.differing += 1
            told = {"stage": stage, "day": last, "snapshot_and_flows": expected, "distribution": now}
            found.differences.append(("snapshot and flows since", told))


async def _visits(uow: UnitOfWork, _: CompanyContext) -> _Finding:
    sizes = await uow.reconciliation.get_sizes()
    found = _Finding(sizes.transitions)
    found.add("visit", await uow.reconciliation.check_visits(limit=MOST_NAMED))
    completed = sizes.transitions - sizes.openings
    if completed + sizes.customers != sizes.transitions:
        found.differing += 1
        told = {"completed": completed, "open": sizes.customers, "transitions": sizes.transitions}
        found.differences.insert(0, ("all visits", told))
    return found


async def _reached(uow: UnitOfWork, context: CompanyContext) -> _Finding:
    version = context.company.rollup_version
    if not version:
        return _Finding(is_pending=True)
    counted_by = reached_by(await uow.stage_maps.get(version))
    if version != context.company.map_version and counted_by != reached_by(context.rulebook.stage_map):
        return _Finding(is_pending=True)
    found = _Finding(len(await uow.rollups.count_since("reach", date.min)))
    zone = context.company.timezone
    answer = await uow.reconciliation.compare_reached(zone=zone, reached_by=counted_by, limit=MOST_NAMED)
    found.add("stage reached", answer)
    return found


async def _flows(uow: UnitOfWork, context: CompanyContext) -> _Finding:
    if not context.company.rollup_version:
        return _Finding(is_pending=True)
    sizes, zone = await uow.reconciliation.get_sizes(), context.company.timezone
    found = _Finding(sizes.transitions)
    found.add("moves of a day", await uow.reconciliation.compare_flows(zone=zone, limit=MOST_NAMED))
    found.add("last to go a way", await uow.reconciliation.compare_last_flows(zone=zone, limit=MOST_NAMED))
    found.add("all days together", await uow.reconciliation.compare_totals(limit=MOST_NAMED))
    if sizes.flows != sizes.transitions - sizes.openings:
        found.differing += 1
        told = {"flows": sizes.flows, "transitions": sizes.transitions, "openings": sizes.openings}
        found.differences.insert(0, ("all flows", told))
    return found


async def _facts(uow: UnitOfWork, context: CompanyContext) -> _Finding:
    found = _Finding((await uow.reconciliation.get_sizes()).customers)
    policy = context.rulebook.policy
    found.add(
        "customer",
        await uow.reconciliation.compare_facts(
            long_call_seconds=policy.scoring.long_call_seconds,
            from_payments=policy.revenue_source == "payments",
            is_settled=not await load_pending_changes(uow),
            limit=MOST_NAMED,
        ),
    )
    if context.company.rollup_version:
        found.add(
            "revenue",
            await uow.reconciliation.compare_revenue(zone=context.company.timezone, limit=MOST_NAMED),
        )
    return found


_Look = Callable[[UnitOfWork, CompanyContext], Awaitable[_Finding]]
_CHECKS: Final[Mapping[str, tuple[str, _Look]]] = {
    "chains": (
        "Every journey is an unbroken chain of moves, and its customer stands where the last one led.",
        _chains,
    ),
    "stages": (
        "In every stage, entered less left by the ledger is its customers, and their open visits.",
        _stages,
    ),
    "snapshots": (
        (
            "Every snapshot is what the ledgers say, and so is how long visits have lasted; what each day opened with"
            " and what came and went is what it closed with, and the last one and the moves since are the customers of"
            " now."
        ),
        _snapshots,
    ),
    "visits": ("Completed and open visits are the moves, and every visit was begun by one.", _visits),
    "reached": ("Whoever has ever reached a stage by the sums has done so by the ledger.", _reached),
    "flows": (
        "The flows of every day, and of all days together, are the moves of the ledger without its openings.",
        _flows,
    ),
    "facts": (
        "Every customer's facts are the fold of the events, and revenue by the sums is that of the events.",
        _facts,
    ),
}
