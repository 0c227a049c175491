"""What every figure is told with: the company, its present instant, and the local days that are asked for."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from journey_service.domain.actions.company_context import Desk
from journey_service.domain.analytics.date_ranges import Days, Period, Range, checked_days
from journey_service.domain.calendar import local_day
from journey_service.domain.errors import UnavailableError
from journey_service.domain.stages.stage_map import StageMap
from journey_service.repositories.unit_of_work import Work

TIMEOUT_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class Frame:
    """What every figure is told with: the company, its present instant, and the days that are asked for."""

    desk: Desk
    days: Days

    @property
    def as_of(self) -> datetime:
        """The company's now."""
        return self.desk.now

    @property
    def stage_map(self) -> StageMap:
        """The map in force."""
        return self.desk.rulebook.stage_map

    @property
    def zone(self) -> str:
        """The company's time zone."""
        return self.desk.company.timezone

    @property
    def currency(self) -> str:
        """The currency of the company's money."""
        return self.desk.company.currency

    @property
    def today(self) -> date:
        """The company's local day."""
        return local_day(self.desk.now, ZoneInfo(self.zone))


async def frame_of(
    work: Work, asked: Range, *, default: Period = Period.MONTH, since: datetime | None = None
) -> Frame:
    """The company and the days that are asked for; everything begins with `since` at the latest.

    Raises CompanyNotFoundError, InvalidInputError.
    """
    desk = await work.companies.desk()
    zone = ZoneInfo(desk.company.timezone)
    begin = await work.figures.since() if asked.period is Period.ALL else None
    if since is not None:
        begin = min(local_day(since, zone), begin or desk.now.date())
    return Frame(desk, checked_days(asked, local_day(desk.now, zone), begin, default))


def check_counted(frame: Frame) -> None:
    """Raises UnavailableError as long as there are no sums yet."""
    if not frame.desk.company.rollup_version:
        raise UnavailableError("The figures are being counted; try again shortly.")
