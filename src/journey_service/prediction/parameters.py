"""Parameters of a fitted model, and their form as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Self

from journey_service.prediction.bookings import NO_BOOKING_EFFECT, BookingEffect
from journey_service.prediction.hazard_model import HazardParameters
from journey_service.prediction.purchase_model import PurchaseParameters

MODEL_VERSION = 1
"""Increases when stored parameters mean something else."""
MIN_GAPS = 5
"""Number of repeated visits in the sample below which the rhythm hazard has no part in the curve."""
FULL_WEIGHT_GAPS = 100
MAX_HAZARD_SHARE = 0.5


class ModelBasis(StrEnum):
    """What the predictions of a company rest on."""

    PRIOR = "prior"
    PURCHASE_MODEL = "purchase_model"
    BLEND = "blend"


@dataclass(frozen=True, slots=True)
class ModelParameters:
    """A fitted model: `purchase` and `hazard` are blended, `hazard_share` is the weight of the latter.

    `sampled_*` count what the fit used. `customers` are those with a visit, of which the sample was taken.
    """

    version: int
    fitted_on: date
    customers: int
    sampled_customers: int
    sampled_visits: int
    sampled_gaps: int
    purchase: PurchaseParameters
    hazard: HazardParameters
    bookings: BookingEffect = NO_BOOKING_EFFECT

    @property
    def hazard_share(self) -> float:
        """The weight of the rhythm hazard in the cumulative hazard: 0 with few gaps, towards 0.5 with many."""
        if self.sampled_gaps < MIN_GAPS:
            return 0.0
        return MAX_HAZARD_SHARE * self.sampled_gaps / (self.sampled_gaps + FULL_WEIGHT_GAPS)

    @property
    def basis(self) -> ModelBasis:
        """What predictions rest on: the prior alone, the purchase model and its prior, or the blend."""
        if self.sampled_visits == 0:
            return ModelBasis.PRIOR
        return ModelBasis.BLEND if self.sampled_gaps >= MIN_GAPS else ModelBasis.PURCHASE_MODEL

    def to_json(self) -> dict[str, Any]:
        """Returns the parameters as values that JSON has."""
        return asdict(self) | {"fitted_on": self.fitted_on.isoformat()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Returns the parameters of `to_json`. Raises ValueError for another version."""
        if values["version"] != MODEL_VERSION:
            raise ValueError(f"parameters of version {values['version']}, not {MODEL_VERSION}")
        hazard: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values["hazard"].items()
        }
        parsed = {
            "fitted_on": date.fromisoformat(values["fitted_on"]),
            "purchase": PurchaseParameters(**values["purchase"]),
            "hazard": HazardParameters(**hazard),
            "bookings": BookingEffect(**values["bookings"]),
        }
        return cls(**{**values, **parsed})
