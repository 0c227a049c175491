"""The points of a history of scores: which instants, and what is counted at each."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from journey_service.domain.companies.policy_parsing import parse_policy
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events.event import Event
from journey_service.domain.journeys.records import EnteredStage
from journey_service.domain.journeys.score_history import (
    HistoryStep,
    RequestedHistory,
    compute_history,
    history_instants,
)

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 4, 1, 12, tzinfo=UTC)  # a Wednesday
DAY, WEEK = HistoryStep


def instants(first=None, last=None, step=DAY, zone=BERLIN):
    return history_instants(RequestedHistory(first, last, step), zone, NOW)


def test_days_end_at_local_midnight_also_when_the_clocks_change_and_today_ends_now():
    assert instants(date(2026, 3, 27), date(2026, 3, 30)) == [
        datetime(2026, 3, 27, 23, tzinfo=UTC),
        datetime(2026, 3, 28, 23, tzinfo=UTC),
        datetime(2026, 3, 29, 22, tzinfo=UTC),
        datetime(2026, 3, 30, 22, tzinfo=UTC),
    ]
    assert instants(date(2026, 4, 1)) == [NOW]


def test_weeks_end_on_sunday_and_the_last_day_is_always_a_point():
    found = instants(date(2026, 3, 11), date(2026, 3, 31), WEEK, ZoneInfo("UTC"))

    assert [(at - timedelta(days=1)).date() for at in found] == [
        date(2026, 3, 15),
        date(2026, 3, 22),
        date(2026, 3, 29),
        date(2026, 3, 31),
    ]


@pytest.mark.parametrize(
    ("first", "last", "points"),
    [
        (date(2026, 3, 9), date(2026, 3, 15), 1),  # Monday to Sunday
        (date(2026, 3, 15), date(2026, 3, 15), 1),
        (date(2026, 3, 15), date(2026, 3, 16), 2),
        (date(2026, 3, 16), date(2026, 3, 17), 1),
        (date(2026, 3, 9), date(2026, 3, 22), 2),
    ],
)
def test_no_week_is_left_out_and_none_is_counted_twice(first, last, points):
    found = instants(first, last, WEEK)

    assert len(found) == len(set(found)) == points
    assert found == sorted(found)
    assert found[-1] == instants(last, last)[0]


def test_a_range_ends_today_and_has_a_default_length():
    assert len(instants()) == 90
    assert instants()[-1] == NOW
    assert instants(step=WEEK)[0] == instants(date(2025, 4, 2), step=WEEK)[0]


@pytest.mark.parametrize(
    ("first", "last", "step", "pointers"),
    [
        (None, date(2026, 4, 2), DAY, ["query/to"]),
        (date(2026, 3, 2), date(2026, 3, 1), DAY, ["query/from"]),
        (date(2026, 3, 2), date(2026, 3, 1), WEEK, ["query/from"]),
        (date(2025, 2, 25), date(2026, 4, 1), DAY, ["query/from"]),
        (date(2000, 1, 1), date(2026, 4, 1), WEEK, ["query/from"]),
    ],
)
def test_an_invalid_range_is_refused(first, last, step, pointers):
    with pytest.raises(InvalidInputError) as refused:
        instants(first, last, step)

    assert [error.pointer for error in refused.value.errors] == pointers


def test_four_hundred_points_are_not_too_many():
    assert len(instants(NOW.date() - timedelta(days=399))) == 400


def test_points_count_what_had_happened_and_begin_with_the_journey():
    at = datetime(2026, 3, 28, 23, tzinfo=UTC)
    stages = [EnteredStage(1, "prospect", at, 1), EnteredStage(2, "customer", at, 1)]
    events = [
        Event("tests", "1", 1, "appointment_completed", at, 5_000),
        Event("tests", "2", 1, "appointment_completed", at + timedelta(days=2), 5_000),
    ]
    before, then, later = at - timedelta(microseconds=1), at, at + timedelta(days=3)

    points = compute_history([before, then, later], stages, events, parse_policy({}))

    assert [(point.at, point.stage_key) for point in points] == [(then, "customer"), (later, "customer")]
    assert points[0].engagement < points[1].engagement
