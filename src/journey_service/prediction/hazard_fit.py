"""Fits the rhythm hazard: gaps cut into pieces, each a Poisson row, by ridge regression with Newton steps."""

from dataclasses import dataclass

import numpy as np

from journey_service.domain.companies.policy import DEFAULT_POLICY
from journey_service.prediction.arrays import Bools, Floats, Ints
from journey_service.prediction.hazard_model import FeatureLimits, HazardParameters, StateFeatures
from journey_service.prediction.visit_history import VisitStates, rhythm

_PIECE_DAYS = (
    *(0, 3, 7, 11, 15, 20, 25, 31, 38, 45, 53, 61, 76, 91, 121, 151, 181),
    *(241, 301, 366, 456, 546, 731, 1096, 1461, 2192, 3653),
)
PIECES = np.array(_PIECE_DAYS, dtype=np.float64)
"""Days after a visit at which a gap is cut."""
RIDGE = 20.0
HALF_LIFE_DAYS = 365.0
DEFAULT_LOG_GAP = float(np.log(DEFAULT_POLICY.usual_gap_days))
"""Logarithm of the usual gap of a company without any repeated visit."""
_MIN_DEVIATION = 1e-9
_MAX_STEPS = 60
_TOLERANCE = 1e-7
_MIDDLE = 0.7


@dataclass(frozen=True, slots=True)
class UpperLimit:
    """Where a feature stops changing: at a quantile of its values at visits, if there are more than `min_events`."""

    quantile: float
    at_least: float
    min_events: int
    without_data: float


DAYS_LIMIT = UpperLimit(0.985, 30.0, 20, 60.0)
LATENESS_LIMIT = UpperLimit(0.995, 0.7, 40, 0.7)


@dataclass(frozen=True, slots=True)
class Gaps:
    """The time after each visit: the state at the visit, the days, and whether another visit ends it.

    Gaps that no visit ends last until `today`.
    """

    states: VisitStates
    days: Ints
    is_closed: Bools
    today: int


@dataclass(frozen=True, slots=True)
class PersonPeriods:
    """Pieces of gaps as Poisson rows, as arrays of one length.

    `gap` is the index of the gap, `visited` the number of visits at the end of the piece (0 or 1), `exposure` the days
    at risk, `since` the days since the last visit at which features are taken.
    """

    gap: Ints
    visited: Floats
    exposure: Floats
    weight: Floats
    since: Floats


def gaps_of(states: VisitStates, today: int) -> Gaps:
    """Returns the gaps after all visits of customers, whose states are in order of customer and day."""
    is_closed = np.zeros(len(states), dtype=np.bool_)
    is_closed[:-1] = states.customer[1:] == states.customer[:-1]
    following = np.append(states.last_day[1:], today)
    days = np.where(is_closed, following, today) - states.last_day
    return Gaps(states, days, is_closed, today)


def company_log_gap(gaps: Gaps) -> float:
    """Returns the mean logarithm of the gaps that a visit ended, in days; DEFAULT_LOG_GAP without any."""
    ended = gaps.days[gaps.is_closed]
    return float(np.mean(np.log(np.maximum(ended, 1)))) if len(ended) else DEFAULT_LOG_GAP


def feature_limits(gaps: Gaps, rows: PersonPeriods) -> FeatureLimits:
    """Returns the company's mean logarithm of gaps, and where features stop changing: where visits become rare."""
    log_gap = company_log_gap(gaps)
    visited = rows.visited > 0
    repeated = visited & (gaps.states.repeats[rows.gap] > 0)
    late = np.log(np.maximum(rows.since, 1)) - rhythm(gaps.states, log_gap)[rows.gap]
    return FeatureLimits(
        log_gap,
        _upper_limit(rows.since[visited], DAYS_LIMIT),
        _upper_limit(late[repeated], LATENESS_LIMIT),
    )


def person_periods(gaps: Gaps) -> PersonPeriods:
    """Cuts gaps at PIECES; rows are in order of gap and time."""
    pieces = np.minimum(np.searchsorted(PIECES, gaps.days), len(PIECES) - 1)
    gap = np.repeat(np.arange(len(gaps.days)), pieces)
    piece = np.arange(len(gap)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    low, high = PIECES[piece], PIECES[piece + 1]
    days = gaps.days[gap]
    end = np.minimum(days, high)
    visited = (gaps.is_closed[gap] & (days <= high)).astype(np.float64)
    age = gaps.today - gaps.states.last_day[gap] - end
    weight = 0.5 ** (age / HALF_LIFE_DAYS)
    return PersonPeriods(gap, visited, end - low, weight, np.sqrt((low + _MIDDLE) * high))


def fit(gaps: Gaps) -> HazardParameters:
    """Returns the fitted parameters; without any gap the intensity is that of the intercept 0."""
    rows = person_periods(gaps)
    limits = feature_limits(gaps, rows)
    features = StateFeatures(gaps.states.rows(rows.gap), limits).matrix(rows.since)
    offset = np.log(rows.exposure) - np.log(rows.since + np.exp(limits.log_gap))
    means, deviations = np.zeros(features.shape[1]), np.ones(features.shape[1])
    if len(features):
        means, deviations = features.mean(axis=0), features.std(axis=0)
        deviations[deviations < _MIN_DEVIATION] = 1.0
    features -= means
    features /= deviations
    beta = _newton(np.column_stack([np.ones(len(features)), features]), rows, offset)
    log_offset = np.log(rows.since + np.exp(limits.log_gap))
    return HazardParameters(
        float(beta[0]),
        tuple(beta[1:].tolist()),
        tuple(means.tolist()),
        tuple(deviations.tolist()),
        limits.log_gap,
        limits.max_days,
        limits.max_lateness,
        float(log_offset.mean()) if len(log_offset) else limits.log_gap,
    )


def _upper_limit(values: Floats, limit: UpperLimit) -> float:
    if len(values) <= limit.min_events:
        return limit.without_data
    return max(limit.at_least, float(np.quantile(values, limit.quantile)))


def _newton(design: Floats, rows: PersonPeriods, offset: Floats) -> Floats:
    """Maximises the weighted Poisson likelihood less the ridge penalty; steps are clipped to 1 per coefficient."""
    penalty = np.full(design.shape[1], RIDGE)
    penalty[0] = _MIN_DEVIATION
    beta = np.zeros(design.shape[1])
    if not np.any(rows.visited):
        return beta
    for _ in range(_MAX_STEPS):
        expected = rows.weight * np.exp(np.clip(design @ beta + offset, -50, 50))
        gradient = design.T @ (rows.weight * rows.visited - expected) - penalty * beta
        curvature = (design.T * expected) @ design + np.diag(penalty)
        step = np.clip(np.linalg.solve(curvature, gradient), -1, 1)
        beta = beta + step
        if float(np.max(np.abs(step))) < _TOLERANCE:
            break
    return beta
