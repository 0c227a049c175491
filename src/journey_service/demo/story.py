"""Timeline of one customer: generates events in local time, as lines of an import file."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random
from typing import Final, NamedTuple

import orjson

from journey_service.demo.hours import OpeningHours
from journey_service.domain.events.event import EventType

_NO_SHOW_NOTICED: Final = timedelta(minutes=20)
_LONG_CALL_SECONDS: Final = 60
_MAX_CALL_SECONDS: Final = 1_800
_ONLINE_HOURS: Final = (7, 22)  # local hours in which customers use the web


class TimedEvent(NamedTuple):
    """Line of an import file, with its sort key."""

    at: datetime
    customer_id: int
    line: bytes


class BookableService(NamedTuple):
    """Service that can be booked: name, price, duration in minutes, and relative frequency."""

    name: str
    price: float
    minutes: int
    weight: float = 1.0


class SeasonalDemand(NamedTuple):
    """Relative demand of each month, from January on; 1 is average."""

    months: Sequence[float]

    def at(self, day: date) -> float:
        """Returns the demand in the month of a day."""
        return self.months[day.month - 1]

    def shift(self, random: Random, last: date, day: date) -> date:
        """Moves a day in a slow month to the busy month before it, or some weeks later."""
        slack = 1 - self.at(day)
        if slack <= 0 or random.random() >= slack:
            return day
        month_before = day.replace(day=1) - timedelta(days=random.randint(8, 28))
        if self.at(month_before) > 1 and month_before > last + timedelta(days=10):
            return month_before
        return day + timedelta(days=random.randint(7, 21))


class AppointmentResult(NamedTuple):
    """Result of a planned appointment: when its last event occurred, and whether the customer came."""

    end: datetime
    came: bool


@dataclass(slots=True)
class CustomerHabits:
    """Reliability of a customer. After a missed appointment, the next is missed with chance `repeats`."""

    misses: float
    cancels: float
    repeats: float
    missed_last: bool = False

    def draw_outcome(self, random: Random) -> EventType:
        """Draws the outcome of the next appointment."""
        drawn = random.random()
        misses = self.repeats if self.missed_last else self.misses
        self.missed_last = drawn < misses
        if self.missed_last:
            return EventType.APPOINTMENT_MISSED
        is_cancelled = drawn < misses + self.cancels
        return EventType.APPOINTMENT_CANCELLED if is_cancelled else EventType.APPOINTMENT_COMPLETED


@dataclass(slots=True)
class CustomerTimeline:
    """Events of one customer until a time; later ones are dropped.

    Every method takes and returns local time of the company.
    """

    customer_id: int
    hours: OpeningHours
    random: Random
    until: datetime
    events: list[TimedEvent] = field(default_factory=list)
    _event_count: int = 0
    _bookings: int = 0

    @property
    def today(self) -> date:
        """The local day on which the timeline ends."""
        return self.until.astimezone(self.hours.zone).date()

    def chance(self, probability: float) -> bool:
        """Returns True with a probability."""
        return self.random.random() < probability

    def add_event(self, source: str, type_: EventType, local_time: datetime, **data: object) -> None:
        """Adds one event."""
        self._event_count += 1
        at = self.hours.to_instant(local_time)
        if at > self.until:
            return
        scheduled = data.get("scheduled_for")
        if isinstance(scheduled, datetime):
            data["scheduled_for"] = self.hours.to_instant(scheduled).isoformat()
        event = {
            "id": f"{self.customer_id}-{self._event_count}",
            "source": source,
            "type": type_.value,
            "customer_id": self.customer_id,
            "occurred_at": at.isoformat(),
            "data": data,
        }
        self.events.append(TimedEvent(at, self.customer_id, orjson.dumps(event) + b"\n"))

    def call(self, day: date, *, is_long: bool) -> datetime:
        """Adds a call in opening hours; a long one is a serious inquiry. Returns when it ended."""
        local_time = self.hours.draw_slot(self.random, day, 30) + timedelta(
            minutes=self.random.randrange(15), seconds=self.random.randrange(60)
        )
        if is_long:
            drawn = _LONG_CALL_SECONDS + self.random.lognormvariate(4.6, 0.7)
        else:
            drawn = self.random.uniform(8, _LONG_CALL_SECONDS - 5)
        seconds = min(_MAX_CALL_SECONDS, int(drawn))
        self.add_event("telephone", EventType.CALL_RECEIVED, local_time, call_duration=seconds)
        return local_time + timedelta(seconds=seconds)

    def request(self, day: date) -> datetime:
        """Adds a request through the website. Returns its time."""
        local_time = self._online(day)
        self.add_event("web", EventType.APPOINTMENT_REQUESTED, local_time)
        return local_time

    def book_appointment(
        self,
        at: datetime,
        service: BookableService,
        habits: CustomerHabits,
        *,
        booked: datetime,
        amount: float | None = None,
    ) -> AppointmentResult:
        """Adds a booking, and its completion, miss or cancellation with the same booking id."""
        self._bookings += 1
        booking = f"B{self.customer_id:04d}-{self._bookings}"
        booked = min(booked, at - timedelta(hours=1))
        self.add_event(
            "calendar",
            EventType.APPOINTMENT_BOOKED,
            booked,
            booking_id=booking,
            scheduled_for=at,
            metadata={"service": service.name},
        )
        match outcome := habits.draw_outcome(self.random):
            case EventType.APPOINTMENT_COMPLETED:
                return self.complete_appointment(at, service, booking=booking, amount=amount)
            case EventType.APPOINTMENT_MISSED:
                end = at + _NO_SHOW_NOTICED
            case _:
                notice = (at - booked) * self.random.uniform(0.05, 0.6)
                end = max(booked + timedelta(minutes=5), (at - notice).replace(second=0, microsecond=0))
                if not _ONLINE_HOURS[0] <= end.hour < _ONLINE_HOURS[1]:
                    end = booked + timedelta(minutes=30)
        self.add_event("calendar", outcome, end, booking_id=booking)
        return AppointmentResult(end, came=False)

    def complete_appointment(
        self,
        at: datetime,
        service: BookableService,
        *,
        booking: str | None = None,
        amount: float | None = None,
    ) -> AppointmentResult:
        """Adds a completed appointment, with or without a booking."""
        end = at + timedelta(minutes=service.minutes)
        fields = {} if booking is None else {"booking_id": booking}
        total = service.price if amount is None else amount
        self.add_event("calendar", EventType.APPOINTMENT_COMPLETED, end, total_amount=total, **fields)
        return AppointmentResult(end, came=True)

    def pay(self, local_time: datetime, amount: float) -> None:
        """Adds a payment."""
        self.add_event("till", EventType.PAYMENT_RECEIVED, local_time, total_amount=amount)

    def refund(self, local_time: datetime, amount: float) -> None:
        """Adds a refund in opening hours."""
        self.add_event(
            "till", EventType.PAYMENT_REFUNDED, self.hours.or_next_opening(local_time), total_amount=amount
        )

    def open_ticket(self, after: datetime) -> datetime:
        """Adds a ticket one to three days after an appointment. Returns when it was resolved."""
        opened = self._online(after.date() + timedelta(days=self.random.randint(1, 3)))
        self.add_event("helpdesk", EventType.TICKET_OPENED, opened)
        resolved = self.hours.or_next_opening(opened + timedelta(days=self.random.uniform(0.2, 5)))
        self.add_event("helpdesk", EventType.TICKET_RESOLVED, resolved)
        return resolved

    def draw_booking_time(self, at: datetime, days: int, after: datetime) -> datetime:
        """Draws when an appointment is booked: online or at the front desk, at most `days` before it."""
        day = max(after.date(), at.date() - timedelta(days=self.random.randint(1, max(1, days))))
        local_time = self._online(day)
        if after < local_time < at:
            return local_time
        soon = after + timedelta(minutes=5)
        is_night = not _ONLINE_HOURS[0] <= soon.hour < _ONLINE_HOURS[1]
        return self._morning(soon) if is_night else soon

    def _morning(self, local_time: datetime) -> datetime:
        day = local_time.date() + timedelta(days=local_time.hour >= _ONLINE_HOURS[1])
        return datetime(day.year, day.month, day.day, _ONLINE_HOURS[0], 30, tzinfo=None)  # noqa: DTZ001  # local time

    def _online(self, day: date) -> datetime:
        minutes = self.random.randrange((_ONLINE_HOURS[1] - _ONLINE_HOURS[0]) * 60)
        return datetime(day.year, day.month, day.day, _ONLINE_HOURS[0], tzinfo=None) + timedelta(  # noqa: DTZ001  # local time
            minutes=minutes, seconds=self.random.randrange(60)
        )
