"""Fitted parameters of a company's churn model, as they are stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, tzinfo
from math import exp
from typing import Any, Final, Self

MODEL_VERSION: Final = 1
"""Version of the parameters that this module reads; equal to that of the package that fits them."""
MIN_GAPS: Final = 5
FULL_WEIGHT_GAPS: Final = 100
MAX_HAZARD_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True)
class PurchaseModel:
    """Rate of visits: shape and scale (days) of the gamma; chance to leave: a and b of the beta distribution."""

    rate_shape: float
    rate_scale: float
    leave_a: float
    leave_b: float


@dataclass(frozen=True, slots=True)
class RhythmHazard:
    """Rhythm hazard: `slopes` are coefficients per unit of each feature, `centre` the intercept less their means.

    `log_gap` is the company's mean logarithm of gaps, `usual_gap` its exponential, in days.
    """

    centre: float
    slopes: tuple[float, ...]
    means: tuple[float, ...]
    log_gap: float
    usual_gap: float
    max_days: float
    max_lateness: float
    log_offset: float


@dataclass(frozen=True, slots=True)
class ChurnParameters:
    """The fitted parameters of one company. `hazard_share` is the weight of the rhythm hazard, 0 to 0.5."""

    fitted_on: date
    customers: int
    sampled_customers: int
    sampled_visits: int
    sampled_gaps: int
    purchase: PurchaseModel
    hazard: RhythmHazard
    hazard_share: float
    unbooked_factor: float
    missed_rate: float

    @property
    def basis(self) -> str:
        """What predictions rest on: `prior`, `purchase_model` or `blend`."""
        if self.sampled_visits == 0:
            return "prior"
        return "blend" if self.sampled_gaps >= MIN_GAPS else "purchase_model"

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self | None:
        """Returns the parameters that the fit stored; None for parameters of another version."""
        if values["version"] != MODEL_VERSION:
            return None
        raw, gaps, bookings = values["hazard"], values["sampled_gaps"], values["bookings"]
        slopes = tuple(
            slope / deviation for slope, deviation in zip(raw["coefficients"], raw["deviations"], strict=True)
        )
        means = tuple(raw["means"])
        hazard = RhythmHazard(
            raw["intercept"] - sum(slope * mean for slope, mean in zip(slopes, means, strict=True)),
            slopes,
            means,
            raw["log_gap"],
            exp(raw["log_gap"]),
            raw["max_days"],
            raw["max_lateness"],
            raw["log_offset"],
        )
        share = MAX_HAZARD_SHARE * gaps / (gaps + FULL_WEIGHT_GAPS) if gaps >= MIN_GAPS else 0.0
        return cls(
            date.fromisoformat(values["fitted_on"]),
            values["customers"],
            values["sampled_customers"],
            values["sampled_visits"],
            gaps,
            PurchaseModel(**values["purchase"]),
            hazard,
            share,
            bookings["unbooked_factor"],
            bookings["missed_rate"],
        )


@dataclass(frozen=True, slots=True)
class ChurnModel:
    """A company's model with what a prediction needs besides it.

    `churn_days` are the days without a visit after which the company regards a customer as churned. `units` are the
    smallest units in one unit of its currency.
    """

    id: int
    parameters: ChurnParameters
    zone: tzinfo
    churn_days: int
    units: int
