"""What is predicted for one customer: return, churn, the next visit, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import ceil, exp, log, log1p
from typing import Final

from journey_service.domain.calendar import local_day
from journey_service.domain.journeys.facts import Facts
from journey_service.domain.journeys.prediction.curve import (
    GRID,
    Intensity,
    SurvivalCurve,
    still_customer,
    survival_curve,
    with_bookings,
)
from journey_service.domain.journeys.prediction.parameters import ChurnModel
from journey_service.domain.journeys.prediction.visit_state import VisitState, booked_days, visit_state

HORIZON_DAYS: Final = 90
"""Days ahead of the predictions that are compared with what happened."""
MAX_FORECAST_DAYS: Final = 3 * 365
"""A churn date further ahead is not forecast."""
MAX_BOOKINGS: Final = 4
EXPLAINED_DAYS_AHEAD: Final = 15
SHOWN_GROUPS: Final = 3
_GROUPS: Final[Mapping[str, range]] = {
    "time_since_last_visit": range(3),
    "own_rhythm": range(3, 9),
    "loyalty": range(9, 10),
    "spend": range(10, 11),
    "missed_appointments": range(11, 13),
}
"""Features by group of the explanation."""
_LIKELY: Final = 0.5
_TINY: Final = 1e-12


@dataclass(frozen=True, slots=True)
class ExplanationGroup:
    """One group of reasons: its code, the log of the intensity over the company's mean, values for its sentence."""

    code: str
    effect: float
    params: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Outlook:
    """The predictions of one customer. Dates are local; `forecast_churn_date` is None if none is foreseen."""

    churn_probability: float
    p_return_30: float
    p_return_90: float
    next_visit_date: date
    forecast_churn_date: date | None
    still_customer_probability: float
    explanation: tuple[ExplanationGroup, ...]
    curve: SurvivalCurve


def predict_outlook(model: ChurnModel, facts: Facts, now: datetime) -> Outlook | None:
    """Returns the predictions as of `now`; None for a customer without a visit."""
    state = visit_state(facts, model.zone)
    if state is None:
        return None
    today = local_day(now, model.zone)
    since = max(today.toordinal() - state.last_day, 0)
    curve = _curve(model, facts, state, today, since)
    churning = curve.survival(model.churn_days - since) if since < model.churn_days else 1.0
    ahead = max(ceil(curve.median_return(model.churn_days)), 1)
    parameters = model.parameters
    return Outlook(
        churning,
        1 - curve.survival(30),
        1 - curve.survival(90),
        today + timedelta(days=ahead),
        _forecast_churn_date(model, state, today, churning, ahead),
        still_customer(parameters.purchase, state, since),
        _explain(model, state, since) if parameters.hazard_share > 0 else (),
        curve,
    )


def predict_hazards(model: ChurnModel, facts: Facts, now: datetime) -> tuple[float, ...] | None:
    """Returns the cumulative hazards at the days of GRID after `now`; None for a customer without a visit."""
    state = visit_state(facts, model.zone)
    if state is None:
        return None
    today = local_day(now, model.zone)
    since = max(today.toordinal() - state.last_day, 0)
    return _curve(model, facts, state, today, since).on_grid()


def _curve(model: ChurnModel, facts: Facts, state: VisitState, today: date, since: int) -> SurvivalCurve:
    longest = max(model.churn_days, GRID[-1])
    plain = survival_curve(model.parameters, state, since, longest)
    booked = booked_days(facts, model.zone, today, MAX_BOOKINGS) if facts.open_bookings else ()
    return with_bookings(model.parameters, state, plain, booked)


def _forecast_churn_date(
    model: ChurnModel, state: VisitState, today: date, churning: float, next_visit: int
) -> date | None:
    """Returns the day on which the customer will more likely than not have churned."""
    churn_days = model.churn_days
    if churning >= _LIKELY:
        return date.fromordinal(state.last_day + churn_days + 1)
    since = today.toordinal() - state.last_day
    after = state.after_visit(max(since, 0) + next_visit)
    curve = survival_curve(model.parameters, after, 0, churn_days)
    stay = log1p(-min(max(curve.survival(churn_days), _TINY), 1 - _TINY))
    visits = max(ceil((log(_LIKELY) - log1p(-churning)) / stay), 1)
    days = ceil(next_visit + (visits - 1) * curve.median_return(churn_days) + churn_days + 1)
    return today + timedelta(days=days) if days <= MAX_FORECAST_DAYS else None


def _explain(model: ChurnModel, state: VisitState, since: int) -> tuple[ExplanationGroup, ...]:
    hazard, days = model.parameters.hazard, since + EXPLAINED_DAYS_AHEAD
    features = Intensity(hazard, state).features(days)
    effects = [
        slope * (value - mean)
        for slope, value, mean in zip(hazard.slopes, features, hazard.means, strict=True)
    ]
    groups = {code: sum(effects[index] for index in members) for code, members in _GROUPS.items()}
    groups["time_since_last_visit"] += hazard.log_offset - log(days + hazard.usual_gap)
    largest = sorted(groups, key=lambda code: -abs(groups[code]))[:SHOWN_GROUPS]
    params = _params(model, state, since)
    return tuple(ExplanationGroup(code, groups[code], params[code]) for code in largest)


def _params(model: ChurnModel, state: VisitState, since: int) -> Mapping[str, Mapping[str, float]]:
    usual = exp(state.usual_log_gap(model.parameters.hazard.log_gap))
    missed = state.missed + state.missed_after
    return {
        "time_since_last_visit": {"days": since},
        "own_rhythm": {"ratio": since / usual, "usual_days": usual},
        "loyalty": {"visits": state.visits},
        "spend": {"mean_amount": max(state.cents, 0) / model.units / state.visits},
        "missed_appointments": {"missed": missed, "since_last_visit": state.missed_after},
    }
