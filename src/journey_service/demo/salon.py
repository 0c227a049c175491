"""A hair salon in Berlin: rhythms of three to eight weeks, full before the holidays and before the summer."""

from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from journey_service.demo.business import Business
from journey_service.demo.contact import Openness, come_back, draw_habits, draw_service, first_contact
from journey_service.demo.hours import Hours
from journey_service.demo.people import BERLIN
from journey_service.demo.story import Habits, Kept, Season, Service, Story

_SERVICES: Final = (
    Service("Men's cut", 34, 30, 5),
    Service("Cut and blow-dry", 62, 60, 6),
    Service("Fringe and shape", 24, 30, 2),
    Service("Colour and cut", 118, 120, 3),
    Service("Balayage", 189, 180, 1),
    Service("Updo", 85, 75, 0.7),
)
_RHYTHMS: Final = (21, 28, 28, 35, 35, 42, 42, 49, 56)
_SEASON: Final = Season((0.6, 0.7, 0.95, 1, 1.05, 1.4, 0.7, 0.75, 1, 1, 1.05, 1.6))
_CAMPAIGNS: Final = ((3, 10), (9, 12), (11, 20))
_OPENNESS: Final = Openness(walks_in=0.12, calls=0.6, comes=0.74)
_USUAL: Final = Habits(misses=0.03, cancels=0.07, repeats=0.12)
_FORGETFUL: Final = Habits(misses=0.25, cancels=0.1, repeats=0.65)
_HORIZON: Final = timedelta(days=35)


def _live(story: Story, day: date, was_known: bool) -> None:  # noqa: FBT001  # the form of a Life
    random = story.random
    contact = datetime.combine(day, time(9)) if was_known else first_contact(story, day, _OPENNESS)
    if contact is None:
        return
    usual, wish, rhythm = draw_service(random, _SERVICES), random.random(), random.choice(_RHYTHMS)
    habits = draw_habits(random, _USUAL, _FORGETFUL, share=0.1)
    visits_left = 1 + random.expovariate(1 / (34 if was_known else 15))
    last, day = contact, contact.date() + timedelta(days=random.randint(0 if was_known else 1, 12))
    while day <= story.today + _HORIZON:
        service = usual if story.chance(0.8) else draw_service(random, _SERVICES)
        at = story.hours.slot(random, day, service.minutes, wish)
        kept = _come(story, at, service, habits, last)
        last = kept.end
        if kept.came:
            visits_left -= 1
        elif story.chance(0.7):
            day = at.date() + timedelta(days=random.randint(3, 12))
            continue
        if visits_left <= 0:
            return
        if story.chance(0.035):
            away = timedelta(days=random.randint(75, 210))
            last = come_back(story, at.date() + away, _CAMPAIGNS)
            day = last.date() + timedelta(days=random.randint(2, 8))
            continue
        planned = at.date() + timedelta(days=round(rhythm * random.uniform(0.8, 1.25)))
        day = _SEASON.moved(random, at.date(), planned)


def _come(story: Story, at: datetime, service: Service, habits: Habits, last: datetime) -> Kept:
    amount = service.price + story.random.choice(
        (0, 0, 0, 8, 12.5, 24.9)
    )  # a treatment, a shampoo to take home
    if story.chance(0.07):
        kept = story.visit(at, service, amount=amount)
    else:
        booked = story.booking_before(at, 21, last)
        kept = story.appointment(at, service, habits, booked=booked, amount=amount)
    if kept.came:
        story.pay(kept.end + timedelta(minutes=4), amount)
        if story.chance(0.02):
            resolved = story.complain(kept.end)
            if story.chance(0.4):
                story.refund(resolved, round(amount / 2, 2))
    return kept


_LATE: Final = (time(10), time(20))
SALON: Final = Business(
    name="Salon Lumière",
    timezone="Europe/Berlin",
    currency="EUR",
    seed=20_240_601,
    customers=340,
    hours=Hours(
        ZoneInfo("Europe/Berlin"),
        {0: (time(9), time(18)), 1: _LATE, 2: _LATE, 3: _LATE, 4: _LATE, 5: (time(9), time(16))},
        frozenset(((1, 1), (5, 1), (10, 3), (12, 25), (12, 26))),
    ),
    place=BERLIN,
    arrivals=_SEASON,
    first_weeks=7,
    live=_live,
)
