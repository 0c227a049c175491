"""Hair salon in Berlin: intervals of three to eight weeks, busy before the holidays and in June."""

from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from journey_service.demo.business import DemoBusiness
from journey_service.demo.companies.actions import stage_actions
from journey_service.demo.contact import (
    ContactRates,
    draw_first_contact,
    draw_habits,
    draw_return,
    draw_service,
)
from journey_service.demo.hours import OpeningHours
from journey_service.demo.people import BERLIN
from journey_service.demo.story import (
    AppointmentResult,
    BookableService,
    CustomerHabits,
    CustomerTimeline,
    SeasonalDemand,
)

_SERVICES: Final = (
    BookableService("Men's cut", 34, 30, 5),
    BookableService("Cut and blow-dry", 62, 60, 6),
    BookableService("Fringe and shape", 24, 30, 2),
    BookableService("Colour and cut", 118, 120, 3),
    BookableService("Balayage", 189, 180, 1),
    BookableService("Updo", 85, 75, 0.7),
)
_VISIT_INTERVAL_DAYS: Final = (21, 28, 28, 35, 35, 42, 42, 49, 56)
_SEASON: Final = SeasonalDemand((0.6, 0.7, 0.95, 1, 1.05, 1.4, 0.7, 0.75, 1, 1, 1.05, 1.6))
_CAMPAIGNS: Final = ((3, 10), (9, 12), (11, 20))
_CONTACT_RATES: Final = ContactRates(walks_in=0.12, calls=0.6, becomes_customer=0.74)
_RELIABLE_HABITS: Final = CustomerHabits(misses=0.03, cancels=0.07, repeats=0.12)
_HIGH_NO_SHOW_HABITS: Final = CustomerHabits(misses=0.25, cancels=0.1, repeats=0.65)
_BOOKING_HORIZON: Final = timedelta(days=35)


def _simulate(timeline: CustomerTimeline, day: date, is_existing: bool) -> None:  # noqa: FBT001  # the signature of SimulateCustomer
    random = timeline.random
    contact = (
        datetime.combine(day, time(9)) if is_existing else draw_first_contact(timeline, day, _CONTACT_RATES)
    )
    if contact is None:
        return
    usual_service, preference, interval_days = (
        draw_service(random, _SERVICES),
        random.random(),
        random.choice(_VISIT_INTERVAL_DAYS),
    )
    habits = draw_habits(random, _RELIABLE_HABITS, _HIGH_NO_SHOW_HABITS, share=0.1)
    appointments_left = 1 + random.expovariate(1 / (34 if is_existing else 15))
    last, day = contact, contact.date() + timedelta(days=random.randint(0 if is_existing else 1, 12))
    while day <= timeline.today + _BOOKING_HORIZON:
        service = usual_service if timeline.chance(0.8) else draw_service(random, _SERVICES)
        at = timeline.hours.draw_slot(random, day, service.minutes, preference)
        result = _book_and_pay(timeline, at, service, habits, last)
        last = result.end
        if result.came:
            appointments_left -= 1
        elif timeline.chance(0.7):
            day = at.date() + timedelta(days=random.randint(3, 12))
            continue
        if appointments_left <= 0:
            return
        if timeline.chance(0.035):
            absence = timedelta(days=random.randint(75, 210))
            last = draw_return(timeline, at.date() + absence, _CAMPAIGNS)
            day = last.date() + timedelta(days=random.randint(2, 8))
            continue
        planned = at.date() + timedelta(days=round(interval_days * random.uniform(0.8, 1.25)))
        day = _SEASON.shift(random, at.date(), planned)


def _book_and_pay(
    timeline: CustomerTimeline, at: datetime, service: BookableService, habits: CustomerHabits, last: datetime
) -> AppointmentResult:
    amount = service.price + timeline.random.choice(
        (0, 0, 0, 8, 12.5, 24.9)
    )  # a treatment, a shampoo to take home
    if timeline.chance(0.07):
        result = timeline.complete_appointment(at, service, amount=amount)
    else:
        booked = timeline.draw_booking_time(at, 21, last)
        result = timeline.book_appointment(at, service, habits, booked=booked, amount=amount)
    if result.came:
        timeline.pay(result.end + timedelta(minutes=4), amount)
        if timeline.chance(0.02):
            resolved = timeline.open_ticket(result.end)
            if timeline.chance(0.4):
                timeline.refund(resolved, round(amount / 2, 2))
    return result


_LATE_HOURS: Final = (time(10), time(20))
_STAFF: Final = ("Jana Winter", "Emre Aksoy", "Lotte Brandt")
SALON: Final = DemoBusiness(
    name="Salon Lumière",
    timezone="Europe/Berlin",
    currency="EUR",
    seed=20_240_601,
    customers=340,
    hours=OpeningHours(
        ZoneInfo("Europe/Berlin"),
        {
            0: (time(9), time(18)),
            1: _LATE_HOURS,
            2: _LATE_HOURS,
            3: _LATE_HOURS,
            4: _LATE_HOURS,
            5: (time(9), time(16)),
        },
        frozenset(((1, 1), (5, 1), (10, 3), (12, 25), (12, 26))),
    ),
    names=BERLIN,
    staff=_STAFF,
    actions=stage_actions(_STAFF),
    arrivals=_SEASON,
    first_weeks=7,
    simulate=_simulate,
    policy={"frequency_cap": 2, "language": "de", "quiet_from": "19:00", "quiet_until": "09:00"},
)
