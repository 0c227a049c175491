"""The company's stage map."""

from fastapi import APIRouter

from journey_service.api.bodies import StrictRoute
from journey_service.api.dependencies import HouseDep, StageReader
from journey_service.api.problems import problems
from journey_service.api.shapes.stages import StagesOut
from journey_service.services.companies import get_desk

router = APIRouter(tags=["stages"], route_class=StrictRoute)


@router.get("/stages", summary="Read the stage map", responses=problems())
async def get_stages(caller: StageReader, house: HouseDep) -> StagesOut:
    """Every stage in order, with its rules in the form in which they are written."""
    desk = await get_desk(house.database, caller.company_id)
    return StagesOut.of(desk.rulebook.stage_map)
