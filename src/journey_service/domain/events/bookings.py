"""Bookings of a customer, as the stored events show them."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from journey_service.domain.events.event import EARLIEST, EventType

OPEN_AFTER_START: Final = timedelta(hours=24)
"""How long after its time a booking without an outcome is still open."""


class BookingState(StrEnum):
    """State of a booking."""

    OPEN = "open"
    COMPLETED = "completed"
    MISSED = "missed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class BookingEvent(NamedTuple):
    """An event that names a booking."""

    source: str
    event_id: str
    type: str
    occurred_at: datetime
    booking_id: str
    scheduled_for: datetime | None


class Booking(NamedTuple):
    """A booking of a customer. `scheduled_for` is None if no event names the time of the appointment."""

    booking_id: str
    scheduled_for: datetime | None
    state: BookingState


# Among events of the same instant, the higher rank counts.
_OUTCOMES: Final = {
    EventType.APPOINTMENT_MISSED.value: (1, BookingState.MISSED),
    EventType.APPOINTMENT_COMPLETED.value: (2, BookingState.COMPLETED),
    EventType.APPOINTMENT_CANCELLED.value: (3, BookingState.CANCELLED),
}


def find_bookings(events: Iterable[BookingEvent], now: datetime) -> list[Booking]:
    """Returns the bookings that the events name, as of `now`: open ones first.

    Open bookings are in the order of their appointments, the others are latest first. A booking that was only
    requested is left out.
    """
    by_booking: dict[str, list[BookingEvent]] = {}
    for event in events:
        by_booking.setdefault(event.booking_id, []).append(event)
    found = [_booking(id_, each, now) for id_, each in by_booking.items()]
    return sorted((each for each in found if each is not None), key=_position)


def _booking(booking_id: str, events: list[BookingEvent], now: datetime) -> Booking | None:
    outcome = max((event for event in events if event.type in _OUTCOMES), key=_precedence, default=None)
    booked = max(
        (event for event in events if event.type == EventType.APPOINTMENT_BOOKED),
        key=_precedence,
        default=None,
    )
    if outcome is None and booked is None:
        return None
    source = booked if booked is not None and booked.scheduled_for is not None else outcome
    scheduled_for = None if source is None else source.scheduled_for
    if outcome is not None and not _is_reopened(outcome, booked):
        return Booking(booking_id, scheduled_for, _OUTCOMES[outcome.type][1])
    is_open = scheduled_for is None or now < scheduled_for + OPEN_AFTER_START
    return Booking(booking_id, scheduled_for, BookingState.OPEN if is_open else BookingState.EXPIRED)


def _is_reopened(outcome: BookingEvent, booked: BookingEvent | None) -> bool:
    """Whether a cancelled booking was booked again; a completed or missed appointment stays."""
    return (
        booked is not None
        and outcome.type == EventType.APPOINTMENT_CANCELLED
        and booked.occurred_at > outcome.occurred_at
    )


def _precedence(event: BookingEvent) -> tuple[datetime, int, str, str]:
    rank = _OUTCOMES[event.type][0] if event.type in _OUTCOMES else 0
    return event.occurred_at, rank, event.source, event.event_id


def _position(booking: Booking) -> tuple[bool, float, str]:
    at = (booking.scheduled_for or EARLIEST).timestamp()
    is_open = booking.state is BookingState.OPEN
    if is_open and booking.scheduled_for is None:
        at = float("inf")
    return not is_open, at if is_open else -at, booking.booking_id
