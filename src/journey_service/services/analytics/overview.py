"""Figures about all customers of a company: overview, funnels, flows, and the guide's dashboard of them.

What sums are kept for is answered from them: customers by stage, flows, money, and, for ranges that end today, distinct
customers too. The rest is asked of the ledgers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from journey_service.domain.analytics import aggregates as figures
from journey_service.domain.analytics.aggregates import CohortStep, Step, Way
from journey_service.domain.analytics.date_ranges import Period, Range
from journey_service.domain.companies.policy import half_up
from journey_service.domain.journeys.relationship import Motion
from journey_service.domain.stages.stage_map import Stage
from journey_service.repositories.analytics.rollups import WAY, Moves
from journey_service.repositories.companies.companies import Desk
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import Work
from journey_service.services.analytics.query_context import TIMEOUT_MS, Frame, check_counted, frame_of
from journey_service.services.analytics.time_in_stage import TimeInStage, times_in_stage

_REACH: Final = "reach"


@dataclass(frozen=True, slots=True)
class Overview:
    """How many customers there are, where, and what they are worth; and what happened in the days asked for."""

    frame: Frame
    stages: Sequence[tuple[Stage, int]]
    total: int
    at_risk: int
    vips: int
    lifetime_cents: int
    """Of all customers together."""
    revenue_cents: int
    opened: int
    moves: int
    lapses: int
    returns: int

    @property
    def at_risk_percentage(self) -> Decimal:
        """Those at risk, of all customers."""
        return figures.percent(self.at_risk, self.total)

    @property
    def vip_percentage(self) -> Decimal:
        """Those in the highest progress stage, of all customers."""
        return figures.percent(self.vips, self.total)

    @property
    def average_cents(self) -> int:
        """Lifetime value a customer, half up, away from zero."""
        if not self.total:
            return 0
        sign = -1 if self.lifetime_cents < 0 else 1
        return sign * half_up(abs(self.lifetime_cents), self.total)


@dataclass(frozen=True, slots=True)
class Funnel:
    """Who has reached which stage."""

    frame: Frame
    steps: Sequence[Step]


@dataclass(frozen=True, slots=True)
class CohortFunnel:
    """How far those came whose journey opened in the days asked for."""

    frame: Frame
    window_days: int
    steps: Sequence[CohortStep]


@dataclass(frozen=True, slots=True)
class Flows:
    """Moves between stages."""

    frame: Frame
    ways: Sequence[Way]


@dataclass(frozen=True, slots=True)
class Portal:
    """What the guide's dashboard draws."""

    overview: Overview
    funnel: Funnel
    flows: Flows
    times: TimeInStage


async def get_overview(database: Database, company_id: int, asked: Range) -> Overview:
    """The overview. Raises CompanyNotFoundError, InvalidInputError, UnavailableError."""

    async def unit(work: Work) -> Overview:
        return await _overview(work, await frame_of(work, asked))

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS, at_one_instant=True)


async def get_funnel(database: Database, company_id: int, asked: Range) -> Funnel:
    """The funnel of stages reached. Raises CompanyNotFoundError, InvalidInputError, UnavailableError."""

    async def unit(work: Work) -> Funnel:
        return await _funnel(work, await frame_of(work, asked))

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS, at_one_instant=True)


async def get_cohort_funnel(
    database: Database, company_id: int, asked: Range, *, window_days: int
) -> CohortFunnel:
    """The funnel of a cohort. Raises CompanyNotFoundError, InvalidInputError."""

    async def unit(work: Work) -> CohortFunnel:
        frame = await frame_of(work, asked)
        members = await work.figures.cohort(
            frame.days,
            frame.zone,
            figures.ranks(frame.stage_map),
            window_days=window_days,
            now=frame.as_of,
        )
        return CohortFunnel(frame, window_days, figures.cohort_funnel(frame.stage_map.progress, members))

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS)


async def get_flows(database: Database, company_id: int, asked: Range) -> Flows:
    """Moves between stages. Raises CompanyNotFoundError, InvalidInputError, UnavailableError."""

    async def unit(work: Work) -> Flows:
        return await _flows(work, await frame_of(work, asked))

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS, at_one_instant=True)


async def get_portal(database: Database, company_id: int, period: Period) -> Portal:
    """What the guide's dashboard draws. Raises CompanyNotFoundError, UnavailableError."""

    async def unit(work: Work) -> Portal:
        frame = await frame_of(work, Range(period))
        return Portal(
            await _overview(work, frame),
            await _funnel(work, frame),
            await _flows(work, frame),
            await times_in_stage(work, frame),
        )

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS, at_one_instant=True)


async def customers_by_stage(work: Work, desk: Desk) -> dict[str, int]:
    """Where everybody is now: from the sums, if there are any."""
    if desk.company.rollup_version:
        return figures.customers_by_stage(await work.rollups.moves_ever())
    return await work.distribution.now()


async def _overview(work: Work, frame: Frame) -> Overview:
    check_counted(frame)
    ever = await work.rollups.moves_ever()
    customers = figures.customers_by_stage(ever)
    moves = await work.rollups.moves(*frame.days)
    source = frame.desk.rulebook.policy.revenue_source
    mildest = frame.stage_map.mildest_risk
    return Overview(
        frame,
        [(stage, customers.get(stage.key, 0)) for stage in figures.shown(frame.stage_map, customers)],
        total=sum(customers.values()),
        at_risk=0 if mildest is None else customers.get(mildest.key, 0),
        vips=customers.get(frame.stage_map.progress[-1].key, 0),
        lifetime_cents=(await work.figures.revenue_cents())[source],
        revenue_cents=(await work.figures.revenue_cents(frame.days))[source],
        opened=_sum(moves, Motion.OPENING),
        moves=sum(move.number for move in moves if move.motion is not Motion.OPENING),
        lapses=_sum(moves, Motion.LAPSE),
        returns=_sum(moves, Motion.RETURN),
    )


def _sum(moves: Sequence[Moves], motion: Motion) -> int:
    return sum(move.number for move in moves if move.motion is motion)


async def _funnel(work: Work, frame: Frame) -> Funnel:
    check_counted(frame)
    stages = frame.stage_map.progress
    reached: Mapping[str, int]
    company = frame.desk.company
    # Until the sums are counted by a new order of the stages, it is the ledger that tells who has reached which.
    if frame.days.last == frame.today and company.rollup_version == company.map_version:
        reached = await work.rollups.since(_REACH, frame.days.first)
    else:
        highest = await work.figures.highest(frame.days, frame.zone, figures.ranks(frame.stage_map))
        reached = figures.reached_by_rank(stages, highest)
    moves = await work.rollups.moves(*frame.days)
    return Funnel(frame, figures.funnel(stages, reached, moves))


async def _flows(work: Work, frame: Frame) -> Flows:
    check_counted(frame)
    if frame.days.last == frame.today:
        since = await work.rollups.since(WAY, frame.days.first)
        customers = {(key.split(">")[0], key.split(">")[1]): number for key, number in since.items()}
    else:
        customers = await work.figures.ways(frame.days, frame.zone)
    moves = await work.rollups.moves(*frame.days)
    return Flows(frame, figures.ways(frame.stage_map, moves, customers))
