"""Long work and clocks over the wire."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from journey_service.api.schema_fields import Instant, RequestModel, ResponseModel
from journey_service.domain.events.event import MAX_ID
from journey_service.domain.events.records import Import
from journey_service.domain.operations.records import Job
from journey_service.services.journeys.rescoring import CHUNK, MAX_CHUNK_SIZE, MAX_NAMED_CUSTOMERS
from journey_service.services.operations.test_clock import Advanced


class EvaluateIn(RequestModel):
    """Whom to evaluate."""

    customer_ids: list[Annotated[int, Field(strict=True, ge=0, le=MAX_ID)]] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_NAMED_CUSTOMERS,
        description="one, some, or, left out, every customer",
        examples=[[4711, 4712]],
    )


class RescoreIn(EvaluateIn):
    """Whose scores to write anew."""

    chunk: int = Field(
        default=CHUNK,
        strict=True,
        ge=1,
        le=MAX_CHUNK_SIZE,
        description="how many customers a transaction looks at",
    )


class AcceptedOut(ResponseModel):
    """Work that goes on by itself."""

    job_id: int = Field(description="see `GET /admin/jobs/{job_id}`")


class JobOut(ResponseModel):
    """A piece of long work and how far it is."""

    id: int
    kind: str = Field(examples=["rescore", "evaluate_transitions", "advance_clock", "import"])
    status: Literal["queued", "running", "done", "failed"]
    done: int = Field(description="customers, or lines, done so far")
    total: int | None = Field(description="of how many; null while that is not known")
    error: str | None
    counts: dict[str, int] = Field(description="what it has done, by name", examples=[{"scored": 900}])
    actor: str = Field(description="who asked for it", examples=["schedule"])
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, job: Job) -> "JobOut":
        """Show a job."""
        return cls(
            id=job.id,
            kind=job.kind,
            status=job.status,  # type: ignore[arg-type]  # the table's own check
            done=job.done,
            total=job.total,
            error=job.error,
            counts=dict(job.counts),
            actor=job.actor,
            created_at=job.created_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
        )

    @classmethod
    def of_import(cls, found: Import) -> "JobOut":
        """Show an import as what it is to those who wait for it."""
        return cls(
            id=found.id,
            kind="import",
            status="running" if found.status == "reading" else found.status,  # type: ignore[arg-type]  # likewise
            done=found.done,
            total=None if found.status == "reading" else found.staged,
            error=found.error,
            counts={
                "applied": found.applied,
                "duplicates": found.duplicates,
                "failed": found.failed_lines,
                "transitions": found.transitions,
            },
            actor=found.actor,
            created_at=found.created_at,
            started_at=found.created_at,
            finished_at=found.finished_at,
        )


class JobsOut(ResponseModel):
    """A page of jobs."""

    items: list[JobOut]
    next_cursor: str | None


class ClockIn(RequestModel):
    """Where to move a test clock to: one of the two."""

    advance_to: Instant | None = Field(default=None, examples=["2026-09-01T00:00:00Z"])
    release: bool = Field(default=False, description="live in real time from now on; there is no way back")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.advance_to is None) is not self.release:
            raise ValueError('say either {"advance_to": <time>} or {"release": true}')
        return self


class ClockOut(ResponseModel):
    """A clock that was moved. With 202, what fell due on the way is still being done."""

    company_id: int
    test_clock: datetime | None = Field(description="null: the company lives in real time")
    now: datetime
    job_id: int = Field(description="the job that does what fell due on the way")
    status: Literal["queued", "running", "done", "failed"]
    nights: int = Field(description="nightly runs on the way")
    decided: int = Field(
        description="customers whom this job has decided; workers may have decided others beside it"
    )
    moved: int = Field(description="moves that came of these decisions")
    changed: int = Field(description="customers whose stored scores are others as of the last night")

    @classmethod
    def of(cls, advanced: Advanced) -> "ClockOut":
        """Show a clock."""
        job = advanced.job
        return cls(
            company_id=advanced.company.id,
            test_clock=advanced.company.clock_at,
            now=advanced.now,
            job_id=job.id,
            status=job.status,  # type: ignore[arg-type]  # the table's own check
            nights=job.parameters["nights"],
            decided=job.counts.get("decided", 0),
            moved=job.counts.get("moved", 0),
            changed=job.counts.get("changed", 0),
        )
