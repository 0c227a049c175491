"""Rhythm hazard: the intensity of the next visit by time since the last one, lateness, and the customer's past.

The intensity `u` days after the last visit is exp(intercept + coefficients . standardised features) / (u + usual gap
of the company). Features do not change beyond the times at which visits were seen, so that the curve stays finite.
"""

from dataclasses import dataclass

import numpy as np

from journey_service.prediction.arrays import Floats
from journey_service.prediction.visit_history import VisitStates, rhythm

FEATURES = (
    "log_days",
    "log_days_above_14",
    "log_days_above_60",
    "has_repeated",
    "own_rhythm",
    "lateness",
    "lateness_above_0_7",
    "lateness_above_1_3",
    "lateness_above_2_5",
    "log_repeats",
    "log_spend",
    "missed_share",
    "missed_since",
)
"""Names of the features, in the order of the coefficients."""
DAY_HINGES = (14.0, 60.0)
LATENESS_HINGES = (0.7, 1.3, 2.5)
MIN_LATENESS = -3.0
MAX_REPEATS = 30
MISS_PRIOR = 3.0
"""Number of appointments kept that are added to each customer's share of missed ones."""


@dataclass(frozen=True, slots=True)
class HazardParameters:
    """Fitted parameters; tuples are in the order of FEATURES.

    `log_gap` is the mean logarithm of gaps in days; beyond `max_days` and the logarithm of lateness `max_lateness`
    features do not change; `log_offset` is the mean logarithm of the denominator of the intensity.
    """

    intercept: float
    coefficients: tuple[float, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    log_gap: float
    max_days: float
    max_lateness: float
    log_offset: float


@dataclass(frozen=True, slots=True)
class FeatureLimits:
    """The company's mean logarithm of gaps, and the values beyond which features do not change."""

    log_gap: float
    max_days: float
    max_lateness: float


class StateFeatures:
    """Features of states, in two parts: those that change with the days since the last visit, and the others."""

    def __init__(self, states: VisitStates, limits: FeatureLimits) -> None:
        self._limits = limits
        self._rhythm = rhythm(states, limits.log_gap)
        self._repeated = (states.repeats > 0).astype(np.float64)
        self._first_miss = states.first_miss
        missed = states.missed / (states.missed + states.repeats + MISS_PRIOR)
        self.fixed = {
            "has_repeated": self._repeated,
            "own_rhythm": self._repeated * (self._rhythm - limits.log_gap),
            "log_repeats": np.log1p(np.minimum(states.repeats, MAX_REPEATS)),
            "log_spend": states.log_spend,
            "missed_share": missed,
        }

    def at(self, days: Floats) -> dict[str, Floats]:
        """Returns the changing features at `days` since the last visit, one number per state."""
        limits = self._limits
        log_days = np.log(np.clip(days, 1, limits.max_days))
        late = np.clip(np.log(np.maximum(days, 1)) - self._rhythm, MIN_LATENESS, limits.max_lateness)
        late = late * self._repeated
        return {
            "log_days": log_days,
            "log_days_above_14": np.maximum(log_days - np.log(DAY_HINGES[0]), 0),
            "log_days_above_60": np.maximum(log_days - np.log(DAY_HINGES[1]), 0),
            "lateness": late,
            **{
                f"lateness_above_{hinge:g}".replace(".", "_"): np.maximum(late - np.log(hinge), 0)
                * self._repeated
                for hinge in LATENESS_HINGES
            },
            "missed_since": (self._first_miss <= days).astype(np.float64),
        }

    def matrix(self, days: Floats) -> Floats:
        """Returns all features at `days` since the last visit: a row per state, a column per feature."""
        values = self.fixed | self.at(days)
        return np.stack([values[name] for name in FEATURES], axis=1)


def intensities(parameters: HazardParameters, states: VisitStates, days: list[Floats]) -> Floats:
    """Returns the intensity of a visit per day at each of `days` since the last one: a row per state."""
    features = StateFeatures(states, limits_of(parameters))
    slope = dict(
        zip(FEATURES, np.array(parameters.coefficients) / np.array(parameters.deviations), strict=True)
    )
    centre = parameters.intercept - sum(
        slope[name] * mean for name, mean in zip(FEATURES, parameters.means, strict=True)
    )
    fixed = centre + sum(
        (slope[name] * value for name, value in features.fixed.items()), np.zeros(len(states))
    )
    usual = np.exp(parameters.log_gap)
    result = np.empty((len(states), len(days)))
    for column, since in enumerate(days):
        changing = features.at(since)
        result[:, column] = fixed + sum(
            (slope[name] * value for name, value in changing.items()), -np.log(since + usual)
        )
    np.exp(result, out=result)
    return result


def limits_of(parameters: HazardParameters) -> FeatureLimits:
    """Returns the part of the parameters that features depend on."""
    return FeatureLimits(parameters.log_gap, parameters.max_days, parameters.max_lateness)
