"""Why a customer is in their stage, and what would move them."""

from fastapi import APIRouter

from journey_service.api.authentication import CustomerReader
from journey_service.api.dependencies import AnyCustomerId, AppStateDep
from journey_service.api.journeys.schemas.explanations import ExplanationOut
from journey_service.api.problems import problems
from journey_service.api.request_bodies import StrictRoute
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.services.journeys import explanations

router = APIRouter(tags=["journeys"], route_class=StrictRoute)


@router.get(
    "/customers/{customer_id}/explanation",
    summary="Explain where a customer stands, and what would move them",
    responses=problems(CustomerNotFoundError),
)
async def get_explanation(
    customer_id: AnyCustomerId, caller: CustomerReader, app_state: AppStateDep
) -> ExplanationOut:
    """Why the customer is in this stage, what a pin holds back, what comes next, what is missing for each stage.

    Everything is worked out by the engine itself on copies of the customer: dates are exact, and what is said to
    be missing was tried. Nothing is changed.
    """
    return ExplanationOut.of(await explanations.explain(app_state.database, caller.company_id, customer_id))
