"""Due times of actions, and whether a transition triggers actions."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from journey_service.domain.calendar import instant_of
from journey_service.domain.journeys.relationship import Transition

MAX_TRANSITION_AGE: Final = timedelta(hours=24)
"""Age from which a transition triggers no actions, unless the company has a test clock."""


def triggers_actions(transition: Transition, now: datetime, *, has_test_clock: bool) -> bool:
    """Returns whether a transition triggers the actions of its stage: it is neither silent nor too old."""
    is_old = not has_test_clock and now - transition.transitioned_at > MAX_TRANSITION_AGE
    return not transition.is_silent and not is_old


def due(at: datetime, days: int, hours: int, zone: tzinfo) -> datetime:
    """Returns the time (UTC) a number of days later at the same local time, plus a number of hours."""
    if days:
        local = at.astimezone(zone)
        at = instant_of(local.date() + timedelta(days=days), local.timetz().replace(tzinfo=None), zone)
    return at.astimezone(UTC) + timedelta(hours=hours)
