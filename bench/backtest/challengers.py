"""Challengers of the model: kept only if they are better on every data set. Needs requirements-backtest.lock.

- The rhythm hazard by gradient boosting on the same person-period rows, monotone in the number of visits, in the place
  of the regression.
- The share of the rhythm hazard chosen on the company itself, by log-loss at an earlier cut.
- The cumulative hazard raised to a power and multiplied, both chosen at an earlier cut.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from scipy.optimize import minimize
from sklearn.ensemble import HistGradientBoostingRegressor

from backtest.opponents import Predictor, date_before
from backtest.protocol import Cell, Cut
from journey_service.prediction import fitting, hazard_fit, survival_curve
from journey_service.prediction.arrays import Floats
from journey_service.prediction.hazard_model import FEATURES, StateFeatures, limits_of
from journey_service.prediction.parameters import ModelParameters
from journey_service.prediction.quality.metrics import log_loss
from journey_service.prediction.survival_curve import SurvivalCurves
from journey_service.prediction.visit_history import all_states

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
RAW = (
    "log_days",
    "has_repeated",
    "own_rhythm",
    "lateness",
    "log_repeats",
    "log_spend",
    "missed_share",
    "missed_since",
)
COLUMNS = [FEATURES.index(name) for name in RAW]
MONOTONE = [1 if name == "log_repeats" else 0 for name in RAW]
_boosted: dict[int, SurvivalCurves] = {}


def boosted_hazard(cut: Cut, cell: Cell) -> Floats:
    """Predicts with a boosted rhythm hazard, blended in the same shares."""
    if id(cut) not in _boosted:
        _boosted[id(cut)] = _boosted_curves(cut)
    return _boosted[id(cut)].survival(cut.horizons(cell))


def chosen_share(cut: Cut, cell: Cell) -> Floats:
    """Predicts with the share of the hazard that was best at an earlier cut."""
    earlier, days = _earlier(cut)
    outcome = earlier.next_visit_in > days
    losses = [
        log_loss(_blend(earlier.parameters, earlier, share).survival(days), outcome) for share in SHARES
    ]
    return _blend(cut.parameters, cut, SHARES[int(np.argmin(losses))]).survival(cut.horizons(cell))


def recalibrated(cut: Cut, cell: Cell) -> Floats:
    """Predicts with exp(a) hazard^b, a and b by maximum likelihood at an earlier cut, drawn to 0 and 1."""
    earlier, days = _earlier(cut)
    hazard = np.maximum(earlier.curves.cumulative(days), 1e-9)
    away = earlier.next_visit_in > days

    def loss(values: Floats) -> float:
        total = np.exp(values[0]) * hazard ** np.exp(values[1])
        chance = np.where(away, -total, np.log(-np.expm1(-np.maximum(total, 1e-9))))
        return float(-np.sum(chance) + 10 * np.sum(np.asarray(values) ** 2))

    level, power = minimize(loss, np.zeros(2), method="Nelder-Mead").x
    ahead = np.maximum(cut.curves.cumulative(cut.horizons(cell)), 1e-12)
    return np.exp(-np.exp(level) * ahead ** np.exp(power))


def _earlier(cut: Cut) -> tuple[Cut, int]:
    span = cut.today - int(cut.known.visit_day.min())
    days = min(90, span // 3)
    return Cut(cut.known, date_before(cut, days)), days


def _blend(parameters: ModelParameters, cut: Cut, share: float) -> SurvivalCurves:
    """Returns curves with another share of the hazard, from the curves of the model and of the purchase model alone."""
    purchase = survival_curve.curves(replace(parameters, sampled_gaps=0), cut.states, cut.since, 365)
    own = parameters.hazard_share
    if own == 0:
        return purchase
    blend = survival_curve.curves(parameters, cut.states, cut.since, 365)
    hazard = (blend.hazard - (1 - own) * purchase.hazard) / own
    return replace(purchase, hazard=(1 - share) * purchase.hazard + share * hazard)


def _boosted_curves(cut: Cut) -> SurvivalCurves:
    gaps = hazard_fit.gaps_of(all_states(fitting.sample(cut.known)), cut.today)
    rows = hazard_fit.person_periods(gaps)
    limits = hazard_fit.feature_limits(gaps, rows)
    usual = np.exp(limits.log_gap)
    features = StateFeatures(gaps.states.rows(rows.gap), limits).matrix(rows.since)[:, COLUMNS]
    at_risk = rows.exposure / (rows.since + usual)
    model = HistGradientBoostingRegressor(
        loss="poisson",
        max_iter=80,
        learning_rate=0.08,
        max_leaf_nodes=12,
        min_samples_leaf=200,
        l2_regularization=20,
        monotonic_cst=MONOTONE,
        random_state=0,
    )
    model.fit(features, rows.visited / at_risk, sample_weight=rows.weight * at_risk)
    parameters = cut.parameters
    purchase = survival_curve.curves(replace(parameters, sampled_gaps=0), cut.states, cut.since, 365)
    grid, share = purchase.grid, parameters.hazard_share
    pieces = np.empty((len(cut.states), len(grid) - 1))
    state_features = StateFeatures(cut.states, limits_of(parameters.hazard))
    for column, middle in enumerate((grid[1:] + grid[:-1]) / 2):
        since = cut.since + middle
        ratio = model.predict(state_features.matrix(since)[:, COLUMNS])
        pieces[:, column] = ratio / (since + usual) * (grid[column + 1] - grid[column])
    hazard = (1 - share) * purchase.hazard
    hazard[:, 1:] += share * np.cumsum(pieces, axis=1)
    return replace(purchase, hazard=hazard)


CHALLENGERS: Mapping[str, Predictor] = {
    "challenger: boosted hazard": boosted_hazard,
    "challenger: share chosen on the company": chosen_share,
    "challenger: recalibrated on the company": recalibrated,
}
"""Predictors of the probability of no visit, by name."""
