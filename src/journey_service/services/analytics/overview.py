"""Figures about all customers of a company: overview, funnels, flows, and the guide's dashboard of them.

What sums are kept for is answered from them: customers by stage, flows, money, and, for ranges that end today, distinct
customers too. The rest is asked of the ledgers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.analytics import aggregates as metrics
from journey_service.domain.analytics import risk_bands
from journey_service.domain.analytics.date_ranges import Period, RequestedRange
from journey_service.domain.analytics.risk_bands import RiskBand
from journey_service.domain.calendar import check_not_future
from journey_service.domain.journeys.relationship import Motion
from journey_service.domain.rounding import half_up
from journey_service.domain.stages.stage_map import Stage
from journey_service.repositories.analytics.rollups import Moves
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.funnels import Flows, Funnel, load_flows, load_funnel
from journey_service.services.analytics.query_context import (
    TIMEOUT_MS,
    QueryContext,
    load_query_context,
    require_rollups,
)
from journey_service.services.analytics.time_in_stage import TimeInStage, times_in_stage


@dataclass(frozen=True, slots=True)
class Overview:
    """How many customers there are, where, and what they are worth; and what happened in the days asked for."""

    query: QueryContext
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
        return metrics.percent(self.at_risk, self.total)

    @property
    def vip_percentage(self) -> Decimal:
        """Those in the highest progress stage, of all customers."""
        return metrics.percent(self.vips, self.total)

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


async def get_overview(database: Database, company_id: int, asked: RequestedRange) -> Overview:
    """The overview. Raises CompanyNotFoundError, InvalidInputError, UnavailableError."""

    async def unit(uow: UnitOfWork) -> Overview:
        return await _overview(uow, await load_query_context(uow, asked))

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS, is_repeatable_read=True)


async def get_portal(database: Database, company_id: int, period: Period) -> Portal:
    """What the guide's dashboard draws. Raises CompanyNotFoundError, UnavailableError."""

    async def unit(uow: UnitOfWork) -> Portal:
        query = await load_query_context(uow, RequestedRange(period))
        return Portal(
            await _overview(uow, query),
            await load_funnel(uow, query),
            await load_flows(uow, query),
            await times_in_stage(uow, query),
        )

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS, is_repeatable_read=True)


async def customers_by_stage(uow: UnitOfWork, context: CompanyContext) -> dict[str, int]:
    """Where everybody is now: from the sums, if there are any."""
    if context.company.rollup_version:
        return metrics.customers_by_stage(await uow.rollups.list_all_moves())
    return await uow.distribution.count_now()


async def _overview(uow: UnitOfWork, query: QueryContext) -> Overview:
    require_rollups(query)
    ever = await uow.rollups.list_all_moves()
    customers = metrics.customers_by_stage(ever)
    moves = await uow.rollups.list_moves(*query.days)
    source = query.context.rulebook.policy.revenue_source
    mildest = query.stage_map.mildest_risk
    return Overview(
        query,
        [
            (stage, customers.get(stage.key, 0))
            for stage in metrics.reported_stages(query.stage_map, customers)
        ],
        total=sum(customers.values()),
        at_risk=0 if mildest is None else customers.get(mildest.key, 0),
        vips=customers.get(query.stage_map.progress[-1].key, 0),
        lifetime_cents=(await uow.ledger_queries.get_revenue_cents())[source],
        revenue_cents=(await uow.ledger_queries.get_revenue_cents(query.days))[source],
        opened=_sum(moves, Motion.OPENING),
        moves=sum(move.number for move in moves if move.motion is not Motion.OPENING),
        lapses=_sum(moves, Motion.LAPSE),
        returns=_sum(moves, Motion.RETURN),
    )


def _sum(moves: Sequence[Moves], motion: Motion) -> int:
    return sum(move.number for move in moves if move.motion is motion)


@dataclass(frozen=True, slots=True)
class RiskDistribution:
    """Customers by stored risk."""

    as_of: datetime
    bands: Sequence[tuple[RiskBand, int]]


async def get_risks(database: Database, company_id: int) -> RiskDistribution:
    """Customers by stored risk. Raises CompanyNotFoundError."""

    async def unit(uow: UnitOfWork) -> RiskDistribution:
        context = await uow.companies.get_context()
        return RiskDistribution(
            context.now, risk_bands.count_by_band(await uow.ledger_queries.count_by_risk())
        )

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

    async def unit(uow: UnitOfWork) -> Distribution:
        context = await uow.companies.get_context()
        if as_of is None:
            stage_map, instant = context.rulebook.stage_map, context.now
            customers = await customers_by_stage(uow, context)
        else:
            check_not_future(as_of, context.now)
            stage_map = await uow.stage_maps.get_in_force(as_of)
            customers, instant = await uow.distribution.count_at(as_of), as_of
        # Moves may be dated before the version that brought their stage, and lead into stages of a later one.
        others = [stage for stage in context.rulebook.stage_map.stages if stage.key not in stage_map.by_key]
        shown = [
            *(stage for stage in stage_map.stages if stage.is_active or customers.get(stage.key)),
            *(stage for stage in others if customers.get(stage.key)),
        ]
        return Distribution(instant, [(stage, customers.get(stage.key, 0)) for stage in shown])

    return await database.run(company_id, unit)
