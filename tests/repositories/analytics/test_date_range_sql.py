"""Ranges of local days in SQL: the same instants are in a range by its bounds as by the calendar."""

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
    date(2026, 11, 1),  # in Havana clocks go back from one o'clock to midnight
    date(1993, 8, 21),  # a day that Kwajalein skipped
    date(2011, 12, 30),  # a day that Apia skipped
    date(1969, 9, 30),  # a day that lasted nearly two days in Kwajalein
)


def local_time(at: datetime, parameters: dict) -> datetime:
    """The local time of an instant, as the SQL computes it."""
    return at + parameters["offsets"][bisect_right(parameters["since"], at) - 1]


def is_within(at: datetime, parameters: dict) -> bool:
    """Whether an instant is in the range, as the SQL computes it."""
    return parameters["not_before"] <= at < parameters["not_from"] and (
        parameters["surely_from"] <= at < parameters["surely_before"]
        or parameters["first"] <= local_time(at, parameters).date() <= parameters["last"]
    )


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize("length", [1, 2, 9])
def test_an_instant_lies_in_local_days_by_the_calendar(zone, day, length):
    days = DateRange(day, day + timedelta(days=length - 1))
    parameters = range_parameters(days, ZoneInfo(zone))
    at = datetime.combine(day, datetime.min.time(), tzinfo=UTC) - timedelta(days=3)
    for number in range(24 * (length + 6) * 2):
        instant = at + number * HOUR / 2
        for each in (instant, instant - timedelta(microseconds=1)):
            expected = days.first <= local_day(each, ZoneInfo(zone)) <= days.last
            assert is_within(each, parameters) == expected, each


def test_without_a_clock_change_the_bounds_alone_decide():
    parameters = range_parameters(DateRange(date(2026, 6, 15), date(2026, 6, 16)), ZoneInfo("Europe/Berlin"))

    assert parameters["not_before"] == parameters["surely_from"] == datetime(2026, 6, 14, 22, tzinfo=UTC)
    assert parameters["not_from"] == parameters["surely_before"] == datetime(2026, 6, 16, 22, tzinfo=UTC)


@pytest.mark.parametrize("zone", ZONES)
def test_the_offsets_of_a_zone_are_known_for_all_times(zone):
    parameters = offset_parameters(ZoneInfo(zone))

    at, end = (datetime.combine(day, datetime.min.time(), tzinfo=UTC) for day in ALL_DAYS)
    while at < end:
        assert local_time(at, parameters).replace(tzinfo=None) == at.astimezone(ZoneInfo(zone)).replace(
            tzinfo=None
        )
        at += timedelta(days=9, hours=7)
    assert parameters["since"] == sorted(set(parameters["since"]))
    for since, offset in zip(parameters["since"][1:], parameters["offsets"][1:], strict=True):
        assert since.astimezone(ZoneInfo(zone)).utcoffset() == offset
        before = (since - timedelta(microseconds=1)).astimezone(ZoneInfo(zone)).utcoffset()
        assert before != offset, "the offset did not change"
