"""Retention report: cohorts by month of first appointment."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from journey_service.domain.analytics import aggregates as metrics
from journey_service.domain.analytics.date_ranges import DateRange, Period, RequestedRange
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.query_context import TIMEOUT_MS, QueryContext, load_query_context


@dataclass(frozen=True, slots=True)
class Cohort:
    """Customers by the month of their first appointment, and how many had one in each later month.

    `month` is the number of months since the year 0; `customers_by_month[n]` counts customers `n` months after it.
    """

    month: int
    customers_by_month: Sequence[int]

    @property
    def percentages(self) -> Sequence[Decimal]:
        """Percentage of the cohort in each month."""
        return [metrics.percent(number, self.customers_by_month[0]) for number in self.customers_by_month]


@dataclass(frozen=True, slots=True)
class CohortReport:
    """Retention by month of first appointment."""

    query: QueryContext
    cohorts: Sequence[Cohort]


async def get_cohorts(database: Database, company_id: int, date_range: RequestedRange) -> CohortReport:
    """Returns the cohorts of all months that the date range overlaps.

    Raises CompanyNotFoundError, InvalidInputError.
    """

    async def unit(uow: UnitOfWork) -> CohortReport:
        first_appointment = (
            await uow.ledger_queries.get_first_appointment_at() if date_range.period is Period.ALL else None
        )
        query = await load_query_context(uow, date_range, default=Period.YEAR, since=first_appointment)
        first, last, now = (_month_of(day) for day in (*query.days, query.today))
        days = DateRange(days_of_month(first).first, days_of_month(last).last)
        counts = await uow.ledger_queries.count_retention(days, query.zone)
        months = sorted({cohort for cohort, _ in counts})
        cohorts = [
            Cohort(month, [counts.get((month, later), 0) for later in range(max(now - month, 0) + 1)])
            for month in months
        ]
        return CohortReport(query, cohorts)

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS)


def days_of_month(month: int) -> DateRange:
    """Returns the days of a month, given as months since the year 0."""
    first = date(month // 12, month % 12 + 1, 1)
    following = date((month + 1) // 12, (month + 1) % 12 + 1, 1)
    return DateRange(first, date.fromordinal(following.toordinal() - 1))


def _month_of(day: date) -> int:
    return day.year * 12 + day.month - 1
