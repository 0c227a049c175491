"""Schemas of health, readiness, and the schedule."""

from datetime import date
from typing import Literal

from pydantic import Field

from journey_service.api.operations.schemas.jobs import JobStatus
from journey_service.api.schema_fields import Id, ResponseModel, Timestamp
from journey_service.services.operations import health, schedule

CheckStatus = Literal["ok", "warning", "failed"]


class Liveness(ResponseModel):
    """The process answers requests."""

    status: Literal["ok"] = Field(description="Always `ok`: the process answers")


class Readiness(ResponseModel):
    """Whether the process can serve requests."""

    status: Literal["ok", "degraded", "unavailable"] = Field(
        description="`degraded`: without Redis, background work starts some seconds later. `unavailable`: without a"
        " database, or with another version's schema"
    )
    database: Literal["ok", "unreachable"] = Field(description="Whether the database answers")
    schema_status: Literal["ok", "mismatch"] = Field(
        alias="schema",
        description="Whether the schema of the database is the one of this version of the service",
    )
    redis: Literal["ok", "unreachable"] = Field(description="Whether Redis answers; it is optional")


class PollingTask(ResponseModel):
    """A task that every worker repeats."""

    name: str = Field(description="Name of the task", examples=["due_customers"])
    description: str = Field(description="What the task does", examples=["evaluates customers that are due"])
    every_seconds: float = Field(gt=0, description="Seconds between two runs", examples=[5])
    can_be_woken: bool = Field(
        description="Whether it also runs as soon as there is work, where Redis is configured"
    )


class NightlyRun(ResponseModel):
    """The nightly run of one local date."""

    local_date: date = Field(description="Local date that the run closes", examples=["2026-02-28"])
    due_at: Timestamp = Field(description="When the run was due", examples=["2026-03-01T02:00:00Z"])
    job_id: Id = Field(description="Id of the job of the run")
    status: JobStatus = Field(description="Status of the job", examples=["done"])
    finished_at: Timestamp | None = Field(
        description="When the run ended; null before", examples=["2026-03-01T02:00:09Z"]
    )


class Schedule(ResponseModel):
    """The scheduled work of a company."""

    timezone: str = Field(description="IANA time zone of the company", examples=["Europe/Berlin"])
    now: Timestamp = Field(description="Current time of the company")
    test_clock: Timestamp | None = Field(
        description="Time of the test clock; null: the company runs in real time", examples=[None]
    )
    next_nightly_run_at: Timestamp = Field(
        description="When the next nightly run is due", examples=["2026-03-29T01:00:00Z"]
    )
    next_nightly_run_local: str = Field(
        description="The same time in the company's time zone, with its offset",
        examples=["2026-03-29T03:00:00+02:00"],
    )
    scored_at: Timestamp | None = Field(
        description="Time as of which all stored scores were last verified; null: never"
    )
    nightly_runs: list[NightlyRun] = Field(description="The latest nightly runs, newest first")
    polling_tasks: list[PollingTask] = Field(description="The tasks that workers repeat, for all companies")

    @classmethod
    def of(cls, found: schedule.Schedule) -> "Schedule":
        """Returns the schema of a schedule."""
        return cls(
            timezone=found.company.timezone,
            now=found.now,
            test_clock=found.company.clock_at,
            next_nightly_run_at=found.next_nightly_run_at,
            next_nightly_run_local=found.next_nightly_run_local.isoformat(),
            scored_at=found.company.scored_at,
            nightly_runs=[
                NightlyRun(
                    local_date=run.local_date,
                    due_at=run.due_at,
                    job_id=run.job_id,
                    status=run.status,  # type: ignore[arg-type]  # a constraint of the table
                    finished_at=run.finished_at,
                )
                for run in found.nightly_runs
            ],
            polling_tasks=[
                PollingTask(
                    name=task.name,
                    description=task.description,
                    every_seconds=task.every_seconds,
                    can_be_woken=task.can_be_woken,
                )
                for task in found.polling_tasks
            ],
        )


class HealthCheck(ResponseModel):
    """One check of the service."""

    name: str = Field(description="Name of the check", examples=["due_customers"])
    status: CheckStatus = Field(description="Result of the check", examples=["ok"])
    value: float | str | None = Field(
        description="What was measured: seconds, a number, or a name; null: nothing to measure", examples=[0]
    )
    message: str = Field(
        description="The result in a sentence", examples=["no backlog (oldest due customer: 0 s)"]
    )


class Health(ResponseModel):
    """Whether the service works, with its workers. The worst check determines the status."""

    status: CheckStatus = Field(description="The worst status of all checks", examples=["ok"])
    checks: list[HealthCheck] = Field(description="All checks")

    @classmethod
    def of(cls, found: health.ServiceHealth) -> "Health":
        """Returns the schema of the service's health."""
        return cls(
            status=found.status.value,
            checks=[
                HealthCheck(
                    name=check.name, status=check.status.value, value=check.value, message=check.message
                )
                for check in found.checks
            ],
        )
