"""Routes of the churn model: what it is, and how well its predictions held."""

from fastapi import APIRouter

from journey_service.api.analytics.schemas.calibration import (
    CalibrationMonth,
    CalibrationReport,
    ChurnModelReport,
)
from journey_service.api.authentication import AnalyticsReader
from journey_service.api.csv_responses import get_with_csv
from journey_service.api.dependencies import AppStateDep
from journey_service.api.problems import problems
from journey_service.api.request_bodies import StrictRoute
from journey_service.services.analytics.churn import calibration, predictions

router = APIRouter(prefix="/analytics", tags=["analytics"], route_class=StrictRoute)


@router.get("/churn-model", summary="Get the churn model", responses=problems())
async def get_churn_model(caller: AnalyticsReader, app_state: AppStateDep) -> ChurnModelReport:
    """Returns the newest churn model: when and on what it was fitted, whether it is shown, and how accurate it is.

    It is fitted every night. A model that was less accurate on the company's own past than the Kaplan-Meier curve is
    not shown: predictions are then null.
    """
    return ChurnModelReport.of(await predictions.get_model(app_state.database, caller.company_id))


@get_with_csv(
    router,
    "/calibration",
    CalibrationMonth,
    summary="Get predicted against realised churn",
    responses=problems(),
    without=("bins",),
)
async def get_calibration(caller: AnalyticsReader, app_state: AppStateDep) -> CalibrationReport:
    """Returns predicted and realised shares of customers without an appointment in 90 days, by month of the prediction.

    Each month the predictions of up to 2,000 customers are kept until their 90 days have ended.
    """
    return CalibrationReport.of(await calibration.get_calibration(app_state.database, caller.company_id))
