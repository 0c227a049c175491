"""Route of people: names of employees."""

from fastapi import APIRouter

from journey_service.api.access.schemas.people import People, Person
from journey_service.api.authentication import ActionReader
from journey_service.api.dependencies import AppStateDep
from journey_service.api.problems import problems
from journey_service.api.request_bodies import StrictRoute
from journey_service.domain.access.actors import assignee_of
from journey_service.services.access import people

router = APIRouter(tags=["tasks"], route_class=StrictRoute)


@router.get("/people", summary="List people", responses=problems())
async def list_people(caller: ActionReader, app_state: AppStateDep) -> People:
    """Lists the names of employees, for the assignee of a task or the owner of a customer."""
    names = await people.list_people(app_state.database, caller.company_id)
    return People(me=assignee_of(caller.principal.name), items=[Person(name=name) for name in names])
