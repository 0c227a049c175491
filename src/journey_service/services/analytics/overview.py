"""Overview reports: overview, risk distribution, distribution by stage, and the guide's dashboard.

Customers by stage, flows and revenue are read from rollups, and so are distinct customers of ranges that end today.
Everything else is queried from the ledgers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.analytics import aggregates as metrics
from journey_service.domain.analytics import risk_bands
from journey_service.domain.analytics.date_ranges import Period, RequestedRange
from journey_service.domain.analytics.risk_bands import RiskBand
from journey_service.domain.calendar import check_not_future
from journey_service.domain.journeys.relationship import Motion
from journey_service.domain.stages.stage_map import Stage
from journey_service.repositories.analytics.rollups import StoredMoves
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.funnels import FlowReport, FunnelReport, load_flows, load_funnel
from journey_service.services.analytics.query_context import (
    TIMEOUT_MS,
    QueryContext,
    load_query_context,
    require_rollups,
)
from journey_service.services.analytics.time_in_stage import TimeInStageReport, times_in_stage


@dataclass(frozen=True, slots=True)
class OverviewReport:
    """Customers by stage and their value now; moves and revenue of the date range."""

    query: QueryContext
    stages: Sequence[tuple[Stage, int]]
    total: int
    at_risk: int
    vips: int
    lifetime_value: Decimal
    """Sum over all customers, up to now."""
    revenue: Decimal
    opened: int
    moves: int
    lapses: int
    returns: int

    @property
    def at_risk_percentage(self) -> Decimal:
        """Percentage of customers in the mildest risk stage."""
        return metrics.percent(self.at_risk, self.total)

    @property
    def vip_percentage(self) -> Decimal:
        """Percentage of customers in the highest progress stage."""
        return metrics.percent(self.vips, self.total)

    @property
    def average_lifetime_value(self) -> Decimal:
        """Average lifetime value of a customer, rounded half away from zero to the decimals of the currency."""
        currency = self.query.context.rulebook.policy.currency
        if not self.total:
            return Decimal(0)
        return (self.lifetime_value / self.total).quantize(
            Decimal(1).scaleb(-currency.decimals), ROUND_HALF_UP
        )


@dataclass(frozen=True, slots=True)
class Portal:
    """All reports of the guide's dashboard, as of one time."""

    overview: OverviewReport
    funnel: FunnelReport
    flows: FlowReport
    times: TimeInStageReport


async def get_overview(database: Database, company_id: int, requested: RequestedRange) -> OverviewReport:
    """Returns the overview. Raises CompanyNotFoundError, InvalidInputError, UnavailableError."""

    async def unit(uow: UnitOfWork) -> OverviewReport:
        return await _overview(uow, await load_query_context(uow, requested))

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS, is_repeatable_read=True)


async def get_portal(database: Database, company_id: int, period: Period) -> Portal:
    """Returns all reports of the guide's dashboard. Raises CompanyNotFoundError, UnavailableError."""

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
    """Counts the customers in each stage now, from the rollups if they are built."""
    if context.company.rollup_version:
        return metrics.customers_by_stage(await uow.rollups.list_all_moves())
    return await uow.distribution.count_now()


async def _overview(uow: UnitOfWork, query: QueryContext) -> OverviewReport:
    require_rollups(query)
    all_moves = await uow.rollups.list_all_moves()
    customers = metrics.customers_by_stage(all_moves)
    moves = await uow.rollups.list_moves(*query.days)
    source = query.context.rulebook.policy.revenue_source
    mildest = query.stage_map.mildest_risk
    return OverviewReport(
        query,
        [
            (stage, customers.get(stage.key, 0))
            for stage in metrics.reported_stages(query.stage_map, customers)
        ],
        total=sum(customers.values()),
        at_risk=0 if mildest is None else customers.get(mildest.key, 0),
        vips=customers.get(query.stage_map.progress[-1].key, 0),
        lifetime_value=(await uow.ledger_queries.get_revenue())[source],
        revenue=(await uow.ledger_queries.get_revenue(query.days))[source],
        opened=_sum(moves, Motion.OPENING),
        moves=sum(move.number for move in moves if move.motion is not Motion.OPENING),
        lapses=_sum(moves, Motion.LAPSE),
        returns=_sum(moves, Motion.RETURN),
    )


def _sum(moves: Sequence[StoredMoves], motion: Motion) -> int:
    return sum(move.number for move in moves if move.motion is motion)


@dataclass(frozen=True, slots=True)
class RiskReport:
    """Customers by band of their stored risk score."""

    as_of: datetime
    bands: Sequence[tuple[RiskBand, int]]


async def get_risks(database: Database, company_id: int) -> RiskReport:
    """Returns the customers by risk band. Raises CompanyNotFoundError."""

    async def unit(uow: UnitOfWork) -> RiskReport:
        context = await uow.companies.get_context()
        return RiskReport(context.now, risk_bands.count_by_band(await uow.ledger_queries.count_by_risk()))

    return await database.run(company_id, unit)


@dataclass(frozen=True, slots=True)
class DistributionReport:
    """Customers by stage at a point in time, in the order of the stage map in force then.

    Archived stages, and stages of a later version, are included only if customers are in them.
    """

    as_of: datetime
    stages: Sequence[tuple[Stage, int]]


async def get_distribution(database: Database, company_id: int, as_of: datetime | None) -> DistributionReport:
    """Returns the number of customers in each stage, now or at a past time.

    Raises CompanyNotFoundError, InvalidInputError for a time in the future.
    """

    async def unit(uow: UnitOfWork) -> DistributionReport:
        context = await uow.companies.get_context()
        if as_of is None:
            stage_map, instant = context.rulebook.stage_map, context.now
            customers = await customers_by_stage(uow, context)
        else:
            check_not_future(as_of, context.now)
            stage_map = await uow.stage_maps.get_in_force(as_of, context.rulebook.policy.currency)
            customers, instant = await uow.distribution.count_at(as_of), as_of
        # Moves may be dated before the map version that introduced their stage.
        others = [stage for stage in context.rulebook.stage_map.stages if stage.key not in stage_map.by_key]
        stages = [
            *(stage for stage in stage_map.stages if stage.is_active or customers.get(stage.key)),
            *(stage for stage in others if customers.get(stage.key)),
        ]
        return DistributionReport(instant, [(stage, customers.get(stage.key, 0)) for stage in stages])

    return await database.run(company_id, unit)
