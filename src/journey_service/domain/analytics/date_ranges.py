"""Date ranges of reports: a period that ends today, or explicit first and last days."""

from collections.abc import Mapping
from datetime import date, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from journey_service.domain.errors import FieldError, InvalidInputError
from journey_service.domain.events.event import EARLIEST

MAX_RANGE_DAYS: Final = 3_660
"""Days of an explicit range; a longer one is rejected."""


class Period(StrEnum):
    """Period that ends today: the last 7, 30, 90 or 365 days, or all days."""

    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"
    ALL = "all"


_LENGTHS: Final[Mapping[Period, int]] = {
    Period.WEEK: 7,
    Period.MONTH: 30,
    Period.QUARTER: 90,
    Period.YEAR: 365,
}


class DateRange(NamedTuple):
    """Range of local days, both ends included."""

    first: date
    last: date


class RequestedRange(NamedTuple):
    """Requested range: a period, or both a first and a last day."""

    period: Period | None = None
    first: date | None = None
    last: date | None = None


def range_of_period(period: Period, today: date, since: date | None) -> DateRange:
    """Returns the days of a period. `ALL` starts with `since`, or today if that is None."""
    if period is Period.ALL:
        return DateRange(today if since is None else min(since, today), today)
    return DateRange(today - timedelta(days=_LENGTHS[period] - 1), today)


def resolve_range(
    requested: RequestedRange, today: date, since: date | None, default: Period = Period.MONTH
) -> DateRange:
    """Returns the requested days. Raises InvalidInputError with every error."""
    first, last = requested.first, requested.last
    if first is None and last is None:
        return range_of_period(requested.period or default, today, since)
    errors = [
        FieldError(f"query/{name}", f"is required if `{other}` is given")
        for name, value, other in (("from", first, "to"), ("to", last, "from"))
        if value is None
    ]
    errors += _range_errors(requested, today)
    if errors or first is None or last is None:
        raise InvalidInputError(errors)
    return DateRange(first, last)


def _range_errors(requested: RequestedRange, today: date) -> list[FieldError]:
    first, last = requested.first, requested.last
    errors = []
    if requested.period is not None:
        errors.append(FieldError("query/period", "must not be combined with `from` and `to`"))
    if last is not None and last > today:
        errors.append(FieldError("query/to", "must not be after today"))
    if first is not None and first < EARLIEST.date():
        errors.append(FieldError("query/from", f"must not be before {EARLIEST.date()}"))
    if first is not None and last is not None:
        if first > last:
            errors.append(FieldError("query/from", "must not be after `to`"))
        elif (last - first).days >= MAX_RANGE_DAYS:
            errors.append(
                FieldError("query/from", f"must be later: a range has at most {MAX_RANGE_DAYS:,} days")
            )
    return errors
