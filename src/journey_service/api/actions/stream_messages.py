"""Messages of the event stream, for the contract: those of webhooks, and those that only the stream has."""

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel, Field

from journey_service.api.actions.schemas.actions import ACTION_ID
from journey_service.api.actions.schemas.tasks import TaskStatus
from journey_service.api.actions.schemas.webhook_payloads import MessageData, TaskData
from journey_service.api.actions.webhook_messages import MESSAGES, Message
from journey_service.api.operations.schemas.jobs import JobKind, JobStatus
from journey_service.api.schema_fields import Id, ResponseModel, Timestamp
from journey_service.domain.actions.action import ActionState, EndReason, OutboundEventType
from journey_service.domain.actions.stage_actions import Channel

_AT: Final = "2026-03-01T12:00:00Z"


class ChangedTaskData(TaskData):
    """A task as it is when the message is sent."""

    status: TaskStatus = Field(
        description="`open`: still to be done; `done`: completed by a person; `dismissed`: ended by a person without"
        " doing it; `closed`: ended by the service, see `reason`",
        examples=["done"],
    )
    reason: EndReason | None = Field(
        description="Why the service ended the task; null unless `status` is `closed`", examples=[None]
    )
    closed_at: Timestamp | None = Field(
        description="When the task ended; null if `status` is `open`", examples=[_AT]
    )
    version: int = Field(ge=1, description="Number of the version of the task, from 1", examples=[2])


class FinishedActionData(MessageData):
    """An action as it is when the message is sent."""

    action_id: str = Field(description="UUID of the action", examples=[ACTION_ID])
    channel: Channel = Field(description="How the action is carried out", examples=["email"])
    name: str = Field(description="Name of the action", examples=["send_loyalty_email"])
    step: int = Field(ge=0, description="Index of the step within the action, from 0", examples=[0])
    stage: str = Field(
        description="Key of the customer's stage when the action was planned", examples=["regular"]
    )
    state: ActionState = Field(
        description="`done`, `cancelled` or `dead`; `pending` or `leased` if a dead action has been retried since",
        examples=["done"],
    )
    reason: EndReason | None = Field(
        description="Why the action was cancelled; null unless `state` is `cancelled`", examples=[None]
    )
    campaign_id: Id | None = Field(
        description="Id of the campaign that the action belongs to; null if there is none", examples=[None]
    )
    finished_at: Timestamp | None = Field(
        description="When the action was done or cancelled, or its last attempt failed; null if the action has been"
        " retried since",
        examples=[_AT],
    )


class JobProgressData(ResponseModel):
    """A job as it is when the message is sent."""

    company_id: Id = Field(description="Id of the company", examples=[42])
    job_id: Id = Field(description="Id of the job", examples=[12])
    kind: JobKind = Field(description="What the job does, as in `kind` of a job", examples=["rescore"])
    status: JobStatus = Field(
        description="`queued`, `running`, `done` or `failed`, as in `status` of a job", examples=["running"]
    )
    done: int = Field(
        ge=0, description="Number of customers, days or lines that are processed", examples=[400]
    )
    total: int | None = Field(
        ge=0,
        description="Number of customers, days or lines to process; null while it is unknown",
        examples=[900],
    )
    counts: dict[str, int] = Field(
        description="Results of the job by name; the names depend on `kind`", examples=[{"scored": 400}]
    )


class TaskChangedMessage(Message):
    """A person has changed a task, or the service has closed it."""

    type: Literal["task.changed"] = Field(description="Type of the message", examples=["task.changed"])
    data: ChangedTaskData = Field(description="The task")


class ActionFinishedMessage(Message):
    """An action is done, cancelled, or has failed permanently."""

    type: Literal["action.finished"] = Field(description="Type of the message", examples=["action.finished"])
    data: FinishedActionData = Field(description="The action")


class JobProgressMessage(Message):
    """A job has progressed or ended. Progress between two messages may be left out; the end never is."""

    type: Literal["job.progress"] = Field(description="Type of the message", examples=["job.progress"])
    data: JobProgressData = Field(description="The job")


STREAM_MESSAGES: Final[Mapping[str, type[BaseModel]]] = {
    "task.changed": TaskChangedMessage,
    "action.finished": ActionFinishedMessage,
    "job.progress": JobProgressMessage,
}
"""Schemas of the messages that only the stream has, by type."""


def stream_message_schema() -> dict[str, Any]:
    """Returns the schema of a message of the stream: one schema for each `type`."""
    payloads = {message.event_type: message.payload for message in MESSAGES} | dict(STREAM_MESSAGES)
    references = {
        type_.value: f"#/components/schemas/{payloads[type_].__name__}" for type_ in OutboundEventType
    }
    return {
        "oneOf": [{"$ref": reference} for reference in references.values()],
        "discriminator": {"propertyName": "type", "mapping": references},
    }
