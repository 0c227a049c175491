"""Yoga studio in Tokyo: weekly classes on passes, and New Year beginners who mostly stop by March."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

from journey_service.demo.business import DemoBusiness
from journey_service.demo.companies.actions import stage_actions
from journey_service.demo.companies.maps import STUDIO_POLICY, STUDIO_STAGES
from journey_service.demo.contact import ContactRates, draw_first_contact, draw_habits, draw_return
from journey_service.demo.hours import OpeningHours
from journey_service.demo.people import TOKYO
from journey_service.demo.story import (
    AppointmentResult,
    BookableService,
    CustomerHabits,
    CustomerTimeline,
    SeasonalDemand,
)

_TRIAL_CLASS: Final = BookableService("Trial class", 1500, 60)
_CLASSES: Final = (
    BookableService("Vinyasa flow", 3300, 60),
    BookableService("Hatha", 3300, 75),
    BookableService("Yin", 3300, 75),
    BookableService("Power yoga", 3300, 60),
)
_PASSES: Final = ((0, 0), (0, 0), (10_400, 1), (10_400, 1), (16_500, 2), (16_500, 3))
"""Monthly price in yen and classes per week. Customers with a price of 0 pay for each class."""
_WEEKDAY_TIMES: Final = (time(7, 15), time(10), time(12, 15), time(18), time(19, 30))
_WEEKEND_TIMES: Final = (time(9), time(10, 45), time(15))
_SATURDAY: Final = 5
_SEASON: Final = SeasonalDemand((1, 0.95, 0.9, 1, 0.8, 1, 0.9, 0.6, 0.95, 1, 1, 0.8))
_ARRIVALS: Final = SeasonalDemand((4.5, 1, 0.7, 1.6, 0.8, 0.8, 0.7, 0.4, 1.4, 1, 0.8, 0.5))
_CAMPAIGNS: Final = ((1, 5), (4, 3), (6, 15), (9, 2), (11, 4))
_CONTACT_RATES: Final = ContactRates(walks_in=0.1, calls=0.4, becomes_customer=0.78)
_RELIABLE_HABITS: Final = CustomerHabits(misses=0.03, cancels=0.08, repeats=0.1)
_HIGH_NO_SHOW_HABITS: Final = CustomerHabits(misses=0.2, cancels=0.12, repeats=0.6)
_PASS_DAYS: Final = timedelta(days=30)
_BOOKING_HORIZON: Final = timedelta(days=3)


def _simulate(timeline: CustomerTimeline, day: date, is_existing: bool) -> None:  # noqa: FBT001  # the signature of SimulateCustomer
    random = timeline.random
    contact = (
        datetime.combine(day, time(9)) if is_existing else draw_first_contact(timeline, day, _CONTACT_RATES)
    )
    if contact is None:
        return
    habits = draw_habits(random, _RELIABLE_HABITS, _HIGH_NO_SHOW_HABITS, share=0.08)
    last, day = contact, contact.date()
    if not is_existing:
        at = _next_class(random, timeline.hours, day + timedelta(days=random.randint(1, 9)))
        result = _book_and_pay(timeline, at, _TRIAL_CLASS, habits, last, price=_TRIAL_CLASS.price)
        last, day = result.end, result.end.date()
        if timeline.chance(0.18):
            return
    last_day = day + timedelta(days=_draw_membership_days(random, day, is_existing=is_existing))
    monthly_price, classes_per_week = random.choice(_PASSES)
    paid_until = day
    for at in _classes(timeline, day, max(1, classes_per_week)):
        if at.date() > min(last_day, timeline.today + _BOOKING_HORIZON):
            return
        if at <= last + timedelta(hours=2):
            continue  # absent until after this class
        is_paid = monthly_price > 0 and at.date() < paid_until
        result = _book_and_pay(
            timeline,
            at,
            random.choice(_CLASSES),
            habits,
            last,
            price=0 if monthly_price else _CLASSES[0].price,
        )
        last = result.end
        if result.came and monthly_price and not is_paid:
            timeline.pay(result.end - timedelta(minutes=85), monthly_price)
            paid_until = at.date() + _PASS_DAYS
        if timeline.chance(0.014):
            absence = timedelta(days=random.randint(25, 130))
            last = draw_return(timeline, at.date() + absence, _CAMPAIGNS)


def _draw_membership_days(random: Random, day: date, *, is_existing: bool) -> int:
    """Draws for how many days a customer attends; many who begin in January stop by March."""
    is_new_year_beginner = day.month == 1 and random.random() < 0.7  # noqa: PLR2004  # share of beginners in January who stop by March
    if is_new_year_beginner and not is_existing:
        return random.randint(14, 58)
    return 20 + round(random.expovariate(1 / (900 if is_existing else 480)))


def _classes(timeline: CustomerTimeline, day: date, classes_per_week: int) -> Iterator[datetime]:
    """Yields the classes that a customer attends: the same weekdays, and mostly the same times."""
    random = timeline.random
    weekdays = sorted(random.sample(range(7), classes_per_week))
    class_times = {weekday: random.choice(_times(weekday)) for weekday in weekdays}
    share = random.uniform(0.6, 0.9) if classes_per_week > 1 else random.uniform(0.7, 0.95)
    while True:
        day += timedelta(days=1)
        at = class_times.get(day.weekday())
        if at is not None and timeline.hours.is_open(day) and timeline.chance(share * _SEASON.at(day)):
            yield datetime.combine(day, at)


def _next_class(random: Random, hours: OpeningHours, day: date) -> datetime:
    day = hours.next_open(day)
    return datetime.combine(day, random.choice(_times(day.weekday())))


def _times(weekday: int) -> tuple[time, ...]:
    return _WEEKEND_TIMES if weekday >= _SATURDAY else _WEEKDAY_TIMES


def _book_and_pay(  # the parameters of an appointment
    timeline: CustomerTimeline,
    at: datetime,
    service: BookableService,
    habits: CustomerHabits,
    last: datetime,
    *,
    price: float,
) -> AppointmentResult:
    if timeline.chance(0.5):
        result = timeline.complete_appointment(at, service, amount=price)
    else:
        booked = timeline.draw_booking_time(at, 3, last)
        result = timeline.book_appointment(at, service, habits, booked=booked, amount=price)
    if result.came:
        if price:
            timeline.pay(at - timedelta(minutes=8), price)
        if timeline.chance(0.004):
            resolved = timeline.open_ticket(result.end)
            if price and timeline.chance(0.5):
                timeline.refund(resolved, price)
    return result


_WEEKDAY_HOURS: Final = (time(7), time(21))
_WEEKEND_HOURS: Final = (time(8, 30), time(18))
_STAFF: Final = ("Yoko Tamura", "Ryo Hoshino")
STUDIO: Final = DemoBusiness(
    name="Kaze Yoga Studio",
    timezone="Asia/Tokyo",
    currency="JPY",
    seed=20_240_603,
    customers=280,
    hours=OpeningHours(
        ZoneInfo("Asia/Tokyo"),
        {**dict.fromkeys(range(_SATURDAY), _WEEKDAY_HOURS), 5: _WEEKEND_HOURS, 6: _WEEKEND_HOURS},
        frozenset(((12, 31), (1, 1), (1, 2), (1, 3))),
    ),
    names=TOKYO,
    staff=_STAFF,
    actions=stage_actions(_STAFF),
    arrivals=_ARRIVALS,
    first_weeks=3,
    simulate=_simulate,
    stages=STUDIO_STAGES,
    policy=STUDIO_POLICY,
)
