"""Who is behind a figure: exactly the customers, or the visits, that it has counted."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from journey_service.domain.actions.company_context import Desk
from journey_service.domain.analytics import funnels
from journey_service.domain.analytics.churn import (
    Departures,
    RetentionAction,
    departures,
    predicted_day,
    retention_actions,
)
from journey_service.domain.analytics.date_ranges import Range
from journey_service.domain.analytics.records import Counted, Page, RiskPage, Risky, Visit
from journey_service.domain.analytics.risk_bands import HIGH_RISK, Band
from journey_service.domain.calendar import check_past
from journey_service.domain.errors import InvalidInputError, UnavailableError
from journey_service.domain.journeys.facts import days_since
from journey_service.domain.journeys.relationship import Motion
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import Work
from journey_service.services.analytics.cohorts import days_of_month
from journey_service.services.analytics.query_context import TIMEOUT_MS, Frame, frame_of


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
class CountedPage:
    """Customers behind a figure, and the company in whose words they are shown."""

    desk: Desk
    customers: Sequence[Counted]


@dataclass(frozen=True, slots=True)
class VisitPage:
    """Visits behind a figure."""

    desk: Desk
    visits: Sequence[Visit]


@dataclass(frozen=True, slots=True)
class AtRisk:
    """A customer at risk: for how long they have not come, when they are expected to leave, and what to do."""

    found: Risky
    days_inactive: int | None
    predicted_day: date | None
    sample: int
    actions: Sequence[RetentionAction]


@dataclass(frozen=True, slots=True)
class RiskList:
    """A page of customers at risk; `total` is how many there are, where that was asked."""

    desk: Desk
    customers: Sequence[AtRisk]
    total: int = 0


@dataclass(frozen=True, slots=True)
class CohortStepAsked:
    """A step of a cohort's funnel, and of those counted there which ones."""

    stage: str
    window_days: int
    outcome: Outcome | None = None


async def list_in_stage(
    database: Database, company_id: int, stage: str, as_of: datetime | None, page: Page
) -> CountedPage:
    """Those who are in a stage, or were. Raises CompanyNotFoundError, InvalidInputError."""

    async def unit(work: Work) -> CountedPage:
        desk = await work.companies.desk()
        if as_of is None:
            return CountedPage(desk, await work.counted.in_stage(stage, page))
        check_past(as_of, desk.now)
        return CountedPage(desk, await work.counted.were_in_stage(stage, as_of, page))

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS)


async def list_reached(
    database: Database, company_id: int, asked: Range, stage: str, page: Page
) -> CountedPage:
    """Those who have reached a step of the funnel. Raises CompanyNotFoundError, InvalidInputError."""

    async def list_(work: Work, frame: Frame) -> Sequence[Counted]:
        place = _place_of(frame, stage)
        stages = [key for key, rank in funnels.ranks(frame.stage_map).items() if rank >= place]
        return await work.counted.reached(stages, frame.days, frame.zone, page)

    return await _listed(database, company_id, asked, list_)


async def list_of_cohort(
    database: Database, company_id: int, asked: Range, step: CohortStepAsked, page: Page
) -> CountedPage:
    """Those at a step of a cohort's funnel. Raises CompanyNotFoundError, InvalidInputError."""

    async def list_(work: Work, frame: Frame) -> Sequence[Counted]:
        place = _place_of(frame, step.stage)
        top = len(frame.stage_map.progress) - 1
        if step.outcome is not None and place == top:
            return []  # there is nothing beyond
        lowest = place + 1 if step.outcome is Outcome.CONVERTED else place
        stays = step.outcome in (Outcome.PENDING, Outcome.DROPPED)
        is_open = {Outcome.PENDING: [True], Outcome.DROPPED: [False]}
        known = funnels.ranks(frame.stage_map)
        told = {
            "entered": list(known),
            "ranks": list(known.values()),
            "window": step.window_days,
            "now": frame.as_of,
            "lowest": lowest,
            "highest": place if stays else top,
            "open": [True, False] if step.outcome is None else is_open.get(step.outcome, [True, False]),
        }
        return await work.counted.of_cohort(told, frame.days, frame.zone, page)

    return await _listed(database, company_id, asked, list_)


async def list_went(
    database: Database, company_id: int, asked: Range, way: tuple[str | None, str], page: Page
) -> CountedPage:
    """Those who have gone a way; from nowhere: whose journey opened. Raises as the others do."""

    async def list_(work: Work, frame: Frame) -> Sequence[Counted]:
        return await work.counted.went(way, frame.days, frame.zone, page)

    return await _listed(database, company_id, asked, list_)


async def list_moved(
    database: Database, company_id: int, asked: Range, motion: Motion | None, to_stage: str | None, page: Page
) -> CountedPage:
    """Those who have moved in one manner (None: in any but the opening). Raises as the others do."""
    motions = [motion] if motion else [each for each in Motion if each is not Motion.OPENING]

    async def list_(work: Work, frame: Frame) -> Sequence[Counted]:
        return await work.counted.moved(motions, to_stage, frame.days, frame.zone, page)

    return await _listed(database, company_id, asked, list_)


async def list_acted_on(
    database: Database, company_id: int, asked: Range, name: str, outcome: Became, page: Page
) -> CountedPage:
    """Those for whom actions were planned of which this became. Raises as the others do."""
    states = ("pending", "leased") if outcome is Became.PENDING else (outcome.value,)

    async def list_(work: Work, frame: Frame) -> Sequence[Counted]:
        return await work.counted.acted_on(name, states, frame.days, frame.zone, page)

    return await _listed(database, company_id, asked, list_)


async def list_in_band(database: Database, company_id: int, band: Band, page: Page) -> CountedPage:
    """Those whose stored risk lies in a band. Raises CompanyNotFoundError."""

    async def unit(work: Work) -> CountedPage:
        return CountedPage(await work.companies.desk(), await work.counted.in_band(band, page))

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS)


async def list_came_again(
    database: Database, company_id: int, cohort: int, later: int, page: Page
) -> CountedPage:
    """Those who first came in a month, counted from the year 0, and again so many months later."""

    async def unit(work: Work) -> CountedPage:
        desk = await work.companies.desk()
        days = days_of_month(cohort)
        return CountedPage(desk, await work.counted.came_again(later, days, desk.company.timezone, page))

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS)


async def list_ended(
    database: Database,
    company_id: int,
    asked: Range,
    stage: str,
    *,
    is_converted: bool | None = None,
    after: tuple[int, int] | None = None,
    limit: int = 50,
) -> VisitPage:
    """Visits of a stage that ended: all, or those that did, or did not, by an entry or out of risk by a return."""

    async def unit(work: Work) -> VisitPage:
        frame = await frame_of(work, asked)
        found = await work.counted.ended(
            stage, frame.days, frame.zone, is_converted=is_converted, after=after, limit=limit
        )
        return VisitPage(frame.desk, found)

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS)


async def list_going_on(
    database: Database, company_id: int, stage: str, *, after: tuple[int, int] | None = None, limit: int = 50
) -> VisitPage:
    """Visits of a stage that go on. Raises CompanyNotFoundError."""

    async def unit(work: Work) -> VisitPage:
        desk = await work.companies.desk()
        return VisitPage(desk, await work.counted.going_on(stage, after=after, limit=limit))

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS)


async def list_churning(database: Database, company_id: int, page: RiskPage) -> RiskList:
    """The guide's list: a risk above 0.7 and not churned. Raises CompanyNotFoundError, UnavailableError."""

    async def unit(work: Work) -> RiskList:
        desk = await work.companies.desk()
        found = await work.counted.churning(_last_risk(desk), HIGH_RISK, page)
        return RiskList(desk, await _looked_at(work, desk, found))

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS, at_one_instant=True)


async def list_at_risk(database: Database, company_id: int, page: RiskPage) -> RiskList:
    """The portal's list: those in the mildest risk stage too. Raises CompanyNotFoundError, UnavailableError."""

    async def unit(work: Work) -> RiskList:
        desk = await work.companies.desk()
        mildest = desk.rulebook.stage_map.mildest_risk
        key, last = "" if mildest is None else mildest.key, _last_risk(desk)
        found = await work.counted.at_risk(key, last, HIGH_RISK, page)
        total = await work.counted.count_at_risk(key, last, HIGH_RISK)
        return RiskList(desk, await _looked_at(work, desk, found), total)

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS, at_one_instant=True)


async def _listed(
    database: Database,
    company_id: int,
    asked: Range,
    list_: Callable[[Work, Frame], Awaitable[Sequence[Counted]]],
) -> CountedPage:
    async def unit(work: Work) -> CountedPage:
        frame = await frame_of(work, asked)
        return CountedPage(frame.desk, await list_(work, frame))

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS)


def _place_of(frame: Frame, stage: str) -> int:
    for place, each in enumerate(frame.stage_map.progress):
        if each.key == stage:
            return place
    raise InvalidInputError.at("query/stage", "is no step of the funnel")


def _last_risk(desk: Desk) -> str:
    severe = desk.rulebook.stage_map.risk_down
    return severe[0].key if severe else ""


async def _looked_at(work: Work, desk: Desk, found: Sequence[Risky]) -> list[AtRisk]:
    if not desk.company.rollup_version:
        raise UnavailableError("The figures are being counted; try again shortly.")
    samples = departures(desk.rulebook.stage_map, await work.rollups.moves_ever())
    zone = ZoneInfo(desk.company.timezone)
    looked_at = []
    for customer in found:
        last = customer.last_appointment_at
        days = None if last is None else days_since(last, desk.now)
        sample = samples.get(customer.current_stage)
        looked_at.append(
            AtRisk(
                customer,
                days,
                predicted_day(customer.stage_entered_at, sample, desk.now, zone),
                (sample or Departures(0, 0)).number,
                retention_actions(customer.risk, days),
            )
        )
    return looked_at
