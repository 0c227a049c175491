"""The stored chance to churn: from cumulative hazards that were predicted at an earlier time."""

from datetime import datetime
from decimal import Decimal
from math import exp

from journey_service.domain.calendar import local_day
from journey_service.domain.journeys.facts import Facts
from journey_service.domain.journeys.prediction.curve import GRID, interpolated
from journey_service.domain.journeys.prediction.parameters import ChurnModel


def churn_probability(
    model: ChurnModel, facts: Facts, as_of: datetime, hazards: tuple[float, ...], now: datetime
) -> Decimal | None:
    """Returns the chance of no visit until the customer counts as churned, given none between `as_of` and `now`.

    `hazards` are cumulative, at the days of GRID after `as_of`. None for a customer without a visit.
    """
    if facts.last_appointment_at is None:
        return None
    today = local_day(now, model.zone).toordinal()
    left = local_day(facts.last_appointment_at, model.zone).toordinal() + model.churn_days - today
    if left <= 0:
        return Decimal(1)
    passed = max(today - local_day(as_of, model.zone).toordinal(), 0)
    hazard = interpolated(GRID, hazards, passed + left) - interpolated(GRID, hazards, passed)
    return Decimal(f"{exp(-max(hazard, 0.0)):.4f}")
