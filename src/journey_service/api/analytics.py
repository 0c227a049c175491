"""Figures about all customers of a company."""

from fastapi import APIRouter

from journey_service.api.bodies import StrictRoute
from journey_service.api.callers import AnalyticsReader
from journey_service.api.dependencies import AsOf, HouseDep
from journey_service.api.problems import problems
from journey_service.api.shapes.analytics import DistributionOut
from journey_service.services import analytics

router = APIRouter(prefix="/analytics", tags=["analytics"], route_class=StrictRoute)


@router.get("/distribution", summary="Count customers by stage", responses=problems())
async def get_distribution(caller: AnalyticsReader, house: HouseDep, as_of: AsOf = None) -> DistributionOut:
    """How many customers are in each stage now, or were at a past instant, as the ledger has it."""
    return DistributionOut.of(await analytics.get_distribution(house.database, caller.company_id, as_of))
