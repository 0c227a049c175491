"""A draft of the stage map tried on the past of every customer, beside the map in force: queued, and done.

`domain.backtest` says what is counted. The job replays customers in the order of their relationships' ids. Each of
its transactions writes down what the customers before have come to and reads the next slice of events; replaying
is done between two transactions, and lets others have their turn. Kept in memory: a page of customers, a slice of
events, the moves of one customer and the tallies, which are as large for a million customers as for a thousand.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from typing import Any, Final
from zoneinfo import ZoneInfo

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.companies.policy import parse_policy, policy_to_json
from journey_service.domain.errors import FieldError, InvalidInputError
from journey_service.domain.events.event import EARLIEST
from journey_service.domain.journeys.relationship import Rulebook
from journey_service.domain.operations.records import Job
from journey_service.domain.simulation.backtest import (
    BacktestSettings,
    CustomerReplay,
    ReplayedMove,
    ReplayResult,
)
from journey_service.domain.simulation.backtest_totals import BacktestTotals
from journey_service.domain.stages.stage_map import (
    StageMap,
    inactivity_days,
    parse_stage_map,
    stage_map_to_json,
)
from journey_service.repositories.database import Database
from journey_service.repositories.events.event_histories import (
    EventHistories,
    EventHistory,
    LedgerEvent,
    LedgerPosition,
)
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.jobs import (
    INLINE_TIMEOUT_SECONDS,
    LEASE_SECONDS,
    InlineJob,
    JobPage,
    JobRun,
    enqueue_job,
    run_inline,
)
from journey_service.services.stages.linting import findings_to_json
from journey_service.services.stages.stage_maps import MapEdit, build_draft

BACKTEST: Final = "backtest"
MAPS: Final = ("draft", "present")
CHUNK: Final = 200
"""How many customers are read at once."""
SLICE: Final = 4_000
"""How many events are read at once, of one customer or of many."""
MAX_INLINE_CUSTOMERS: Final = 500
"""Up to how many customers are replayed while the caller waits."""
MAX_NAMED_CUSTOMERS: Final = 100
MAX_MOVES_PER_CUSTOMER: Final = 200
"""How many moves of a customer asked for by name are told, the newest ones."""
MAX_RANGE: Final = timedelta(days=3_653)
DEFAULT_LAPSE_DAYS: Final = 180
MAX_LAPSE_DAYS: Final = 3_650

_TURN: Final = 100
"""How many events or customers are replayed before others have their turn."""
_LOWEST: Final = 0


@dataclass(frozen=True, slots=True)
class BacktestParameters:
    """The past a draft is tried on: [since, until), and the customers whose moves are told one by one.

    `lapse_days` are days of 24 hours without a visit after which somebody is lost; None: the fewest of an inactivity
    condition of the present map's most severe risk stage that has one, else 180.
    """

    since: datetime
    until: datetime
    lapse_days: int | None = None
    customer_ids: Sequence[int] = ()


async def backtest(
    database: Database,
    company_id: int,
    edit: MapEdit,
    span: BacktestParameters,
    *,
    based_on: int | None,
    actor: Actor,
    lease_seconds: float = LEASE_SECONDS,
) -> Job:
    """Try a draft on the past; returns the job, done with few customers, queued with many. Otherwise as `queue`."""
    inline_job = await queue(
        database,
        company_id,
        edit,
        span,
        based_on=based_on,
        actor=actor,
        at_once=MAX_INLINE_CUSTOMERS,
        lease_seconds=lease_seconds,
    )
    return await run_inline(
        database,
        company_id,
        inline_job,
        run_backtest,
        lease_seconds=lease_seconds,
        timeout_seconds=INLINE_TIMEOUT_SECONDS,
    )


async def queue(  # noqa: PLR0913  # a back-test is just these
    database: Database,
    company_id: int,
    edit: MapEdit,
    span: BacktestParameters,
    *,
    based_on: int | None,
    actor: Actor,
    at_once: int = -1,
    lease_seconds: float = LEASE_SECONDS,
) -> InlineJob:
    """Queue the back-test of a draft; for here with at most `at_once` customers, otherwise for a worker.

    The present map, the policy, the time zone and the end of what is known, the company's now, are those of this
    moment, however much later the job is done.

    Raises CompanyNotFoundError, StaleMapError, and InvalidInputError with every fault of the map, or else of the rest.
    """
    draft, findings = await build_draft(database, company_id, edit, based_on=based_on)

    async def unit(uow: UnitOfWork) -> InlineJob:
        context = await uow.companies.get_context()
        present = context.rulebook.stage_map
        faults = [*_faults(context, span), *await _strangers(uow, span.customer_ids)]
        if faults:
            raise InvalidInputError(faults)
        lapse_days = default_lapse_days(present) if span.lapse_days is None else span.lapse_days
        parameters = {
            "stages": stage_map_to_json(draft.stage_map),
            "from": span.since.isoformat(),
            "to": span.until.isoformat(),
            "lapse_days": lapse_days,
            "customer_ids": sorted(set(span.customer_ids)) or None,
            "as_of": context.now.isoformat(),
            "timezone": context.company.timezone,
            "map_version": present.version,
            "present_stages": stage_map_to_json(present),
            "policy": policy_to_json(context.rulebook.policy),
            "findings": findings_to_json(findings),
        }
        inline_job = await enqueue_job(
            uow,
            BACKTEST,
            parameters,
            actor=actor.name,
            is_inline=await uow.relationships.count() <= at_once,
            lease_seconds=lease_seconds,
        )
        await uow.audit_log.record(actor, AuditEntry("stages.backtest", target=f"job:{inline_job.job.id}"))
        return inline_job

    return await database.run(company_id, unit)


def default_lapse_days(stage_map: StageMap) -> int:
    """After how many days without a visit this map itself gives a customer up."""
    found = (inactivity_days(stage) for stage in stage_map.risk_descending)
    days = next((days for days in found if days is not None), None)
    return DEFAULT_LAPSE_DAYS if days is None else min(max(ceil(days), 1), MAX_LAPSE_DAYS)


async def run_backtest(run: JobRun) -> None:
    """The job: replay everybody under both maps, then those named, and conclude with what it adds up to."""
    asked = _Asked.of(run.job.parameters)
    tallies = [
        BacktestTotals(asked.terms, rulebook.stage_map, has_samples=name == "draft")
        for name, rulebook in zip(MAPS, asked.rulebooks, strict=True)
    ]
    for tally, known in zip(tallies, run.cursor.get("tallies", ()), strict=False):
        tally.restore(known)
    await _replay_everybody(run, asked, tallies)
    named = await _replay_named(run, asked)
    await run.set_result(_result(run.job.parameters, tallies, named))


@dataclass(frozen=True, slots=True)
class _Asked:
    """The job's parameters, read."""

    terms: BacktestSettings
    rulebooks: tuple[Rulebook, ...]
    customer_ids: Sequence[int]

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> "_Asked":
        policy = parse_policy(parameters["policy"])
        version = parameters["map_version"]
        draft = parse_stage_map(parameters["stages"], version=version + 1)
        present = parse_stage_map(parameters["present_stages"], version=version)
        return cls(
            BacktestSettings(
                since=datetime.fromisoformat(parameters["from"]),
                until=datetime.fromisoformat(parameters["to"]),
                lapse=timedelta(days=parameters["lapse_days"]),
                known_until=datetime.fromisoformat(parameters["as_of"]),
                zone=ZoneInfo(parameters["timezone"]),
            ),
            (Rulebook(draft, policy), Rulebook(present, policy)),
            parameters["customer_ids"] or (),
        )

    @property
    def horizon(self) -> dict[str, datetime]:
        """Up to when events are read, and up to when visits are known."""
        return {"until": self.terms.until, "known_until": self.terms.known_until}


Outcomes = Sequence[ReplayResult | None]
"""How a customer fared under each map; None for one whose journey opens after the range."""


@dataclass(slots=True)
class _Walk:
    """Goes from customer to customer, a slice of events at a time.

    `next_pasts` reads whoever comes next. `take` is told how a customer fared. `note` says what a transaction
    writes down, told how many customers were finished since the last; it may be asked twice, after a lost race.
    """

    run: JobRun
    asked: _Asked
    next_pasts: Callable[[EventHistories], Awaitable[list[EventHistory]]]
    take: Callable[[EventHistory, Outcomes], None]
    note: Callable[[UnitOfWork, int], Awaitable[JobPage]]
    _replays: list[CustomerReplay] = field(default_factory=list)
    _finished: int = 0
    _worked: int = 0

    async def go(self) -> None:
        """Replay until nobody comes next. Raises LeaseLostError."""
        waiting: deque[EventHistory] = deque()
        place: LedgerPosition | None = None
        while True:
            event_histories, events = await self._read(waiting, place)
            if not event_histories:
                return
            waiting = deque(event_histories)
            for told in events:
                await self._tell(told, waiting)
            if len(events) == SLICE:  # whoever waits first may go on in the next slice
                place = events[-1].position
                continue
            place = None
            while waiting:
                await self._finish(waiting.popleft())

    async def _read(
        self, waiting: Sequence[EventHistory], place: LedgerPosition | None
    ) -> tuple[list[EventHistory], list[LedgerEvent]]:
        """Write down what was done, and read on about those who wait already, or whoever comes next."""
        found: tuple[list[EventHistory], list[LedgerEvent]] = [], []

        async def unit(uow: UnitOfWork) -> JobPage:
            nonlocal found
            event_histories = uow.event_histories
            some = list(waiting) or await self.next_pasts(event_histories)
            events: list[LedgerEvent] = []
            if some:
                until = self.asked.terms.until
                events = await event_histories.list_events(
                    some[0].id, some[-1].id, until=until, after=place, limit=SLICE
                )
            found = some, events
            return await self.note(uow, self._finished)

        await self.run.page(unit)
        self._finished = 0
        return found

    async def _tell(self, told: LedgerEvent, waiting: deque[EventHistory]) -> None:
        while waiting and waiting[0].id < told.position.relationship_id:
            await self._finish(waiting.popleft())
        if not waiting or waiting[0].id > told.position.relationship_id:
            return  # somebody who was not there yet when the page was read
        for replay in self._begun(waiting[0]):
            replay.tell(told.event)
        await self._take_turns()

    def _begun(self, past: EventHistory) -> list[CustomerReplay]:
        if not self._replays:
            terms = self.asked.terms
            self._replays = [
                CustomerReplay(terms, rulebook, past.customer_id, past.created_at)
                for rulebook in self.asked.rulebooks
            ]
        return self._replays

    async def _finish(self, past: EventHistory) -> None:
        self.take(past, [replay.finish(past.came_back_at) for replay in self._begun(past)])
        self._replays = []
        self._finished += 1
        await self._take_turns()

    async def _take_turns(self) -> None:
        self._worked += 1
        if self._worked % _TURN == 0:
            await asyncio.sleep(0)


async def _replay_everybody(run: JobRun, asked: _Asked, tallies: Sequence[BacktestTotals]) -> None:
    after = run.cursor.get("after", _LOWEST)

    async def next_pasts(event_histories: EventHistories) -> list[EventHistory]:
        return await event_histories.page(after, limit=CHUNK, **asked.horizon)

    def take(past: EventHistory, outcomes: Outcomes) -> None:
        nonlocal after
        after = past.id
        for tally, outcome in zip(tallies, outcomes, strict=True):
            if outcome is not None:
                tally.add(outcome)

    async def note(uow: UnitOfWork, finished: int) -> JobPage:
        total = None if run.cursor else await uow.relationships.count()
        cursor = {"after": after, "tallies": [tally.to_json() for tally in tallies]}
        return JobPage(cursor, done=finished, total=total)

    await _Walk(run, asked, next_pasts, take, note).go()


async def _replay_named(run: JobRun, asked: _Asked) -> list[dict[str, Any]]:
    """The moves of the customers asked for by name: read anew, so that nobody has to carry them along."""
    told: list[dict[str, Any]] = []

    async def read(uow: UnitOfWork) -> list[EventHistory]:
        event_histories = uow.event_histories
        return await event_histories.get_many(asked.customer_ids, **asked.horizon)

    waiting = deque(await run.database.run(run.company_id, read) if asked.customer_ids else ())

    async def next_pasts(_: EventHistories) -> list[EventHistory]:
        # One at a time: a slice is read of relationships that follow each other.
        return [waiting[0]] if waiting else []

    def take(past: EventHistory, outcomes: Outcomes) -> None:
        waiting.popleft()
        told.append(_moves_of(past.customer_id, outcomes))

    async def note(_: UnitOfWork, __: int) -> JobPage:
        return JobPage(run.cursor)

    await _Walk(run, asked, next_pasts, take, note).go()
    return sorted(told, key=lambda moves: int(moves["customer_id"]))


def _moves_of(customer_id: int, outcomes: Outcomes) -> dict[str, Any]:
    found = [outcome for outcome in outcomes if outcome is not None]
    moves = [outcome.moves if outcome is not None else [] for outcome in outcomes]
    return {
        "customer_id": customer_id,
        "opened_at": found[0].opened_at.isoformat() if found else None,
        "moves": {
            name: [_shown(move) for move in made[-MAX_MOVES_PER_CUSTOMER:]]
            for name, made in zip(MAPS, moves, strict=True)
        },
        "left_off": {
            name: max(len(made) - MAX_MOVES_PER_CUSTOMER, 0) for name, made in zip(MAPS, moves, strict=True)
        },
    }


def _shown(move: ReplayedMove) -> dict[str, Any]:
    return {**move._asdict(), "at": move.at.isoformat()}


def _result(
    parameters: Mapping[str, Any], tallies: Sequence[BacktestTotals], named: list[dict[str, Any]]
) -> dict[str, Any]:
    asked = ("from", "to", "as_of", "timezone", "lapse_days", "map_version")
    return {
        **{name: parameters[name] for name in asked},
        "customers": tallies[0].customers,
        **{name: tally.metrics() for name, tally in zip(MAPS, tallies, strict=True)},
        "named": named,
        "warnings": parameters["findings"],
    }


def _faults(context: CompanyContext, span: BacktestParameters) -> list[FieldError]:
    from_, to, lapse_days = span.since, span.until, span.lapse_days
    faults = []
    if from_ < EARLIEST:
        faults.append(FieldError("/from", f"must not lie before {EARLIEST:%Y-%m-%d}"))
    if from_ >= to:
        faults.append(FieldError("/to", "must lie after /from"))
    elif to - from_ > MAX_RANGE:
        faults.append(FieldError("/to", "must lie at most 10 years after /from"))
    if to > context.now:
        faults.append(FieldError("/to", "must not lie in the future of the company"))
    if lapse_days is not None and not 1 <= lapse_days <= MAX_LAPSE_DAYS:
        faults.append(FieldError("/lapse_days", f"must be a whole number of days from 1 to {MAX_LAPSE_DAYS}"))
    return faults


async def _strangers(uow: UnitOfWork, customer_ids: Sequence[int]) -> list[FieldError]:
    """What is wrong with the customers named: too many of them, or nobody's ids."""
    if len(customer_ids) > MAX_NAMED_CUSTOMERS:
        return [FieldError("/customer_ids", f"names more than {MAX_NAMED_CUSTOMERS} customers")]
    known = await uow.relationships.find_existing(customer_ids) if customer_ids else set()
    return [
        FieldError(f"/customer_ids/{index}", "is not a known customer")
        for index, customer_id in enumerate(customer_ids)
        if customer_id not in known
    ]
