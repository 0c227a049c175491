"""The answers the guide's own components work on."""

from fastapi import APIRouter

from journey_service.api.bodies import StrictRoute
from journey_service.api.dependencies import CustomerId, CustomerReader, HouseDep
from journey_service.api.problems import problems
from journey_service.api.shapes import PortalTimelineOut
from journey_service.domain.errors import CustomerNotFoundError
from journey_service.services import journeys

router = APIRouter(prefix="/portal", tags=["portal"], route_class=StrictRoute)

_MOST_MOVES = 1_000


@router.get(
    "/customers/{customer_id}/journey",
    summary="Read what the timeline draws",
    responses=problems(CustomerNotFoundError),
)
async def get_portal_journey(
    customer_id: CustomerId, caller: CustomerReader, house: HouseDep
) -> PortalTimelineOut:
    """Where the customer stands and the latest 1,000 moves, newest first, without the opening one."""
    view, entries = await journeys.list_transitions(
        house.database, caller.company_id, customer_id, before=None, limit=_MOST_MOVES
    )
    return PortalTimelineOut.of(view, entries)
