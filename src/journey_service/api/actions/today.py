"""Route of today's counts."""

from fastapi import APIRouter

from journey_service.api.actions.schemas.today import Today
from journey_service.api.authentication import ActionReader
from journey_service.api.dependencies import AppStateDep
from journey_service.api.problems import problems
from journey_service.api.request_bodies import StrictRoute
from journey_service.domain.access.actors import assignee_of
from journey_service.services.operations import today

router = APIRouter(tags=["tasks"], route_class=StrictRoute)


@router.get("/today", summary="Get today", responses=problems())
async def get_today(caller: ActionReader, app_state: AppStateDep) -> Today:
    """Returns counts of what is to be done: tasks, customers at risk, campaigns, failures; and whether metrics agree.

    Days are local days of the company, by its test clock if it has one.
    """
    me = assignee_of(caller.principal.name)
    return Today.of(await today.get_today(app_state.database, caller.company_id, assignee=me))
