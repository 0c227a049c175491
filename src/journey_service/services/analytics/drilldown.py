"""Who is behind a figure: exactly the customers, or the visits, that it has counted."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.analytics import funnels
from journey_service.domain.analytics.churn import (
    ChurnSample,
    RetentionAction,
    churn_samples,
    predicted_churn_date,
    retention_actions,
)
from journey_service.domain.analytics.date_ranges import RequestedRange
from journey_service.domain.analytics.records import (
    AtRiskCustomer,
    DrilldownCustomer,
    PageRequest,
    RiskPageRequest,
    StageVisit,
)
from journey_service.domain.analytics.risk_bands import HIGH_RISK, RiskBand
from journey_service.domain.calendar import check_not_future
from journey_service.domain.errors import InvalidInputError, UnavailableError
from journey_service.domain.journeys.facts import days_since
from journey_service.domain.journeys.relationship import Motion
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.cohorts import days_of_month
from journey_service.services.analytics.query_context import TIMEOUT_MS, QueryContext, load_query_context


class Outcome(StrEnum):
    """What became of a member of a cohort beyond one step."""

    CONVERTED = "converted"
    PENDING = "pending"
    DROPPED = "dropped"


class Became(StrEnum):
    """What has become of an action, or that it is still to be done."""

    DONE = "done"
    DEAD = "dead"
    CANCELLED = "cancelled"
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class DrilldownPage:
    """Customers behind a figure, and the company in whose words they are shown."""

    context: CompanyContext
    customers: Sequence[DrilldownCustomer]


@dataclass(frozen=True, slots=True)
class VisitPage:
    """Visits behind a figure."""

    context: CompanyContext
    visits: Sequence[StageVisit]


@dataclass(frozen=True, slots=True)
class AtRisk:
    """A customer at risk: for how long they have not come, when they are expected to leave, and what to do."""

    found: AtRiskCustomer
    days_inactive: int | None
    predicted_churn_date: date | None
    sample: int
    actions: Sequence[RetentionAction]


@dataclass(frozen=True, slots=True)
class RiskList:
    """A page of customers at risk; `total` is how many there are, where that was asked."""

    context: CompanyContext
    customers: Sequence[AtRisk]
    total: int = 0


@dataclass(frozen=True, slots=True)
class CohortStepAsked:
    """A step of a cohort's funnel, and of those counted there which ones."""

    stage: str
    window_days: int
    outcome: Outcome | None = None


async def list_in_stage(
    database: Database, company_id: int, stage: str, as_of: datetime | None, page: PageRequest
) -> DrilldownPage:
    """Those who are in a stage, or were. Raises CompanyNotFoundError, InvalidInputError."""

    async def unit(uow: UnitOfWork) -> DrilldownPage:
        context = await uow.companies.get_context()
        if as_of is None:
            return DrilldownPage(context, await uow.drilldown.list_in_stage(stage, page))
        check_not_future(as_of, context.now)
        return DrilldownPage(context, await uow.drilldown.list_in_stage_at(stage, as_of, page))

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS)


async def list_reached(
    database: Database, company_id: int, asked: RequestedRange, stage: str, page: PageRequest
) -> DrilldownPage:
    """Those who have reached a step of the funnel. Raises CompanyNotFoundError, InvalidInputError."""

    async def list_(uow: UnitOfWork, query: QueryContext) -> Sequence[DrilldownCustomer]:
        place = _place_of(query, stage)
        stages = [key for key, rank in funnels.ranks(query.stage_map).items() if rank >= place]
        return await uow.drilldown.list_entered(stages, query.days, query.zone, page)

    return await _listed(database, company_id, asked, list_)


async def list_of_cohort(
    database: Database, company_id: int, asked: RequestedRange, step: CohortStepAsked, page: PageRequest
) -> DrilldownPage:
    """Those at a step of a cohort's funnel. Raises CompanyNotFoundError, InvalidInputError."""

    async def list_(uow: UnitOfWork, query: QueryContext) -> Sequence[DrilldownCustomer]:
        place = _place_of(query, step.stage)
        top = len(query.stage_map.progress) - 1
        if step.outcome is not None and place == top:
            return []  # there is nothing beyond
        lowest = place + 1 if step.outcome is Outcome.CONVERTED else place
        stays = step.outcome in (Outcome.PENDING, Outcome.DROPPED)
        is_open = {Outcome.PENDING: [True], Outcome.DROPPED: [False]}
        known = funnels.ranks(query.stage_map)
        told = {
            "entered": list(known),
            "ranks": list(known.values()),
            "window": step.window_days,
            "now": query.as_of,
            "lowest": lowest,
            "highest": place if stays else top,
            "open": [True, False] if step.outcome is None else is_open.get(step.outcome, [True, False]),
        }
        return await uow.drilldown.list_cohort(told, query.days, query.zone, page)

    return await _listed(database, company_id, asked, list_)


async def list_went(
    database: Database,
    company_id: int,
    asked: RequestedRange,
    flow: tuple[str | None, str],
    page: PageRequest,
) -> DrilldownPage:
    """Those who have gone a way; from nowhere: whose journey opened. Raises as the others do."""

    async def list_(uow: UnitOfWork, query: QueryContext) -> Sequence[DrilldownCustomer]:
        return await uow.drilldown.list_flow(flow, query.days, query.zone, page)

    return await _listed(database, company_id, asked, list_)


async def list_moved(
    database: Database,
    company_id: int,
    asked: RequestedRange,
    motion: Motion | None,
    to_stage: str | None,
    page: PageRequest,
) -> DrilldownPage:
    """Those who have moved in one manner (None: in any but the opening). Raises as the others do."""
    motions = [motion] if motion else [each for each in Motion if each is not Motion.OPENING]

    async def list_(uow: UnitOfWork, query: QueryContext) -> Sequence[DrilldownCustomer]:
        return await uow.drilldown.list_moved(motions, to_stage, query.days, query.zone, page)

    return await _listed(database, company_id, asked, list_)


async def list_acted_on(
    database: Database, company_id: int, asked: RequestedRange, name: str, outcome: Became, page: PageRequest
) -> DrilldownPage:
    """Those for whom actions were planned of which this became. Raises as the others do."""
    states = ("pending", "leased") if outcome is Became.PENDING else (outcome.value,)

    async def list_(uow: UnitOfWork, query: QueryContext) -> Sequence[DrilldownCustomer]:
        return await uow.drilldown.list_with_actions(name, states, query.days, query.zone, page)

    return await _listed(database, company_id, asked, list_)


async def list_in_band(
    database: Database, company_id: int, band: RiskBand, page: PageRequest
) -> DrilldownPage:
    """Those whose stored risk lies in a band. Raises CompanyNotFoundError."""

    async def unit(uow: UnitOfWork) -> DrilldownPage:
        return DrilldownPage(
            await uow.companies.get_context(), await uow.drilldown.list_in_risk_band(band, page)
        )

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS)


async def list_came_again(
    database: Database, company_id: int, cohort: int, later: int, page: PageRequest
) -> DrilldownPage:
    """Those who first came in a month, counted from the year 0, and again so many months later."""

    async def unit(uow: UnitOfWork) -> DrilldownPage:
        context = await uow.companies.get_context()
        days = days_of_month(cohort)
        return DrilldownPage(
            context, await uow.drilldown.list_retained(later, days, context.company.timezone, page)
        )

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS)


async def list_ended(
    database: Database,
    company_id: int,
    asked: RequestedRange,
    stage: str,
    *,
    is_converted: bool | None = None,
    after: tuple[int, int] | None = None,
    limit: int = 50,
) -> VisitPage:
    """Visits of a stage that ended: all, or those that did, or did not, by an entry or out of risk by a return."""

    async def unit(uow: UnitOfWork) -> VisitPage:
        query = await load_query_context(uow, asked)
        found = await uow.drilldown.list_ended_visits(
            stage, query.days, query.zone, is_converted=is_converted, after=after, limit=limit
        )
        return VisitPage(query.context, found)

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS)


async def list_going_on(
    database: Database, company_id: int, stage: str, *, after: tuple[int, int] | None = None, limit: int = 50
) -> VisitPage:
    """Visits of a stage that go on. Raises CompanyNotFoundError."""

    async def unit(uow: UnitOfWork) -> VisitPage:
        context = await uow.companies.get_context()
        return VisitPage(context, await uow.drilldown.list_open_visits(stage, after=after, limit=limit))

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS)


async def list_churning(database: Database, company_id: int, page: RiskPageRequest) -> RiskList:
    """The guide's list: a risk above 0.7 and not churned. Raises CompanyNotFoundError, UnavailableError."""

    async def unit(uow: UnitOfWork) -> RiskList:
        context = await uow.companies.get_context()
        found = await uow.drilldown.list_churning(_last_risk(context), HIGH_RISK, page)
        return RiskList(context, await _looked_at(uow, context, found))

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS, is_repeatable_read=True)


async def list_at_risk(database: Database, company_id: int, page: RiskPageRequest) -> RiskList:
    """The portal's list: those in the mildest risk stage too. Raises CompanyNotFoundError, UnavailableError."""

    async def unit(uow: UnitOfWork) -> RiskList:
        context = await uow.companies.get_context()
        mildest = context.rulebook.stage_map.mildest_risk
        key, last = "" if mildest is None else mildest.key, _last_risk(context)
        found = await uow.drilldown.list_at_risk(key, last, HIGH_RISK, page)
        total = await uow.drilldown.count_at_risk(key, last, HIGH_RISK)
        return RiskList(context, await _looked_at(uow, context, found), total)

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS, is_repeatable_read=True)


async def _listed(
    database: Database,
    company_id: int,
    asked: RequestedRange,
    list_: Callable[[UnitOfWork, QueryContext], Awaitable[Sequence[DrilldownCustomer]]],
) -> DrilldownPage:
    async def unit(uow: UnitOfWork) -> DrilldownPage:
        query = await load_query_context(uow, asked)
        return DrilldownPage(query.context, await list_(uow, query))

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS)


def _place_of(query: QueryContext, stage: str) -> int:
    for place, each in enumerate(query.stage_map.progress):
        if each.key == stage:
            return place
    raise InvalidInputError.at("query/stage", "is no step of the funnel")


def _last_risk(context: CompanyContext) -> str:
    severe = context.rulebook.stage_map.risk_down
    return severe[0].key if severe else ""


async def _looked_at(
    uow: UnitOfWork, context: CompanyContext, found: Sequence[AtRiskCustomer]
) -> list[AtRisk]:
    if not context.company.rollup_version:
        raise UnavailableError("The figures are being counted; try again shortly.")
    samples = churn_samples(context.rulebook.stage_map, await uow.rollups.list_all_moves())
    zone = ZoneInfo(context.company.timezone)
    looked_at = []
    for customer in found:
        last = customer.last_appointment_at
        days = None if last is None else days_since(last, context.now)
        sample = samples.get(customer.current_stage)
        looked_at.append(
            AtRisk(
                customer,
                days,
                predicted_churn_date(customer.stage_entered_at, sample, context.now, zone),
                (sample or ChurnSample(0, 0)).number,
                retention_actions(customer.risk, days),
            )
        )
    return looked_at
