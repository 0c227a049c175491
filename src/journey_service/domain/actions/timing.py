"""Due times of actions, and the end of quiet hours."""

from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from journey_service.domain.calendar import instant_of
from journey_service.domain.companies.policy import CompanyPolicy
from journey_service.domain.journeys.relationship import Transition

PAUSED_RETRY_INTERVAL: Final = timedelta(minutes=15)
"""Delay after which a message of a company with paused messages is decided again."""
MAX_TRANSITION_AGE: Final = timedelta(hours=24)
"""Age from which a transition triggers no actions, unless the company has a test clock."""


def triggers_actions(transition: Transition, now: datetime, *, has_test_clock: bool) -> bool:
    """Returns whether a transition triggers the actions of its stage: it is neither silent nor too old."""
    is_old = not has_test_clock and now - transition.transitioned_at > MAX_TRANSITION_AGE
    return not transition.is_silent and not is_old


def due(at: datetime, days: int, hours: int, zone: ZoneInfo) -> datetime:
    """Returns the time (UTC) a number of days later at the same local time, plus a number of hours."""
    if days:
        local = at.astimezone(zone)
        at = instant_of(local.date() + timedelta(days=days), local.timetz().replace(tzinfo=None), zone)
    return at.astimezone(UTC) + timedelta(hours=hours)


def quiet_until(now: datetime, policy: CompanyPolicy, zone: ZoneInfo) -> datetime | None:
    """Returns the end of the quiet hours that `now` lies in; None outside of quiet hours."""
    if policy.quiet_from is None or policy.quiet_until is None:
        return None
    start, end = time.fromisoformat(policy.quiet_from), time.fromisoformat(policy.quiet_until)
    today = now.astimezone(zone).date()
    for day in (today - timedelta(days=1), today):
        begins = instant_of(day, start, zone)
        ends = instant_of(day if start < end else day + timedelta(days=1), end, zone)
        if begins <= now < ends:
            return ends
    return None
