"""One customer's story, told event by event in wall-clock time and written down as lines of a history."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random
from typing import Final, NamedTuple

import orjson

from journey_service.demo.hours import Hours
from journey_service.domain.events.event import EventType

_NO_SHOW_NOTICED: Final = timedelta(minutes=20)
_LONG_CALL_SECONDS: Final = 60
_LONGEST_CALL_SECONDS: Final = 1_800
_EVENINGS: Final = (7, 22)  # when people sit before a screen


class Moment(NamedTuple):
    """One line of a history, with what it is sorted by."""

    at: datetime
    customer_id: int
    line: bytes


class Service(NamedTuple):
    """What can be booked: its name, price, minutes, and how often it is asked for beside the others."""

    name: str
    price: float
    minutes: int
    weight: float = 1.0


class Season(NamedTuple):
    """How busy each month is, from January on; 1 is usual."""

    months: Sequence[float]

    def at(self, day: date) -> float:
        """How busy the month of a day is."""
        return self.months[day.month - 1]

    def moved(self, random: Random, last: date, day: date) -> date:
        """A planned day as the season has it: out of a slow month into the busy one before it, or put off."""
        slack = 1 - self.at(day)
        if slack <= 0 or random.random() >= slack:
            return day
        month_before = day.replace(day=1) - timedelta(days=random.randint(8, 28))
        if self.at(month_before) > 1 and month_before > last + timedelta(days=10):
            return month_before
        return day + timedelta(days=random.randint(7, 21))


class Kept(NamedTuple):
    """An appointment that was planned: when its last word fell, and whether the customer came."""

    end: datetime
    came: bool


@dataclass(slots=True)
class Habits:
    """How reliable somebody is. Whoever missed one appointment is likelier to miss the next."""

    misses: float
    cancels: float
    repeats: float
    missed_last: bool = False

    def fate(self, random: Random) -> EventType:
        """What becomes of the next appointment."""
        drawn = random.random()
        misses = self.repeats if self.missed_last else self.misses
        self.missed_last = drawn < misses
        if self.missed_last:
            return EventType.APPOINTMENT_MISSED
        is_cancelled = drawn < misses + self.cancels
        return EventType.APPOINTMENT_CANCELLED if is_cancelled else EventType.APPOINTMENT_COMPLETED


@dataclass(slots=True)
class Story:
    """What happens to one customer until an instant; what would lie beyond it is not written down.

    Every part takes and returns wall-clock time where the business is.
    """

    customer_id: int
    hours: Hours
    random: Random
    until: datetime
    moments: list[Moment] = field(default_factory=list)
    _told: int = 0
    _bookings: int = 0

    @property
    def today(self) -> date:
        """The local day on which the story ends."""
        return self.until.astimezone(self.hours.zone).date()

    def chance(self, probability: float) -> bool:
        """Whether something happens that happens with a probability."""
        return self.random.random() < probability

    def tell(self, source: str, type_: EventType, wall: datetime, **data: object) -> None:
        """Write one event down."""
        self._told += 1
        at = self.hours.instant(wall)
        if at > self.until:
            return
        scheduled = data.get("scheduled_for")
        if isinstance(scheduled, datetime):
            data["scheduled_for"] = self.hours.instant(scheduled).isoformat()
        written = {
            "id": f"{self.customer_id}-{self._told}",
            "source": source,
            "type": type_.value,
            "customer_id": self.customer_id,
            "occurred_at": at.isoformat(),
            "data": data,
        }
        self.moments.append(Moment(at, self.customer_id, orjson.dumps(written) + b"\n"))

    def call(self, day: date, *, is_long: bool) -> datetime:
        """A call in opening hours; a long one is the talk of somebody who means it."""
        wall = self.hours.slot(self.random, day, 30) + timedelta(
            minutes=self.random.randrange(15), seconds=self.random.randrange(60)
        )
        if is_long:
            drawn = _LONG_CALL_SECONDS + self.random.lognormvariate(4.6, 0.7)
        else:
            drawn = self.random.uniform(8, _LONG_CALL_SECONDS - 5)
        seconds = min(_LONGEST_CALL_SECONDS, int(drawn))
        self.tell("telephone", EventType.CALL_RECEIVED, wall, call_duration=seconds)
        return wall + timedelta(seconds=seconds)

    def request(self, day: date) -> datetime:
        """A request through the web page, whenever somebody is awake."""
        wall = self._online(day)
        self.tell("web", EventType.APPOINTMENT_REQUESTED, wall)
        return wall

    def appointment(
        self, at: datetime, service: Service, habits: Habits, *, booked: datetime, amount: float | None = None
    ) -> Kept:
        """Book, and then come, miss or cancel, all under one booking."""
        self._bookings += 1
        booking = f"B{self.customer_id:04d}-{self._bookings}"
        booked = min(booked, at - timedelta(hours=1))
        self.tell(
            "calendar",
            EventType.APPOINTMENT_BOOKED,
            booked,
            booking_id=booking,
            scheduled_for=at,
            metadata={"service": service.name},
        )
        match fate := habits.fate(self.random):
            case EventType.APPOINTMENT_COMPLETED:
                return self.visit(at, service, booking=booking, amount=amount)
            case EventType.APPOINTMENT_MISSED:
                end = at + _NO_SHOW_NOTICED
            case _:
                notice = (at - booked) * self.random.uniform(0.05, 0.6)
                end = max(booked + timedelta(minutes=5), (at - notice).replace(second=0, microsecond=0))
                if not _EVENINGS[0] <= end.hour < _EVENINGS[1]:
                    end = booked + timedelta(minutes=30)
        self.tell("calendar", fate, end, booking_id=booking)
        return Kept(end, came=False)

    def visit(
        self, at: datetime, service: Service, *, booking: str | None = None, amount: float | None = None
    ) -> Kept:
        """A visit that takes place, booked before or not."""
        end = at + timedelta(minutes=service.minutes)
        told = {} if booking is None else {"booking_id": booking}
        total = service.price if amount is None else amount
        self.tell("calendar", EventType.APPOINTMENT_COMPLETED, end, total_amount=total, **told)
        return Kept(end, came=True)

    def pay(self, wall: datetime, amount: float) -> None:
        """Money received."""
        self.tell("till", EventType.PAYMENT_RECEIVED, wall, total_amount=amount)

    def refund(self, wall: datetime, amount: float) -> None:
        """Money given back, while somebody is at the till."""
        self.tell("till", EventType.PAYMENT_REFUNDED, self.hours.within(wall), total_amount=amount)

    def complain(self, after: datetime) -> datetime:
        """A ticket some days after a visit, resolved within the week; returns when it was."""
        opened = self._online(after.date() + timedelta(days=self.random.randint(1, 3)))
        self.tell("helpdesk", EventType.TICKET_OPENED, opened)
        resolved = self.hours.within(opened + timedelta(days=self.random.uniform(0.2, 5)))
        self.tell("helpdesk", EventType.TICKET_RESOLVED, resolved)
        return resolved

    def booking_before(self, at: datetime, days: int, after: datetime) -> datetime:
        """When a later appointment is booked: online or at the desk, up to so many days before it."""
        day = max(after.date(), at.date() - timedelta(days=self.random.randint(1, max(1, days))))
        wall = self._online(day)
        return wall if after < wall < at else after + timedelta(minutes=5)

    def _online(self, day: date) -> datetime:
        minutes = self.random.randrange((_EVENINGS[1] - _EVENINGS[0]) * 60)
        return datetime(day.year, day.month, day.day, _EVENINGS[0], tzinfo=None) + timedelta(  # noqa: DTZ001  # a wall's clock
            minutes=minutes, seconds=self.random.randrange(60)
        )
