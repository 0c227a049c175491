"""Physiotherapy practice in Kathmandu: series of weekly sessions, and refreshers some weeks later. On a test clock."""

from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from journey_service.demo.business import DemoBusiness
from journey_service.demo.companies.actions import stage_actions
from journey_service.demo.companies.maps import PRACTICE_POLICY, PRACTICE_STAGES
from journey_service.demo.contact import ContactRates, draw_first_contact, draw_habits, draw_return
from journey_service.demo.hours import OpeningHours
from journey_service.demo.people import KATHMANDU
from journey_service.demo.story import BookableService, CustomerHabits, CustomerTimeline, SeasonalDemand

_ASSESSMENT: Final = BookableService("First assessment", 2500, 60)
_SESSION: Final = BookableService("Session", 1800, 45)
_ARRIVALS: Final = SeasonalDemand((1, 1, 1.1, 1.2, 1, 0.8, 0.7, 0.8, 1, 0.6, 1.2, 1.1))
_CAMPAIGNS: Final = ((2, 20), (6, 1), (11, 25))
_CONTACT_RATES: Final = ContactRates(walks_in=0.1, calls=0.7, becomes_customer=0.75)
_RELIABLE_HABITS: Final = CustomerHabits(misses=0.05, cancels=0.08, repeats=0.15)
_HIGH_NO_SHOW_HABITS: Final = CustomerHabits(misses=0.25, cancels=0.12, repeats=0.6)
_BOOKING_HORIZON: Final = timedelta(days=14)


def _simulate(timeline: CustomerTimeline, day: date, is_existing: bool) -> None:  # noqa: FBT001  # the signature of SimulateCustomer
    random = timeline.random
    contact = (
        datetime.combine(day, time(10)) if is_existing else draw_first_contact(timeline, day, _CONTACT_RATES)
    )
    if contact is None:
        return
    habits = draw_habits(random, _RELIABLE_HABITS, _HIGH_NO_SHOW_HABITS, share=0.1)
    preference, service, last = random.random(), _ASSESSMENT, contact
    day, sessions_left = contact.date() + timedelta(days=random.randint(1, 6)), random.randint(4, 10)
    while day <= timeline.today + _BOOKING_HORIZON:
        at = timeline.hours.draw_slot(random, day, service.minutes, preference)
        booked = timeline.draw_booking_time(at, 10, last)
        result = timeline.book_appointment(at, service, habits, booked=booked)
        last = result.end
        if result.came:
            timeline.pay(result.end + timedelta(minutes=5), service.price)
            service, sessions_left = _SESSION, sessions_left - 1
        if sessions_left > 0:
            day = at.date() + timedelta(days=random.randint(5, 9))
            continue
        if timeline.chance(0.22):
            return
        sessions_left = random.randint(1, 5)
        day = at.date() + timedelta(days=random.randint(25, 55))
        if timeline.chance(0.2):
            last = draw_return(timeline, at.date() + timedelta(days=random.randint(80, 200)), _CAMPAIGNS)
            day = last.date() + timedelta(days=random.randint(2, 8))


_HOURS: Final = (time(9), time(18))
_STAFF: Final = ("Sunita Gurung", "Bikash Thapa")
PRACTICE: Final = DemoBusiness(
    name="Himal Physiotherapy",
    timezone="Asia/Kathmandu",
    currency="NPR",
    seed=20_240_604,
    customers=150,
    hours=OpeningHours(
        ZoneInfo("Asia/Kathmandu"),
        # Saturday is the weekly holiday in Nepal.
        {0: _HOURS, 1: _HOURS, 2: _HOURS, 3: _HOURS, 4: (time(9), time(16)), 6: _HOURS},
        frozenset(((1, 1), (4, 14), (5, 28))),
    ),
    names=KATHMANDU,
    staff=_STAFF,
    actions=stage_actions(_STAFF),
    arrivals=_ARRIVALS,
    first_weeks=5,
    simulate=_simulate,
    stages=PRACTICE_STAGES,
    policy=PRACTICE_POLICY,
    keeps_test_clock=True,
)
