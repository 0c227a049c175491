"""A yoga studio in Tokyo: weekly classes on passes, and resolutions of the New Year that lapse by March."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

from journey_service.demo.business import Business
from journey_service.demo.contact import Openness, come_back, draw_habits, first_contact
from journey_service.demo.hours import Hours
from journey_service.demo.maps import STUDIO_POLICY, STUDIO_STAGES
from journey_service.demo.people import TOKYO
from journey_service.demo.story import Habits, Kept, Season, Service, Story

_TRIAL: Final = Service("Trial class", 1500, 60)
_CLASSES: Final = (
    Service("Vinyasa flow", 3300, 60),
    Service("Hatha", 3300, 75),
    Service("Yin", 3300, 75),
    Service("Power yoga", 3300, 60),
)
_PASSES: Final = ((0, 0), (0, 0), (10_400, 1), (10_400, 1), (16_500, 2), (16_500, 3))
"""Yen a month, and how many classes a week somebody buys it for; 0 pays class by class."""
_WEEKDAY_TIMES: Final = (time(7, 15), time(10), time(12, 15), time(18), time(19, 30))
_WEEKEND_TIMES: Final = (time(9), time(10, 45), time(15))
_SATURDAY: Final = 5
_SEASON: Final = Season((1, 0.95, 0.9, 1, 0.8, 1, 0.9, 0.6, 0.95, 1, 1, 0.8))
_ARRIVALS: Final = Season((4.5, 1, 0.7, 1.6, 0.8, 0.8, 0.7, 0.4, 1.4, 1, 0.8, 0.5))
_CAMPAIGNS: Final = ((1, 5), (4, 3), (6, 15), (9, 2), (11, 4))
_OPENNESS: Final = Openness(walks_in=0.1, calls=0.4, comes=0.78)
_USUAL: Final = Habits(misses=0.03, cancels=0.08, repeats=0.1)
_FORGETFUL: Final = Habits(misses=0.2, cancels=0.12, repeats=0.6)
_PASS_DAYS: Final = timedelta(days=30)
_HORIZON: Final = timedelta(days=3)


def _live(story: Story, day: date, was_known: bool) -> None:  # noqa: FBT001  # the form of a Life
    random = story.random
    contact = datetime.combine(day, time(9)) if was_known else first_contact(story, day, _OPENNESS)
    if contact is None:
        return
    habits = draw_habits(random, _USUAL, _FORGETFUL, share=0.08)
    last, day = contact, contact.date()
    if not was_known:
        at = _next_class(random, story.hours, day + timedelta(days=random.randint(1, 9)))
        kept = _come(story, at, _TRIAL, habits, last, price=_TRIAL.price)
        last, day = kept.end, kept.end.date()
        if story.chance(0.18):
            return
    leaves = day + timedelta(days=_stay(random, day, was_known=was_known))
    monthly, a_week = random.choice(_PASSES)
    paid_until = day
    for at in _classes(story, day, max(1, a_week)):
        if at.date() > min(leaves, story.today + _HORIZON):
            return
        if at <= last + timedelta(hours=2):
            continue  # away until after this class
        is_paid = monthly > 0 and at.date() < paid_until
        kept = _come(
            story, at, random.choice(_CLASSES), habits, last, price=0 if monthly else _CLASSES[0].price
        )
        last = kept.end
        if kept.came and monthly and not is_paid:
            story.pay(kept.end - timedelta(minutes=85), monthly)
            paid_until = at.date() + _PASS_DAYS
        if story.chance(0.014):
            away = timedelta(days=random.randint(25, 130))
            last = come_back(story, at.date() + away, _CAMPAIGNS)


def _stay(random: Random, day: date, *, was_known: bool) -> int:
    """How many days somebody goes on: a resolution is over by March."""
    is_resolution = day.month == 1 and random.random() < 0.7  # noqa: PLR2004  # most of them
    if is_resolution and not was_known:
        return random.randint(14, 58)
    return 20 + round(random.expovariate(1 / (900 if was_known else 480)))


def _classes(story: Story, day: date, a_week: int) -> Iterator[datetime]:
    """The classes somebody goes to, week after week: the same days, and mostly the same times."""
    random = story.random
    weekdays = sorted(random.sample(range(7), a_week))
    usual = {weekday: random.choice(_times(weekday)) for weekday in weekdays}
    share = random.uniform(0.6, 0.9) if a_week > 1 else random.uniform(0.7, 0.95)
    while True:
        day += timedelta(days=1)
        at = usual.get(day.weekday())
        if at is not None and story.hours.is_open(day) and story.chance(share * _SEASON.at(day)):
            yield datetime.combine(day, at)


def _next_class(random: Random, hours: Hours, day: date) -> datetime:
    day = hours.next_open(day)
    return datetime.combine(day, random.choice(_times(day.weekday())))


def _times(weekday: int) -> tuple[time, ...]:
    return _WEEKEND_TIMES if weekday >= _SATURDAY else _WEEKDAY_TIMES


def _come(  # a class is just these
    story: Story, at: datetime, service: Service, habits: Habits, last: datetime, *, price: float
) -> Kept:
    if story.chance(0.5):
        kept = story.visit(at, service, amount=price)
    else:
        booked = story.booking_before(at, 3, last)
        kept = story.appointment(at, service, habits, booked=booked, amount=price)
    if kept.came:
        if price:
            story.pay(at - timedelta(minutes=8), price)
        if story.chance(0.004):
            resolved = story.complain(kept.end)
            if price and story.chance(0.5):
                story.refund(resolved, price)
    return kept


_WEEKDAY: Final = (time(7), time(21))
_WEEKEND: Final = (time(8, 30), time(18))
STUDIO: Final = Business(
    name="Kaze Yoga Studio",
    timezone="Asia/Tokyo",
    currency="JPY",
    seed=20_240_603,
    customers=280,
    hours=Hours(
        ZoneInfo("Asia/Tokyo"),
        {**dict.fromkeys(range(_SATURDAY), _WEEKDAY), 5: _WEEKEND, 6: _WEEKEND},
        frozenset(((12, 31), (1, 1), (1, 2), (1, 3))),
    ),
    place=TOKYO,
    arrivals=_ARRIVALS,
    first_weeks=3,
    live=_live,
    stages=STUDIO_STAGES,
    policy=STUDIO_POLICY,
)
