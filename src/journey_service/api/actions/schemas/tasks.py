"""What people do about customers, over the wire."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from journey_service.api.schema_fields import (
    Instant,
    Note,
    PatchModel,
    ResponseModel,
    SingleLineText,
    omittable,
)
from journey_service.domain.actions.records import StoredTask
from journey_service.services.actions.tasks import TaskChange

Status = Literal["open", "done", "dismissed", "closed"]


class TaskOut(ResponseModel):
    """A task. Instants are the company's."""

    id: int
    customer_id: int
    customer_name: str | None
    channel: Literal["call", "task"]
    name: str = Field(description="the action it came from", examples=["schedule_check_in_call"])
    title: str
    stage: str = Field(description="the stage the customer was in")
    assignee: str | None
    note: str | None = Field(description="of whoever asked for it")
    due_at: datetime
    status: Status = Field(description="`closed`: by the service, as `reason` says")
    reason: str | None = Field(examples=["left_stage"])
    outcome: str | None = Field(description="what came of it, in the words of whoever worked it off")
    closed_by: str | None
    closed_at: datetime | None
    action_id: str | None
    campaign_id: int | None
    created_at: datetime

    @classmethod
    def of(cls, task: StoredTask) -> "TaskOut":
        """Show a task."""
        return cls.model_validate(task, from_attributes=True)


class TasksOut(ResponseModel):
    """A page of tasks, those due first first."""

    items: list[TaskOut]
    next_cursor: str | None


class TaskChangeIn(PatchModel):
    """What is to be otherwise about a task; what is left out stays as it is."""

    status: Literal["done", "dismissed"] = omittable()
    outcome: Note = omittable()
    assignee: SingleLineText | None = Field(default=None, description="null: nobody's any more")
    due_at: Instant = omittable()

    def as_change(self) -> TaskChange:
        """What is asked for."""
        is_unassigned = self.assignee is None and "assignee" in self.model_fields_set
        return TaskChange(self.status, self.outcome, self.assignee, is_unassigned, self.due_at)
