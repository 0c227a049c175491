"""Drill-down: lists the customers or stage visits behind a metric.

A list has exactly as many rows as the metric counts.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.analytics import funnels
from journey_service.domain.analytics.date_ranges import RequestedRange
from journey_service.domain.analytics.records import (
    DrilldownCustomer,
    PageRequest,
    StageVisit,
)
from journey_service.domain.analytics.risk_bands import RiskBand
from journey_service.domain.calendar import check_not_future
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.journeys.relationship import Motion
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.cohorts import days_of_month
from journey_service.services.analytics.query_context import TIMEOUT_MS, QueryContext, load_query_context


class CohortOutcome(StrEnum):
    """Outcome of a cohort member after one step of the funnel."""

    CONVERTED = "converted"
    PENDING = "pending"
    DROPPED = "dropped"


class ActionOutcome(StrEnum):
    """Outcome of an action; pending if it is still to be run, skipped if its channel has no receiver."""

    DONE = "done"
    DEAD = "dead"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class DrilldownPage:
    """A page of customers behind a metric, and the company's context for stage names and currency."""

    context: CompanyContext
    customers: Sequence[DrilldownCustomer]


@dataclass(frozen=True, slots=True)
class VisitPage:
    """A page of stage visits behind a metric."""

    context: CompanyContext
    visits: Sequence[StageVisit]


@dataclass(frozen=True, slots=True)
class CohortStepRequest:
    """A step of a cohort's funnel, and the outcome of the members to list; None: all."""

    stage: str
    window_days: int
    outcome: CohortOutcome | None = None


async def list_in_stage(
    database: Database, company_id: int, stage: str, as_of: datetime | None, page: PageRequest
) -> DrilldownPage:
    """Lists the customers in a stage, now or at a past time. Raises CompanyNotFoundError, InvalidInputError."""

    async def unit(uow: UnitOfWork) -> DrilldownPage:
        context = await uow.companies.get_context()
        if as_of is None:
            return DrilldownPage(context, await uow.drilldown.list_in_stage(stage, page))
        check_not_future(as_of, context.now)
        return DrilldownPage(context, await uow.drilldown.list_in_stage_at(stage, as_of, page))

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS)


async def list_reached(
    database: Database, company_id: int, requested: RequestedRange, stage: str, page: PageRequest
) -> DrilldownPage:
    """Lists the customers who reached a step of the funnel. Raises CompanyNotFoundError, InvalidInputError."""

    async def list_(uow: UnitOfWork, query: QueryContext) -> Sequence[DrilldownCustomer]:
        step = _index_of(query, stage)
        stages = [key for key, rank in funnels.ranks(query.stage_map).items() if rank >= step]
        return await uow.drilldown.list_entered(stages, query.days, query.zone, page)

    return await _load_page(database, company_id, requested, list_)


async def list_cohort_step(
    database: Database, company_id: int, requested: RequestedRange, step: CohortStepRequest, page: PageRequest
) -> DrilldownPage:
    """Lists the cohort members at a step of the funnel. Raises CompanyNotFoundError, InvalidInputError."""

    async def list_(uow: UnitOfWork, query: QueryContext) -> Sequence[DrilldownCustomer]:
        index = _index_of(query, step.stage)
        top = len(query.stage_map.progress) - 1
        if step.outcome is not None and index == top:
            return []  # the last step has no outcome
        lowest = index + 1 if step.outcome is CohortOutcome.CONVERTED else index
        is_remaining = step.outcome in (CohortOutcome.PENDING, CohortOutcome.DROPPED)
        is_open = {CohortOutcome.PENDING: [True], CohortOutcome.DROPPED: [False]}
        known = funnels.ranks(query.stage_map)
        parameters = {
            "entered": list(known),
            "ranks": list(known.values()),
            "window": step.window_days,
            "now": query.as_of,
            "lowest": lowest,
            "highest": index if is_remaining else top,
            "open": [True, False] if step.outcome is None else is_open.get(step.outcome, [True, False]),
        }
        return await uow.drilldown.list_cohort(parameters, query.days, query.zone, page)

    return await _load_page(database, company_id, requested, list_)


async def list_flow(
    database: Database,
    company_id: int,
    requested: RequestedRange,
    flow: tuple[str | None, str],
    page: PageRequest,
) -> DrilldownPage:
    """Lists the customers of a flow. From-stage None: those whose journey opened in the to-stage.

    Raises CompanyNotFoundError, InvalidInputError.
    """

    async def list_(uow: UnitOfWork, query: QueryContext) -> Sequence[DrilldownCustomer]:
        return await uow.drilldown.list_flow(flow, query.days, query.zone, page)

    return await _load_page(database, company_id, requested, list_)


async def list_moved(
    database: Database,
    company_id: int,
    requested: RequestedRange,
    motions: Sequence[Motion],
    to_stages: Sequence[str],
    page: PageRequest,
) -> DrilldownPage:
    """Lists the customers who moved with one of the motions, to one of the stages.

    Without motions: with any except the opening; without stages: to any.

    Raises CompanyNotFoundError, InvalidInputError.
    """
    motions = motions or [each for each in Motion if each is not Motion.OPENING]

    async def list_(uow: UnitOfWork, query: QueryContext) -> Sequence[DrilldownCustomer]:
        return await uow.drilldown.list_moved(motions, to_stages, query.days, query.zone, page)

    return await _load_page(database, company_id, requested, list_)


async def list_with_action(
    database: Database,
    company_id: int,
    requested: RequestedRange,
    name: str,
    outcome: ActionOutcome,
    page: PageRequest,
) -> DrilldownPage:
    """Lists the customers with planned actions of a name and outcome.

    Raises CompanyNotFoundError, InvalidInputError.
    """
    states = ("pending", "leased") if outcome is ActionOutcome.PENDING else (outcome.value,)

    async def list_(uow: UnitOfWork, query: QueryContext) -> Sequence[DrilldownCustomer]:
        return await uow.drilldown.list_with_actions(name, states, query.days, query.zone, page)

    return await _load_page(database, company_id, requested, list_)


async def list_in_band(
    database: Database, company_id: int, band: RiskBand, page: PageRequest
) -> DrilldownPage:
    """Lists the customers whose stored risk score lies in a band. Raises CompanyNotFoundError."""

    async def unit(uow: UnitOfWork) -> DrilldownPage:
        return DrilldownPage(
            await uow.companies.get_context(), await uow.drilldown.list_in_risk_band(band, page)
        )

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS)


async def list_retained(
    database: Database, company_id: int, cohort: int, later: int, page: PageRequest
) -> DrilldownPage:
    """Lists the members of a cohort who had an appointment `later` months after their first.

    `cohort` is a month as the number of months since the year 0. Raises CompanyNotFoundError.
    """

    async def unit(uow: UnitOfWork) -> DrilldownPage:
        context = await uow.companies.get_context()
        days = days_of_month(cohort)
        return DrilldownPage(
            context, await uow.drilldown.list_retained(later, days, context.company.zone, page)
        )

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS)


async def list_ended_visits(
    database: Database,
    company_id: int,
    requested: RequestedRange,
    stage: str,
    *,
    is_converted: bool | None = None,
    after: tuple[int, int] | None = None,
    limit: int = 50,
) -> VisitPage:
    """Lists ended visits of a stage: all, or only those that did or did not end by a conversion.

    Raises CompanyNotFoundError, InvalidInputError.
    """

    async def unit(uow: UnitOfWork) -> VisitPage:
        query = await load_query_context(uow, requested)
        found = await uow.drilldown.list_ended_visits(
            stage, query.days, query.zone, is_converted=is_converted, after=after, limit=limit
        )
        return VisitPage(query.context, found)

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS)


async def list_open_visits(
    database: Database, company_id: int, stage: str, *, after: tuple[int, int] | None = None, limit: int = 50
) -> VisitPage:
    """Lists the open visits of a stage. Raises CompanyNotFoundError."""

    async def unit(uow: UnitOfWork) -> VisitPage:
        context = await uow.companies.get_context()
        return VisitPage(context, await uow.drilldown.list_open_visits(stage, after=after, limit=limit))

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS)


async def _load_page(
    database: Database,
    company_id: int,
    requested: RequestedRange,
    list_: Callable[[UnitOfWork, QueryContext], Awaitable[Sequence[DrilldownCustomer]]],
) -> DrilldownPage:
    async def unit(uow: UnitOfWork) -> DrilldownPage:
        query = await load_query_context(uow, requested)
        return DrilldownPage(query.context, await list_(uow, query))

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS)


def _index_of(query: QueryContext, stage: str) -> int:
    for index, each in enumerate(query.stage_map.progress):
        if each.key == stage:
            return index
    raise InvalidInputError.at("query/stage", "must be a step of the funnel")
