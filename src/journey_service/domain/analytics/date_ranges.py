"""Which local days a figure is asked for: a period that ends today, or two days and all between them."""

from collections.abc import Mapping
from datetime import date, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from journey_service.domain.errors import FieldError, InvalidInputError
from journey_service.domain.events.event import EARLIEST

MAX_RANGE_DAYS: Final = 3_660


class Period(StrEnum):
    """The last 7, 30, 90 or 365 days including today, or everything."""

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
    """Local days, both included."""

    first: date
    last: date


class RequestedRange(NamedTuple):
    """Which days are asked for: a period, or both of the days."""

    period: Period | None = None
    first: date | None = None
    last: date | None = None


def range_of_period(period: Period, today: date, since: date | None) -> DateRange:
    """The days of a period; everything begins with `since`, or today where there is nothing yet."""
    if period is Period.ALL:
        return DateRange(today if since is None else min(since, today), today)
    return DateRange(today - timedelta(days=_LENGTHS[period] - 1), today)


def resolve_range(
    asked: RequestedRange, today: date, since: date | None, default: Period = Period.MONTH
) -> DateRange:
    """The days that are asked for. Raises InvalidInputError with every fault."""
    first, last = asked.first, asked.last
    if first is None and last is None:
        return range_of_period(asked.period or default, today, since)
    faults = [
        FieldError(f"query/{name}", f"is needed beside `{other}`")
        for name, value, other in (("from", first, "to"), ("to", last, "from"))
        if value is None
    ]
    if asked.period is not None:
        faults.append(FieldError("query/period", "must be left out beside `from` and `to`"))
    if last is not None and last > today:
        faults.append(FieldError("query/to", "must not be after today"))
    if first is not None and first < EARLIEST.date():
        faults.append(FieldError("query/from", f"must not be before {EARLIEST.date()}"))
    if first is not None and last is not None:
        if first > last:
            faults.append(FieldError("query/from", "must not be after `to`"))
        elif (last - first).days >= MAX_RANGE_DAYS:
            faults.append(
                FieldError(
                    "query/from", f"must be so late that there are at most {MAX_RANGE_DAYS:,} days up to `to`"
                )
            )
    if faults or first is None or last is None:
        raise InvalidInputError(faults)
    return DateRange(first, last)
