"""First contacts of customers with a company, and returns of lapsed customers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random

from journey_service.demo.story import BookableService, CustomerHabits, CustomerTimeline


@dataclass(frozen=True)
class ContactRates:
    """Probabilities that a customer walks in, calls instead of writing, and becomes a customer."""

    walks_in: float
    calls: float
    becomes_customer: float


def draw_first_contact(timeline: CustomerTimeline, day: date, rates: ContactRates) -> datetime | None:
    """Draws a first contact; returns when it ended, or None if the person does not become a customer."""
    if timeline.chance(rates.walks_in):
        return timeline.hours.draw_slot(timeline.random, day, 60)
    becomes_customer = timeline.chance(rates.becomes_customer)
    if timeline.chance(rates.calls):
        # A call about the price only is shorter than a minute.
        end = timeline.call(day, is_long=becomes_customer or timeline.chance(0.45))
        return end if becomes_customer else None
    end = timeline.request(day)
    if becomes_customer or timeline.chance(0.35):
        end = timeline.call(end.date() + timedelta(days=1), is_long=True)
    return end if becomes_customer else None


def draw_return(timeline: CustomerTimeline, day: date, campaigns: Sequence[tuple[int, int]]) -> datetime:
    """Draws the return of a lapsed customer within three weeks of the next campaign (month, day)."""
    starts = [date(year, month, on) for year in (day.year, day.year + 1) for month, on in campaigns]
    returned_on = min(start for start in starts if start >= day) + timedelta(
        days=timeline.random.randrange(21)
    )
    return timeline.call(returned_on, is_long=True) if timeline.chance(0.6) else timeline.request(returned_on)


def draw_habits(
    random: Random, reliable: CustomerHabits, high_no_show: CustomerHabits, *, share: float
) -> CustomerHabits:
    """Draws the habits of a customer: most are reliable, and a few miss several appointments in a row."""
    drawn = high_no_show if random.random() < share else reliable
    return CustomerHabits(drawn.misses * random.uniform(0.5, 1.5), drawn.cancels, drawn.repeats)


def draw_service(random: Random, services: Sequence[BookableService]) -> BookableService:
    """Draws a service by weight."""
    return random.choices(services, [service.weight for service in services])[0]
