"""Query context of every report: the company, its current time, and the requested range of local days."""

from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import Final

from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.analytics.date_ranges import DateRange, Period, RequestedRange, resolve_range
from journey_service.domain.calendar import local_day
from journey_service.domain.errors import UnavailableError
from journey_service.domain.stages.stage_map import StageMap
from journey_service.repositories.unit_of_work import UnitOfWork

TIMEOUT_MS: Final = 60_000
"""Milliseconds after which the query of a report is cancelled."""


@dataclass(frozen=True, slots=True)
class QueryContext:
    """The company with its current time, and the requested local days."""

    context: CompanyContext
    days: DateRange

    @property
    def as_of(self) -> datetime:
        """Current time of the company."""
        return self.context.now

    @property
    def stage_map(self) -> StageMap:
        """Stage map in force."""
        return self.context.rulebook.stage_map

    @property
    def zone(self) -> tzinfo:
        """Time zone of the company."""
        return self.context.company.zone

    @property
    def currency(self) -> str:
        """Currency of the company."""
        return self.context.company.currency

    @property
    def today(self) -> date:
        """Current local day of the company."""
        return local_day(self.context.now, self.zone)


async def load_query_context(
    uow: UnitOfWork,
    requested: RequestedRange,
    *,
    default: Period = Period.MONTH,
    since: datetime | None = None,
) -> QueryContext:
    """Loads the company and resolves the date range.

    Period `all` begins no later than `since`.

    Raises CompanyNotFoundError, InvalidInputError.
    """
    context = await uow.companies.get_context()
    zone = context.company.zone
    begin = await uow.ledger_queries.get_first_day() if requested.period is Period.ALL else None
    if since is not None:
        begin = min(local_day(since, zone), begin or context.now.date())
    return QueryContext(context, resolve_range(requested, local_day(context.now, zone), begin, default))


def require_rollups(query: QueryContext) -> None:
    """Raises UnavailableError while the rollups are being built for the first time."""
    if not query.context.company.rollup_version:
        raise UnavailableError("The metrics are being computed; try again shortly.")
