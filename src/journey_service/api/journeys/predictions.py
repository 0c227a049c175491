"""Routes of what is predicted for a customer."""

from fastapi import APIRouter

from journey_service.api.authentication import CustomerReader
from journey_service.api.dependencies import AnyCustomerId, AppStateDep
from journey_service.api.journeys.schemas.predictions import ChurnCurve
from journey_service.api.problems import problems
from journey_service.api.request_bodies import StrictRoute
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.services.analytics.churn import predictions

router = APIRouter(tags=["journeys"], route_class=StrictRoute)


@router.get(
    "/customers/{customer_id}/prediction",
    summary="Get what is predicted for a customer",
    responses=problems(CustomerNotFoundError),
)
async def get_prediction(
    customer_id: AnyCustomerId, caller: CustomerReader, app_state: AppStateDep
) -> ChurnCurve:
    """Returns the chances to return and to churn, computed now, with the curve of returns and the reasons.

    The model is fitted on the company's own appointments every night. `predicted_churn_date` of the lists is another
    forecast, from the time that earlier customers spent in the stage.
    """
    return ChurnCurve.of(await predictions.get_prediction(app_state.database, caller.company_id, customer_id))
