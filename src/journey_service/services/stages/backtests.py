"""Back-tests: replays all event histories under a draft stage map and under the current one.

`domain.simulation.backtest` defines what is counted. The job replays customers in the order of their relationship
ids. Each transaction stores the totals so far and reads the next slice of events; the replay runs between
transactions, and yields to the event loop. Memory holds a page of customers, a slice of events, the moves of one
customer, and the totals, whose size does not depend on the number of customers.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.companies.currencies import get_currency
from journey_service.domain.companies.policy_parsing import parse_policy, policy_to_json
from journey_service.domain.errors import FieldError, InvalidInputError
from journey_service.domain.events.event import EARLIEST
from journey_service.domain.journeys.relationship import Rulebook
from journey_service.domain.operations.records import Job
from journey_service.domain.simulation.backtest import (
    BacktestSettings,
    ReplayedMove,
)
from journey_service.domain.simulation.backtest_totals import BacktestTotals
from journey_service.domain.stages.parsing import parse_stage_map, stage_map_to_json
from journey_service.domain.stages.stage_map import StageMap
from journey_service.repositories.database import Database
from journey_service.repositories.events.event_histories import (
    EventHistories,
    EventHistory,
)
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.jobs import (
    LEASE_SECONDS,
    InlineJob,
    JobRun,
    PageResult,
    enqueue_job,
    run_inline,
)
from journey_service.services.stages.history_replay import HistoryReplay, ReplayResults
from journey_service.services.stages.linting import findings_to_json
from journey_service.services.stages.stage_maps import MapEdit, build_draft

BACKTEST_JOB: Final = "backtest"
MAPS: Final = ("draft", "current")
BATCH_SIZE: Final = 200
"""Customers in one page."""
MAX_INLINE_CUSTOMERS: Final = 500
"""Customers of a company up to which a back-test runs in the request; with more, a worker runs it."""
MAX_NAMED_CUSTOMERS: Final = 100
"""Customers whose moves are listed; more are rejected."""
MAX_MOVES_PER_CUSTOMER: Final = 200
"""Newest moves listed of each named customer."""
MAX_RANGE: Final = timedelta(days=3_653)
MAX_LAPSE_DAYS: Final = 3_650

_LOWEST: Final = 0


@dataclass(frozen=True, slots=True)
class BacktestParameters:
    """Parameters of a back-test: the range [since, until), and the customers whose moves are listed.

    `lapse_days` are days of 24 hours without an appointment after which a customer counts as lost. None: the smallest
    inactivity threshold of the current map's most severe risk stage that has one, else 180.
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
    """Back-tests a draft; returns the job: ended for few customers, else queued. Raises as `queue`."""
    inline_job = await queue(
        database,
        company_id,
        edit,
        span,
        based_on=based_on,
        actor=actor,
        max_inline=MAX_INLINE_CUSTOMERS,
        lease_seconds=lease_seconds,
    )
    return await run_inline(
        database,
        company_id,
        inline_job,
        run_backtest,
        lease_seconds=lease_seconds,
    )


async def queue(  # noqa: PLR0913  # the parameters of a back-test and of its job
    database: Database,
    company_id: int,
    edit: MapEdit,
    span: BacktestParameters,
    *,
    based_on: int | None,
    actor: Actor,
    max_inline: int = -1,
    lease_seconds: float = LEASE_SECONDS,
) -> InlineJob:
    """Enqueues the back-test of a draft: inline with at most `max_inline` customers, else for a worker.

    The job uses the current map, policy, time zone and company time as of now, however much later it runs.

    Raises CompanyNotFoundError, StaleMapError, and InvalidInputError with every error of the map, or else of the other
    parameters.
    """
    draft, findings = await build_draft(database, company_id, edit, based_on=based_on)

    async def unit(uow: UnitOfWork) -> InlineJob:
        context = await uow.companies.get_context()
        errors = [*_check_range(context, span), *await _check_customers(uow, span.customer_ids)]
        if errors:
            raise InvalidInputError(errors)
        customers = await uow.relationships.resolve(span.customer_ids) if span.customer_ids else {}
        parameters = {
            **_parameters_of(context, span, draft.stage_map),
            "customer_ids": sorted(set(customers.values())) or None,
            "findings": findings_to_json(findings),
        }
        inline_job = await enqueue_job(
            uow,
            BACKTEST_JOB,
            parameters,
            actor=actor.name,
            is_inline=await uow.relationships.count() <= max_inline,
            lease_seconds=lease_seconds,
        )
        await uow.audit_log.record(actor, AuditEntry("stage_map.backtest", target=f"job:{inline_job.job.id}"))
        return inline_job

    return await database.run(company_id, unit)


def _parameters_of(context: CompanyContext, span: BacktestParameters, draft_map: StageMap) -> dict[str, Any]:
    """Returns the parameters of the job that do not depend on the customers."""
    current = context.rulebook.stage_map
    return {
        "stages": stage_map_to_json(draft_map),
        "from": span.since.isoformat(),
        "to": span.until.isoformat(),
        "lapse_days": default_lapse_days(current) if span.lapse_days is None else span.lapse_days,
        "as_of": context.now.isoformat(),
        "timezone": context.company.timezone,
        "currency": context.company.currency,
        "map_version": current.version,
        "present_stages": stage_map_to_json(current),
        "policy": policy_to_json(context.rulebook.policy),
    }


def default_lapse_days(stage_map: StageMap) -> int:
    """Returns the days without an appointment after which a map's own rules count a customer as lost."""
    return min(stage_map.churn_days, MAX_LAPSE_DAYS)


async def run_backtest(run: JobRun) -> None:
    """Job handler: replays all customers under both maps, then the named ones, and stores the result."""
    parameters = _JobParameters.of(run.job.parameters)
    totals = [
        BacktestTotals(parameters.settings, rulebook.stage_map, has_samples=name == "draft")
        for name, rulebook in zip(MAPS, parameters.rulebooks, strict=True)
    ]
    for of_map, stored in zip(totals, run.cursor.get("tallies", ()), strict=False):
        of_map.restore(stored)
    await _replay_all(run, parameters, totals)
    customers = await _replay_named(run, parameters)
    await run.set_result(_result(run.job.parameters, totals, customers))


@dataclass(frozen=True, slots=True)
class _JobParameters:
    """The parameters of a back-test job, parsed."""

    settings: BacktestSettings
    rulebooks: tuple[Rulebook, ...]
    customer_ids: Sequence[int]

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> "_JobParameters":
        currency = get_currency(parameters["currency"])
        policy = parse_policy(parameters["policy"], currency=currency, is_stored=True)
        version = parameters["map_version"]
        draft = parse_stage_map(parameters["stages"], version=version + 1, currency=currency, is_stored=True)
        current = parse_stage_map(
            parameters["present_stages"], version=version, currency=currency, is_stored=True
        )
        return cls(
            BacktestSettings(
                since=datetime.fromisoformat(parameters["from"]),
                until=datetime.fromisoformat(parameters["to"]),
                lapse=timedelta(days=parameters["lapse_days"]),
                known_until=datetime.fromisoformat(parameters["as_of"]),
                zone=ZoneInfo(parameters["timezone"]),
            ),
            (Rulebook(draft, policy), Rulebook(current, policy)),
            parameters["customer_ids"] or (),
        )

    @property
    def horizon(self) -> dict[str, datetime]:
        """The instants up to which events are replayed, and up to which appointments are known."""
        return {"until": self.settings.until, "known_until": self.settings.known_until}


async def _replay_all(run: JobRun, parameters: _JobParameters, totals: Sequence[BacktestTotals]) -> None:
    after = run.cursor.get("after", _LOWEST)

    async def next_histories(event_histories: EventHistories) -> list[EventHistory]:
        return await event_histories.page(after, limit=BATCH_SIZE, **parameters.horizon)

    def collect(history: EventHistory, results: ReplayResults) -> None:
        nonlocal after
        after = history.id
        for of_map, result in zip(totals, results, strict=True):
            if result is not None:
                of_map.add(result)

    async def save(uow: UnitOfWork, finished: int) -> PageResult:
        total = None if run.cursor else await uow.relationships.count()
        cursor = {"after": after, "tallies": [of_map.to_json() for of_map in totals]}
        return PageResult(cursor, done=finished, total=total)

    await HistoryReplay(
        run, parameters.settings, parameters.rulebooks, next_histories, collect, save
    ).run_all()


async def _replay_named(run: JobRun, parameters: _JobParameters) -> list[dict[str, Any]]:
    """Returns the moves of the named customers.

    Replays these customers again, so that the cursor need not hold their moves.
    """
    moves: list[dict[str, Any]] = []

    async def read(uow: UnitOfWork) -> list[EventHistory]:
        return await uow.event_histories.get_many(parameters.customer_ids, **parameters.horizon)

    waiting = deque(await run.database.run(run.company_id, read) if parameters.customer_ids else ())

    async def next_histories(_: EventHistories) -> list[EventHistory]:
        # One at a time: a slice is read for a contiguous range of relationship ids.
        return [waiting[0]] if waiting else []

    def collect(history: EventHistory, results: ReplayResults) -> None:
        waiting.popleft()
        moves.append(_moves_of(history.customer_id, results))

    async def save(_: UnitOfWork, __: int) -> PageResult:
        return PageResult(run.cursor)

    await HistoryReplay(
        run, parameters.settings, parameters.rulebooks, next_histories, collect, save
    ).run_all()
    return sorted(moves, key=lambda of_customer: int(of_customer["customer_id"]))


def _moves_of(customer_id: int, results: ReplayResults) -> dict[str, Any]:
    opened = [result for result in results if result is not None]
    moves = [result.moves if result is not None else [] for result in results]
    return {
        "customer_id": customer_id,
        "opened_at": opened[0].opened_at.isoformat() if opened else None,
        "moves": {
            name: [_move_to_json(move) for move in made[-MAX_MOVES_PER_CUSTOMER:]]
            for name, made in zip(MAPS, moves, strict=True)
        },
        "omitted": {
            name: max(len(made) - MAX_MOVES_PER_CUSTOMER, 0) for name, made in zip(MAPS, moves, strict=True)
        },
    }


def _move_to_json(move: ReplayedMove) -> dict[str, Any]:
    return {**move._asdict(), "at": move.at.isoformat()}


def _result(
    parameters: Mapping[str, Any], totals: Sequence[BacktestTotals], customers: list[dict[str, Any]]
) -> dict[str, Any]:
    copied = ("from", "to", "as_of", "timezone", "lapse_days", "map_version")
    return {
        **{name: parameters[name] for name in copied},
        "customers": totals[0].customers,
        **{name: of_map.metrics() for name, of_map in zip(MAPS, totals, strict=True)},
        "listed_customers": customers,
        "warnings": parameters["findings"],
    }


def _check_range(context: CompanyContext, span: BacktestParameters) -> list[FieldError]:
    """Returns the errors of the range and of the days until a customer counts as lost."""
    from_, to, lapse_days = span.since, span.until, span.lapse_days
    errors = []
    if from_ < EARLIEST:
        errors.append(FieldError("/from", f"must not be before {EARLIEST:%Y-%m-%d}"))
    if from_ >= to:
        errors.append(FieldError("/to", "must be after /from"))
    elif to - from_ > MAX_RANGE:
        errors.append(FieldError("/to", "must be at most 10 years after /from"))
    if to > context.now:
        errors.append(FieldError("/to", "must not be after the company's current time"))
    if lapse_days is not None and not 1 <= lapse_days <= MAX_LAPSE_DAYS:
        errors.append(FieldError("/lapse_days", f"must be a whole number of days from 1 to {MAX_LAPSE_DAYS}"))
    return errors


async def _check_customers(uow: UnitOfWork, customer_ids: Sequence[int]) -> list[FieldError]:
    """Returns the errors of the named customers: too many, or unknown ids."""
    if len(customer_ids) > MAX_NAMED_CUSTOMERS:
        return [FieldError("/customer_ids", f"names more than {MAX_NAMED_CUSTOMERS} customers")]
    known = await uow.relationships.resolve(customer_ids) if customer_ids else {}
    return [
        FieldError(f"/customer_ids/{index}", "is not a known customer")
        for index, customer_id in enumerate(customer_ids)
        if customer_id not in known
    ]
