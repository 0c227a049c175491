"""What becomes of customers and of what is done for them: risk, who comes again, and actions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from journey_service.domain.analytics import aggregates as figures
from journey_service.domain.analytics.aggregates import Band
from journey_service.domain.analytics.date_ranges import Days, Period, Range
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import Work
from journey_service.services.analytics.query_context import TIMEOUT_MS, Frame, frame_of


@dataclass(frozen=True, slots=True)
class Risks:
    """Customers by stored risk."""

    as_of: datetime
    bands: Sequence[tuple[Band, int]]


@dataclass(frozen=True, slots=True)
class Cohort:
    """Those who first came in one month, and how many of them came how many months later.

    Months are counted from the year 0.
    """

    month: int
    came: Sequence[int]

    @property
    def percentages(self) -> Sequence[Decimal]:
        """Those who came, of the cohort."""
        return [figures.percent(number, self.came[0]) for number in self.came]


@dataclass(frozen=True, slots=True)
class Cohorts:
    """Retention by the month of the first visit."""

    frame: Frame
    cohorts: Sequence[Cohort]


@dataclass(frozen=True, slots=True)
class Automated:
    """What has become of the actions of one name; of none that ended the rate is unknown."""

    name: str
    done: int
    dead: int
    cancelled: int
    pending: int

    @property
    def rate(self) -> Decimal | None:
        """Those done of those done and dead, in percent."""
        ended = self.done + self.dead
        return figures.percent(self.done, ended) if ended else None


@dataclass(frozen=True, slots=True)
class Automation:
    """What has become of the actions planned in the days asked for."""

    frame: Frame
    actions: Sequence[Automated]

    @property
    def rate(self) -> Decimal | None:
        """Those done of those done and dead, in percent."""
        done = sum(each.done for each in self.actions)
        ended = done + sum(each.dead for each in self.actions)
        return figures.percent(done, ended) if ended else None


async def get_risks(database: Database, company_id: int) -> Risks:
    """Customers by stored risk. Raises CompanyNotFoundError."""

    async def unit(work: Work) -> Risks:
        desk = await work.companies.desk()
        return Risks(desk.now, figures.banded(await work.figures.risks()))

    return await database.run(company_id, unit)


async def get_cohorts(database: Database, company_id: int, asked: Range) -> Cohorts:
    """Retention of everybody who first came in a month that the days asked for touch.

    Raises CompanyNotFoundError, InvalidInputError.
    """

    async def unit(work: Work) -> Cohorts:
        first_visit = await work.figures.first_visit() if asked.period is Period.ALL else None
        frame = await frame_of(work, asked, default=Period.YEAR, since=first_visit)
        first, last, now = (_month_of(day) for day in (*frame.days, frame.today))
        days = Days(days_of_month(first).first, days_of_month(last).last)
        came = await work.figures.retention(days, frame.zone)
        months = sorted({cohort for cohort, _ in came})
        return Cohorts(
            frame,
            [
                Cohort(month, [came.get((month, later), 0) for later in range(max(now - month, 0) + 1)])
                for month in months
            ],
        )

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS)


async def get_automation(database: Database, company_id: int, asked: Range) -> Automation:
    """What has become of actions. Raises CompanyNotFoundError, InvalidInputError."""

    async def unit(work: Work) -> Automation:
        frame = await frame_of(work, asked)
        return Automation(frame, automated(await work.figures.actions(frame.days, frame.zone)))

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS)


def automated(found: Mapping[tuple[str, str], int]) -> list[Automated]:
    """What has become of actions, from how many of each name are in each state."""
    return [
        Automated(
            name,
            done=found.get((name, "done"), 0),
            dead=found.get((name, "dead"), 0),
            cancelled=found.get((name, "cancelled"), 0),
            pending=found.get((name, "pending"), 0) + found.get((name, "leased"), 0),
        )
        for name in sorted({name for name, _ in found})
    ]


def days_of_month(month: int) -> Days:
    """The days of a month, counted from the year 0."""
    first = date(month // 12, month % 12 + 1, 1)
    following = date((month + 1) // 12, (month + 1) % 12 + 1, 1)
    return Days(first, date.fromordinal(following.toordinal() - 1))


def _month_of(day: date) -> int:
    return day.year * 12 + day.month - 1
