"""Predictions of customers from their survival curves, computed in blocks."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np

from journey_service.prediction import bookings, purchase_model
from journey_service.prediction.arrays import Floats, Ints
from journey_service.prediction.bookings import OpenBookings
from journey_service.prediction.parameters import ModelParameters
from journey_service.prediction.survival_curve import SurvivalCurves, curves
from journey_service.prediction.visit_history import VisitStates

DEFAULT_CHURN_DAYS = 180
"""Days without a visit after which a customer counts as churned, at a company without such a rule."""
MAX_FORECAST_DAYS = 3 * 365
"""A churn date further ahead is not forecast."""
BLOCK = 16_384
_LIKELY = 0.5
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predictions as arrays by customer. Days are numbers on the scale of the histories.

    `forecast_churn_day` is not a number where none is foreseen.
    """

    customer: Ints
    p_return_30: Floats
    p_return_90: Floats
    churn_probability: Floats
    still_customer_probability: Floats
    next_visit_day: Ints
    forecast_churn_day: Floats


def predict(
    parameters: ModelParameters,
    states: VisitStates,
    today: int,
    *,
    churn_days: int = DEFAULT_CHURN_DAYS,
    open_bookings: OpenBookings | None = None,
) -> Predictions:
    """Returns the predictions at the end of the day `today` for customers in the state after their last visit.

    A customer churns `churn_days` + 1 days after the last visit. `open_bookings` is None where bookings are not known.
    """
    parts = [
        _predict_block(parameters, states.rows(block), today, churn_days, open_bookings)
        for block in _blocks(len(states))
    ]
    return Predictions(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Predictions))
    )


def curves_at(
    parameters: ModelParameters,
    states: VisitStates,
    today: int,
    longest: int,
    open_bookings: OpenBookings | None = None,
) -> SurvivalCurves:
    """Returns the curves at the end of the day `today`, with open bookings, for at least `longest` days ahead."""
    plain = curves(parameters, states, _since(states, today), longest)
    if open_bookings is None:
        return plain
    return replace(
        plain,
        hazard=plain.hazard * parameters.bookings.unbooked_factor,
        booked_days=open_bookings.days_ahead(states.customer, today),
        booked_hazard=bookings.hazard_of_booking(parameters.bookings, states),
    )


def churn_probability(curve: SurvivalCurves, days_since_last: Floats, churn_days: int) -> Floats:
    """Returns the chance of no visit until `churn_days` after the last one; 1 where they have passed."""
    left = churn_days - days_since_last
    return np.where(left > 0, curve.survival(np.maximum(left, 0)), 1.0)


def _blocks(count: int) -> Iterator[slice]:
    for start in range(0, max(count, 1), BLOCK):
        yield slice(start, start + BLOCK)


def _since(states: VisitStates, today: int) -> Floats:
    return (today - states.last_day).astype(np.float64)


def _predict_block(
    parameters: ModelParameters,
    states: VisitStates,
    today: int,
    churn_days: int,
    open_bookings: OpenBookings | None,
) -> Predictions:
    since = _since(states, today)
    curve = curves_at(parameters, states, today, churn_days, open_bookings)
    churning = churn_probability(curve, since, churn_days)
    next_visit = np.maximum(np.ceil(curve.median_return(churn_days)), 1)
    return Predictions(
        states.customer,
        1 - curve.survival(30),
        1 - curve.survival(90),
        churning,
        purchase_model.still_customer(
            parameters.purchase, states.repeats.astype(np.float64), states.span.astype(np.float64), since
        ),
        today + next_visit.astype(np.int64),
        _forecast_churn_day(parameters, states, today, churn_days, churning, next_visit),
    )


def _forecast_churn_day(
    parameters: ModelParameters,
    states: VisitStates,
    today: int,
    churn_days: int,
    churning: Floats,
    next_visit: Floats,
) -> Floats:
    """Returns the day on which the customer will more likely than not have churned; NaN if none is foreseen."""
    result = (states.last_day + churn_days + 1).astype(np.float64)
    rows = np.flatnonzero(churning < _LIKELY)
    chosen, ahead = states.rows(rows), next_visit[rows]
    after = _after_next_visit(chosen, _since(chosen, today) + ahead)
    curve = curves(parameters, after, np.zeros(len(after)), churn_days)
    stay = np.log1p(-np.clip(curve.survival(churn_days), _TINY, 1 - _TINY))
    visits = np.maximum(np.ceil((np.log(_LIKELY) - np.log1p(-churning[rows])) / stay), 1)
    ahead = np.ceil(ahead + (visits - 1) * curve.median_return(churn_days) + churn_days + 1)
    result[rows] = np.where(ahead <= MAX_FORECAST_DAYS, today + ahead, np.nan)
    return result


def _after_next_visit(states: VisitStates, gap: Floats) -> VisitStates:
    """Returns the states just after a visit `gap` days after the last one, with the usual amount."""
    return replace(
        states,
        last_day=states.last_day + gap.astype(np.int64),
        visits=states.visits + 1,
        recent_gaps=1 + states.recent_gaps / 2,
        recent_log_gaps=np.log(np.maximum(gap, 1)) + states.recent_log_gaps / 2,
        cents=states.cents + states.cents // states.visits,
        missed=states.missed + states.missed_after,
        missed_after=np.zeros_like(states.missed_after),
        first_miss=np.full(len(states), np.inf),
    )
