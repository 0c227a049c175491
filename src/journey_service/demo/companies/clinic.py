"""Dental clinic in New York: half-yearly check-ups, treatments in series, annual insurance limits."""

from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from journey_service.demo.business import DemoBusiness
from journey_service.demo.companies.actions import stage_actions
from journey_service.demo.companies.maps import CLINIC_POLICY, CLINIC_STAGES
from journey_service.demo.contact import (
    ContactRates,
    draw_first_contact,
    draw_habits,
    draw_return,
    draw_service,
)
from journey_service.demo.hours import OpeningHours
from journey_service.demo.people import NEW_YORK
from journey_service.demo.story import (
    AppointmentResult,
    BookableService,
    CustomerHabits,
    CustomerTimeline,
    SeasonalDemand,
)

_CHECK_UP: Final = BookableService("Check-up and cleaning", 185, 60)
_TREATMENTS: Final = (
    BookableService("Filling", 260, 45, 6),
    BookableService("Periodontal therapy", 310, 60, 3),
    BookableService("Root canal", 980, 90, 1.5),
    BookableService("Crown", 1250, 90, 1.5),
    BookableService("Whitening", 420, 60, 1),
    BookableService("Aligner fitting", 650, 45, 1),
)
_SEASON: Final = SeasonalDemand((0.6, 0.85, 1, 1, 1, 0.95, 0.6, 0.6, 1, 1.05, 1.25, 1.4))
_CAMPAIGNS: Final = ((2, 1), (9, 8))
_CONTACT_RATES: Final = ContactRates(walks_in=0.04, calls=0.75, becomes_customer=0.72)
_RELIABLE_HABITS: Final = CustomerHabits(misses=0.07, cancels=0.14, repeats=0.2)
_HIGH_NO_SHOW_HABITS: Final = CustomerHabits(misses=0.35, cancels=0.15, repeats=0.65)
_BOOKING_HORIZON: Final = timedelta(days=190)  # the next check-up is booked at the last one


def _simulate(timeline: CustomerTimeline, day: date, is_existing: bool) -> None:  # noqa: FBT001  # the signature of SimulateCustomer
    random = timeline.random
    contact = (
        datetime.combine(day, time(9)) if is_existing else draw_first_contact(timeline, day, _CONTACT_RATES)
    )
    if contact is None:
        return
    preference = random.random()
    habits = draw_habits(random, _RELIABLE_HABITS, _HIGH_NO_SHOW_HABITS, share=0.14)
    last, day = contact, contact.date() + timedelta(days=random.randint(0 if is_existing else 2, 20))
    while day <= timeline.today + _BOOKING_HORIZON:
        at = timeline.hours.draw_slot(random, day, _CHECK_UP.minutes, preference)
        result = _book_and_pay(timeline, at, _CHECK_UP, habits, last)
        last = result.end
        if not result.came and timeline.chance(0.75):
            day = at.date() + timedelta(days=random.randint(6, 35))
            continue
        if result.came and timeline.chance(0.4):
            last = _attend(timeline, result.end, preference, habits)
        if timeline.chance(0.09):
            return
        if timeline.chance(0.12):
            absence = timedelta(days=random.randint(230, 520))
            last = draw_return(timeline, at.date() + absence, _CAMPAIGNS)
            day = last.date() + timedelta(days=random.randint(3, 20))
            continue
        planned = at.date() + timedelta(days=random.randint(168, 204))
        day = max(last.date() + timedelta(days=30), _SEASON.shift(random, at.date(), planned))


def _attend(
    timeline: CustomerTimeline, finding: datetime, preference: float, habits: CustomerHabits
) -> datetime:
    """Simulates a treatment in series; intervals are shorter at the end of the insurance year."""
    service, last = draw_service(timeline.random, _TREATMENTS), finding
    pause = (5, 10) if finding.month in (11, 12) else (7, 21)
    for _ in range(timeline.random.randint(1, 4)):
        day = last.date() + timedelta(days=timeline.random.randint(*pause))
        at = timeline.hours.draw_slot(timeline.random, day, service.minutes, preference)
        last = _book_and_pay(timeline, at, service, habits, last).end
    return last


def _book_and_pay(
    timeline: CustomerTimeline, at: datetime, service: BookableService, habits: CustomerHabits, last: datetime
) -> AppointmentResult:
    amount = service.price + timeline.random.choice((0, 0, 0, 45, 95))  # x-rays
    booked = timeline.draw_booking_time(at, 60, last)
    result = timeline.book_appointment(at, service, habits, booked=booked, amount=amount)
    if result.came:
        share = round(amount * timeline.random.choice((0.2, 0.5, 1)), 2)
        timeline.pay(result.end + timedelta(minutes=6), share)
        if share < amount:  # the insurance pays later
            paid = timeline.hours.or_next_opening(result.end + timedelta(days=timeline.random.randint(9, 40)))
            timeline.pay(paid, round(amount - share, 2))
        if timeline.chance(0.04):
            resolved = timeline.open_ticket(result.end)
            if timeline.chance(0.3):
                timeline.refund(resolved, share)
    return result


_DAY_HOURS: Final = (time(8), time(17, 30))
_STAFF: Final = ("Dana Whitfield", "Marcus Bell", "Inez Ortega")
CLINIC: Final = DemoBusiness(
    name="Hudson Dental Care",
    timezone="America/New_York",
    currency="USD",
    seed=20_240_602,
    customers=380,
    hours=OpeningHours(
        ZoneInfo("America/New_York"),
        {
            0: _DAY_HOURS,
            1: (time(8), time(19)),
            2: _DAY_HOURS,
            3: (time(8), time(19)),
            4: (time(8), time(15)),
        },
        frozenset(((1, 1), (7, 4), (11, 11), (12, 25))),
    ),
    names=NEW_YORK,
    staff=_STAFF,
    actions=stage_actions(_STAFF),
    arrivals=_SEASON,
    first_weeks=27,
    simulate=_simulate,
    stages=CLINIC_STAGES,
    policy=CLINIC_POLICY,
)
