"""Response schemas of previews of a draft of the stage map."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from journey_service.api.operations.schemas.jobs import JobStatus
from journey_service.api.schema_fields import AnyCustomerId, Id, ResponseModel, Timestamp
from journey_service.api.stages.schemas.stage_maps import LintFinding, StageFieldChange
from journey_service.domain.journeys.relationship import Activation
from journey_service.domain.operations.records import Job


class PreviewSample(ResponseModel):
    """A customer that the draft would move."""

    customer_id: AnyCustomerId = Field(description="Id of the customer")
    trigger_event: str | None = Field(
        description="What would cause the last move; null: the customer's stage is archived",
        examples=["lifetime_value"],
    )
    moves: int = Field(description="How many moves the customer would make at once", examples=[1])


class PreviewMove(ResponseModel):
    """Customers who would move from one stage to another."""

    from_stage: str = Field(description="Key of the current stage", examples=["regular"])
    to_stage: str = Field(description="Key of the stage after all moves", examples=["vip"])
    customers: int = Field(description="Number of customers", examples=[12])
    samples: list[PreviewSample] = Field(description="The first customers by id, at most five")


class MessageCounts(ResponseModel):
    """Messages on one channel, by whether they could be sent."""

    sent: int = Field(description="Messages that would be sent", examples=[10])
    no_consent: int = Field(description="Messages refused for lack of consent", examples=[1])
    no_address: int = Field(description="Messages to customers without an address or number", examples=[1])
    capped: int = Field(description="Messages over the frequency cap", examples=[0])


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
    """Customers in a stage before and after the draft is put in force."""

    stage_key: str = Field(description="Key of the stage", examples=["vip"])
    stage_name: str = Field(description="Name of the stage in the draft", examples=["VIP Customer"])
    before: int = Field(description="Customers before, once all overdue moves are made", examples=[40])
    after: int = Field(description="Customers after", examples=[52])


class PreviewResult(ResponseModel):
    """The effect of putting a draft in force at `as_of`."""

    based_on: int = Field(
        description="Version of the stage map that the draft is compared with", examples=[3]
    )
    activation: Activation = Field(
        description="Customers that the version would apply to", examples=["current_with_actions"]
    )
    as_of: Timestamp = Field(description="The company's time at which the preview was computed")
    customers: int = Field(description="Customers examined", examples=[340])
    moved: int = Field(description="Customers that the draft would move", examples=[12])
    remapped: int = Field(description="Customers whose stage the draft archives", examples=[0])
    overdue: int = Field(
        description="Customers that the current rules would move first, because an evaluation is overdue",
        examples=[0],
    )
    suppressed: int = Field(description="Customers that only a pin keeps from moving", examples=[2])
    stages: list[PreviewStage] = Field(
        description="Stages in the order of the draft; archived stages only if they have customers"
    )
    moves: list[PreviewMove] = Field(description="Moves by pair of stages, most customers first")
    messages: PreviewChannels = Field(
        description="Messages by channel; all zero unless `activation` is `current_with_actions`"
    )
    diff: StageMapChanges = Field(description="Changes of the stage map itself")
    warnings: list[LintFinding] = Field(description="Warnings of the linter about the draft")

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> "PreviewResult":
        """Builds the response from the result of a preview job."""
        moved = sum(cell["customers"] for cell in result["moves"])
        return cls.model_validate({**result, "moved": moved}, strict=False)


class StageMapPreview(ResponseModel):
    """A preview job and its result."""

    job_id: Id = Field(description="Id of the job, for `GET /stage-previews/{job_id}`")
    status: JobStatus = Field(description="State of the job", examples=["done"])
    done: int = Field(description="Customers examined so far", examples=[340])
    total: int | None = Field(description="Customers to examine; null: not known yet", examples=[340])
    error: str | None = Field(description="Why the job failed; null: it has not failed", examples=[None])
    result: PreviewResult | None = Field(description="The effect of the draft; null until the job is done")

    @classmethod
    def of(cls, job: Job) -> "StageMapPreview":
        """Builds the response from a job."""
        return cls(
            job_id=job.id,
            status=job.status,  # type: ignore[arg-type]  # the table's own check
            done=job.done,
            total=job.total,
            error=job.error,
            result=PreviewResult.of(job.result) if job.status == "done" and job.result is not None else None,
        )
