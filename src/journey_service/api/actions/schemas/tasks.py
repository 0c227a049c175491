"""Request and response schemas of tasks."""

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from journey_service.api.actions.schemas.actions import ACTION_ID
from journey_service.api.schema_fields import (
    AnyCustomerId,
    CustomerRef,
    Id,
    Instant,
    NamedCustomer,
    NextCursor,
    Note,
    PatchModel,
    RequestModel,
    ResponseModel,
    SingleLineText,
    Timestamp,
    Total,
    TotalEstimate,
    omittable,
)
from journey_service.domain.actions.action import EndReason
from journey_service.domain.actions.records import StoredTask
from journey_service.domain.errors import InvalidInputError
from journey_service.services.actions.tasks import NewTask, TaskChange

_DUE_AT: Final = "2026-03-04T12:00:00Z"


class TaskStatus(StrEnum):
    """State of a task."""

    OPEN = "open"
    DONE = "done"
    DISMISSED = "dismissed"
    CLOSED = "closed"


class TaskChannel(StrEnum):
    """Kind of a task."""

    CALL = "call"
    TASK = "task"


class Task(ResponseModel):
    """A task for the company's staff."""

    id: Id = Field(description="Id of the task")
    customer_id: AnyCustomerId | None = Field(
        description="Id of the customer; negative for an erased customer; null for a task about no customer",
        examples=[4712],
    )
    customer_ref: CustomerRef
    customer_name: str | None = Field(
        description="Name of the customer; null if it is unknown or erased, or there is no customer",
        examples=["Grace Hopper"],
    )
    channel: TaskChannel = Field(
        description="`call`: call the customer; `task`: anything else", examples=["call"]
    )
    name: str = Field(
        description="Name of the action that created the task; `personal_task` if a person created it",
        examples=["schedule_check_in_call"],
    )
    title: str = Field(description="What is to be done", examples=["Check in with a customer"])
    stage: str | None = Field(
        description="Key of the customer's stage when the task was created; null for a task about no customer",
        examples=["at_risk"],
    )
    assignee: str | None = Field(
        description="Employee who is to do the task; null if it is unassigned", examples=["ada"]
    )
    note: str | None = Field(
        description="Note of the person who requested the task; null if there is none",
        examples=["Ask about Monday."],
    )
    due_at: Timestamp = Field(description="When the task is due", examples=[_DUE_AT])
    status: TaskStatus = Field(
        description="`open`: still to be done; `done`: completed by a person; `dismissed`: ended by a person without"
        " doing it; `closed`: ended by the service, see `reason`",
        examples=["open"],
    )
    reason: EndReason | None = Field(
        description="Why the service ended the task; null unless `status` is `closed`", examples=[None]
    )
    outcome: str | None = Field(
        description="Result, as the person who ended the task wrote it; null if there is none",
        examples=[None],
    )
    closed_by: str | None = Field(
        description="Credential that set the task to `done` or `dismissed`; null unless a person ended the task",
        examples=[None],
    )
    closed_at: Timestamp | None = Field(
        description="When the task ended; null if `status` is `open`", examples=[None]
    )
    action_id: str | None = Field(
        description="UUID of the action that created the task; null if it is unknown", examples=[ACTION_ID]
    )
    campaign_id: Id | None = Field(
        description="Id of the campaign that the task belongs to; null if there is none", examples=[None]
    )
    created_at: Timestamp = Field(description="When the task was created", examples=["2026-03-01T12:00:00Z"])
    version: int = Field(
        ge=1, description="Number of the version, from 1: every change adds one. Also the ETag", examples=[1]
    )

    @classmethod
    def of(cls, task: StoredTask) -> "Task":
        """Builds the response from a stored task."""
        return cls.model_validate(task, from_attributes=True)


class TaskPage(ResponseModel):
    """A page of tasks in the requested order."""

    items: list[Task] = Field(description="The tasks of this page")
    next_cursor: NextCursor
    total: Total
    total_estimate: TotalEstimate


class TaskCreate(RequestModel):
    """A task to create."""

    title: SingleLineText = Field(description="What is to be done", examples=["Order new towels"])
    customer_id: NamedCustomer | None = Field(
        default=None,
        description="The customer that the task is about, by id or by `ref:` and the `customer_ref`; null or"
        " omitted: none",
        examples=[4712],
    )
    due_at: Instant = Field(description="When the task is due", examples=[_DUE_AT])
    assignee: SingleLineText | None = Field(
        default=None,
        description="Employee who is to do the task; null or omitted: none",
        examples=["ada"],
    )
    note: Note | None = Field(
        default=None, description="Note on the task; null or omitted: none", examples=["The grey ones."]
    )

    def to_domain(self, customer_id: int | None, request_key: str | None) -> NewTask:
        """Converts the request for the customer with this id."""
        return NewTask(**{**self.model_dump(), "customer_id": customer_id}, request_key=request_key)


class TaskUpdate(PatchModel):
    """Fields of a task to change; omitted fields keep their values."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"status": "done", "outcome": "She comes on Monday."}]}
    )

    status: Annotated[
        Literal["open", "done", "dismissed"],
        Field(
            description="Ends or reopens the task. `done`: it was completed; `dismissed`: it is not needed, which"
            " requires the reason in `outcome`; `open`: it is to be done again, after a person has ended it",
            examples=["done"],
        ),
    ] = omittable()
    outcome: Annotated[
        Note,
        Field(
            description="Result in words; for a dismissed task, the reason", examples=["She comes on Monday."]
        ),
    ] = omittable()
    assignee: SingleLineText | None = Field(
        default=None, description="Employee who is to do the task; null unassigns the task", examples=["ben"]
    )
    due_at: Annotated[
        Instant, Field(description="When the task is due", examples=["2026-04-01T08:00:00Z"])
    ] = omittable()

    def to_domain(self, version: int) -> TaskChange:
        """Converts the update of a version. Raises InvalidInputError."""
        if self.status == "dismissed" and self.outcome is None:
            raise InvalidInputError.at("/outcome", "must give the reason of a dismissal")
        is_unassigned = self.assignee is None and "assignee" in self.model_fields_set
        return TaskChange(version, self.status, self.outcome, self.assignee, is_unassigned, self.due_at)
