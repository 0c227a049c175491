"""What is amiss in a company's data, and what can be done about it: looked at, tried out, repaired as a job.

Every repair goes by what is told last: the ledgers. It can be done again at any time, and then finds nothing to do.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.analytics.rollups import reached_by
from journey_service.domain.calendar import latest_nightly_run_date, nightly_run_at
from journey_service.domain.events.event import LATEST
from journey_service.domain.journeys.facts import NO_FACTS, fold
from journey_service.domain.journeys.journey import Journey
from journey_service.repositories.database import Database
from journey_service.repositories.operations.data_quality import LOWEST
from journey_service.repositories.operations.reconciliation import Mismatches
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.jobs import JobPage, JobRun
from journey_service.services.journeys.policy_rollout import load_pending_changes
from journey_service.services.journeys.transaction import load, write
from journey_service.services.operations.reconciliation import plain

REPAIR: Final = "repair_data"
EXAMPLES: Final = 10
CHUNK: Final = 100
_SCORES_AT_ONCE: Final = 5_000
_TIMEOUT_MS: Final = 60_000
_COUNT_TIMEOUT_MS: Final = 600_000


@dataclass(frozen=True, slots=True)
class Issue:
    """One kind of thing that may be amiss: how often it is, the first of them, and what a repair does, if any."""

    name: str
    description: str
    count: int
    examples: Sequence[Mapping[str, Any]]
    repair: str | None


@dataclass(frozen=True, slots=True)
class _Kind:
    description: str
    look: Callable[[UnitOfWork, CompanyContext], Awaitable[tuple[int, Sequence[Mapping[str, Any]]]]]
    repair: str | None = None
    act: Callable[[UnitOfWork, int], Awaitable[tuple[int, int | None]]] | None = None
    """Repairs some beyond a place; returns how many, and the place reached, None when there is nothing beyond."""
    is_exclusive: bool = False


async def inspect(database: Database, company_id: int) -> Sequence[Issue]:
    """Everything that may be amiss, as of one instant. Raises CompanyNotFoundError."""

    async def unit(uow: UnitOfWork) -> Sequence[Issue]:
        context = await uow.companies.get_context()
        issues = []
        for name, kind in KINDS_OF_ISSUES.items():
            count, examples = await kind.look(uow, context)
            issues.append(
                Issue(name, kind.description, count, [plain(one) for one in examples[:EXAMPLES]], kind.repair)
            )
        return issues

    return await database.run(company_id, unit, timeout_ms=_TIMEOUT_MS, is_repeatable_read=True)


async def dry_run(
    database: Database, company_id: int, names: Sequence[str] | None, *, actor: Actor
) -> Sequence[Issue]:
    """What repairs would be about; nothing is changed. Raises CompanyNotFoundError."""
    found = await inspect(database, company_id)

    async def unit(uow: UnitOfWork) -> None:
        await uow.audit_log.record_operator_access(actor, "post_repairs")

    await database.run(company_id, unit)
    return [issue for issue in found if issue.repair is not None and (names is None or issue.name in names)]


async def queue_repairs(
    database: Database, company_id: int, names: Sequence[str] | None, *, actor: Actor
) -> int:
    """Have what is amiss repaired, some kinds or all; returns the job's id. Raises CompanyNotFoundError."""
    chosen = [name for name in REPAIRABLE if names is None or name in names]

    async def unit(uow: UnitOfWork) -> int:
        await uow.companies.get_context()
        job_id = await uow.jobs.enqueue(REPAIR, {"issues": chosen}, actor=actor.name)
        await uow.audit_log.record(
            actor, AuditEntry("data.repair", target=f"job:{job_id}", detail={"issues": chosen})
        )
        return job_id

    return await database.run(company_id, unit)


async def repair(run: JobRun) -> None:
    """The job: repair one kind after the other, in the order in which one may rest on another."""
    for name in run.job.parameters["issues"]:
        kind = KINDS_OF_ISSUES[name]
        act = kind.act
        if act is None:
            continue

        async def page(
            uow: UnitOfWork, name: str = name, act: Callable[..., Awaitable[Any]] = act
        ) -> JobPage:
            after = run.cursor.get("after", LOWEST)
            repaired, reached = await act(uow, after)
            ended = run.cursor.get("ended", [])
            cursor = {"ended": [*ended, name]} if reached is None else {"ended": ended, "after": reached}
            return JobPage(cursor, {name: repaired}, done=repaired)

        while name not in run.cursor.get("ended", []):
            timeout_ms = _COUNT_TIMEOUT_MS if kind.is_exclusive else _TIMEOUT_MS
            await run.page(page, is_exclusive=kind.is_exclusive, timeout_ms=timeout_ms)


# ---- rows without their parents


async def _orphans(uow: UnitOfWork, _: CompanyContext) -> tuple[int, Sequence[Mapping[str, Any]]]:
    found, dangling_rows = (
        await uow.data_quality.list_orphans(limit=EXAMPLES),
        await uow.data_quality.count_dangling_rows(),
    )
    return found.number + sum(one["rows"] for one in dangling_rows), [*dangling_rows, *found.first]


async def _adopt_orphans(uow: UnitOfWork, after: int) -> tuple[int, int | None]:
    found = await uow.data_quality.list_orphans(limit=CHUNK, after=after)
    ids = [row["customer_id"] for row in found.first]
    if ids:
        await uow.customers.insert_missing(ids)
    return len(ids), ids[-1] if found.number > len(ids) else None


# ---- stages


async def _unknown_stages(
    uow: UnitOfWork, context: CompanyContext
) -> tuple[int, Sequence[Mapping[str, Any]]]:
    found = await uow.data_quality.list_unknown_stages(_known_stages(context), limit=EXAMPLES)
    return found.number, [{**row, "to_stage": _home(context, row["stage"])} for row in found.first]


def _known_stages(context: CompanyContext) -> Sequence[str]:
    stage_map = context.rulebook.stage_map
    # Until everybody has gone over to a map, some may rightly be in stages that it has archived.
    is_adopted = context.company.adopted_version >= context.company.map_version
    return [stage.key for stage in (stage_map.active if is_adopted else stage_map.stages)]


def _home(context: CompanyContext, stage: str) -> str:
    stage_map = context.rulebook.stage_map
    return (stage_map.successor(stage) or stage_map.start).key


async def _resettle(uow: UnitOfWork, after: int) -> tuple[int, int | None]:
    known = _known_stages(await uow.companies.get_context())
    found = await uow.data_quality.list_unknown_stages(known, limit=CHUNK, after=after)
    ids = [row["customer_id"] for row in found.first]
    transaction = await load(uow, ids)
    for customer_id, standing in transaction.relationships.items():
        relationship = standing.relationship
        if relationship.current_stage in known:
            continue
        # Where the ledger has led them counts, not what stands beside it.
        for last in await uow.transitions.page(standing.id, before=None, limit=1):
            relationship.current_stage = last.transition.to_stage
            relationship.stage_entered_at = last.transition.transitioned_at
            relationship.version = last.transition.seq
        journey = Journey(relationship, transaction.context.rulebook)
        journey.move_out_of_unknown_stage(transaction.now)
        transaction.journeys[customer_id] = journey
    await write(uow, transaction, runs_actions=False)
    return len(transaction.journeys), ids[-1] if found.number > len(ids) else None


# ---- chains


async def _chains(uow: UnitOfWork, _: CompanyContext) -> tuple[int, Sequence[Mapping[str, Any]]]:
    found = await uow.reconciliation.check_chains(limit=EXAMPLES)
    return found.number, found.first


# ---- facts


async def _wrong_facts(
    uow: UnitOfWork, context: CompanyContext, *, limit: int = EXAMPLES, after: int = LOWEST
) -> Mismatches:
    policy = context.rulebook.policy
    return await uow.reconciliation.compare_facts(
        long_call_seconds=policy.scoring.long_call_seconds,
        from_payments=policy.revenue_source == "payments",
        is_settled=not await load_pending_changes(uow),
        limit=limit,
        after=after,
    )


async def _facts(uow: UnitOfWork, context: CompanyContext) -> tuple[int, Sequence[Mapping[str, Any]]]:
    found = await _wrong_facts(uow, context)
    return found.number, found.first


async def _refold(uow: UnitOfWork, after: int) -> tuple[int, int | None]:
    context = await uow.companies.get_context()
    if await load_pending_changes(uow):
        return 0, None  # facts are about to be folded by another policy: what is wrong then is wrong later
    found = await _wrong_facts(uow, context, limit=CHUNK, after=after)
    ids = [row["customer_id"] for row in found.first]
    transaction = await load(uow, ids)
    for customer_id, standing in transaction.relationships.items():
        facts = NO_FACTS
        for event in await uow.events.list_by_customer(standing.id, customer_id, until=LATEST):
            facts = fold(facts, event, transaction.context.rulebook.policy)
        standing.relationship.facts = facts
    # Facts differ from the stored ones for every customer: unchanged decisions are written, too.
    transaction.journeys |= transaction.advance_all(transaction.now, with_evaluation=True)
    await write(uow, transaction, runs_actions=False)
    return len(transaction.journeys), ids[-1] if found.number > len(ids) else None


# ---- scores


def _last_night(context: CompanyContext) -> datetime:
    zone = ZoneInfo(context.company.timezone)
    return nightly_run_at(latest_nightly_run_date(context.now, zone), zone)


async def _scores(uow: UnitOfWork, context: CompanyContext) -> tuple[int, Sequence[Mapping[str, Any]]]:
    after, wrong = LOWEST, list[int]()
    while True:
        page = await uow.scores.compare_page(
            after, limit=_SCORES_AT_ONCE, as_of=_last_night(context), policy=context.rulebook.policy
        )
        wrong += page.changed
        if page.last_id is None:
            return len(wrong), await uow.data_quality.list_scores(sorted(wrong)[:EXAMPLES])
        after = page.last_id


async def _rescore(uow: UnitOfWork, after: int) -> tuple[int, int | None]:
    context = await uow.companies.get_context()
    as_of, policy = _last_night(context), context.rulebook.policy
    page = await uow.scores.compare_page(after, limit=_SCORES_AT_ONCE, as_of=as_of, policy=policy)
    return await uow.scores.update(page.changed, as_of=as_of, policy=policy), page.last_id


# ---- sums


async def _sums(uow: UnitOfWork, context: CompanyContext) -> tuple[int, Sequence[Mapping[str, Any]]]:
    version, zone = context.company.rollup_version, context.company.timezone
    if not version:
        return 1, [{"what": "everything is yet to be counted"}]
    queries = uow.reconciliation
    answers = {
        "moves": await queries.compare_flows(zone=zone, limit=EXAMPLES),
        "ways": await queries.compare_last_flows(zone=zone, limit=EXAMPLES),
        "revenue": await queries.compare_revenue(zone=zone, limit=EXAMPLES),
        "all days": await queries.compare_totals(limit=EXAMPLES),
    }
    if version == context.company.map_version:
        told = reached_by(context.rulebook.stage_map)
        answers["reached"] = await queries.compare_reached(zone=zone, reached_by=told, limit=EXAMPLES)
    examples = [{"what": name, **row} for name, answer in answers.items() for row in answer.first]
    return sum(answer.number for answer in answers.values()), examples


async def _count_anew(uow: UnitOfWork, _: int) -> tuple[int, int | None]:
    context = await uow.companies.get_context()
    wrong, _examples = await _sums(uow, context)
    if wrong:
        told = reached_by(context.rulebook.stage_map)
        await uow.rollups.rebuild(context.company.map_version, context.company.timezone, told)
        first = (await uow.snapshots.get_bounds()).first
        if first is not None:
            await uow.snapshots.mark_dirty(first)  # snapshots may have been taken of wrong sums
    return wrong, None


# ---- actions


async def _stuck(uow: UnitOfWork, _: CompanyContext) -> tuple[int, Sequence[Mapping[str, Any]]]:
    found = await uow.data_quality.list_stuck_actions(limit=EXAMPLES)
    return found.number, found.first


async def _release(uow: UnitOfWork, after: int) -> tuple[int, int | None]:
    released = await uow.data_quality.release_stuck(most=CHUNK)
    return released, after if released == CHUNK else None


KINDS_OF_ISSUES: Final[Mapping[str, _Kind]] = {
    "orphans": _Kind(
        "Journeys of customers who are not there, and rows of journeys that are not there.",
        _orphans,
        "Customers who are not there are written down, with an empty profile.",
        _adopt_orphans,
    ),
    "unknown_stages": _Kind(
        "Customers in a stage that the company's map does not know, or has archived.",
        _unknown_stages,
        "They go where the ledger has led them or, from a stage that is no more, to its successor or the start,"
        " silently.",
        _resettle,
    ),
    "broken_chains": _Kind(
        "Moves that do not follow each other, and customers who do not stand where the last one led.", _chains
    ),
    "wrong_facts": _Kind(
        "Customers whose facts are not the fold of their events.",
        _facts,
        "The events are folded anew, and the customer is decided as of now, silently.",
        _refold,
    ),
    "stale_scores": _Kind(
        "Stored scores that are others as of the last nightly run.",
        _scores,
        "They are written as of that run.",
        _rescore,
    ),
    "wrong_sums": _Kind(
        "FlowTotals for figures that are not what the ledgers add up to.",
        _sums,
        "Everything is counted anew from the ledgers.",
        _count_anew,
        is_exclusive=True,
    ),
    "stuck_actions": _Kind(
        "Actions that should have been begun or ended more than an hour ago.",
        _stuck,
        "They are given back to whoever sends them.",
        _release,
    ),
}
REPAIRABLE: Final = tuple(name for name, kind in KINDS_OF_ISSUES.items() if kind.act is not None)
