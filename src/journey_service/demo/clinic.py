"""A dental clinic in New York: half-yearly check-ups, treatments in series, insurance that ends with the year."""

from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from journey_service.demo.business import Business
from journey_service.demo.contact import Openness, come_back, draw_habits, draw_service, first_contact
from journey_service.demo.hours import Hours
from journey_service.demo.maps import CLINIC_POLICY, CLINIC_STAGES
from journey_service.demo.people import NEW_YORK
from journey_service.demo.story import Habits, Kept, Season, Service, Story

_CHECK_UP: Final = Service("Check-up and cleaning", 185, 60)
_TREATMENTS: Final = (
    Service("Filling", 260, 45, 6),
    Service("Periodontal therapy", 310, 60, 3),
    Service("Root canal", 980, 90, 1.5),
    Service("Crown", 1250, 90, 1.5),
    Service("Whitening", 420, 60, 1),
    Service("Aligner fitting", 650, 45, 1),
)
_SEASON: Final = Season((0.6, 0.85, 1, 1, 1, 0.95, 0.6, 0.6, 1, 1.05, 1.25, 1.4))
_CAMPAIGNS: Final = ((2, 1), (9, 8))
_OPENNESS: Final = Openness(walks_in=0.04, calls=0.75, comes=0.72)
_USUAL: Final = Habits(misses=0.07, cancels=0.14, repeats=0.2)
_FORGETFUL: Final = Habits(misses=0.35, cancels=0.15, repeats=0.65)
_HORIZON: Final = timedelta(days=190)  # the next check-up is booked at the last one


def _live(story: Story, day: date, was_known: bool) -> None:  # noqa: FBT001  # the form of a Life
    random = story.random
    contact = datetime.combine(day, time(9)) if was_known else first_contact(story, day, _OPENNESS)
    if contact is None:
        return
    wish = random.random()
    habits = draw_habits(random, _USUAL, _FORGETFUL, share=0.14)
    last, day = contact, contact.date() + timedelta(days=random.randint(0 if was_known else 2, 20))
    while day <= story.today + _HORIZON:
        at = story.hours.slot(random, day, _CHECK_UP.minutes, wish)
        kept = _come(story, at, _CHECK_UP, habits, last)
        last = kept.end
        if not kept.came and story.chance(0.75):
            day = at.date() + timedelta(days=random.randint(6, 35))
            continue
        if kept.came and story.chance(0.4):
            last = _treat(story, kept.end, wish, habits)
        if story.chance(0.09):
            return
        if story.chance(0.12):
            away = timedelta(days=random.randint(230, 520))
            last = come_back(story, at.date() + away, _CAMPAIGNS)
            day = last.date() + timedelta(days=random.randint(3, 20))
            continue
        planned = at.date() + timedelta(days=random.randint(168, 204))
        day = max(last.date() + timedelta(days=30), _SEASON.moved(random, at.date(), planned))


def _treat(story: Story, found: datetime, wish: float, habits: Habits) -> datetime:
    """A series after a finding; late in the year it is hurried, before the insurance begins anew."""
    service, last = draw_service(story.random, _TREATMENTS), found
    pause = (5, 10) if found.month in (11, 12) else (7, 21)
    for _ in range(story.random.randint(1, 4)):
        day = last.date() + timedelta(days=story.random.randint(*pause))
        at = story.hours.slot(story.random, day, service.minutes, wish)
        last = _come(story, at, service, habits, last).end
    return last


def _come(story: Story, at: datetime, service: Service, habits: Habits, last: datetime) -> Kept:
    amount = service.price + story.random.choice((0, 0, 0, 45, 95))  # x-rays
    booked = story.booking_before(at, 60, last)
    kept = story.appointment(at, service, habits, booked=booked, amount=amount)
    if kept.came:
        share = round(amount * story.random.choice((0.2, 0.5, 1)), 2)
        story.pay(kept.end + timedelta(minutes=6), share)
        if share < amount:  # the insurance takes its time
            paid = story.hours.within(kept.end + timedelta(days=story.random.randint(9, 40)))
            story.pay(paid, round(amount - share, 2))
        if story.chance(0.04):
            resolved = story.complain(kept.end)
            if story.chance(0.3):
                story.refund(resolved, share)
    return kept


_DAY: Final = (time(8), time(17, 30))
CLINIC: Final = Business(
    name="Hudson Dental Care",
    timezone="America/New_York",
    currency="USD",
    seed=20_240_602,
    customers=380,
    hours=Hours(
        ZoneInfo("America/New_York"),
        {0: _DAY, 1: (time(8), time(19)), 2: _DAY, 3: (time(8), time(19)), 4: (time(8), time(15))},
        frozenset(((1, 1), (7, 4), (11, 11), (12, 25))),
    ),
    place=NEW_YORK,
    arrivals=_SEASON,
    first_weeks=27,
    live=_live,
    stages=CLINIC_STAGES,
    policy=CLINIC_POLICY,
)
