"""SQL expressions for local days of a company, and conditions on ranges of them that can use an index."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Final

from journey_service.domain.analytics.date_ranges import DateRange
from journey_service.domain.calendar import offsets_between
from journey_service.domain.events.event import EARLIEST, LATEST

_ONE_DAY: Final = timedelta(days=1)
ALL_DAYS: Final = DateRange(EARLIEST.date(), LATEST.date())


def local_time(instant: str) -> str:
    """Returns SQL for the local time of an instant, with the `offset_parameters` of the time zone.

    PostgreSQL's time zone data may differ from Python's. Rollups have days computed in Python, and queries of the
    ledgers must assign the same days.
    """
    return (
        f"(({instant} + (CAST(:offsets AS interval[]))[width_bucket({instant}, CAST(:since AS timestamptz[]))])"
        " AT TIME ZONE 'UTC')"
    )


def local_day(instant: str) -> str:
    """Returns SQL for the local day of an instant, with `offset_parameters`."""
    return f"CAST({local_time(instant)} AS date)"


def offset_parameters(zone: tzinfo, days: DateRange = ALL_DAYS) -> dict[str, Any]:
    """Returns the parameters of `local_time`: the UTC offsets around these days.

    For instants more than a day before or after these days, the local time may be wrong.
    """
    offsets = offsets_between(*days, zone)
    return {"since": [since for since, _ in offsets], "offsets": [offset for _, offset in offsets]}


def within(instant: str) -> str:
    """Returns SQL for an instant in a range of local days, with `range_parameters`.

    The condition on `not_before` and `not_from` uses the index; it is a day wider than the range, because no time zone
    is a whole day away from UTC. Every instant from `surely_from` to `surely_before` is in the range. For the other
    instants the local day is compared.
    """
    return (
        f"({instant} >= CAST(:not_before AS timestamptz) AND {instant} < CAST(:not_from AS timestamptz)"
        f" AND (({instant} >= CAST(:surely_from AS timestamptz) AND {instant} < CAST(:surely_before AS timestamptz))"
        f" OR {local_day(instant)} BETWEEN CAST(:first AS date) AND CAST(:last AS date)))"
    )


def range_parameters(days: DateRange, zone: tzinfo) -> dict[str, Any]:
    """Returns the parameters of `within`."""
    not_before, surely_from = _midnight(days.first, zone)
    surely_before, not_from = _midnight(days.last + _ONE_DAY, zone)
    return {
        "first": days.first,
        "last": days.last,
        **offset_parameters(zone, days),
        "not_before": not_before,
        "not_from": not_from,
        "surely_from": surely_from,
        "surely_before": surely_before,
    }


def _midnight(day: date, zone: tzinfo) -> tuple[datetime, datetime]:
    """Returns the earliest and latest instant at which a local day may begin.

    They differ only if the UTC offset changes within two days: a change at midnight repeats an hour of the day before.
    """
    begin = datetime.combine(day, time(0), tzinfo=UTC)
    offsets = {(begin + number * _ONE_DAY).astimezone(zone).utcoffset() for number in range(-2, 3)}
    if len(offsets) == 1 and (offset := offsets.pop()) is not None:
        return begin - offset, begin - offset
    return begin - _ONE_DAY, begin + _ONE_DAY
