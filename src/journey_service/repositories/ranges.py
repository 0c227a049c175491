"""Ranges of a company's local days, as SQL: by the ledger's index, and exactly."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from journey_service.domain.ranges import Days

_ONE_DAY: Final = timedelta(days=1)


def within(instant: str) -> str:
    """SQL for an instant that lies in local days: by the calendar at their ends, by comparison in between.

    The first and the last bounds are for the index; no zone is a whole day away from UTC.
    """
    return (
        f"({instant} >= CAST(:not_before AS timestamptz) AND {instant} < CAST(:not_from AS timestamptz)"
        f" AND (({instant} >= CAST(:surely_from AS timestamptz) AND {instant} < CAST(:surely_before AS timestamptz))"
        f" OR CAST({instant} AT TIME ZONE CAST(:zone AS text) AS date)"
        " BETWEEN CAST(:first AS date) AND CAST(:last AS date)))"
    )


def bounds_of(days: Days, zone: str) -> dict[str, Any]:
    """What `within` is to be told."""
    not_before, surely_from = _midnight(days.first, ZoneInfo(zone))
    surely_before, not_from = _midnight(days.last + _ONE_DAY, ZoneInfo(zone))
    return {
        "first": days.first,
        "last": days.last,
        "zone": zone,
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
