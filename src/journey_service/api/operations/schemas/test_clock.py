"""Schemas of test clocks."""

from typing import Self

from pydantic import ConfigDict, Field, model_validator

from journey_service.api.operations.schemas.jobs import JobStatus
from journey_service.api.schema_fields import Id, Instant, RequestModel, ResponseModel, Timestamp
from journey_service.services.operations.test_clock import ClockAdvance


class TestClockUpdate(RequestModel):
    """The new time of a test clock, or its release: exactly one of the two."""

    __test__ = False  # pytest takes it for a test by its name

    model_config = ConfigDict(json_schema_extra={"examples": [{"advance_to": "2026-09-01T00:00:00Z"}]})

    advance_to: Instant | None = Field(
        default=None,
        description="New time of the clock, not before its current time; null or omitted if `release` is true",
        examples=["2026-09-01T00:00:00Z"],
    )
    release: bool = Field(
        default=False,
        description="Whether to run the company in real time from now on, which cannot be undone",
    )

    @model_validator(mode="after")
    def _has_one_of_both(self) -> Self:
        if (self.advance_to is None) is not self.release:
            raise ValueError('must be either {"advance_to": <time>} or {"release": true}')
        return self


class TestClock(ResponseModel):
    """A test clock after an advance. With 202, a job continues to process what became due."""

    __test__ = False

    company_id: Id = Field(description="Id of the company", examples=[42])
    test_clock: Timestamp | None = Field(
        description="Time of the test clock; null if the company runs in real time",
        examples=["2026-09-01T00:00:00Z"],
    )
    now: Timestamp = Field(description="Current time of the company", examples=["2026-09-01T00:00:00Z"])
    job_id: Id = Field(description="Id of the job that processes what became due")
    status: JobStatus = Field(
        description="Status of the job. `queued`: no worker has started it. `running`: a worker runs it. `done`: it has"
        " succeeded. `failed`: it has failed",
        examples=["done"],
    )
    nightly_runs: int = Field(ge=0, description="Number of nightly runs that became due", examples=[184])
    evaluated: int = Field(
        ge=0,
        description="Number of evaluations by the job; workers may have made others at the same time",
        examples=[52],
    )
    transitions: int = Field(
        ge=0, description="Number of transitions that the evaluations of the job caused", examples=[17]
    )
    rescored: int = Field(
        ge=0,
        description="Number of customers whose stored scores the last nightly run changed",
        examples=[31],
    )

    @classmethod
    def of(cls, advanced: ClockAdvance) -> "TestClock":
        """Returns the schema of an advanced clock."""
        job = advanced.job
        return cls(
            company_id=advanced.company.id,
            test_clock=advanced.company.clock_at,
            now=advanced.now,
            job_id=job.id,
            status=job.status,  # type: ignore[arg-type]  # a constraint of the table
            nightly_runs=job.parameters["nightly_runs"],
            evaluated=job.counts.get("evaluated", 0),
            transitions=job.counts.get("moved", 0),
            rescored=job.counts.get("changed", 0),
        )
