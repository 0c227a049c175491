"""Routes of tasks, the Action Center."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query

from journey_service.api.actions.schemas.tasks import Task, TaskChannel, TaskPage, TaskUpdate
from journey_service.api.authentication import ActionReader, ActionWriter
from journey_service.api.dependencies import (
    AnyCustomer,
    AppStateDep,
    Cursor,
    Limit,
    from_cursor,
    is_id,
    is_instant,
    next_cursor,
    repeatable,
)
from journey_service.api.problems import JSON_BODY, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, StrictRoute
from journey_service.api.schema_fields import Instant, StageKey, Text
from journey_service.domain.actions.errors import TaskClosedError, TaskNotFoundError
from journey_service.domain.actions.records import TaskFilter
from journey_service.domain.events.event import MAX_ID
from journey_service.services.actions import tasks

router = APIRouter(prefix="/tasks", tags=["tasks"], route_class=StrictRoute)

TaskIdPath = Annotated[int, Path(ge=1, le=MAX_ID, description="Id of the task", examples=[12])]


@router.get("", summary="List tasks", responses=problems())
async def list_tasks(
    caller: ActionReader,
    app_state: AppStateDep,
    status: Annotated[
        list[Literal["open", "done", "dismissed", "closed", "any"]] | None,
        repeatable(
            "Only tasks with this status. `open`: still to be done; `done`, `dismissed`: ended by a person; `closed`:"
            " ended by the service; `any`: all. Default: `open`",
            examples=[["open"]],
        ),
    ] = None,
    assignee: Annotated[
        Text | None, Query(max_length=255, description="Only tasks of this assignee", examples=["ada"])
    ] = None,
    unassigned: Annotated[bool, Query(description="Whether to list only tasks without an assignee")] = False,  # noqa: FBT002  # a query parameter
    due_before: Annotated[
        Instant | None,
        Query(description="Only tasks due before this time", examples=["2026-03-04T00:00:00Z"]),
    ] = None,
    stage: Annotated[
        list[StageKey] | None,
        repeatable("Only tasks that were created in the stage with this key", examples=[["at_risk"]]),
    ] = None,
    customer_id: AnyCustomer = None,
    channel: Annotated[
        list[TaskChannel] | None,
        repeatable(
            "Only tasks of this kind. `call`: call the customer; `task`: anything else", examples=[["call"]]
        ),
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> TaskPage:
    """Returns tasks, earliest due date first."""
    after = from_cursor("tasks", cursor, is_instant, is_id)
    statuses = status or ["open"]
    filter_ = TaskFilter(
        limit=limit + 1,
        statuses=() if "any" in statuses else statuses,
        assignee=assignee,
        is_unassigned=unassigned,
        due_before=due_before,
        stages=stage or (),
        customer_id=customer_id,
        channels=channel or (),
        after=None if after is None else (datetime.fromisoformat(after[0]), after[1]),
    )
    stored = await tasks.list_tasks(app_state.database, caller.company_id, filter_)
    return TaskPage(
        items=[Task.of(task) for task in stored[:limit]],
        next_cursor=next_cursor("tasks", stored, limit, lambda row: [row.due_at.isoformat(), row.id]),
    )


@router.get("/{task_id}", summary="Get a task", responses=problems(TaskNotFoundError))
async def get_task(task_id: TaskIdPath, caller: ActionReader, app_state: AppStateDep) -> Task:
    """Returns a task: what is to be done for which customer, by when, and its outcome."""
    return Task.of(await tasks.get_task(app_state.database, caller.company_id, task_id))


@router.patch(
    "/{task_id}",
    summary="Update a task",
    responses=problems(TaskNotFoundError, TaskClosedError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def update_task(
    task_id: TaskIdPath, body: TaskUpdate, caller: ActionWriter, app_state: AppStateDep
) -> Task:
    """Completes, dismisses, reassigns or postpones a task; omitted fields keep their values.

    A task that is not open cannot be changed; repeating the last update has no effect.
    """
    updated = await tasks.change_task(
        app_state.database, caller.company_id, task_id, body.to_domain(), by=caller.actor
    )
    return Task.of(updated)
