"""When a business is open, on the clocks of its own wall."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

from journey_service.domain.calendar import instant_of

_QUARTER: Final = timedelta(minutes=15)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class Hours:
    """Opening hours by weekday (Monday is 0), and the days of the year on which nobody comes."""

    zone: ZoneInfo
    days: Mapping[int, tuple[time, time]]
    closed: frozenset[tuple[int, int]] = field(default_factory=frozenset)

    def is_open(self, day: date) -> bool:
        """Whether the doors open at all on a day."""
        return day.weekday() in self.days and (day.month, day.day) not in self.closed

    def next_open(self, day: date) -> date:
        """The day itself, or the first one after it on which the doors open."""
        while not self.is_open(day):
            day += _DAY
        return day

    def slot(self, random: Random, day: date, minutes: int, wish: float | None = None) -> datetime:
        """A start on the quarter hour, wall-clock time, from which so many minutes end before the doors close.

        `wish` is the time of day somebody likes best, from 0, the first slot, to 1, the last.
        """
        day = self.next_open(day)
        opens, closes = (datetime.combine(day, at) for at in self.days[day.weekday()])
        last = max(0, (closes - opens - timedelta(minutes=minutes)) // _QUARTER)
        place = random.random() if wish is None else wish + random.uniform(-0.15, 0.15)
        return opens + min(last, max(0, round(last * place))) * _QUARTER

    def within(self, wall: datetime) -> datetime:
        """The same time if somebody is there to answer then, else the next opening and some minutes."""
        day = wall.date()
        if self.is_open(day):
            opens, closes = (datetime.combine(day, at) for at in self.days[day.weekday()])
            if opens <= wall <= closes:
                return wall
            if wall < opens:
                return opens + timedelta(minutes=wall.minute)
        day = self.next_open(day + _DAY)
        return datetime.combine(day, self.days[day.weekday()][0]) + timedelta(minutes=wall.minute)

    def instant(self, wall: datetime) -> datetime:
        """The instant at which the clocks on the wall show a time."""
        return instant_of(wall.date(), wall.time(), self.zone)
