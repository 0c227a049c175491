"""How people come to a business the first time, and how the lapsed come back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random

from journey_service.demo.story import Habits, Service, Story


@dataclass(frozen=True)
class Openness:
    """How a business is found: who walks in, who calls rather than writes, and who comes at all."""

    walks_in: float
    calls: float
    comes: float


def first_contact(story: Story, day: date, openness: Openness) -> datetime | None:
    """The first words with a business; returns when they ended, or None for somebody who never comes."""
    if story.chance(openness.walks_in):
        return story.hours.slot(story.random, day, 60)
    comes = story.chance(openness.comes)
    if story.chance(openness.calls):
        # Who only asked for the price is off the line within the minute.
        return _only(comes, story.call(day, is_long=comes or story.chance(0.45)))
    end = story.request(day)
    if comes or story.chance(0.35):
        end = story.call(end.date() + timedelta(days=1), is_long=True)
    return _only(comes, end)


def come_back(story: Story, day: date, campaigns: Sequence[tuple[int, int]]) -> datetime:
    """A lapsed customer is heard of again within three weeks of the next campaign (month, day) from a day on."""
    starts = [date(year, month, on) for year in (day.year, day.year + 1) for month, on in campaigns]
    back = min(start for start in starts if start >= day) + timedelta(days=story.random.randrange(21))
    return story.call(back, is_long=True) if story.chance(0.6) else story.request(back)


def draw_habits(random: Random, usual: Habits, forgetful: Habits, *, share: float) -> Habits:
    """Somebody's habits: most are reliable, and a few miss one appointment after the other."""
    drawn = forgetful if random.random() < share else usual
    return Habits(drawn.misses * random.uniform(0.5, 1.5), drawn.cancels, drawn.repeats)


def draw_service(random: Random, services: Sequence[Service]) -> Service:
    """A service, by how often it is asked for."""
    return random.choices(services, [service.weight for service in services])[0]


def _only(comes: bool, end: datetime) -> datetime | None:  # noqa: FBT001  # private, and read beside its one use
    return end if comes else None
