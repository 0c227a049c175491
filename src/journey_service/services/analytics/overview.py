"""Figures about all customers of a company: overview, funnels, flows, and the guide's dashboard of them.

What sums are kept for is answered from them: customers by stage, flows, money, and, for ranges that end today, distinct
customers too. The rest is asked of the ledgers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from journey_service.domain.actions.company_context import Desk
from journey_service.domain.analytics import aggregates as figures
from journey_service.domain.analytics import risk_bands
from journey_service.domain.analytics.date_ranges import Period, Range
from journey_service.domain.analytics.risk_bands import Band
from journey_service.domain.calendar import check_past
from journey_service.domain.journeys.relationship import Motion
from journey_service.domain.rounding import half_up
from journey_service.domain.stages.stage_map import Stage
from journey_service.repositories.analytics.rollups import Moves
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import Work
from journey_service.services.analytics.funnels import Flows, Funnel, load_flows, load_funnel
from journey_service.services.analytics.query_context import TIMEOUT_MS, Frame, check_counted, frame_of
from journey_service.services.analytics.time_in_stage import TimeInStage, times_in_stage


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


async def get_portal(database: Database, company_id: int, period: Period) -> Portal:
    """What the guide's dashboard draws. Raises CompanyNotFoundError, UnavailableError."""

    async def unit(work: Work) -> Portal:
        frame = await frame_of(work, Range(period))
        return Portal(
            await _overview(work, frame),
            await load_funnel(work, frame),
            await load_flows(work, frame),
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


@dataclass(frozen=True, slots=True)
class Risks:
    """Customers by stored risk."""

    as_of: datetime
    bands: Sequence[tuple[Band, int]]


async def get_risks(database: Database, company_id: int) -> Risks:
    """Customers by stored risk. Raises CompanyNotFoundError."""

    async def unit(work: Work) -> Risks:
        desk = await work.companies.desk()
        return Risks(desk.now, risk_bands.banded(await work.figures.risks()))

    return await database.run(company_id, unit)


@dataclass(frozen=True, slots=True)
class Distribution:
    """Customers by stage at an instant, in the order of the map in force then; empty stages count 0.

    Archived stages, and those of a later version, are among them only with customers in them.
    """

    as_of: datetime
    stages: Sequence[tuple[Stage, int]]


async def get_distribution(database: Database, company_id: int, as_of: datetime | None) -> Distribution:
    """How many customers are in each stage now, or were at a past instant, as the ledger has it.

    Raises CompanyNotFoundError, InvalidInputError for an instant that is yet to come.
    """

    async def unit(work: Work) -> Distribution:
        desk = await work.companies.desk()
        if as_of is None:
            stage_map, instant = desk.rulebook.stage_map, desk.now
            customers = await customers_by_stage(work, desk)
        else:
            check_past(as_of, desk.now)
            stage_map = await work.stage_maps.in_force(as_of)
            customers, instant = await work.distribution.at(as_of), as_of
        # Moves may be dated before the version that brought their stage, and lead into stages of a later one.
        others = [stage for stage in desk.rulebook.stage_map.stages if stage.key not in stage_map.by_key]
        shown = [
            *(stage for stage in stage_map.stages if stage.is_active or customers.get(stage.key)),
            *(stage for stage in others if customers.get(stage.key)),
        ]
        return Distribution(instant, [(stage, customers.get(stage.key, 0)) for stage in shown])

    return await database.run(company_id, unit)
