"""Local days: nightly runs in every time zone, across gaps, folds and skipped days."""

from bisect import bisect_right
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journey_service.domain import calendar
from journey_service.domain.calendar import (
    NIGHTLY_AT,
    FormerZone,
    begin_of_zone,
    instant_of,
    latest_nightly_run_date,
    local_day,
    next_nightly_run_date,
    nightly_run_at,
    nightly_run_dates,
    offsets_between,
    zone_of,
)
from profiles import examples

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
INSTANT = timedelta(microseconds=1)

ZONES = (
    *("UTC", "Europe/Berlin", "Europe/London", "Europe/Dublin", "America/New_York", "America/St_Johns"),
    *("America/Sao_Paulo", "America/Asuncion", "America/Havana", "America/Santiago", "Asia/Beirut"),
    *(
        "Asia/Amman",
        "Asia/Tehran",
        "Asia/Kolkata",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",
        "Pacific/Chatham",
    ),
    *("Pacific/Apia", "Pacific/Fakaofo", "Pacific/Kwajalein", "Pacific/Kiritimati", "Pacific/Kanton"),
    *("Antarctica/Casey", "Antarctica/Troll", "Africa/Casablanca", "Atlantic/Azores", "Asia/Pyongyang"),
)
# Days near unusual changes of UTC offsets.
ODD_DAYS = tuple(
    date.fromisoformat(day)
    for day in (
        *("2011-12-30", "1993-08-21", "1969-10-01", "1994-12-31", "2018-11-04", "2018-02-17", "2026-03-29"),
        *("2026-10-25", "2026-04-05", "2026-10-04", "2010-03-05", "2018-03-11", "2022-10-02", "2024-03-31"),
    )
)

zones = st.sampled_from(ZONES).map(ZoneInfo)
days = st.one_of(
    st.dates(date(1950, 1, 1), date(2199, 12, 1)),
    st.builds(lambda day, off: day + off * DAY, st.sampled_from(ODD_DAYS), st.integers(-3, 3)),
)
times = st.one_of(
    st.sampled_from([time(0), time(0, 30), time(1, 59, 59), NIGHTLY_AT, time(2, 30)]),
    st.times().map(lambda at: at.replace(fold=0)),
)
spans = st.integers(-36 * 3600, 36 * 3600).map(lambda seconds: timedelta(seconds=seconds))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def wall_time(instant: datetime, zone: ZoneInfo) -> datetime:
    """Returns the wall-clock time."""
    return instant.astimezone(zone).replace(tzinfo=None)


@cache
def _jumps(day: date, zone: ZoneInfo) -> tuple[datetime, ...]:
    """Returns the offset changes near a local day, located by bisection."""
    jumps = []
    hours = [utc(f"{day}T00:00") + hour * timedelta(hours=1) for hour in range(-48, 73)]
    for before, after in pairwise(hours):
        low, high = before, after
        if low.astimezone(zone).utcoffset() == high.astimezone(zone).utcoffset():
            continue
        while high - low > INSTANT:
            middle = low + (high - low) / 2
            is_before = middle.astimezone(zone).utcoffset() == before.astimezone(zone).utcoffset()
            low, high = (middle, high) if is_before else (low, middle)
        jumps.append(high)
    return tuple(jumps)


def literal_instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """Returns the first instant with this wall-clock time, or the end of the gap that skips it.

    The offset is constant between two changes, so the candidate of an interval is right if it lies within it.
    """
    wall = datetime.combine(day, at)
    start, end = utc(f"{day}T00:00") - 2 * DAY, utc(f"{day}T00:00") + 3 * DAY
    edges = [start, *_jumps(day, zone), end]
    for low, high in pairwise(edges):
        offset = low.astimezone(zone).utcoffset()
        candidate = (wall - offset).replace(tzinfo=UTC)
        if low <= candidate < high:
            return candidate
    return next(
        jump for jump in edges[1:-1] if wall_time(jump - INSTANT, zone) < wall < wall_time(jump, zone)
    )


@pytest.mark.parametrize(
    ("zone", "day", "at", "expected"),
    [
        ("UTC", "2026-05-01", "02:00", "2026-05-01T02:00"),
        ("Europe/Berlin", "2026-01-15", "02:00", "2026-01-15T01:00"),
        ("Europe/Berlin", "2026-07-15", "02:00", "2026-07-15T00:00"),
        ("America/New_York", "2026-07-15", "02:00", "2026-07-15T06:00"),
        ("Asia/Kathmandu", "2026-07-15", "02:00", "2026-07-14T20:15"),
        ("Pacific/Kiritimati", "2026-07-15", "02:00", "2026-07-14T12:00"),
        # a gap: the first instant after it, from anywhere within it
        ("Europe/Berlin", "2026-03-29", "01:59:59.999999", "2026-03-29T00:59:59.999999"),
        ("Europe/Berlin", "2026-03-29", "02:00", "2026-03-29T01:00"),
        ("Europe/Berlin", "2026-03-29", "02:59:59.999999", "2026-03-29T01:00"),
        ("Europe/Berlin", "2026-03-29", "03:00", "2026-03-29T01:00"),
        ("America/New_York", "2026-03-08", "02:00", "2026-03-08T07:00"),
        ("America/New_York", "2026-03-08", "02:30", "2026-03-08T07:00"),
        # a fold: the first one
        ("Europe/Berlin", "2026-10-25", "01:59:59.999999", "2026-10-24T23:59:59.999999"),
        ("Europe/Berlin", "2026-10-25", "02:00", "2026-10-25T00:00"),
        ("Europe/Berlin", "2026-10-25", "02:59:59.999999", "2026-10-25T00:59:59.999999"),
        ("Europe/Berlin", "2026-10-25", "03:00", "2026-10-25T02:00"),
        # clocks that move by half an hour, at 02:00: +10:30 and +11
        ("Australia/Lord_Howe", "2026-10-04", "02:00", "2026-10-03T15:30"),
        ("Australia/Lord_Howe", "2026-10-04", "02:29", "2026-10-03T15:30"),
        ("Australia/Lord_Howe", "2026-10-04", "02:30", "2026-10-03T15:30"),
        ("Australia/Lord_Howe", "2026-04-05", "01:45", "2026-04-04T14:45"),
        ("Australia/Lord_Howe", "2026-04-05", "02:00", "2026-04-04T15:30"),
        # skipped midnights
        ("America/Sao_Paulo", "2018-11-04", "00:00", "2018-11-04T03:00"),
        ("America/Sao_Paulo", "2018-11-04", "02:00", "2018-11-04T04:00"),
        ("Asia/Beirut", "2026-03-29", "00:00", "2026-03-28T22:00"),
        ("Asia/Beirut", "2026-03-29", "02:00", "2026-03-28T23:00"),
        # an ambiguous hour before midnight: 2018-02-17 23:00 to 24:00
        ("America/Sao_Paulo", "2018-02-17", "23:30", "2018-02-18T01:30"),
        ("America/Sao_Paulo", "2018-02-18", "00:00", "2018-02-18T03:00"),
        # a skipped day is a gap of 24 hours: each of its times maps to its end
        ("Pacific/Apia", "2011-12-29", "23:59", "2011-12-30T09:59"),
        ("Pacific/Apia", "2011-12-30", "00:00", "2011-12-30T10:00"),
        ("Pacific/Apia", "2011-12-30", "02:00", "2011-12-30T10:00"),
        ("Pacific/Apia", "2011-12-30", "23:59", "2011-12-30T10:00"),
        ("Pacific/Apia", "2011-12-31", "02:00", "2011-12-30T12:00"),
        # changes of two hours
        ("Antarctica/Troll", "2026-03-29", "02:00", "2026-03-29T01:00"),
        ("Antarctica/Troll", "2026-10-25", "02:00", "2026-10-25T00:00"),
    ],
)
def test_a_wall_time_is_its_first_instant_or_the_end_of_the_gap(zone, day, at, expected):
    instant = instant_of(date.fromisoformat(day), time.fromisoformat(at), ZoneInfo(zone))
    assert instant == utc(expected)
    assert instant.tzinfo is UTC


@pytest.mark.parametrize(
    ("zone", "now", "expected"),
    [
        ("UTC", "2026-05-01T01:59:59.999999", "2026-04-30"),
        ("UTC", "2026-05-01T02:00", "2026-05-01"),
        ("UTC", "2026-05-01T23:59:59.999999", "2026-05-01"),
        ("UTC", "2026-05-02T00:00", "2026-05-01"),
        ("Europe/Berlin", "2026-03-29T00:59:59.999999", "2026-03-28"),
        ("Europe/Berlin", "2026-03-29T01:00", "2026-03-29"),
        ("Europe/Berlin", "2026-10-24T23:59:59.999999", "2026-10-24"),
        ("Europe/Berlin", "2026-10-25T00:00", "2026-10-25"),
        ("Europe/Berlin", "2026-10-25T01:00", "2026-10-25"),
        ("America/New_York", "2026-07-15T05:59", "2026-07-14"),
        ("Pacific/Kiritimati", "2026-07-14T12:00", "2026-07-15"),
        ("Pacific/Apia", "2011-12-30T09:59", "2011-12-29"),
        ("Pacific/Apia", "2011-12-30T10:00", "2011-12-29"),
        ("Pacific/Apia", "2011-12-30T11:59", "2011-12-29"),
        ("Pacific/Apia", "2011-12-30T12:00", "2011-12-31"),
        # within the ambiguous hour: 23:00 to 24:00 of the 17th
        ("America/Sao_Paulo", "2018-02-18T02:30", "2018-02-17"),
        ("America/Sao_Paulo", "2018-02-18T04:59", "2018-02-17"),
        ("America/Sao_Paulo", "2018-02-18T05:00", "2018-02-18"),
    ],
)
def test_the_latest_nightly_run_is_the_last_one_due(zone, now, expected):
    assert latest_nightly_run_date(utc(now), ZoneInfo(zone)) == date.fromisoformat(expected)


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        ("UTC", "2026-02-28", "2026-03-01"),
        ("Europe/Berlin", "2026-03-28", "2026-03-29"),
        ("Europe/Berlin", "2026-10-24", "2026-10-25"),
        ("Pacific/Apia", "2011-12-29", "2011-12-31"),
        ("Pacific/Fakaofo", "2011-12-29", "2011-12-31"),
        ("Pacific/Kwajalein", "1993-08-20", "1993-08-22"),
        ("Pacific/Kiritimati", "1994-12-30", "1995-01-01"),
        ("Pacific/Kanton", "1994-12-30", "1995-01-01"),
        ("Pacific/Kwajalein", "1969-09-30", "1969-10-01"),  # a day of 47 hours
    ],
)
def test_the_next_nightly_run_is_on_the_next_existing_day(zone, day, expected):
    assert next_nightly_run_date(date.fromisoformat(day), ZoneInfo(zone)) == date.fromisoformat(expected)


@pytest.mark.parametrize(
    ("zone", "after", "until", "expected"),
    [
        ("UTC", "2026-05-01T02:00", "2026-05-01T02:00", []),
        ("UTC", "2026-05-01T02:00", "2026-05-02T01:59:59.999999", []),
        ("UTC", "2026-05-01T01:59:59.999999", "2026-05-01T02:00", ["05-01"]),
        ("UTC", "2026-05-01T02:00", "2026-05-03T02:00", ["05-02", "05-03"]),
        ("UTC", "2026-05-03T02:00", "2026-05-01T02:00", []),
        ("Europe/Berlin", "2026-03-28T12:00", "2026-03-30T12:00", ["03-29", "03-30"]),
        ("Europe/Berlin", "2026-10-24T12:00", "2026-10-26T12:00", ["10-25", "10-26"]),
        ("Pacific/Apia", "2011-12-28T13:00", "2012-01-01T12:00", ["12-29", "12-31", "01-01", "01-02"]),
    ],
)
def test_nightly_run_dates_exclude_the_first_and_include_the_last_instant(zone, after, until, expected):
    dates = nightly_run_dates(utc(after), utc(until), ZoneInfo(zone))
    assert [f"{night:%m-%d}" for night in dates] == expected


@settings(max_examples=examples(300))
@given(days, times, zones)
def test_an_instant_has_the_wall_time_or_is_the_first_after_its_gap(day, at, zone):
    instant = instant_of(day, at, zone)
    assert instant == literal_instant(day, at, zone)
    wall = datetime.combine(day, at)
    if wall_time(instant, zone) != wall:
        assert wall_time(instant - INSTANT, zone) < wall < wall_time(instant, zone)


@settings(max_examples=examples(300))
@given(days, zones)
def test_each_existing_local_day_has_one_nightly_run_in_ascending_order(day, zone):
    start, end = utc(f"{day - 10 * DAY}T12:00"), utc(f"{day + 10 * DAY}T12:00")
    nights = list(nightly_run_dates(start, end, zone))
    instants = [nightly_run_at(night, zone) for night in nights]
    assert all(earlier < later for earlier, later in pairwise(nights))
    assert all(earlier < later for earlier, later in pairwise(instants))
    assert all(start < instant <= end for instant in instants)
    # The existing days are collected hour by hour.
    hours = [start + hour * timedelta(hours=1) for hour in range(int((end - start) / timedelta(hours=1)) + 1)]
    existing = sorted({local_day(instant, zone) for instant in hours})
    assert [night for night in nights if existing[0] < night < existing[-1]] == existing[1:-1]
    assert all(local_day(instant, zone) == night for instant, night in zip(instants, nights, strict=True))


@settings(max_examples=examples(300))
@given(days, times, spans, zones)
def test_every_instant_lies_between_its_latest_and_its_next_nightly_run(day, at, span, zone):
    now = datetime.combine(day, at, tzinfo=UTC) + span
    nights = list(nightly_run_dates(now - 6 * DAY, now + 6 * DAY, zone))
    instants = [nightly_run_at(night, zone) for night in nights]
    index = bisect_right(instants, now)
    assert latest_nightly_run_date(now, zone) == nights[index - 1]
    assert next_nightly_run_date(nights[index - 1], zone) == nights[index]
    for night, instant in zip(nights, instants, strict=True):
        assert latest_nightly_run_date(instant, zone) == night
        assert latest_nightly_run_date(instant - INSTANT, zone) < night


@settings(max_examples=examples(300))
@given(
    days,
    zones,
    st.lists(st.integers(0, 60 * 24 * 12).map(lambda minutes: minutes * MINUTE), min_size=3, max_size=3),
)
def test_adjacent_ranges_have_the_nightly_runs_of_the_whole_range(day, zone, offsets):
    a, b, c = (utc(f"{day}T00:00") + offset for offset in sorted(offsets))
    whole = list(nightly_run_dates(a, c, zone))
    assert [*nightly_run_dates(a, b, zone), *nightly_run_dates(b, c, zone)] == whole


@settings(max_examples=examples(300))
@given(zones, st.sampled_from(ODD_DAYS), st.lists(st.integers(0, 48 * 60), max_size=8))
def test_polling_at_any_instants_yields_each_nightly_run_once(zone, day, minutes_of_polls):
    start = utc(f"{day}T00:00") - DAY
    stops = [start + minutes * MINUTE for minutes in sorted(minutes_of_polls)]
    polled = [
        night for low, high in pairwise([start, *stops]) for night in nightly_run_dates(low, high, zone)
    ]
    assert polled == list(nightly_run_dates(start, stops[-1] if stops else start, zone))
    assert len(set(polled)) == len(polled)


def test_without_the_check_for_skipped_days_a_skipped_day_would_have_a_nightly_run(monkeypatch):
    monkeypatch.setattr(calendar, "_exists", lambda *_: True)
    with pytest.raises(AssertionError):
        test_the_next_nightly_run_is_on_the_next_existing_day("Pacific/Apia", "2011-12-29", "2011-12-31")
    with pytest.raises(AssertionError):
        test_each_existing_local_day_has_one_nightly_run_in_ascending_order.hypothesis.inner_test(
            date(2011, 12, 30), ZoneInfo("Pacific/Apia")
        )
    print("guard removed: detected")


def test_without_the_search_for_its_end_a_gap_would_end_too_late(monkeypatch):
    def naive_instant_of(day: date, at: time, zone: ZoneInfo) -> datetime:
        return datetime.combine(day, at, tzinfo=zone).astimezone(UTC)

    monkeypatch.setitem(globals(), "instant_of", naive_instant_of)
    with pytest.raises(AssertionError):
        test_an_instant_has_the_wall_time_or_is_the_first_after_its_gap.hypothesis.inner_test(
            date(2026, 3, 29), time(2, 30), ZoneInfo("Europe/Berlin")
        )
    print("guard removed: detected")


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (datetime(2026, 1, 10, 12, tzinfo=UTC), "2026-01-10T12:00:00Z"),
        (datetime(2026, 1, 10, 12, 0, 0, 5, tzinfo=UTC), "2026-01-10T12:00:00.000005Z"),
        (datetime(2026, 7, 1, 0, 30, tzinfo=ZoneInfo("Europe/Berlin")), "2026-06-30T22:30:00Z"),
    ],
)
def test_an_instant_is_written_in_utc_with_z(at, text):
    assert calendar.utc_text(at) == text
    assert datetime.fromisoformat(text) == at


# ---- corrected zones


@pytest.mark.parametrize(
    ("former", "current", "begin"),
    [
        ("UTC", "Europe/Berlin", "2026-03-28T23:00:00"),
        ("Pacific/Auckland", "Pacific/Honolulu", "2026-03-30T10:00:00"),
        ("Pacific/Honolulu", "Pacific/Auckland", "2026-03-29T11:00:00"),
        ("Europe/Berlin", "America/New_York", "2026-03-29T04:00:00"),
    ],
)
def test_a_corrected_zone_counts_from_its_next_midnight_and_days_stay_in_order(former, current, begin):
    now = datetime(2026, 3, 28, 15, 30, tzinfo=UTC)
    start = begin_of_zone(ZoneInfo(former), ZoneInfo(current), now)
    zone = zone_of(current, (FormerZone(former, start),))

    assert start == datetime.fromisoformat(begin).replace(tzinfo=UTC)
    assert start.astimezone(zone).time() == time(0)
    instants = [datetime(2026, 3, 20, tzinfo=UTC) + timedelta(minutes=30) * number for number in range(900)]
    offsets = offsets_between(date(2026, 3, 20), date(2026, 4, 10), zone)
    for instant in instants:
        expected = instant.astimezone(ZoneInfo(former if instant < start else current)).utcoffset()
        local = instant.astimezone(zone)
        assert local.utcoffset() == expected
        assert local.astimezone(UTC) == instant
        assert [offset for since, offset in offsets if since <= instant][-1] == expected
    days = [local_day(instant, zone) for instant in instants]
    assert days == sorted(days)
    nights = list(nightly_run_dates(instants[0], instants[-1], zone))
    assert nights == sorted(set(nights))
