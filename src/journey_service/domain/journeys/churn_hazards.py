"""The churn probability that rules read, from a customer's predicted hazards, and when it reaches a value.

It is the chance of no visit until `churn_days` after the last one, given that there was none until now:
exp(-(H(end) - H(elapsed))), with the cumulative hazard H at whole days after the prediction. It rises day by day, up
to 1 at the end. A completed appointment after the prediction makes it unknown until the next prediction.
"""

from bisect import bisect_left
from datetime import datetime
from math import exp
from typing import Final

from journey_service.domain.journeys.facts import DAY, days_since
from journey_service.domain.journeys.prediction.curve import GRID, interpolated
from journey_service.domain.journeys.relationship import ChurnHazards
from journey_service.domain.rounding import FULL

HAZARD_DAYS: Final = GRID
"""Days after a prediction at which its cumulative hazards are stored."""


def churn_hundredths(
    hazards: ChurnHazards | None, last: datetime | None, churn_days: int, now: datetime
) -> int | None:
    """Returns the churn probability in hundredths, rounded down; None if it is unknown.

    `last` is the time of the last completed appointment. It is unknown without an appointment, without a prediction,
    and if the appointment is later than the prediction.
    """
    if hazards is None or last is None or last > hazards.as_of:
        return None
    return _hundredths(hazards, _end(hazards, last, churn_days), days_since(hazards.as_of, now))


def churn_reached_at(
    hazards: ChurnHazards | None, last: datetime | None, churn_days: int, hundredths: int, now: datetime
) -> datetime | None:
    """Returns the first instant after `now` at which the churn probability reaches a number of hundredths.

    None if it has reached it, never does, or is unknown. The cumulative hazards must not fall.
    """
    if hazards is None or last is None or last > hazards.as_of:
        return None
    end, elapsed = _end(hazards, last, churn_days), days_since(hazards.as_of, now)
    if hundredths > FULL or _hundredths(hazards, end, elapsed) >= hundredths:
        return None
    days = range(elapsed + 1, end + 1)
    index = bisect_left(days, hundredths, key=lambda day: _hundredths(hazards, end, day))
    return hazards.as_of + days[index] * DAY


def _end(hazards: ChurnHazards, last: datetime, churn_days: int) -> int:
    """Returns the days after the prediction at which the customer counts as churned."""
    return churn_days - days_since(last, hazards.as_of)


def _hundredths(hazards: ChurnHazards, end: int, elapsed: int) -> int:
    if elapsed >= end:
        return FULL
    return int(
        FULL * exp(cumulative_hazard(hazards.values, elapsed) - cumulative_hazard(hazards.values, end))
    )


def cumulative_hazard(values: tuple[float, ...], day: int) -> float:
    """Returns the cumulative hazard a number of days after the prediction; the last slope continues."""
    return interpolated(HAZARD_DAYS, values, day)
