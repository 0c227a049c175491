"""Schemas of health, readiness, and the schedule."""

from datetime import date
from typing import Literal

from pydantic import Field

from journey_service.api.operations.schemas.jobs import JobStatus
from journey_service.api.schema_fields import Id, ResponseModel, Timestamp
from journey_service.domain.operations import records
from journey_service.services.operations import health, schedule

CheckStatus = Literal["ok", "warning", "failed"]


class Liveness(ResponseModel):
    """Liveness of the process."""

    status: Literal["ok"] = Field(description="Always `ok`")


class Readiness(ResponseModel):
    """Whether the process can serve requests."""

    status: Literal["ok", "degraded", "unavailable"] = Field(
        description="`ok`: ready. `degraded`: Redis is unreachable or not configured, so background work starts some"
        " seconds later. `unavailable`: see `database` and `schema`"
    )
    database: records.DatabaseCondition = Field(
        description="`ok`: the database answers and accepts writes. `unreachable`: it does not answer in time."
        " `no_connections`: all its connections are in use. `read_only`: it accepts no writes. `disk_full`: its disk is"
        " full"
    )
    schema_status: Literal["ok", "mismatch"] = Field(
        alias="schema",
        description="`ok`: this version of the service runs on the schema of the database; `mismatch`: it does not, or"
        " the schema cannot be read",
    )
    redis: Literal["ok", "unreachable"] = Field(
        description="`ok`: Redis answers; `unreachable`: it does not, or it is not configured"
    )


class PollingTask(ResponseModel):
    """A polling task, which every worker repeats."""

    name: str = Field(description="Name of the task", examples=["due_customers"])
    description: str = Field(description="What the task does", examples=["evaluates customers that are due"])
    every_seconds: float = Field(gt=0, description="Seconds between two runs", examples=[5])
    can_be_woken: bool = Field(
        description="Whether the task also runs as soon as there is work, if Redis is configured"
    )


class NightlyRun(ResponseModel):
    """The nightly run of one local date."""

    local_date: date = Field(
        description="Local date of the run, which closes the days before it", examples=["2026-03-01"]
    )
    due_at: Timestamp = Field(description="When the run was due", examples=["2026-03-01T01:00:00Z"])
    job_id: Id = Field(description="Id of the job of the run")
    status: JobStatus = Field(
        description="Status of the job. `queued`: no worker has started it. `running`: a worker runs it. `done`: it has"
        " succeeded. `failed`: it has failed",
        examples=["done"],
    )
    finished_at: Timestamp | None = Field(
        description="When the run ended, in real time; null if it has not ended",
        examples=["2026-03-01T01:00:09Z"],
    )


class Schedule(ResponseModel):
    """The scheduled work of a company."""

    timezone: str = Field(description="IANA time zone of the company", examples=["Europe/Berlin"])
    now: Timestamp = Field(description="Current time of the company")
    test_clock: Timestamp | None = Field(
        description="Time of the test clock; null if the company runs in real time", examples=[None]
    )
    next_nightly_run_at: Timestamp = Field(
        description="When the next nightly run is due", examples=["2026-03-02T01:00:00Z"]
    )
    next_nightly_run_local: str = Field(
        description="`next_nightly_run_at` in the company's time zone, with its offset",
        examples=["2026-03-02T02:00:00+01:00"],
    )
    scored_at: Timestamp | None = Field(
        description="Time as of which all stored scores were last computed; null if they never were",
        examples=["2026-03-01T01:00:00Z"],
    )
    nightly_runs: list[NightlyRun] = Field(description="The latest nightly runs, newest first")
    polling_tasks: list[PollingTask] = Field(
        description="The polling tasks of the workers, for all companies"
    )

    @classmethod
    def of(cls, found: schedule.CompanySchedule) -> "Schedule":
        """Returns the schema of a schedule."""
        return cls(
            timezone=found.company.timezone,
            now=found.now,
            test_clock=found.company.clock_at,
            next_nightly_run_at=found.next_nightly_run_at,
            next_nightly_run_local=found.next_nightly_run_local.isoformat(),
            scored_at=found.company.scored_at,
            nightly_runs=[_nightly_run(run) for run in found.nightly_runs],
            polling_tasks=[_polling_task(task) for task in found.polling_tasks],
        )


def _nightly_run(run: records.NightlyRun) -> NightlyRun:
    return NightlyRun(
        local_date=run.local_date,
        due_at=run.due_at,
        job_id=run.job_id,
        status=run.status,  # type: ignore[arg-type]  # a constraint of the table
        finished_at=run.finished_at,
    )


def _polling_task(task: schedule.ScheduledPolling) -> PollingTask:
    return PollingTask(
        name=task.name,
        description=task.description,
        every_seconds=task.every_seconds,
        can_be_woken=task.can_be_woken,
    )


class HealthCheck(ResponseModel):
    """One check of the service."""

    name: str = Field(description="Name of the check", examples=["due_customers"])
    status: CheckStatus = Field(
        description="Result of the check: `ok`, `warning` or `failed`", examples=["ok"]
    )
    value: float | str | None = Field(
        description="Measured value: seconds, a number, or a name; null if nothing is measured", examples=[0]
    )
    message: str = Field(
        description="The result in a sentence", examples=["no backlog (oldest due customer: 0 s)"]
    )


class Health(ResponseModel):
    """Whether the service works, with its workers, for a company or for all. The worst check determines the status."""

    status: CheckStatus = Field(
        description="The worst status of all checks: `ok`, `warning` or `failed`", examples=["ok"]
    )
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
