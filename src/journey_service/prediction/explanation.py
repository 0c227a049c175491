"""Why a customer is expected sooner or later than others: log intensity ratios, added up in groups of features.

The ratio compares the intensity of a visit, `AHEAD_DAYS` after today, with the company's geometric mean over all
customers and times of the fitting sample. It explains the rhythm hazard, one of the two parts of the curve. Single
features are not shown: those of time and lateness are large and cancel.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from journey_service.prediction.arrays import Floats
from journey_service.prediction.hazard_model import FEATURES, HazardParameters, StateFeatures, limits_of
from journey_service.prediction.visit_history import VisitStates, rhythm

AHEAD_DAYS = 15
SHOWN_GROUPS = 3
GROUPS: Mapping[str, tuple[str, ...]] = {
    "time_since_last_visit": FEATURES[0:3],
    "own_rhythm": FEATURES[3:9],
    "loyalty": FEATURES[9:10],
    "spend": FEATURES[10:11],
    "missed_appointments": FEATURES[11:13],
}
"""Features by group; the time since the last visit also has the denominator of the intensity."""


@dataclass(frozen=True, slots=True)
class ContributionGroup:
    """One group of reasons: its code, the log intensity ratio, and values for its sentence.

    A return is exp(`effect`) times as likely as at the company's average.
    """

    code: str
    effect: float
    params: Mapping[str, float]


def group_effects(parameters: HazardParameters, states: VisitStates, days_since_last: Floats) -> Floats:
    """Returns the log intensity ratio of each group: a row per customer, a column per group of GROUPS.

    A row adds up to the logarithm of the customer's intensity over the company's mean.
    """
    days = days_since_last + AHEAD_DAYS
    features = StateFeatures(states, limits_of(parameters))
    values = features.fixed | features.at(days)
    slopes = zip(parameters.coefficients, parameters.means, parameters.deviations, strict=True)
    effect = {
        name: slope * (values[name] - mean) / deviation
        for name, (slope, mean, deviation) in zip(FEATURES, slopes, strict=True)
    }
    groups = np.stack(
        [sum((effect[name] for name in names), np.zeros(len(days))) for names in GROUPS.values()]
    )
    groups[0] += parameters.log_offset - np.log(days + np.exp(parameters.log_gap))
    return groups.T


def explain(
    parameters: HazardParameters, states: VisitStates, days_since_last: Floats
) -> tuple[tuple[ContributionGroup, ...], ...]:
    """Returns for each customer the SHOWN_GROUPS groups with the largest effect, the largest first."""
    effects = group_effects(parameters, states, days_since_last)
    values = _values(parameters, states, days_since_last)
    codes = tuple(GROUPS)
    largest = np.argsort(-np.abs(effects), axis=1, kind="stable")[:, :SHOWN_GROUPS]
    return tuple(
        tuple(
            ContributionGroup(
                codes[group],
                float(effects[row, group]),
                {name: float(column[row]) for name, column in values[codes[group]].items()},
            )
            for group in groups
        )
        for row, groups in enumerate(largest)
    )


def _values(
    parameters: HazardParameters, states: VisitStates, days_since_last: Floats
) -> Mapping[str, Mapping[str, Floats]]:
    usual = np.exp(rhythm(states, parameters.log_gap))
    missed = states.missed + states.missed_after
    return {
        "time_since_last_visit": {"days": days_since_last},
        "own_rhythm": {"ratio": days_since_last / usual, "usual_days": usual},
        "loyalty": {"visits": states.visits.astype(np.float64)},
        "spend": {"mean_amount": np.maximum(states.cents, 0) / 100 / states.visits},
        "missed_appointments": {
            "missed": missed.astype(np.float64),
            "since_last_visit": states.missed_after.astype(np.float64),
        },
    }
