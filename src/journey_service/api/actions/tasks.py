"""Routes of tasks, the Action Center."""

from datetime import datetime
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Header, Path, Query, Response

from journey_service.api.actions.schemas.tasks import Task, TaskChannel, TaskCreate, TaskPage, TaskUpdate
from journey_service.api.authentication import ActionReader, ActionWriter
from journey_service.api.customer_names import named_customer
from journey_service.api.dependencies import (
    AnyCustomer,
    AppStateDep,
    Cursor,
    Limit,
    Version,
    WithCount,
    from_cursor,
    is_id,
    is_instant,
    next_cursor,
    repeatable,
)
from journey_service.api.problems import JSON_BODY, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, StrictRoute
from journey_service.api.schema_fields import Instant, StageKey, Text
from journey_service.domain.access.actors import assignee_of
from journey_service.domain.actions.errors import StaleTaskError, TaskClosedError, TaskNotFoundError
from journey_service.domain.actions.records import TASK_SORTS, StoredTask, TaskFilter
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.domain.errors import (
    IdempotencyKeyReusedError,
    InvalidInputError,
    PreconditionMissingError,
)
from journey_service.domain.events.event import MAX_ID
from journey_service.services.actions import tasks
from journey_service.services.customers.references import find_filtered
from journey_service.services.operations.schedule import OUTBOUND_EVENTS

router = APIRouter(prefix="/tasks", tags=["tasks"], route_class=StrictRoute)

_ME: Final = "me"
"""Value of the filter by assignee that stands for the caller."""
TaskIdPath = Annotated[int, Path(ge=1, le=MAX_ID, description="Id of the task", examples=[12])]

TaskKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Key that the caller chooses, at most 255 printable ASCII characters. A repeated request with the"
        " same content returns the task of the first one, in its current state. Other content is refused with 422",
        examples=["towels-1"],
    ),
]
TaskSort = Annotated[
    str,
    Query(
        description="Field by which the list is sorted, ascending; with a leading `-`, descending",
        json_schema_extra={"enum": list(TASK_SORTS)},
    ),
]


StatusParam = Annotated[
    list[Literal["open", "done", "dismissed", "closed", "any"]] | None,
    repeatable(
        "Only tasks with this status. `open`: still to be done; `done`, `dismissed`: ended by a person; `closed`:"
        " ended by the service; `any`: all. Default: `open`",
        examples=[["open"]],
    ),
]
AssigneeParam = Annotated[
    Text | None,
    Query(
        max_length=255,
        description="Only tasks of this assignee. `me`: the caller, under the name of `me` in `GET /people`",
        examples=["ada"],
    ),
]
DueAfterParam = Annotated[
    Instant | None,
    Query(description="Only tasks due at this time or later", examples=["2026-03-03T00:00:00Z"]),
]
DueBeforeParam = Annotated[
    Instant | None,
    Query(description="Only tasks due before this time", examples=["2026-03-04T00:00:00Z"]),
]
StageParam = Annotated[
    list[StageKey] | None,
    repeatable("Only tasks that were created in the stage with this key", examples=[["at_risk"]]),
]
ChannelParam = Annotated[
    list[TaskChannel] | None,
    repeatable(
        "Only tasks of this kind. `call`: call the customer; `task`: anything else", examples=[["call"]]
    ),
]


@router.get("", summary="List tasks", responses=problems())
async def list_tasks(
    caller: ActionReader,
    app_state: AppStateDep,
    status: StatusParam = None,
    assignee: AssigneeParam = None,
    unassigned: Annotated[bool, Query(description="Whether to list only tasks without an assignee")] = False,  # noqa: FBT002  # a query parameter
    due_after: DueAfterParam = None,
    due_before: DueBeforeParam = None,
    stage: StageParam = None,
    customer_id: AnyCustomer = None,
    channel: ChannelParam = None,
    sort: TaskSort = "due_at",
    count: WithCount = False,  # noqa: FBT002  # a query parameter
    limit: Limit = 50,
    cursor: Cursor = None,
) -> TaskPage:
    """Returns tasks, by default the earliest due first."""
    if sort not in TASK_SORTS:
        raise InvalidInputError.at("query/sort", f"must be one of {', '.join(TASK_SORTS)}")
    after = from_cursor("tasks", cursor, lambda part: part == sort, is_instant, is_id)
    sorted_by = sort.removeprefix("-")
    statuses = status or ["open"]
    filter_ = TaskFilter(
        limit=limit + 1,
        statuses=() if "any" in statuses else statuses,
        sort=sort,
        assignee=assignee_of(caller.principal.name) if assignee == _ME else assignee,
        is_unassigned=unassigned,
        due_after=due_after,
        due_before=due_before,
        stages=stage or (),
        customer_id=await find_filtered(app_state.database, caller.company_id, customer_id),
        channels=channel or (),
        is_counted=count,
        after=None if after is None else (datetime.fromisoformat(after[1]), after[2]),
    )
    stored, number = await tasks.list_tasks(app_state.database, caller.company_id, filter_)
    return TaskPage(
        items=[Task.of(task) for task in stored[:limit]],
        next_cursor=next_cursor(
            "tasks", stored, limit, lambda row: [sort, getattr(row, sorted_by).isoformat(), row.id]
        ),
        total=number.total,
        total_estimate=number.estimate,
    )


@router.post(
    "",
    summary="Create a task",
    status_code=201,
    responses=problems(CustomerNotFoundError, IdempotencyKeyReusedError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def create_task(
    body: TaskCreate,
    response: Response,
    caller: ActionWriter,
    app_state: AppStateDep,
    idempotency_key: TaskKey = None,
) -> Task:
    """Creates a task for the company's staff, about a customer or about none. The ETag is the version."""
    about = body.customer_id
    customer_id = None if about is None else await named_customer(app_state, caller, about)
    created = await tasks.create_task(
        app_state.database, caller.company_id, body.to_domain(customer_id, idempotency_key), by=caller.actor
    )
    app_state.wake(OUTBOUND_EVENTS)
    return _to_response(created, response)


@router.get("/{task_id}", summary="Get a task", responses=problems(TaskNotFoundError))
async def get_task(
    task_id: TaskIdPath, response: Response, caller: ActionReader, app_state: AppStateDep
) -> Task:
    """Returns a task: what is to be done for which customer, by when, and its outcome. The ETag is the version."""
    return _to_response(await tasks.get_task(app_state.database, caller.company_id, task_id), response)


@router.patch(
    "/{task_id}",
    summary="Update a task",
    responses=problems(
        TaskNotFoundError, TaskClosedError, StaleTaskError, PreconditionMissingError, *JSON_BODY
    ),
    max_body_size=MAX_BODY_BYTES,
)
async def update_task(
    task_id: TaskIdPath,
    body: TaskUpdate,
    response: Response,
    caller: ActionWriter,
    version: Version,
    app_state: AppStateDep,
) -> Task:
    """Completes, dismisses, reopens, reassigns or postpones a task; omitted fields keep their values.

    `If-Match` must be the version that the change is based on. If the task has changed since, nothing is changed, and
    the response is a 412 whose `changed` holds the present values of the changed fields. A task that is not open can
    only be reopened, and only if a person has ended it. Repeating an update that is already made has no effect, with
    any version.
    """
    updated = await tasks.change_task(
        app_state.database, caller.company_id, task_id, body.to_domain(version), by=caller.actor
    )
    app_state.wake(OUTBOUND_EVENTS)
    return _to_response(updated, response)


def _to_response(task: StoredTask, response: Response) -> Task:
    response.headers["ETag"] = f'"{task.version}"'
    return Task.of(task)
