"""Bookings of a customer: the outcome that counts, and whether the booking is open."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

from journey_service.domain.events.event import EARLIEST, Event, EventType

OPEN_AFTER_START: Final = timedelta(hours=24)
"""How long after its time a booking without an outcome is still open."""


class BookingState(StrEnum):
    """State of a booking."""

    OPEN = "open"
    COMPLETED = "completed"
    MISSED = "missed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Booking(NamedTuple):
    """A booking of a customer. `scheduled_for` is None if no event names the time of the appointment."""

    booking_id: str
    scheduled_for: datetime | None
    state: BookingState


class ResolvedBooking(NamedTuple):
    """The events that decide a booking: its outcome, and the appointment as it was last booked.

    Each is None without such an event.
    """

    outcome: Event | None
    booked: Event | None

    @property
    def is_open(self) -> bool:
        """Whether the booking has no outcome, or was booked again after it was cancelled."""
        outcome, booked = self.outcome, self.booked
        if outcome is None or booked is None:
            return outcome is None
        is_cancelled = outcome.type == EventType.APPOINTMENT_CANCELLED
        return is_cancelled and precedence(booked) > precedence(outcome)

    @property
    def open_at(self) -> datetime | None:
        """The time of the appointment, None if it is unknown or the booking is not open."""
        return self.booked.scheduled_for if self.booked is not None and self.is_open else None


Precedence: TypeAlias = tuple[datetime, int, int, str, str]

_OUTCOMES: Final[Mapping[str, BookingState]] = {
    EventType.APPOINTMENT_MISSED.value: BookingState.MISSED,
    EventType.APPOINTMENT_COMPLETED.value: BookingState.COMPLETED,
    EventType.APPOINTMENT_CANCELLED.value: BookingState.CANCELLED,
}
OUTCOME_TYPES: Final = tuple(_OUTCOMES)
"""Types of events that are outcomes of bookings: among those of the same time, a later one in this order counts."""
_RANKS: Final = {type_: rank for rank, type_ in enumerate(OUTCOME_TYPES, 1)}
BOOKING_TYPES: Final = frozenset((*OUTCOME_TYPES, EventType.APPOINTMENT_BOOKED.value))
"""Types of events that open a booking or are an outcome of it."""


def precedence(event: Event) -> Precedence:
    """Returns the key by which the greatest event of a booking counts."""
    reported_at = event.reported_at or event.occurred_at
    return reported_at, _RANKS.get(event.type, 0), event.tie_break, event.source, event.event_id


def resolve_booking(events: Iterable[Event]) -> ResolvedBooking:
    """Returns what decides a booking, in any order of its events.

    An event that books without a time counts only if no other one names a time.
    """
    outcome: Event | None = None
    booked: Event | None = None
    for event in events:
        if event.type in _OUTCOMES:
            if outcome is None or precedence(event) > precedence(outcome):
                outcome = event
        elif event.type == EventType.APPOINTMENT_BOOKED and (booked is None or _is_newer(event, booked)):
            booked = event
    return ResolvedBooking(outcome, booked)


def _is_newer(booked: Event, other: Event) -> bool:
    has_time, other_has_time = booked.scheduled_for is not None, other.scheduled_for is not None
    return (has_time, *precedence(booked)) > (other_has_time, *precedence(other))


def find_bookings(events: Iterable[Event], now: datetime) -> list[Booking]:
    """Returns the bookings that events name which are not retracted, as of `now`: open ones first.

    Open bookings are in the order of their appointments, the others are latest first. A booking that was only
    requested is left out.
    """
    by_booking: dict[str, list[Event]] = {}
    for event in events:
        if event.booking_id is not None and event.type in BOOKING_TYPES:
            by_booking.setdefault(event.booking_id, []).append(event)
    return sorted((_booking(id_, each, now) for id_, each in by_booking.items()), key=_position)


def _booking(booking_id: str, events: list[Event], now: datetime) -> Booking:
    resolved = resolve_booking(events)
    outcome, booked = resolved.outcome, resolved.booked
    source = booked if booked is not None and booked.scheduled_for is not None else outcome
    scheduled_for = None if source is None else source.scheduled_for
    if outcome is not None and not resolved.is_open:
        return Booking(booking_id, scheduled_for, _OUTCOMES[outcome.type])
    is_open = scheduled_for is None or now < scheduled_for + OPEN_AFTER_START
    return Booking(booking_id, scheduled_for, BookingState.OPEN if is_open else BookingState.EXPIRED)


def _position(booking: Booking) -> tuple[bool, float, str]:
    at = (booking.scheduled_for or EARLIEST).timestamp()
    is_open = booking.state is BookingState.OPEN
    if is_open and booking.scheduled_for is None:
        at = float("inf")
    return not is_open, at if is_open else -at, booking.booking_id
