"""What every figure is told with: the company, its present instant, and the local days that are asked for."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.analytics.date_ranges import DateRange, Period, RequestedRange, resolve_range
from journey_service.domain.calendar import local_day
from journey_service.domain.errors import UnavailableError
from journey_service.domain.stages.stage_map import StageMap
from journey_service.repositories.unit_of_work import UnitOfWork

TIMEOUT_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class QueryContext:
    """What every figure is told with: the company, its present instant, and the days that are asked for."""

    context: CompanyContext
    days: DateRange

    @property
    def as_of(self) -> datetime:
        """The company's now."""
        return self.context.now

    @property
    def stage_map(self) -> StageMap:
        """The map in force."""
        return self.context.rulebook.stage_map

    @property
    def zone(self) -> str:
        """The company's time zone."""
        return self.context.company.timezone

    @property
    def currency(self) -> str:
        """The currency of the company's money."""
        return self.context.company.currency

    @property
    def today(self) -> date:
        """The company's local day."""
        return local_day(self.context.now, ZoneInfo(self.zone))


async def load_query_context(
    uow: UnitOfWork, asked: RequestedRange, *, default: Period = Period.MONTH, since: datetime | None = None
) -> QueryContext:
    """The company and the days that are asked for; everything begins with `since` at the latest.

    Raises CompanyNotFoundError, InvalidInputError.
    """
    context = await uow.companies.context()
    zone = ZoneInfo(context.company.timezone)
    begin = await uow.ledger_queries.since() if asked.period is Period.ALL else None
    if since is not None:
        begin = min(local_day(since, zone), begin or context.now.date())
    return QueryContext(context, resolve_range(asked, local_day(context.now, zone), begin, default))


def require_rollups(query: QueryContext) -> None:
    """Raises UnavailableError as long as there are no sums yet."""
    if not query.context.company.rollup_version:
        raise UnavailableError("The figures are being counted; try again shortly.")
