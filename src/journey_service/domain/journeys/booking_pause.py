"""The pause of risk by an open booking: whether it is in force, and when it starts or stops."""

from datetime import datetime, timedelta

from journey_service.domain.companies.policy import CompanyPolicy
from journey_service.domain.events.bookings import OPEN_AFTER_START
from journey_service.domain.journeys.facts import Times


def next_booking(open_bookings: Times, now: datetime) -> datetime | None:
    """Returns the time of the earliest appointment whose booking is open at `now`, None without any."""
    return next((at for at in open_bookings if now < at + OPEN_AFTER_START), None)


def pausing_booking(open_bookings: Times, policy: CompanyPolicy, now: datetime) -> datetime | None:
    """Returns the time of the earliest appointment whose booking pauses risk at `now`, None without any.

    A booking pauses from `open_booking_max_days` before the appointment until OPEN_AFTER_START after it.
    """
    if not policy.open_booking_pauses_risk:
        return None
    at = next_booking(open_bookings, now)
    return at if at is not None and at - _ahead(policy) <= now else None


def next_pause_change(open_bookings: Times, policy: CompanyPolicy, now: datetime) -> datetime | None:
    """Returns the first instant after `now` at which the pause starts or stops, None if it does not."""
    if not policy.open_booking_pauses_risk:
        return None
    ends: datetime | None = None
    for at in open_bookings:
        if at + OPEN_AFTER_START <= now:
            continue
        starts = at - _ahead(policy)
        if starts > now and (ends is None or starts > ends):
            return starts if ends is None else ends
        ends = at + OPEN_AFTER_START
    return ends


def _ahead(policy: CompanyPolicy) -> timedelta:
    return timedelta(days=policy.open_booking_max_days)
