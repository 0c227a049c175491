"""Churn models as they are stored: quality on the company, and predicted against realised shares by month."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final

from journey_service.domain.journeys.prediction.parameters import ChurnParameters

CALIBRATION_BINS: Final = 10
"""Bins of equally many customers in which predicted and realised shares are compared."""
CALIBRATION_MONTHS: Final = 36
"""Months of which the comparison is kept."""
MAX_SAMPLED_CUSTOMERS: Final = 2_000
"""Customers whose predictions are stored each month until it is known whether they returned."""


class NotShown(StrEnum):
    """Why there is no prediction."""

    NO_MODEL = "no_model"
    """No model has been fitted yet: the company has no appointments, or its first nightly run is still due."""
    WORSE_THAN_BASELINE = "worse_than_baseline"
    """The model was less accurate on the company's own past than the Kaplan-Meier curve."""
    NO_APPOINTMENT = "no_appointment"
    """The customer has no completed appointment."""


@dataclass(frozen=True, slots=True)
class ModelAccuracy:
    """Accuracy of predictions; `roc_auc` and `calibration_slope` are None if all customers had the same outcome."""

    customers: int
    share: float
    roc_auc: float | None
    log_loss: float
    calibration_error: float
    brier: float
    calibration_slope: float | None


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Mean predicted and realised share of customers without a visit."""

    customers: int
    predicted: float
    realised: float


@dataclass(frozen=True, slots=True)
class ModelQuality:
    """Accuracy of a model fitted `horizon` days before, and of the Kaplan-Meier curve, on the company itself."""

    horizon: int
    model: ModelAccuracy
    kaplan_meier: ModelAccuracy
    bins: Sequence[CalibrationBin]


@dataclass(frozen=True, slots=True)
class FittedModel:
    """A stored model. `parameters` are None if they are of another version; `quality` with too few customers."""

    id: int
    version: int
    fitted_on: date
    fitted_at: datetime
    parameters: ChurnParameters | None
    quality: ModelQuality | None
    is_shown: bool


@dataclass(frozen=True, slots=True)
class CalibrationMonth:
    """A month of predictions: customers, and the bins once what happened is known."""

    month: date
    customers: int
    bins: Sequence[CalibrationBin] = ()

    @property
    def is_pending(self) -> bool:
        """Whether it is not yet known what happened."""
        return not self.bins

    @property
    def predicted(self) -> float | None:
        """Mean predicted share of customers without a visit; None while pending."""
        return self._mean([each.predicted for each in self.bins])

    @property
    def realised(self) -> float | None:
        """Share of customers without a visit; None while pending."""
        return self._mean([each.realised for each in self.bins])

    @property
    def calibration_error(self) -> float | None:
        """Mean absolute difference of predicted and realised share over the bins; None while pending."""
        return self._mean([abs(each.predicted - each.realised) for each in self.bins])

    def _mean(self, values: Sequence[float]) -> float | None:
        weights = [each.customers for each in self.bins]
        if not weights:
            return None
        return sum(weight * value for weight, value in zip(weights, values, strict=True)) / sum(weights)


def calibration_bins(predictions: Sequence[tuple[float, bool]]) -> list[CalibrationBin]:
    """Returns bins of equally many customers by ascending prediction, from (probability, happened)."""
    ordered, bins = sorted(predictions), []
    for number in range(CALIBRATION_BINS):
        start = number * len(ordered) // CALIBRATION_BINS
        part = ordered[start : (number + 1) * len(ordered) // CALIBRATION_BINS]
        if part:
            predicted = sum(probability for probability, _ in part) / len(part)
            bins.append(
                CalibrationBin(len(part), predicted, sum(happened for _, happened in part) / len(part))
            )
    return bins
