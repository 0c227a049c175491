"""Opening hours of a company in local time."""

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
class OpeningHours:
    """Opening hours by weekday (Monday is 0), and closed days of the year as (month, day)."""

    zone: ZoneInfo
    days: Mapping[int, tuple[time, time]]
    closed: frozenset[tuple[int, int]] = field(default_factory=frozenset)

    def is_open(self, day: date) -> bool:
        """Returns whether the company opens on a day."""
        return day.weekday() in self.days and (day.month, day.day) not in self.closed

    def next_open(self, day: date) -> date:
        """Returns the day itself, or the next day on which the company opens."""
        while not self.is_open(day):
            day += _DAY
        return day

    def draw_slot(self, random: Random, day: date, minutes: int, preference: float | None = None) -> datetime:
        """Draws a local start time on the quarter hour, so that `minutes` end before closing time.

        `preference` is the preferred time of day, from 0 (the first slot) to 1 (the last).
        """
        day = self.next_open(day)
        opens, closes = (datetime.combine(day, at) for at in self.days[day.weekday()])
        last = max(0, (closes - opens - timedelta(minutes=minutes)) // _QUARTER)
        position = random.random() if preference is None else preference + random.uniform(-0.15, 0.15)
        return opens + min(last, max(0, round(last * position))) * _QUARTER

    def or_next_opening(self, local_time: datetime) -> datetime:
        """Returns the same local time if the company is open then, else a time shortly after the next opening."""
        day = local_time.date()
        if self.is_open(day):
            opens, closes = (datetime.combine(day, at) for at in self.days[day.weekday()])
            if opens <= local_time <= closes:
                return local_time
            if local_time < opens:
                return opens + timedelta(minutes=local_time.minute)
        day = self.next_open(day + _DAY)
        return datetime.combine(day, self.days[day.weekday()][0]) + timedelta(minutes=local_time.minute)

    def to_instant(self, local_time: datetime) -> datetime:
        """Converts a local time to UTC."""
        return instant_of(local_time.date(), local_time.time(), self.zone)
