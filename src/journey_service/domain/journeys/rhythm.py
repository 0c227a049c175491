"""A customer's own rhythm: the usual gap between visits, and how late the next visit is by it.

Rules compare the ratio in hundredths, rounded down, of whole days and a usual gap in whole seconds: integers, so that
the day on which it reaches a threshold is exact.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from math import exp, log
from typing import Final

from journey_service.domain.events.event import EARLIEST
from journey_service.domain.journeys.facts import DAY, Times
from journey_service.domain.rounding import FULL

MAX_RHYTHM_GAPS: Final = 24
"""Number of newest gaps that the usual gap depends on: weights halve from gap to gap, so older ones do not matter."""
RHYTHM_PRIOR_WEIGHT: Final = 0.25
"""Weight of the company's usual gap, in gaps of the customer."""

_SECONDS_OF_DAY: Final = 86_400
_MAX_DAYS: Final = 120_000
"""Days after which a ratio is not followed: more than lie between any two events."""


def usual_log_gap(visit_days: Sequence[int], company_log_gap: float) -> float:
    """Returns the logarithm of the usual gap in days of a customer with visits on these days, ascending.

    It is a mean of logarithms in which the newest gap has the weight 1, each older one half of the next, and the
    company's mean `company_log_gap` the weight RHYTHM_PRIOR_WEIGHT. Several visits on a day are one.
    """
    days = sorted(set(visit_days))[-MAX_RHYTHM_GAPS - 1 :]
    count = total = 0.0
    weight = 1.0
    for earlier, later in reversed(list(pairwise(days))):
        count += weight
        total += weight * log(later - earlier)
        weight /= 2
    return (RHYTHM_PRIOR_WEIGHT * company_log_gap + total) / (RHYTHM_PRIOR_WEIGHT + count)


def usual_gap_seconds(completed: Times, usual_gap_days: int) -> int:
    """Returns the usual gap in seconds of a customer with these completed appointments, at least one day.

    Appointments on one day (UTC) are one visit. `usual_gap_days` is the usual gap of the company.
    """
    days = [(at - EARLIEST) // DAY for at in completed]
    return round(exp(usual_log_gap(days, log(usual_gap_days))) * _SECONDS_OF_DAY)


def ratio_hundredths(days: int, gap_seconds: int) -> int:
    """Returns the ratio of a number of days and a usual gap in hundredths, rounded down."""
    return FULL * days * _SECONDS_OF_DAY // gap_seconds


def ratio_reached_at(last: datetime, hundredths: int, gap_seconds: int) -> datetime | None:
    """Returns when the ratio reaches a number of hundredths; None if that is centuries after the last visit."""
    days = -(-hundredths * gap_seconds // (FULL * _SECONDS_OF_DAY))
    return last + days * DAY if days <= _MAX_DAYS else None
