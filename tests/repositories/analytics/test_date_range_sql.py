"""Bounds of local days: whatever lies within them by the calendar lies within them by the index."""

from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from journey_service.domain.analytics.date_ranges import DateRange
from journey_service.domain.calendar import local_day
from journey_service.repositories.analytics.date_range_sql import (
    ALL_DAYS,
    offset_parameters,
    range_parameters,
)

HOUR = timedelta(hours=1)
ZONES = (
    "Europe/Berlin",
    "America/Havana",
    "Asia/Beirut",
    "Pacific/Apia",
    "Pacific/Kwajalein",
    "Asia/Kathmandu",
    "UTC",
)
DAYS = (
    date(2026, 6, 15),
    date(2026, 3, 29),
    date(2026, 11, 1),  # clocks are set back at one in Havana, to midnight
    date(1993, 8, 21),  # Kwajalein went without this day
    date(2011, 12, 30),  # and Apia without this one
    date(1969, 9, 30),  # of which Kwajalein had nearly two
)


def shown(at: datetime, told: dict) -> datetime:
    """What the clocks show, as the SQL works it out."""
    return at + told["offsets"][bisect_right(told["since"], at) - 1]


def is_within(at: datetime, told: dict) -> bool:
    """As the SQL has it."""
    return told["not_before"] <= at < told["not_from"] and (
        told["surely_from"] <= at < told["surely_before"]
        or told["first"] <= shown(at, told).date() <= told["last"]
    )


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize("length", [1, 2, 9])
def test_an_instant_lies_in_local_days_by_the_calendar(zone, day, length):
    days = DateRange(day, day + timedelta(days=length - 1))
    told = range_parameters(days, zone)
    at = datetime.combine(day, datetime.min.time(), tzinfo=UTC) - timedelta(days=3)
    for number in range(24 * (length + 6) * 2):
        instant = at + number * HOUR / 2
        for each in (instant, instant - timedelta(microseconds=1)):
            expected = days.first <= local_day(each, ZoneInfo(zone)) <= days.last
            assert is_within(each, told) == expected, each


def test_where_no_clock_is_set_nobody_has_to_look_at_the_calendar():
    told = range_parameters(DateRange(date(2026, 6, 15), date(2026, 6, 16)), "Europe/Berlin")

    assert told["not_before"] == told["surely_from"] == datetime(2026, 6, 14, 22, tzinfo=UTC)
    assert told["not_from"] == told["surely_before"] == datetime(2026, 6, 16, 22, tzinfo=UTC)


@pytest.mark.parametrize("zone", ZONES)
def test_the_clocks_of_a_zone_are_known_for_all_times(zone):
    told = offset_parameters(zone)

    at, end = (datetime.combine(day, datetime.min.time(), tzinfo=UTC) for day in ALL_DAYS)
    while at < end:
        assert shown(at, told).replace(tzinfo=None) == at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        at += timedelta(days=9, hours=7)
    assert told["since"] == sorted(set(told["since"]))
    for since, offset in zip(told["since"][1:], told["offsets"][1:], strict=True):
        assert since.astimezone(ZoneInfo(zone)).utcoffset() == offset
        before = (since - timedelta(microseconds=1)).astimezone(ZoneInfo(zone)).utcoffset()
        assert before != offset, "nothing changed"
