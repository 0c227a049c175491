"""Data quality: finds inconsistent data of a company, and repairs it from the ledgers in a job.

Repairs are idempotent: a repeated repair finds nothing to do.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias, get_args

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.analytics.rollups import reached_by
from journey_service.domain.calendar import latest_nightly_run_date, nightly_run_at
from journey_service.domain.customers.records import BEFORE_FIRST_ID, DuplicateReason
from journey_service.domain.journeys.facts import fold_facts
from journey_service.domain.journeys.journey import Journey
from journey_service.repositories.database import Database
from journey_service.repositories.operations.reconciliation import Mismatches
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.jobs import JobRun, PageResult
from journey_service.services.journeys.policy_rollout import load_pending_changes
from journey_service.services.journeys.transaction import load, write
from journey_service.services.operations.reconciliation import to_json

REPAIR_DATA_JOB: Final = "repair_data"
MAX_EXAMPLES: Final = 10
"""Examples in one issue."""
REPAIR_BATCH_SIZE: Final = 100
"""Customers or rows repaired by one transaction."""
_SCORE_BATCH_SIZE: Final = 5_000
_TIMEOUT_MS: Final = 60_000
_EXCLUSIVE_TIMEOUT_MS: Final = 600_000


_Found: TypeAlias = tuple[int, Sequence[Mapping[str, Any]]]
_RepairResult: TypeAlias = tuple[int, int | None]


@dataclass(frozen=True, slots=True)
class DataIssue:
    """One kind of inconsistency: how often it occurs, examples, and what its repair does; None: no repair."""

    name: str
    description: str
    count: int
    examples: Sequence[Mapping[str, Any]]
    repair: str | None


@dataclass(frozen=True, slots=True)
class _IssueKind:
    description: str
    find: Callable[[UnitOfWork, CompanyContext], Awaitable[_Found]]
    """Returns how often the issue occurs, and examples."""
    repair: str | None = None
    repair_page: Callable[[UnitOfWork, int], Awaitable[_RepairResult]] | None = None
    """Repairs a page after a key; returns how many, and the last key, None after the last page."""
    is_exclusive: bool = False


async def inspect(database: Database, company_id: int) -> Sequence[DataIssue]:
    """Counts every kind of issue, as of one time. Raises CompanyNotFoundError."""

    async def unit(uow: UnitOfWork) -> Sequence[DataIssue]:
        context = await uow.companies.get_context()
        issues = []
        for name, kind in ISSUE_KINDS.items():
            count, examples = await kind.find(uow, context)
            issues.append(
                DataIssue(
                    name,
                    kind.description,
                    count,
                    [to_json(example) for example in examples[:MAX_EXAMPLES]],
                    kind.repair,
                )
            )
        return issues

    return await database.run(company_id, unit, timeout_ms=_TIMEOUT_MS, is_repeatable_read=True)


async def dry_run(
    database: Database, company_id: int, names: Sequence[str] | None, *, actor: Actor
) -> Sequence[DataIssue]:
    """Returns the issues that a repair would process, without changing anything. Raises CompanyNotFoundError."""
    found = await inspect(database, company_id)

    async def unit(uow: UnitOfWork) -> None:
        await uow.audit_log.record_operator_access(actor, "repair_data")

    await database.run(company_id, unit)
    return [issue for issue in found if issue.repair is not None and (names is None or issue.name in names)]


async def queue_repairs(
    database: Database, company_id: int, names: Sequence[str] | None, *, actor: Actor
) -> int:
    """Enqueues the repair of some or all kinds of issues; returns the job's id. Raises CompanyNotFoundError."""
    chosen = [name for name in REPAIRABLE if names is None or name in names]

    async def unit(uow: UnitOfWork) -> int:
        await uow.companies.get_context()
        job_id = await uow.jobs.enqueue(REPAIR_DATA_JOB, {"issues": chosen}, actor=actor.name)
        await uow.audit_log.record(
            actor, AuditEntry("data.repair", target=f"job:{job_id}", detail={"issues": chosen})
        )
        return job_id

    return await database.run(company_id, unit)


async def run_repair(run: JobRun) -> None:
    """Job handler: repairs the kinds of issues one by one, in an order in which later ones rely on earlier ones."""
    for name in run.job.parameters["issues"]:
        kind = ISSUE_KINDS[name]
        repair_page = kind.repair_page
        if repair_page is None:
            continue

        async def page(
            uow: UnitOfWork,
            name: str = name,
            repair_page: Callable[[UnitOfWork, int], Awaitable[_RepairResult]] = repair_page,
        ) -> PageResult:
            after = run.cursor.get("after", BEFORE_FIRST_ID)
            repaired, last = await repair_page(uow, after)
            ended = run.cursor.get("ended", [])
            cursor = {"ended": [*ended, name]} if last is None else {"ended": ended, "after": last}
            return PageResult(cursor, {name: repaired}, done=repaired)

        while name not in run.cursor.get("ended", []):
            timeout_ms = _EXCLUSIVE_TIMEOUT_MS if kind.is_exclusive else _TIMEOUT_MS
            await run.page(page, is_exclusive=kind.is_exclusive, timeout_ms=timeout_ms)


# ---- rows without a parent


async def _orphans(uow: UnitOfWork, _: CompanyContext) -> _Found:
    found, dangling_rows = (
        await uow.data_quality.list_orphans(limit=MAX_EXAMPLES),
        await uow.data_quality.count_dangling_rows(),
    )
    return found.number + sum(row["rows"] for row in dangling_rows), [*dangling_rows, *found.first]


async def _migrate_orphans(uow: UnitOfWork, after: int) -> _RepairResult:
    found = await uow.data_quality.list_orphans(limit=REPAIR_BATCH_SIZE, after=after)
    ids = [row["customer_id"] for row in found.first]
    if ids:
        await uow.customers.insert_missing(ids)
    return len(ids), ids[-1] if found.number > len(ids) else None


# ---- stages


async def _unknown_stages(uow: UnitOfWork, context: CompanyContext) -> _Found:
    found = await uow.data_quality.list_unknown_stages(_known_stages(context), limit=MAX_EXAMPLES)
    return found.number, [{**row, "to_stage": _replacement(context, row["stage"])} for row in found.first]


def _known_stages(context: CompanyContext) -> Sequence[str]:
    stage_map = context.rulebook.stage_map
    # While customers are being migrated to a map, some may still be in stages that it archives.
    is_migrated = context.company.migrated_version >= context.company.map_version
    return [stage.key for stage in (stage_map.active if is_migrated else stage_map.stages)]


def _replacement(context: CompanyContext, stage: str) -> str:
    stage_map = context.rulebook.stage_map
    return (stage_map.successor(stage) or stage_map.start).key


async def _resettle(uow: UnitOfWork, after: int) -> _RepairResult:
    known = _known_stages(await uow.companies.get_context())
    found = await uow.data_quality.list_unknown_stages(known, limit=REPAIR_BATCH_SIZE, after=after)
    ids = [row["customer_id"] for row in found.first]
    transaction = await load(uow, ids)
    for customer_id, stored in transaction.relationships.items():
        relationship = stored.relationship
        if relationship.current_stage in known:
            continue
        # The last transition counts, not the stored stage.
        for last in await uow.transitions.page(stored.id, before=None, limit=1):
            relationship.current_stage = last.transition.to_stage
            relationship.stage_entered_at = last.transition.transitioned_at
            relationship.version = last.transition.seq
        journey = Journey(relationship, transaction.context.rulebook)
        journey.move_out_of_unknown_stage(transaction.now)
        transaction.journeys[customer_id] = journey
    await write(uow, transaction, runs_actions=False)
    return len(transaction.journeys), ids[-1] if found.number > len(ids) else None


# ---- chains


async def _chains(uow: UnitOfWork, _: CompanyContext) -> _Found:
    found = await uow.reconciliation.check_chains(limit=MAX_EXAMPLES)
    return found.number, found.first


# ---- facts


async def _wrong_facts(
    uow: UnitOfWork, context: CompanyContext, *, limit: int = MAX_EXAMPLES, after: int = BEFORE_FIRST_ID
) -> Mismatches:
    policy = context.rulebook.policy
    return await uow.reconciliation.compare_facts(
        long_call_seconds=policy.scoring.long_call_seconds,
        from_payments=policy.revenue_source == "payments",
        is_settled=not await load_pending_changes(uow),
        limit=limit,
        after=after,
    )


async def _facts(uow: UnitOfWork, context: CompanyContext) -> _Found:
    found = await _wrong_facts(uow, context)
    return found.number, found.first


async def _recompute_facts(uow: UnitOfWork, after: int) -> _RepairResult:
    context = await uow.companies.get_context()
    if await load_pending_changes(uow):
        # Facts are about to be recomputed by a new policy; a later repair finds what is still wrong.
        return 0, None
    found = await _wrong_facts(uow, context, limit=REPAIR_BATCH_SIZE, after=after)
    ids = [row["customer_id"] for row in found.first]
    transaction = await load(uow, ids)
    for customer_id, stored in transaction.relationships.items():
        events = await uow.events.list_by_customer(stored.id, customer_id)
        facts = fold_facts(events, transaction.context.rulebook.policy)
        transaction.open(customer_id, transaction.now).set_facts(facts, transaction.now)
    # Facts differ from the stored ones for every customer: unchanged decisions are written, too.
    transaction.journeys |= transaction.advance_all(transaction.now, with_evaluation=True)
    await write(uow, transaction, runs_actions=False)
    return len(transaction.journeys), ids[-1] if found.number > len(ids) else None


# ---- bookings and retractions


async def _shared_bookings(uow: UnitOfWork, _: CompanyContext) -> _Found:
    found = await uow.data_quality.list_shared_bookings(limit=MAX_EXAMPLES)
    return found.number, found.first


async def _foreign_retractions(uow: UnitOfWork, _: CompanyContext) -> _Found:
    found = await uow.data_quality.list_foreign_retractions(limit=MAX_EXAMPLES)
    return found.number, found.first


# ---- customers


async def _suspected_duplicates(uow: UnitOfWork, _: CompanyContext) -> _Found:
    counts, examples = 0, list[Mapping[str, Any]]()
    for reason in get_args(DuplicateReason):
        counts += await uow.duplicates.count(reason)
        groups = await uow.duplicates.page(reason, "", limit=MAX_EXAMPLES)
        # The shared value is personal data, which results of jobs do not hold.
        examples += [{"reason": reason, "customer_ids": list(group.customer_ids)} for group in groups]
    return counts, examples


# ---- scores


def _last_nightly_run(context: CompanyContext) -> datetime:
    zone = context.company.zone
    return nightly_run_at(latest_nightly_run_date(context.now, zone), zone)


async def _scores(uow: UnitOfWork, context: CompanyContext) -> _Found:
    after, wrong = BEFORE_FIRST_ID, list[int]()
    while True:
        page = await uow.scores.compare_page(
            after, limit=_SCORE_BATCH_SIZE, as_of=_last_nightly_run(context), policy=context.rulebook.policy
        )
        wrong += page.changed
        if page.last_id is None:
            return len(wrong), await uow.data_quality.list_scores(sorted(wrong)[:MAX_EXAMPLES])
        after = page.last_id


async def _rescore(uow: UnitOfWork, after: int) -> _RepairResult:
    context = await uow.companies.get_context()
    as_of, policy = _last_nightly_run(context), context.rulebook.policy
    page = await uow.scores.compare_page(after, limit=_SCORE_BATCH_SIZE, as_of=as_of, policy=policy)
    return await uow.scores.update(page.changed, as_of=as_of, policy=policy), page.last_id


# ---- rollups


async def _wrong_rollups(uow: UnitOfWork, context: CompanyContext) -> _Found:
    version, zone = context.company.rollup_version, context.company.zone
    if not version:
        return 1, [{"check": "rollups are not built yet"}]
    queries = uow.reconciliation
    checks = {
        "moves": await queries.compare_flows(zone=zone, limit=MAX_EXAMPLES),
        "last_flows": await queries.compare_last_flows(zone=zone, limit=MAX_EXAMPLES),
        "revenue": await queries.compare_revenue(zone=zone, limit=MAX_EXAMPLES),
        "totals": await queries.compare_totals(limit=MAX_EXAMPLES),
    }
    if version == context.company.map_version:
        reached = reached_by(context.rulebook.stage_map)
        checks["reached"] = await queries.compare_reached(zone=zone, reached_by=reached, limit=MAX_EXAMPLES)
    examples = [{"check": name, **row} for name, found in checks.items() for row in found.first]
    return sum(found.number for found in checks.values()), examples


async def _rebuild_rollups(uow: UnitOfWork, _after: int) -> _RepairResult:
    context = await uow.companies.get_context()
    number, _examples = await _wrong_rollups(uow, context)
    if number:
        reached = reached_by(context.rulebook.stage_map)
        await uow.rollups.rebuild(context.company.map_version, context.company.zone, reached)
        first = (await uow.snapshots.get_bounds()).first
        if first is not None:
            await uow.snapshots.mark_dirty(first)  # snapshots may have been computed from wrong rollups
    return number, None


# ---- actions


async def _stuck_actions(uow: UnitOfWork, _: CompanyContext) -> _Found:
    found = await uow.data_quality.list_stuck_actions(limit=MAX_EXAMPLES)
    return found.number, found.first


async def _release(uow: UnitOfWork, after: int) -> _RepairResult:
    released = await uow.data_quality.release_stuck(limit=REPAIR_BATCH_SIZE)
    return released, after if released == REPAIR_BATCH_SIZE else None


ISSUE_KINDS: Final[Mapping[str, _IssueKind]] = {
    "orphans": _IssueKind(
        "Journeys without a customer record, and rows that refer to a journey that does not exist",
        _orphans,
        "creates the missing customer records, with empty profiles",
        _migrate_orphans,
    ),
    "unknown_stages": _IssueKind(
        "Customers in a stage that the stage map does not contain or has archived",
        _unknown_stages,
        "moves the customers, without actions, to the stage of their last transition, or to the successor of an"
        " archived stage or the start stage",
        _resettle,
    ),
    "broken_chains": _IssueKind(
        "Transitions that do not continue from the one before, and customers whose current stage is not that of"
        " their last transition",
        _chains,
    ),
    "wrong_facts": _IssueKind(
        "Stored facts that differ from those of the event ledger",
        _facts,
        "computes the facts from the event ledger and evaluates the customers as of now, without actions",
        _recompute_facts,
    ),
    "shared_bookings": _IssueKind(
        "Booking ids that events of several customers name; each customer's booking counts separately",
        _shared_bookings,
    ),
    "foreign_retractions": _IssueKind(
        "Retractions of an event of another customer, which retract nothing",
        _foreign_retractions,
    ),
    "suspected_duplicates": _IssueKind(
        "Email addresses and phone numbers that several customers share, who may be the same person",
        _suspected_duplicates,
    ),
    "stale_scores": _IssueKind(
        "Stored scores that differ from scores recomputed as of the last nightly run",
        _scores,
        "recomputes the scores as of the last nightly run",
        _rescore,
    ),
    "wrong_sums": _IssueKind(
        "Rollups that differ from the ledgers",
        _wrong_rollups,
        "rebuilds all rollups from the ledgers",
        _rebuild_rollups,
        is_exclusive=True,
    ),
    "stuck_actions": _IssueKind(
        "Actions that have been due or leased for more than an hour",
        _stuck_actions,
        "releases the actions, so that a worker claims them again",
        _release,
    ),
}
REPAIRABLE: Final = tuple(name for name, kind in ISSUE_KINDS.items() if kind.repair_page is not None)
