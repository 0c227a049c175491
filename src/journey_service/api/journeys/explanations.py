"""Routes of explanations: why a customer is in a stage, and what would move them."""

from fastapi import APIRouter

from journey_service.api.authentication import CustomerReader
from journey_service.api.dependencies import AnyCustomerId, AppStateDep
from journey_service.api.journeys.schemas.explanations import Explanation
from journey_service.api.problems import problems
from journey_service.api.request_bodies import StrictRoute
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.services.journeys import explanations

router = APIRouter(tags=["journeys"], route_class=StrictRoute)


@router.get(
    "/customers/{customer_id}/explanation",
    summary="Explain a customer's stage",
    responses=problems(CustomerNotFoundError),
)
async def get_explanation(
    customer_id: AnyCustomerId, caller: CustomerReader, app_state: AppStateDep
) -> Explanation:
    """Returns why the customer is in the stage, what a pin suppresses, the next moves, and what each rule requires.

    Everything is computed with the same rules as moves are, so dates and missing amounts are exact. Nothing is changed.
    """
    return Explanation.of(await explanations.explain(app_state.database, caller.company_id, customer_id))
