"""The answers the guide's own components work on."""

from typing import Annotated

from fastapi import APIRouter, Query

from journey_service.api.bodies import StrictRoute
from journey_service.api.callers import CustomerReader
from journey_service.api.dependencies import AnyCustomerId, HouseDep
from journey_service.api.problems import problems
from journey_service.api.shapes.portal import PortalTimelineOut
from journey_service.domain.errors import CustomerNotFoundError, ForbiddenError
from journey_service.domain.events import MAX_ID
from journey_service.services import journeys

router = APIRouter(prefix="/portal", tags=["portal"], route_class=StrictRoute)

_MOST_MOVES = 1_000


@router.get(
    "/customers/{customer_id}/journey",
    summary="Read what the timeline draws",
    responses=problems(CustomerNotFoundError),
)
async def get_portal_journey(
    customer_id: AnyCustomerId,
    caller: CustomerReader,
    house: HouseDep,
    company_id: Annotated[
        int | None, Query(ge=1, le=MAX_ID, description="the credential's own company")
    ] = None,
) -> PortalTimelineOut:
    """Where the customer stands and the latest 1,000 moves, newest first, without the opening one."""
    if company_id not in (None, caller.company_id):
        raise ForbiddenError("The credential belongs to another company.")
    view, entries = await journeys.list_transitions(
        house.database, caller.company_id, customer_id, before=None, limit=_MOST_MOVES
    )
    return PortalTimelineOut.of(view, entries)
