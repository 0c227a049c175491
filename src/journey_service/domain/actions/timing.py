"""Due times of actions, and whether a transition triggers actions."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from journey_service.domain.calendar import instant_of
from journey_service.domain.journeys.relationship import Motion, Transition, TriggerType

MAX_TRANSITION_AGE: Final = timedelta(hours=24)
"""Age from which a transition triggers no actions, unless the company has a test clock."""


_ACTING_MOTIONS: Final = (Motion.OPENING, Motion.ENTRY, Motion.LAPSE)


def triggers_actions(transition: Transition, now: datetime, *, has_test_clock: bool) -> bool:
    """Returns whether a transition triggers the actions of its stage: it is neither silent nor too old.

    A return to a progress stage triggers none, unless a person has moved the customer with actions.
    """
    is_entry = transition.motion in _ACTING_MOTIONS or transition.trigger_type is TriggerType.MANUAL
    return is_entry and _is_heard(transition, now, has_test_clock=has_test_clock)


def resumes_recurrence(transition: Transition, now: datetime, *, has_test_clock: bool) -> bool:
    """Returns whether a transition resumes the recurring actions of its stage: it is a return."""
    return transition.motion is Motion.RETURN and _is_heard(transition, now, has_test_clock=has_test_clock)


def _is_heard(transition: Transition, now: datetime, *, has_test_clock: bool) -> bool:
    is_old = not has_test_clock and now - transition.transitioned_at > MAX_TRANSITION_AGE
    return not transition.is_silent and not is_old


def due(at: datetime, days: int, hours: int, zone: tzinfo) -> datetime:
    """Returns the time (UTC) a number of days later at the same local time, plus a number of hours."""
    if days:
        local = at.astimezone(zone)
        at = instant_of(local.date() + timedelta(days=days), local.timetz().replace(tzinfo=None), zone)
    return at.astimezone(UTC) + timedelta(hours=hours)


def next_occurrence(planned_at: datetime, every_days: int, now: datetime, zone: tzinfo) -> datetime:
    """Returns the first time after `now` that is a multiple of `every_days` days after `planned_at`."""
    at = due(planned_at, every_days, 0, zone)
    while at <= now:
        at = due(at, every_days, 0, zone)
    return at
