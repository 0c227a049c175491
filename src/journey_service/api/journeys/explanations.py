"""Routes of explanations: why a customer is in a stage, and what would move them."""

from fastapi import APIRouter

from journey_service.api.authentication import CustomerReader
from journey_service.api.dependencies import AnyCustomerId, AppStateDep, AsOf
from journey_service.api.journeys.schemas.explanations import Explanation
from journey_service.api.problems import problems
from journey_service.api.request_bodies import StrictRoute
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.domain.journeys.errors import JourneyNotStartedError
from journey_service.services.journeys import explanations

router = APIRouter(tags=["journeys"], route_class=StrictRoute)


@router.get(
    "/customers/{customer_id}/explanation",
    summary="Explain a customer's stage",
    responses=problems(CustomerNotFoundError, JourneyNotStartedError),
)
async def get_explanation(
    customer_id: AnyCustomerId, caller: CustomerReader, app_state: AppStateDep, as_of: AsOf = None
) -> Explanation:
    """Returns why the customer is in the stage, what a pin suppresses, the next moves, and what each rule requires.

    Everything is computed with the same rules as moves are, so dates and missing amounts are exact. Nothing is changed.

    With `as_of`, explains the past state as it is known today, with the stage map of that time and today's settings.
    Pins have no history: `pin` is null then, and `due_move` may be a move that a pin suppressed.
    """
    return Explanation.of(
        await explanations.explain(app_state.database, caller.company_id, customer_id, as_of)
    )
