"""Packaged alternatives to the model. Needs the packages of requirements-backtest.lock.

BG/NBD, MBG/NBD and Pareto/NBD of lifetimes; the Kaplan-Meier curve of gaps; logistic regression and gradient boosting
of scikit-learn on recency, frequency and monetary value, trained on what happened before the cut date.
"""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import numpy as np
from lifetimes import BetaGeoFitter, ModifiedBetaGeoFitter, ParetoNBDFitter
from lifetimes.utils import ConvergenceError
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from backtest.protocol import Cell, Cut
from journey_service.prediction import hazard_fit
from journey_service.prediction.arrays import Floats
from journey_service.prediction.quality import kaplan_meier
from journey_service.prediction.visit_history import all_states

Predictor = Callable[[Cut, Cell], Floats | None]
PENALTIES = (0.0, 0.001, 0.01, 0.1)
"""Penalties of lifetimes: the first with which a fit converges is taken."""
MIN_TRAINING = 50
_fitted: dict[tuple[int, str], Any] = {}


def purchase_model(name: str, fitter: type) -> Predictor:
    """Returns the predictor of one model of lifetimes."""

    def predict(cut: Cut, cell: Cell) -> Floats | None:
        x, span, age = (
            values.astype(np.float64)
            for values in (cut.states.repeats, cut.states.span, cut.today - cut.states.first_day)
        )
        key = (id(cut), name)
        if key not in _fitted:
            _fitted[key] = _fit(fitter, x, span, age)
        model = _fitted[key]
        if model is None:
            return None
        ahead = cut.horizons(cell)
        if isinstance(model, ParetoNBDFitter):
            return _pareto(model, ahead, x, span, age)
        # Given that a customer is alive, the rate of visits is gamma distributed with shape r + x and rate alpha + age.
        alive = np.asarray(model.conditional_probability_alive(x, span, age))
        r, alpha = model.params_["r"], model.params_["alpha"]
        return 1 - alive + alive * ((alpha + age) / (alpha + age + ahead)) ** (r + x)

    return predict


def gap_curve(cut: Cut, cell: Cell) -> Floats:
    """Predicts with the Kaplan-Meier curve of gaps, given the days since the last visit."""
    gaps = hazard_fit.gaps_of(all_states(cut.known), cut.today)
    curve = kaplan_meier.fit(gaps.days, gaps.is_closed)
    return curve.survival(cut.since, cut.horizons(cell))


def classifier(build: Callable[[], Any]) -> Predictor:
    """Returns the predictor of a classifier that learns from the cut date one horizon earlier."""

    def predict(cut: Cut, cell: Cell) -> Floats | None:
        earlier = Cut(cut.known, date_before(cut, cell.horizon))
        if len(earlier.states) < MIN_TRAINING:
            return None
        chosen, outcome = earlier.population(cell), earlier.stayed_away(cell)
        if len(np.unique(outcome[chosen])) == 1:
            return None
        model = build().fit(_features(earlier)[chosen], outcome[chosen])
        return np.asarray(model.predict_proba(_features(cut))[:, 1])

    return predict


def date_before(cut: Cut, days: int) -> date:
    """Returns the date `days` before the cut."""
    return date.fromordinal(cut.today - days)


def _pareto(model: ParetoNBDFitter, ahead: Floats, x: Floats, span: Floats, age: Floats) -> Floats:
    """Returns the probability of no visit; lifetimes takes one horizon at a time, longer than 0."""
    result = np.ones(len(x))
    for days in np.unique(ahead[ahead > 0]):
        rows = ahead == days
        result[rows] = model.conditional_probability_of_n_purchases_up_to_time(
            0, days, x[rows], span[rows], age[rows]
        )
    return np.clip(result, 0, 1)


def _features(cut: Cut) -> Floats:
    states = cut.states
    missed = (states.missed + states.missed_after) / (states.missed + states.missed_after + states.visits)
    return np.column_stack(
        [
            np.log1p(cut.since),
            np.log(states.visits),
            states.log_spend,
            np.log1p(cut.today - states.first_day),
            np.log1p(states.span / np.maximum(states.repeats, 1)),
            missed,
        ]
    )


def _fit(fitter: type, x: Floats, span: Floats, age: Floats) -> Any:  # noqa: ANN401  # the model of lifetimes
    age = np.maximum(age, 1e-9)
    for penalty in PENALTIES:
        try:
            return fitter(penalizer_coef=penalty).fit(x, span, age)
        except (ConvergenceError, ValueError, np.linalg.LinAlgError):
            continue
    return None


OPPONENTS: Mapping[str, Predictor] = {
    "BG/NBD (lifetimes)": purchase_model("bg", BetaGeoFitter),
    "MBG/NBD (lifetimes)": purchase_model("mbg", ModifiedBetaGeoFitter),
    "Pareto/NBD (lifetimes)": purchase_model("pareto", ParetoNBDFitter),
    "Kaplan-Meier, conditional": gap_curve,
    "logistic regression on RFM": classifier(
        lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000))
    ),
    "gradient boosting on RFM": classifier(
        lambda: HistGradientBoostingClassifier(
            max_iter=100, learning_rate=0.05, max_leaf_nodes=8, random_state=0
        )
    ),
}
"""Predictors of the probability of no visit, by name; None where a model cannot be fitted."""
