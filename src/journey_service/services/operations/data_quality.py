"""What is amiss in a company's data, and what can be done about it: looked at, tried out, repaired as a job.

Every repair goes by what is told last: the ledgers. It can be done again at any time, and then finds nothing to do.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import Act
from journey_service.domain.actions.company_context import Desk
from journey_service.domain.analytics.rollups import reached_by
from journey_service.domain.calendar import latest_night, night_at
from journey_service.domain.events.event import LATEST
from journey_service.domain.journeys.facts import NOTHING_YET, fold
from journey_service.domain.journeys.journey import Journey
from journey_service.repositories.database import Database
from journey_service.repositories.operations.data_quality import LOWEST
from journey_service.repositories.operations.reconciliation import Answer
from journey_service.repositories.unit_of_work import Work
from journey_service.services.jobs import Page, Run
from journey_service.services.journeys.policy_rollout import changes_under_way
from journey_service.services.journeys.transaction import Docket, load, write
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
    look: Callable[[Work, Desk], Awaitable[tuple[int, Sequence[Mapping[str, Any]]]]]
    repair: str | None = None
    act: Callable[[Work, int], Awaitable[tuple[int, int | None]]] | None = None
    """Repairs some beyond a place; returns how many, and the place reached, None when there is nothing beyond."""
    is_alone: bool = False


async def look_over(database: Database, company_id: int) -> Sequence[Issue]:
    """Everything that may be amiss, as of one instant. Raises CompanyNotFoundError."""

    async def unit(work: Work) -> Sequence[Issue]:
        desk = await work.companies.desk()
        issues = []
        for name, kind in KINDS_OF_ISSUES.items():
            count, examples = await kind.look(work, desk)
            issues.append(
                Issue(name, kind.description, count, [plain(one) for one in examples[:EXAMPLES]], kind.repair)
            )
        return issues

    return await database.run(company_id, unit, timeout_ms=_TIMEOUT_MS, at_one_instant=True)


async def try_out(
    database: Database, company_id: int, names: Sequence[str] | None, *, actor: Actor
) -> Sequence[Issue]:
    """What repairs would be about; nothing is changed. Raises CompanyNotFoundError."""
    found = await look_over(database, company_id)

    async def unit(work: Work) -> None:
        await work.audit.record_presence(actor, "post_repairs")

    await database.run(company_id, unit)
    return [issue for issue in found if issue.repair is not None and (names is None or issue.name in names)]


async def queue_repairs(
    database: Database, company_id: int, names: Sequence[str] | None, *, actor: Actor
) -> int:
    """Have what is amiss repaired, some kinds or all; returns the job's id. Raises CompanyNotFoundError."""
    chosen = [name for name in REPAIRABLE if names is None or name in names]

    async def unit(work: Work) -> int:
        await work.companies.desk()
        job_id = await work.jobs.queue(REPAIR, {"issues": chosen}, actor=actor.name)
        await work.audit.record(actor, Act("data.repair", target=f"job:{job_id}", detail={"issues": chosen}))
        return job_id

    return await database.run(company_id, unit)


async def repair(run: Run) -> None:
    """The job: repair one kind after the other, in the order in which one may rest on another."""
    for name in run.job.parameters["issues"]:
        kind = KINDS_OF_ISSUES[name]
        act = kind.act
        if act is None:
            continue

        async def page(work: Work, name: str = name, act: Callable[..., Awaitable[Any]] = act) -> Page:
            after = run.cursor.get("after", LOWEST)
            repaired, reached = await act(work, after)
            ended = run.cursor.get("ended", [])
            cursor = {"ended": [*ended, name]} if reached is None else {"ended": ended, "after": reached}
            return Page(cursor, {name: repaired}, done=repaired)

        while name not in run.cursor.get("ended", []):
            timeout_ms = _COUNT_TIMEOUT_MS if kind.is_alone else _TIMEOUT_MS
            await run.page(page, is_alone=kind.is_alone, timeout_ms=timeout_ms)


# ---- rows without their parents


async def _orphans(work: Work, _: Desk) -> tuple[int, Sequence[Mapping[str, Any]]]:
    found, strays = await work.quality.orphans(limit=EXAMPLES), await work.quality.strays()
    return found.number + sum(one["rows"] for one in strays), [*strays, *found.first]


async def _adopt_orphans(work: Work, after: int) -> tuple[int, int | None]:
    found = await work.quality.orphans(limit=CHUNK, after=after)
    ids = [row["customer_id"] for row in found.first]
    if ids:
        await work.customers.ensure(ids)
    return len(ids), ids[-1] if found.number > len(ids) else None


# ---- stages


async def _unknown_stages(work: Work, desk: Desk) -> tuple[int, Sequence[Mapping[str, Any]]]:
    found = await work.quality.unknown_stages(_known_stages(desk), limit=EXAMPLES)
    return found.number, [{**row, "to_stage": _home(desk, row["stage"])} for row in found.first]


def _known_stages(desk: Desk) -> Sequence[str]:
    stage_map = desk.rulebook.stage_map
    # Until everybody has gone over to a map, some may rightly be in stages that it has archived.
    is_adopted = desk.company.adopted_version >= desk.company.map_version
    return [stage.key for stage in (stage_map.active if is_adopted else stage_map.stages)]


def _home(desk: Desk, stage: str) -> str:
    stage_map = desk.rulebook.stage_map
    return (stage_map.successor(stage) or stage_map.start).key


async def _resettle(work: Work, after: int) -> tuple[int, int | None]:
    known = _known_stages(await work.companies.desk())
    found = await work.quality.unknown_stages(known, limit=CHUNK, after=after)
    ids = [row["customer_id"] for row in found.first]
    docket = await load(work, ids)
    for customer_id, standing in docket.standings.items():
        relationship = standing.relationship
        if relationship.current_stage in known:
            continue
        # Where the ledger has led them counts, not what stands beside it.
        for last in await work.transitions.page(standing.id, before=None, limit=1):
            relationship.current_stage = last.transition.to_stage
            relationship.stage_entered_at = last.transition.transitioned_at
            relationship.version = last.transition.seq
        journey = Journey(relationship, docket.desk.rulebook)
        journey.resettle(docket.now)
        docket.journeys[customer_id] = journey
    await write(work, docket, runs_actions=False)
    return len(docket.journeys), ids[-1] if found.number > len(ids) else None


# ---- chains


async def _chains(work: Work, _: Desk) -> tuple[int, Sequence[Mapping[str, Any]]]:
    found = await work.reconciling.chains(limit=EXAMPLES)
    return found.number, found.first


# ---- facts


async def _wrong_facts(work: Work, desk: Desk, *, limit: int = EXAMPLES, after: int = LOWEST) -> Answer:
    policy = desk.rulebook.policy
    return await work.reconciling.facts(
        long_call_seconds=policy.scoring.long_call_seconds,
        from_payments=policy.revenue_source == "payments",
        is_settled=not await changes_under_way(work),
        limit=limit,
        after=after,
    )


async def _facts(work: Work, desk: Desk) -> tuple[int, Sequence[Mapping[str, Any]]]:
    found = await _wrong_facts(work, desk)
    return found.number, found.first


async def _refold(work: Work, after: int) -> tuple[int, int | None]:
    desk = await work.companies.desk()
    if await changes_under_way(work):
        return 0, None  # facts are about to be folded by another policy: what is wrong then is wrong later
    found = await _wrong_facts(work, desk, limit=CHUNK, after=after)
    ids = [row["customer_id"] for row in found.first]
    docket = await load(work, ids)
    for customer_id, standing in docket.standings.items():
        facts = NOTHING_YET
        for event in await work.events.of(standing.id, customer_id, until=LATEST):
            facts = fold(facts, event, docket.desk.rulebook.policy)
        standing.relationship.facts = facts
        _decide(docket, customer_id)
    await write(work, docket, runs_actions=False)
    return len(docket.journeys), ids[-1] if found.number > len(ids) else None


def _decide(docket: Docket, customer_id: int) -> None:
    journey = docket.find(customer_id)
    assert journey is not None  # noqa: S101  # it is among those just loaded
    journey.bring_to(docket.now)
    journey.evaluate(docket.now)


# ---- scores


def _last_night(desk: Desk) -> datetime:
    zone = ZoneInfo(desk.company.timezone)
    return night_at(latest_night(desk.now, zone), zone)


async def _scores(work: Work, desk: Desk) -> tuple[int, Sequence[Mapping[str, Any]]]:
    after, wrong = LOWEST, list[int]()
    while True:
        page = await work.scores.page(
            after, limit=_SCORES_AT_ONCE, as_of=_last_night(desk), policy=desk.rulebook.policy
        )
        wrong += page.changed
        if page.last_id is None:
            return len(wrong), await work.quality.scores_of(sorted(wrong)[:EXAMPLES])
        after = page.last_id


async def _rescore(work: Work, after: int) -> tuple[int, int | None]:
    desk = await work.companies.desk()
    as_of, policy = _last_night(desk), desk.rulebook.policy
    page = await work.scores.page(after, limit=_SCORES_AT_ONCE, as_of=as_of, policy=policy)
    return await work.scores.rewrite(page.changed, as_of=as_of, policy=policy), page.last_id


# ---- sums


async def _sums(work: Work, desk: Desk) -> tuple[int, Sequence[Mapping[str, Any]]]:
    version, zone = desk.company.rollup_version, desk.company.timezone
    if not version:
        return 1, [{"what": "everything is yet to be counted"}]
    reconciling = work.reconciling
    answers = {
        "moves": await reconciling.flows(zone=zone, limit=EXAMPLES),
        "ways": await reconciling.ways(zone=zone, limit=EXAMPLES),
        "revenue": await reconciling.money(zone=zone, limit=EXAMPLES),
        "all days": await reconciling.totals(limit=EXAMPLES),
    }
    if version == desk.company.map_version:
        told = reached_by(desk.rulebook.stage_map)
        answers["reached"] = await reconciling.reached(zone=zone, reached_by=told, limit=EXAMPLES)
    examples = [{"what": name, **row} for name, answer in answers.items() for row in answer.first]
    return sum(answer.number for answer in answers.values()), examples


async def _count_anew(work: Work, _: int) -> tuple[int, int | None]:
    desk = await work.companies.desk()
    wrong, _examples = await _sums(work, desk)
    if wrong:
        told = reached_by(desk.rulebook.stage_map)
        await work.rollups.count_anew(desk.company.map_version, desk.company.timezone, told)
        first = (await work.metrics.bounds()).first
        if first is not None:
            await work.metrics.mark(first)  # snapshots may have been taken of wrong sums
    return wrong, None


# ---- actions


async def _stuck(work: Work, _: Desk) -> tuple[int, Sequence[Mapping[str, Any]]]:
    found = await work.quality.stuck_actions(limit=EXAMPLES)
    return found.number, found.first


async def _release(work: Work, after: int) -> tuple[int, int | None]:
    released = await work.quality.release_stuck(most=CHUNK)
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
        "Sums for figures that are not what the ledgers add up to.",
        _sums,
        "Everything is counted anew from the ledgers.",
        _count_anew,
        is_alone=True,
    ),
    "stuck_actions": _Kind(
        "Actions that should have been begun or ended more than an hour ago.",
        _stuck,
        "They are given back to whoever sends them.",
        _release,
    ),
}
REPAIRABLE: Final = tuple(name for name, kind in KINDS_OF_ISSUES.items() if kind.act is not None)
