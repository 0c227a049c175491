"""Response schemas of what is predicted for a customer."""

from collections.abc import Mapping
from datetime import date
from math import exp
from typing import Any, Final, Literal

from pydantic import Field

from journey_service.api.schema_fields import Id, ResponseModel, Timestamp
from journey_service.domain.journeys.prediction import outlook
from journey_service.domain.journeys.prediction import quality as records
from journey_service.domain.journeys.prediction.curve import GRID
from journey_service.services.analytics.churn.predictions import CustomerPrediction

GroupCode = Literal["time_since_last_visit", "own_rhythm", "loyalty", "spend", "missed_appointments"]
ModelBasis = Literal["prior", "purchase_model", "blend"]
UnavailableReason = Literal["no_model", "worse_than_baseline", "no_appointment"]
_DIGITS: Final = 4
_EXPLANATION_EXAMPLE: Final = [
    {
        "code": code,
        "direction": direction,
        "ratio": ratio,
        "params": params,
    }
    for code, direction, ratio, params in (
        ("own_rhythm", "later", 0.42, {"ratio": 2.1, "usual_days": 35}),
        ("loyalty", "sooner", 1.31, {"visits": 9}),
        ("time_since_last_visit", "later", 0.88, {"days": 74}),
    )
]
_CURVE_EXAMPLE: Final = [
    {"day": day, "p_return": p_return}
    for day, p_return in zip(
        GRID,
        (0, 0.02, 0.05, 0.09, 0.13, 0.17, 0.22, 0.29, 0.34, 0.38, 0.41, 0.46, 0.49, 0.51, 0.54, 0.56, 0.57),
        strict=True,
    )
]
P_RETURN_30: Final = Field(
    ge=0,
    le=1,
    description="Chance of a completed appointment in the next 30 days; null if unknown",
    examples=[0.22],
)
P_RETURN_90: Final = Field(
    ge=0,
    le=1,
    description="Chance of a completed appointment in the next 90 days; null if unknown",
    examples=[0.41],
)
NEXT_VISIT_DATE: Final = Field(
    description="Local day by which half of the expected returns have happened; null if unknown",
    examples=["2026-04-14"],
)


class ExplanationGroup(ResponseModel):
    """A group of reasons why a return is more or less likely than at the company's average."""

    code: GroupCode = Field(
        description="What the group is about. `time_since_last_visit`: the days since the last appointment, with"
        " `days`; `own_rhythm`: how late the customer is by their own usual gap, with `ratio` and `usual_days`;"
        " `loyalty`: the number of appointments, with `visits`; `spend`: the mean amount, with `mean_amount`;"
        " `missed_appointments`: with `missed` and `since_last_visit`",
        examples=["own_rhythm"],
    )
    direction: Literal["sooner", "later"] = Field(
        description="Whether the group makes a return more likely (`sooner`) or less likely (`later`)",
        examples=["later"],
    )
    ratio: float = Field(
        ge=0,
        description="Intensity of a return, 15 days ahead, over the company's average, by this group alone",
        examples=[0.42],
    )
    params: dict[str, float] = Field(
        description="Values for a sentence, by name: days, numbers, and amounts in the company's currency",
        examples=[{"ratio": 2.1, "usual_days": 35}],
    )

    @classmethod
    def of(cls, group: outlook.ExplanationGroup) -> "ExplanationGroup":
        """Returns the schema of a group."""
        return cls.model_validate(
            {
                "code": group.code,
                "direction": "sooner" if group.effect > 0 else "later",
                "ratio": round(exp(min(group.effect, 50)), _DIGITS),
                "params": _rounded(group.params),
            }
        )


class CurvePoint(ResponseModel):
    """A point of the curve of returns."""

    day: int = Field(ge=0, description="Days from now", examples=[30])
    p_return: float = Field(
        ge=0, le=1, description="Chance of a completed appointment within these days", examples=[0.22]
    )


class ModelSummary(ResponseModel):
    """The model that the predictions rest on."""

    id: Id = Field(description="Id of the fitted model")
    version: int = Field(description="Version of the form of the model", examples=[1])
    fitted_on: date = Field(description="Local day of the fit", examples=["2026-03-01"])
    basis: ModelBasis | None = Field(
        description="What the predictions rest on. `prior`: general experience, because the company has no appointments"
        " yet; `purchase_model`: the appointments, of which fewer than 5 are returns; `blend`: the purchase model and"
        " the rhythm of the customers. Null if the model is of an older version",
        examples=["blend"],
    )
    is_shown: bool = Field(
        description="Whether predictions are shown: not if the model was less accurate on the company's own past than"
        " the Kaplan-Meier curve",
        examples=[True],
    )
    log_loss: float | None = Field(
        description="Log loss of the back-test on the company itself, 90 days ahead; null with too few customers",
        examples=[0.47],
    )
    calibration_error: float | None = Field(
        description="Mean difference of predicted and realised share in that back-test; null with too few customers",
        examples=[0.03],
    )

    @classmethod
    def of(cls, model: records.FittedModel) -> "ModelSummary":
        """Returns the schema of a model."""
        parameters, quality = model.parameters, model.quality
        return cls.model_validate(
            {
                "id": model.id,
                "version": model.version,
                "fitted_on": model.fitted_on,
                "basis": None if parameters is None else parameters.basis,
                "is_shown": model.is_shown,
                "log_loss": None if quality is None else quality.model.log_loss,
                "calibration_error": None if quality is None else quality.model.calibration_error,
            }
        )


class ChurnOutlook(ResponseModel):
    """What is predicted for a customer now. All fields are null, or empty, if `unavailable_reason` is not."""

    churn_probability: float | None = Field(
        ge=0,
        le=1,
        description="Chance of no completed appointment until the customer counts as churned: for the days of the"
        " inactivity rule of the last risk stage, else 180 days, after the last appointment; 1 from then on. Null if"
        " unknown",
        examples=[0.56],
    )
    p_return_30: float | None = P_RETURN_30
    p_return_90: float | None = P_RETURN_90
    next_visit_date: date | None = NEXT_VISIT_DATE
    forecast_churn_date: date | None = Field(
        description="Local day on which the customer will more likely than not have churned; null if none is foreseen"
        " within three years, or if unknown",
        examples=["2026-07-03"],
    )
    still_customer_probability: float | None = Field(
        ge=0,
        le=1,
        description="Chance that the customer is still one and may come again; null if unknown",
        examples=[0.83],
    )
    explanation: list[ExplanationGroup] = Field(
        description="The three groups of reasons with the largest effect, the largest first; empty if the model does"
        " not rest on `blend`",
        examples=[_EXPLANATION_EXAMPLE],
    )
    unavailable_reason: UnavailableReason | None = Field(
        description="Why nothing is predicted. `no_model`: none has been fitted yet; `worse_than_baseline`: the model"
        " was less accurate on the company's own past than the Kaplan-Meier curve; `no_appointment`: the customer has"
        " no completed appointment. Null if there is a prediction",
        examples=[None],
    )
    model: ModelSummary | None = Field(description="The newest model of the company; null if there is none")

    @classmethod
    def of(cls, prediction: CustomerPrediction) -> "ChurnOutlook":
        """Returns the schema of what is predicted for a customer."""
        return cls.model_validate(_fields(prediction))


class ChurnCurve(ChurnOutlook):
    """What is predicted for a customer now, with the curve of returns."""

    as_of: Timestamp = Field(description="Time as of which the predictions were computed")
    curve: list[CurvePoint] = Field(
        description="Chance of a return by days from now, ascending; empty if nothing is predicted. A booked"
        " appointment raises it on its day",
        examples=[_CURVE_EXAMPLE],
    )

    @classmethod
    def of(cls, prediction: CustomerPrediction) -> "ChurnCurve":
        """Returns the schema of what is predicted for a customer, with the curve."""
        found = prediction.outlook
        days = () if found is None else sorted({*GRID, *found.curve.booked_days})
        curve = [] if found is None else [(day, 1 - found.curve.survival(day)) for day in days]
        return cls.model_validate(
            _fields(prediction)
            | {
                "as_of": prediction.as_of,
                "curve": [{"day": day, "p_return": round(chance, _DIGITS)} for day, chance in curve],
            }
        )


def _fields(prediction: CustomerPrediction) -> dict[str, object]:
    found, model = prediction.outlook, prediction.model
    values = outlook_fields(found)
    return values | {
        "still_customer_probability": None
        if found is None
        else round(found.still_customer_probability, _DIGITS),
        "explanation": [] if found is None else [ExplanationGroup.of(group) for group in found.explanation],
        "unavailable_reason": None if prediction.reason is None else prediction.reason.value,
        "model": None if model is None else ModelSummary.of(model),
    }


def outlook_fields(found: outlook.Outlook | None) -> dict[str, Any]:
    """Returns the chances, rounded, and the dates of a prediction; None each without one."""
    if found is None:
        names = ("churn_probability", "p_return_30", "p_return_90", "next_visit_date", "forecast_churn_date")
        return dict.fromkeys(names)
    return {
        "churn_probability": round(found.churn_probability, _DIGITS),
        "p_return_30": round(found.p_return_30, _DIGITS),
        "p_return_90": round(found.p_return_90, _DIGITS),
        "next_visit_date": found.next_visit_date,
        "forecast_churn_date": found.forecast_churn_date,
    }


def _rounded(params: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 2) for name, value in params.items()}
