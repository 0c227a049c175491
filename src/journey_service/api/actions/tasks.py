"""The Action Center: what people do about customers, listed, worked off, handed on."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query

from journey_service.api.actions.schemas.tasks import TaskChangeIn, TaskOut, TasksOut
from journey_service.api.authentication import ActionReader, ActionWriter
from journey_service.api.dependencies import (
    AnyCustomer,
    AppStateDep,
    Cursor,
    InStage,
    Limit,
    from_cursor,
    is_id,
    is_instant,
    next_cursor,
)
from journey_service.api.problems import JSON_BODY, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, StrictRoute
from journey_service.api.schema_fields import Instant, Text
from journey_service.domain.actions.errors import TaskClosedError, TaskNotFoundError
from journey_service.domain.actions.records import TaskFilter
from journey_service.domain.events.event import MAX_ID
from journey_service.services.actions import tasks

router = APIRouter(prefix="/tasks", tags=["tasks"], route_class=StrictRoute)

TaskId = Annotated[int, Path(ge=1, le=MAX_ID)]


@router.get("", summary="List tasks", responses=problems())
async def list_tasks(  # noqa: PLR0913, PLR0917  # one parameter a filter
    caller: ActionReader,
    app_state: AppStateDep,
    status: Annotated[
        Literal["open", "done", "dismissed", "closed", "any"],
        Query(description="`closed`: by the service, as the customer left the stage, say"),
    ] = "open",
    assignee: Annotated[Text | None, Query(max_length=255)] = None,
    unassigned: Annotated[bool, Query(description="only those that are nobody's")] = False,  # noqa: FBT002  # a query parameter
    due_before: Annotated[Instant | None, Query()] = None,
    stage: InStage = None,
    customer_id: AnyCustomer = None,
    channel: Annotated[Literal["call", "task"] | None, Query()] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> TasksOut:
    """Tasks that fit, those due first first, page by page."""
    after = from_cursor("tasks", cursor, is_instant, is_id)
    wanted = TaskFilter(
        limit=limit + 1,
        status=None if status == "any" else status,
        assignee=assignee,
        is_unassigned=unassigned,
        due_before=due_before,
        stage=stage,
        customer_id=customer_id,
        channel=channel,
        after=None if after is None else (datetime.fromisoformat(after[0]), after[1]),
    )
    found = await tasks.list_tasks(app_state.database, caller.company_id, wanted)
    items = [TaskOut.of(task) for task in found[:limit]]
    return TasksOut(
        items=items,
        next_cursor=next_cursor("tasks", found, limit, lambda row: [row.due_at.isoformat(), row.id]),
    )


@router.get("/{task_id}", summary="Read a task", responses=problems(TaskNotFoundError))
async def get_task(task_id: TaskId, caller: ActionReader, app_state: AppStateDep) -> TaskOut:
    """What is to be done about whom, by when, and what has come of it."""
    return TaskOut.of(await tasks.get_task(app_state.database, caller.company_id, task_id))


@router.patch(
    "/{task_id}",
    summary="Work off a task, or change it",
    responses=problems(TaskNotFoundError, TaskClosedError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def patch_task(
    task_id: TaskId, body: TaskChangeIn, caller: ActionWriter, app_state: AppStateDep
) -> TaskOut:
    """Write what is given, the rest stays. A task that is over stays as it is; the same again changes nothing."""
    changed = await tasks.change_task(
        app_state.database, caller.company_id, task_id, body.as_change(), by=caller.actor
    )
    return TaskOut.of(changed)
