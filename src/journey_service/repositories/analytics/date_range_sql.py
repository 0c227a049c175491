"""Ranges of a company's local days, as SQL: by the ledger's index, and exactly."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from journey_service.domain.analytics.date_ranges import DateRange
from journey_service.domain.calendar import offsets_between
from journey_service.domain.events.event import EARLIEST, LATEST

_ONE_DAY: Final = timedelta(days=1)
ALL_DAYS: Final = DateRange(EARLIEST.date(), LATEST.date())


def local_time(instant: str) -> str:
    """SQL for what the clocks of the zone show at an instant, as `clock_of` tells of them.

    PostgreSQL has time zones of its own, but what a day is must be the same in the sums, which are written by days that
    were worked out here, and in the ledgers that they are compared with.
    """
    return (
        f"(({instant} + (CAST(:offsets AS interval[]))[width_bucket({instant}, CAST(:since AS timestamptz[]))])"
        " AT TIME ZONE 'UTC')"
    )


def local_day(instant: str) -> str:
    """SQL for the local day of an instant, likewise."""
    return f"CAST({local_time(instant)} AS date)"


def offset_parameters(zone: str, days: DateRange = ALL_DAYS) -> dict[str, Any]:
    """What `local_time` is to be told: the offsets in force about these days; before and after them it may be wrong."""
    told = offsets_between(*days, ZoneInfo(zone))
    return {"since": [since for since, _ in told], "offsets": [offset for _, offset in told]}


def within(instant: str) -> str:
    """SQL for an instant that lies in local days: by the calendar at their ends, by comparison in between.

    The first and the last bounds are for the index; no zone is a whole day away from UTC.
    """
    return (
        f"({instant} >= CAST(:not_before AS timestamptz) AND {instant} < CAST(:not_from AS timestamptz)"
        f" AND (({instant} >= CAST(:surely_from AS timestamptz) AND {instant} < CAST(:surely_before AS timestamptz))"
        f" OR {local_day(instant)} BETWEEN CAST(:first AS date) AND CAST(:last AS date)))"
    )


def range_parameters(days: DateRange, zone: str) -> dict[str, Any]:
    """What `within` is to be told."""
    not_before, surely_from = _midnight(days.first, ZoneInfo(zone))
    surely_before, not_from = _midnight(days.last + _ONE_DAY, ZoneInfo(zone))
    return {
        "first": days.first,
        "last": days.last,
        **offset_parameters(zone, days),
        "not_before": not_before,
        "not_from": not_from,
        "surely_from": surely_from,
        "surely_before": surely_before,
    }


def _midnight(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Between which instants a local day begins; both are one, unless clocks are set within two days of it.

    Whoever sets them at midnight lives through an hour of the day before twice.
    """
    begin = datetime.combine(day, time(0), tzinfo=UTC)
    offsets = {(begin + number * _ONE_DAY).astimezone(zone).utcoffset() for number in range(-2, 3)}
    if len(offsets) == 1 and (offset := offsets.pop()) is not None:
        return begin - offset, begin - offset
    return begin - _ONE_DAY, begin + _ONE_DAY
