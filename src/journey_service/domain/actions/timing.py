"""When an action is due, and until when quiet hours hold it."""

from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from journey_service.domain.calendar import instant_of
from journey_service.domain.companies.policy import CompanyPolicy
from journey_service.domain.journeys.relationship import Transition

PAUSED_RETRY_INTERVAL: Final = timedelta(minutes=15)
"""How long after a look a company that has paused its messages is looked at again."""
MAX_TRANSITION_AGE: Final = timedelta(hours=24)
"""A move dated longer ago runs no actions, except where a test clock was advanced."""


def triggers_actions(transition: Transition, now: datetime, *, has_test_clock: bool) -> bool:
    """Whether a move runs the actions of the stage entered: not a silent one, and not one of long ago."""
    is_old = not has_test_clock and now - transition.transitioned_at > MAX_TRANSITION_AGE
    return not transition.is_silent and not is_old


def due(at: datetime, days: int, hours: int, zone: ZoneInfo) -> datetime:
    """So many days later at the same wall time where the company is, and so many hours after that (UTC)."""
    if days:
        local = at.astimezone(zone)
        at = instant_of(local.date() + timedelta(days=days), local.timetz().replace(tzinfo=None), zone)
    return at.astimezone(UTC) + timedelta(hours=hours)


def quiet_until(now: datetime, policy: CompanyPolicy, zone: ZoneInfo) -> datetime | None:
    """When the quiet hours end that it is in the midst of; None: it is not quiet."""
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
