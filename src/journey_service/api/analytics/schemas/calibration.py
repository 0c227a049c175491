"""Response schemas of churn models and of predicted against realised shares."""

from typing import Final

from pydantic import Field

from journey_service.api.journeys.schemas.predictions import ModelBasis, ModelSummary
from journey_service.api.schema_fields import ResponseModel, Timestamp
from journey_service.domain.journeys.prediction import quality as records
from journey_service.services.analytics.churn.calibration import Calibration

_DIGITS: Final = 4
_BINS_EXAMPLE: Final = [
    {"customers": 120, "predicted": predicted, "realised": realised}
    for predicted, realised in (
        (0.11, 0.09),
        (0.2, 0.22),
        (0.29, 0.31),
        (0.38, 0.36),
        (0.46, 0.48),
        (0.55, 0.53),
        (0.64, 0.66),
        (0.73, 0.74),
        (0.83, 0.81),
        (0.94, 0.95),
    )
]


class CalibrationBin(ResponseModel):
    """A point of the calibration curve: customers with similar predictions."""

    customers: int = Field(ge=1, description="Customers in the bin", examples=[120])
    predicted: float = Field(
        ge=0, le=1, description="Mean predicted chance of no appointment", examples=[0.29]
    )
    realised: float = Field(
        ge=0, le=1, description="Share of them without an appointment within the horizon", examples=[0.31]
    )

    @classmethod
    def of(cls, found: records.CalibrationBin) -> "CalibrationBin":
        """Returns the schema of a bin."""
        return cls(
            customers=found.customers,
            predicted=round(found.predicted, _DIGITS),
            realised=round(found.realised, _DIGITS),
        )


class CalibrationMonth(ResponseModel):
    """Predicted against realised shares of the predictions of one month."""

    month: str = Field(
        pattern=r"^\d{4}-\d{2}$", description="Local month of the predictions", examples=["2025-11"]
    )
    customers: int = Field(ge=0, description="Customers whose predictions were kept", examples=[1_200])
    is_pending: bool = Field(
        description="Whether the horizon has not ended, so that it is not known what happened",
        examples=[False],
    )
    predicted: float | None = Field(
        description="Mean predicted chance of no appointment; null while pending", examples=[0.51]
    )
    realised: float | None = Field(
        description="Share of the customers without an appointment within the horizon; null while pending",
        examples=[0.52],
    )
    calibration_error: float | None = Field(
        description="Mean absolute difference of predicted and realised share over the bins; null while pending",
        examples=[0.02],
    )
    bins: list[CalibrationBin] = Field(
        description="The curve: bins of equally many customers by ascending prediction; empty while pending",
        examples=[_BINS_EXAMPLE],
    )

    @classmethod
    def of(cls, found: records.CalibrationMonth) -> "CalibrationMonth":
        """Returns the schema of a month."""
        return cls.model_validate(
            {
                "month": found.month.strftime("%Y-%m"),
                "customers": found.customers,
                "is_pending": found.is_pending,
                "predicted": _rounded(found.predicted),
                "realised": _rounded(found.realised),
                "calibration_error": _rounded(found.calibration_error),
                "bins": [CalibrationBin.of(each) for each in found.bins],
            }
        )


class ModelAccuracy(ResponseModel):
    """Accuracy of predictions of no appointment within the horizon, at the company itself."""

    log_loss: float = Field(ge=0, description="Mean negative log likelihood; less is better", examples=[0.47])
    roc_auc: float | None = Field(
        description="Chance to rank a customer who stays away above one who returns; null if all customers had the same"
        " outcome",
        examples=[0.73],
    )
    calibration_error: float = Field(
        ge=0,
        le=1,
        description="Mean absolute difference of predicted and realised share over the bins",
        examples=[0.03],
    )
    brier: float = Field(ge=0, le=1, description="Mean squared difference", examples=[0.15])
    calibration_slope: float | None = Field(
        description="1 if calibrated, less if predictions are too extreme; null if all had the same outcome",
        examples=[0.96],
    )

    @classmethod
    def of(cls, found: records.ModelAccuracy) -> "ModelAccuracy":
        """Returns the schema of an accuracy."""
        return cls.model_validate({name: _rounded(getattr(found, name)) for name in cls.model_fields})


class BackTest(ResponseModel):
    """A model fitted on what was known `horizon_days` before, against what happened since."""

    horizon_days: int = Field(description="Days ahead of the predictions", examples=[90])
    customers: int = Field(ge=0, description="Customers with an appointment at that time", examples=[1_150])
    realised: float = Field(
        ge=0, le=1, description="Share of them without an appointment since", examples=[0.52]
    )
    model: ModelAccuracy = Field(description="Accuracy of the model")
    kaplan_meier: ModelAccuracy = Field(
        description="Accuracy of the simplest prediction, from the gaps of all customers by the days since the last"
        " appointment",
        examples=[
            {
                "log_loss": 0.59,
                "roc_auc": 0.68,
                "calibration_error": 0.1,
                "brier": 0.2,
                "calibration_slope": 0.8,
            }
        ],
    )
    bins: list[CalibrationBin] = Field(
        description="The calibration curve of the back-test", examples=[_BINS_EXAMPLE]
    )

    @classmethod
    def of(cls, quality: records.ModelQuality) -> "BackTest":
        """Returns the schema of a back-test."""
        return cls(
            horizon_days=quality.horizon,
            customers=quality.model.customers,
            realised=round(quality.model.share, _DIGITS),
            model=ModelAccuracy.of(quality.model),
            kaplan_meier=ModelAccuracy.of(quality.kaplan_meier),
            bins=[CalibrationBin.of(each) for each in quality.bins],
        )


class ModelFit(ModelSummary):
    """A fitted model, with its sample and its back-test on the company itself."""

    fitted_at: Timestamp = Field(description="Time as of which it was fitted")
    customers: int | None = Field(
        description="Customers with an appointment; null if the model is of an older version",
        examples=[1_180],
    )
    sampled_customers: int | None = Field(
        description="Customers that the fit used; null if the model is of an older version", examples=[1_180]
    )
    sampled_visits: int | None = Field(
        description="Appointments of these customers, one a day; null if the model is of an older version",
        examples=[8_400],
    )
    sampled_returns: int | None = Field(
        description="Appointments that followed another one of the same customer; null if the model is of an older"
        " version",
        examples=[7_220],
    )
    back_test: BackTest | None = Field(
        description="Back-test on the company itself; null if fewer than 30 customers had an appointment 90 days before"
    )

    @classmethod
    def of_model(cls, model: records.FittedModel) -> "ModelFit":
        """Returns the schema of a model with its back-test."""
        parameters, quality = model.parameters, model.quality
        return cls.model_validate(
            dict(ModelSummary.of(model))
            | {
                "fitted_at": model.fitted_at,
                "customers": None if parameters is None else parameters.customers,
                "sampled_customers": None if parameters is None else parameters.sampled_customers,
                "sampled_visits": None if parameters is None else parameters.sampled_visits,
                "sampled_returns": None if parameters is None else parameters.sampled_gaps,
                "back_test": None if quality is None else BackTest.of(quality),
            }
        )


class ChurnModelReport(ResponseModel):
    """The newest churn model of the company."""

    model: ModelFit | None = Field(
        description="The newest model, shown or not; null before the first nightly fit"
    )

    @classmethod
    def of(cls, model: records.FittedModel | None) -> "ChurnModelReport":
        """Returns the schema of the newest model."""
        return cls(model=None if model is None else ModelFit.of_model(model))


class CalibrationReport(ResponseModel):
    """Predicted against realised shares of customers without an appointment."""

    horizon_days: int = Field(description="Days ahead of the predictions", examples=[90])
    basis: ModelBasis | None = Field(
        description="What present predictions rest on: `prior`, `purchase_model` or `blend`; null if there are none",
        examples=["blend"],
    )
    items: list[CalibrationMonth] = Field(description="Months of predictions, newest first, at most 39")
    back_test: BackTest | None = Field(
        description="Back-test of the newest model, known before a first month has ended; null if there is none"
    )

    @classmethod
    def of(cls, found: Calibration) -> "CalibrationReport":
        """Returns the schema of a calibration."""
        model = found.model
        parameters = None if model is None else model.parameters
        quality = None if model is None else model.quality
        return cls.model_validate(
            {
                "horizon_days": found.horizon,
                "basis": None if parameters is None else parameters.basis,
                "items": [CalibrationMonth.of(month) for month in found.months],
                "back_test": None if quality is None else BackTest.of(quality),
            }
        )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
