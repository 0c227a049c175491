"""Response schemas of previews of a draft of the stage map."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from journey_service.api.customer_names import with_names
from journey_service.api.operations.schemas.jobs import JobStatus
from journey_service.api.schema_fields import (
    AnyCustomerId,
    CustomerName,
    CustomerRef,
    Id,
    ResponseModel,
    Timestamp,
)
from journey_service.api.stages.schemas.stage_maps import LintFinding, StageFieldChange
from journey_service.domain.journeys.relationship import Activation
from journey_service.domain.operations.records import Job
from journey_service.services.customers.names import CustomerNames


class PreviewSample(ResponseModel):
    """A customer that the draft would move."""

    customer_id: AnyCustomerId = Field(description="Id of the customer; negative for an erased customer")
    customer_ref: CustomerRef
    customer_name: CustomerName
    trigger_event: str | None = Field(
        description="Event type or trigger that would cause the last move; null if the cause is that the draft"
        " archives the customer's stage",
        examples=["lifetime_value"],
    )
    moves: int = Field(ge=0, description="Number of moves that the customer would make at once", examples=[1])


class PreviewMove(ResponseModel):
    """Customers who would move from one stage to another."""

    from_stage: str = Field(description="Key of the current stage", examples=["regular"])
    to_stage: str = Field(description="Key of the stage after all moves", examples=["vip"])
    customers: int = Field(ge=0, description="Number of customers", examples=[12])
    samples: list[PreviewSample] = Field(description="The first customers by id, at most five")


class MessageCounts(ResponseModel):
    """Number of messages on one channel, by whether they would be sent."""

    sent: int = Field(ge=0, description="Messages that would be sent", examples=[10])
    no_consent: int = Field(
        ge=0,
        description="Messages that would not be sent, because the customer has not consented",
        examples=[1],
    )
    no_address: int = Field(
        ge=0,
        description="Messages that would not be sent, because the email address or phone number is unknown",
        examples=[1],
    )
    capped: int = Field(
        ge=0, description="Messages that would not be sent, because of the frequency cap", examples=[0]
    )
    no_channel: int = Field(
        ge=0,
        description="Messages that would not be sent, because the channel has no receiver: no enabled webhook endpoint,"
        " or no mail server",
        examples=[0],
    )


class PreviewChannels(ResponseModel):
    """Messages that the actions of the entered stages would cause, by channel."""

    email: MessageCounts = Field(description="Emails")
    sms: MessageCounts = Field(description="Text messages")
    call: MessageCounts = Field(description="Calls")
    offer: MessageCounts = Field(description="Special offers")


class StageMapChanges(ResponseModel):
    """What a draft changes in the current stage map."""

    added: list[str] = Field(description="Keys of new stages", examples=[[]])
    archived: list[str] = Field(description="Keys of stages that the draft archives", examples=[[]])
    changed: list[StageFieldChange] = Field(description="Changed fields of the other stages")


class PreviewStage(ResponseModel):
    """Customers in a stage before and after the activation of the draft."""

    stage_key: str = Field(description="Key of the stage", examples=["vip"])
    stage_name: str = Field(description="Name of the stage in the draft", examples=["VIP Customer"])
    before: int = Field(
        ge=0,
        description="Customers in the stage before the activation, after all overdue moves",
        examples=[40],
    )
    after: int = Field(ge=0, description="Customers in the stage after the activation", examples=[52])


class PreviewResult(ResponseModel):
    """The effect of activating a draft at `as_of`."""

    based_on: int = Field(
        ge=1, description="Version of the stage map that the draft is compared with", examples=[3]
    )
    activation: Activation = Field(
        description="Customers that the version would apply to. `future_only`: each customer from the next event or"
        " due evaluation on; `current_silent`: all customers at once, without actions; `current_with_actions`: all"
        " customers at once, with actions",
        examples=["current_with_actions"],
    )
    as_of: Timestamp = Field(description="Time as of which the preview was computed")
    customers: int = Field(ge=0, description="Number of customers that were examined", examples=[340])
    moved: int = Field(ge=0, description="Number of customers that the draft would move", examples=[12])
    remapped: int = Field(
        ge=0, description="Number of customers whose stage the draft archives", examples=[0]
    )
    overdue: int = Field(
        ge=0,
        description="Number of customers that the current rules would move first, because an evaluation is overdue",
        examples=[0],
    )
    suppressed: int = Field(
        ge=0, description="Number of customers that do not move only because of a pin", examples=[2]
    )
    stages: list[PreviewStage] = Field(
        description="Stages in the order of the draft; archived stages only if they have customers"
    )
    moves: list[PreviewMove] = Field(description="Moves by pair of stages, largest number of customers first")
    messages: PreviewChannels = Field(
        description="Number of messages by channel; all are 0 unless `activation` is `current_with_actions`"
    )
    diff: StageMapChanges = Field(description="Changes that the draft makes in the stage map")
    warnings: list[LintFinding] = Field(description="Warnings of the linter about the draft", examples=[[]])

    @classmethod
    def of(cls, result: Mapping[str, Any], names: Mapping[int, CustomerNames]) -> "PreviewResult":
        """Builds the response from the result of a preview job, and the names of its customers."""
        result = with_names(result, names)
        moved = sum(cell["customers"] for cell in result["moves"])
        return cls.model_validate({**result, "moved": moved}, strict=False)


class StageMapPreview(ResponseModel):
    """A preview job and its result."""

    job_id: Id = Field(description="Id of the job, for `GET /stage-previews/{job_id}`")
    status: JobStatus = Field(
        description="Status of the job. `queued`: no worker has started it. `running`: a worker runs it. `done`: it has"
        " succeeded. `failed`: it has failed, see `error`",
        examples=["done"],
    )
    done: int = Field(ge=0, description="Number of customers that are examined", examples=[340])
    total: int | None = Field(
        ge=0, description="Number of customers to examine; null while it is unknown", examples=[340]
    )
    error: str | None = Field(
        description="Why the job failed; null unless `status` is `failed`", examples=[None]
    )
    result: PreviewResult | None = Field(
        description="The effect of the draft; null unless `status` is `done`"
    )

    @classmethod
    def of(cls, job: Job, names: Mapping[int, CustomerNames]) -> "StageMapPreview":
        """Builds the response from a job, and the names of the customers in its result."""
        return cls(
            job_id=job.id,
            status=job.status,  # type: ignore[arg-type]  # the table's own check
            done=job.done,
            total=job.total,
            error=job.error,
            result=PreviewResult.of(job.result, names)
            if job.status == "done" and job.result is not None
            else None,
        )
