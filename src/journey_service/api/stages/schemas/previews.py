"""Previews of a draft map over the wire."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from journey_service.api.schema_fields import ResponseModel
from journey_service.api.stages.schemas.stage_maps import DraftIn, FieldChangeOut, FindingOut
from journey_service.domain.journeys.relationship import Activation
from journey_service.domain.operations.records import Job


class PreviewIn(DraftIn):
    """A draft to be rehearsed on the present customers."""

    activation: Activation = Field(
        default=Activation.CURRENT_WITH_ACTIONS, description="for whom it would count from now on"
    )


class SampleOut(ResponseModel):
    """A customer who would move: in how many moves, and what the last one would be due to."""

    customer_id: int
    trigger_event: str | None
    moves: int


class CellOut(ResponseModel):
    """Customers who would move from one stage to another."""

    from_stage: str
    to_stage: str
    customers: int
    samples: list[SampleOut] = Field(description="the first of them, at most five")


class MessagesOut(ResponseModel):
    """Messages on one channel that the stages entered ask for, by what would become of them."""

    sent: int
    no_consent: int
    no_address: int
    capped: int


class ChangesOut(ResponseModel):
    """What the draft changes."""

    added: list[str]
    archived: list[str]
    changed: list[FieldChangeOut]


class StageChangeOut(ResponseModel):
    """How many customers are in a stage before (once everything overdue is done), and after."""

    stage_key: str
    stage_name: str
    before: int
    after: int


class RehearsalOut(ResponseModel):
    """What putting the draft in force at `as_of` would do."""

    based_on: int
    activation: Activation
    as_of: datetime
    customers: int
    moved: int
    remapped: int = Field(description="of whom the stage is archived")
    overdue: int = Field(description="whom the present rules are about to move anyway, before")
    suppressed: int = Field(description="whom only a pin keeps from moving")
    stages: list[StageChangeOut] = Field(
        description="in the draft's order; archived ones only with customers"
    )
    moves: list[CellOut] = Field(description="the matrix, most customers first")
    messages: dict[str, MessagesOut] = Field(
        description="by channel: email, sms, call, offer; only current_with_actions sends any"
    )
    diff: ChangesOut
    warnings: list[FindingOut]

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> "RehearsalOut":
        """Show what a rehearsal has found."""
        moved = sum(cell["customers"] for cell in result["moves"])
        return cls.model_validate({**result, "moved": moved}, strict=False)


class PreviewOut(ResponseModel):
    """A preview and how far it is; `result` once it is done."""

    job_id: int
    status: Literal["queued", "running", "done", "failed"]
    done: int = Field(description="customers rehearsed so far")
    total: int | None
    error: str | None
    result: RehearsalOut | None

    @classmethod
    def of(cls, job: Job) -> "PreviewOut":
        """Show a preview."""
        return cls(
            job_id=job.id,
            status=job.status,  # type: ignore[arg-type]  # the table's own check
            done=job.done,
            total=job.total,
            error=job.error,
            result=RehearsalOut.of(job.result) if job.status == "done" and job.result is not None else None,
        )
