"""Bookings as the stored events show them: one state for each, whatever the order of the events."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from journey_service.domain.events.bookings import Booking, BookingState, find_bookings
from journey_service.domain.events.event import Event

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
TOMORROW = NOW + 24 * HOUR


def told(type_, hours_ago, *, booking="b-1", at=None, id_="1"):
    return Event(
        "tests",
        id_,
        7,
        f"appointment_{type_}",
        NOW - hours_ago * HOUR,
        booking_id=booking,
        scheduled_for=at,
    )


def states(*events, now=NOW):
    """The state of the one booking, for every order of the events."""
    found = {tuple(find_bookings(order, now)) for order in permutations(events)}
    assert len(found) == 1
    return [booking.state for booking in found.pop()]


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([told("booked", 48, at=TOMORROW)], "open"),
        ([told("booked", 48)], "open"),
        ([told("booked", 48, at=NOW - 24 * HOUR)], "expired"),
        ([told("booked", 48, at=NOW - 23 * HOUR)], "open"),
        ([told("completed", 1)], "completed"),
        ([told("booked", 48, at=NOW), told("completed", 1)], "completed"),
        ([told("missed", 2), told("completed", 1)], "completed"),
        ([told("completed", 2), told("missed", 1)], "missed"),
        ([told("completed", 1), told("missed", 1, id_="2"), told("cancelled", 1, id_="3")], "cancelled"),
        ([told("booked", 48, at=TOMORROW), told("cancelled", 3)], "cancelled"),
        ([told("booked", 48, at=TOMORROW), told("cancelled", 3), told("booked", 2, at=TOMORROW)], "open"),
        ([told("completed", 3), told("booked", 2, at=TOMORROW)], "completed"),
    ],
)
def test_a_booking_has_the_state_of_its_latest_outcome(events, state):
    assert states(*events) == [state]


def test_a_request_is_no_booking():
    assert find_bookings([told("requested", 3, at=TOMORROW)], NOW) == []


def test_the_time_of_an_appointment_is_that_of_the_latest_booking():
    events = [told("booked", 48, at=TOMORROW), told("booked", 24, at=TOMORROW + HOUR, id_="2")]

    assert find_bookings(events, NOW) == [Booking("b-1", TOMORROW + HOUR, BookingState.OPEN)]


def test_open_bookings_are_first_the_next_one_before_later_ones():
    events = [
        told("completed", 30, booking="old", at=NOW - 30 * HOUR),
        told("completed", 3, booking="recent", at=NOW - 3 * HOUR),
        told("booked", 3, booking="some day"),
        told("booked", 3, booking="later", at=TOMORROW + HOUR),
        told("booked", 3, booking="next", at=TOMORROW),
    ]

    found = [booking.booking_id for booking in find_bookings(events, NOW)]

    assert found == ["next", "later", "some day", "recent", "old"]
