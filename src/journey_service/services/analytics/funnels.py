"""Funnel and flow reports: stages reached, cohort funnels, moves between stages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from journey_service.domain.analytics import funnels
from journey_service.domain.analytics.date_ranges import RequestedRange
from journey_service.domain.analytics.flows import StageFlow, count_flows
from journey_service.domain.analytics.funnels import CohortStep, FunnelStep
from journey_service.domain.analytics.rollups import STAGE_REACHED
from journey_service.repositories.analytics.rollups import LAST_FLOW
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.query_context import (
    TIMEOUT_MS,
    QueryContext,
    load_query_context,
    require_rollups,
)


@dataclass(frozen=True, slots=True)
class FunnelReport:
    """Customers who reached each stage, in the order of progress."""

    query: QueryContext
    steps: Sequence[FunnelStep]


@dataclass(frozen=True, slots=True)
class CohortFunnel:
    """Funnel of the customers whose journey opened in the date range."""

    query: QueryContext
    window_days: int
    steps: Sequence[CohortStep]


@dataclass(frozen=True, slots=True)
class FlowReport:
    """Moves between stages, by from-stage and to-stage."""

    query: QueryContext
    flows: Sequence[StageFlow]


async def get_funnel(database: Database, company_id: int, requested: RequestedRange) -> FunnelReport:
    """Returns the funnel of stages reached. Raises CompanyNotFoundError, InvalidInputError, UnavailableError."""

    async def unit(uow: UnitOfWork) -> FunnelReport:
        return await load_funnel(uow, await load_query_context(uow, requested))

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS, is_repeatable_read=True)


async def get_cohort_funnel(
    database: Database, company_id: int, requested: RequestedRange, *, window_days: int
) -> CohortFunnel:
    """Returns the funnel of a cohort. Raises CompanyNotFoundError, InvalidInputError."""

    async def unit(uow: UnitOfWork) -> CohortFunnel:
        query = await load_query_context(uow, requested)
        members = await uow.ledger_queries.count_cohort(
            query.days,
            query.zone,
            funnels.ranks(query.stage_map),
            window_days=window_days,
            now=query.as_of,
        )
        return CohortFunnel(query, window_days, funnels.cohort_funnel(query.stage_map.progress, members))

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS)


async def get_flows(database: Database, company_id: int, requested: RequestedRange) -> FlowReport:
    """Returns the moves between stages. Raises CompanyNotFoundError, InvalidInputError, UnavailableError."""

    async def unit(uow: UnitOfWork) -> FlowReport:
        return await load_flows(uow, await load_query_context(uow, requested))

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS, is_repeatable_read=True)


async def load_funnel(uow: UnitOfWork, query: QueryContext) -> FunnelReport:
    """Builds the funnel of a period."""
    require_rollups(query)
    stages = query.stage_map.progress
    reached: Mapping[str, int]
    company = query.context.company
    # Rollups count by the order of stages of one map version; for any other the ledger is queried.
    if query.days.last == query.today and company.rollup_version == company.map_version:
        reached = await uow.rollups.count_since(STAGE_REACHED, query.days.first)
    else:
        highest = await uow.ledger_queries.count_by_highest_rank(
            query.days, query.zone, funnels.ranks(query.stage_map)
        )
        reached = funnels.reached_by_rank(stages, highest)
    moves = await uow.rollups.list_moves(*query.days)
    return FunnelReport(query, funnels.funnel(stages, reached, moves))


async def load_flows(uow: UnitOfWork, query: QueryContext) -> FlowReport:
    """Counts the moves of a period by from-stage and to-stage."""
    require_rollups(query)
    if query.days.last == query.today:
        since = await uow.rollups.count_since(LAST_FLOW, query.days.first)
        customers = {(key.split(">")[0], key.split(">")[1]): number for key, number in since.items()}
    else:
        customers = await uow.ledger_queries.count_flows(query.days, query.zone)
    moves = await uow.rollups.list_moves(*query.days)
    return FlowReport(query, count_flows(query.stage_map, moves, customers))
