"""Schedules and health over the wire."""

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from journey_service.api.schema_fields import ResponseModel
from journey_service.services.operations.health import Health
from journey_service.services.operations.schedule import Schedule


class RoundOut(ResponseModel):
    """What workers look for, again and again."""

    name: str = Field(examples=["due_customers"])
    what: str
    every_seconds: float
    can_be_woken: bool = Field(description="whether it also begins as soon as there is something to do")


class NightOut(ResponseModel):
    """The nightly run of a local day."""

    local_date: date
    due_at: datetime
    job_id: int
    status: Literal["queued", "running", "done", "failed"]
    finished_at: datetime | None


class ScheduleOut(ResponseModel):
    """What runs when for the company."""

    timezone: str
    now: datetime = Field(description="the company's own time")
    test_clock: datetime | None
    next_nightly_run_at: datetime
    next_night_local: str = Field(
        description="the same on the company's clocks", examples=["2026-03-29T03:00:00+02:00"]
    )
    scored_at: datetime | None = Field(description="as of when all stored scores were last known to hold")
    nights: list[NightOut] = Field(description="the latest nightly runs, newest first")
    rounds: list[RoundOut]

    @classmethod
    def of(cls, schedule: Schedule) -> "ScheduleOut":
        """Show a schedule."""
        return cls(
            timezone=schedule.company.timezone,
            now=schedule.now,
            test_clock=schedule.company.clock_at,
            next_nightly_run_at=schedule.next_nightly_run_at,
            next_night_local=schedule.next_night_local.isoformat(),
            scored_at=schedule.company.scored_at,
            nights=[
                NightOut(
                    local_date=night.local_date,
                    due_at=night.due_at,
                    job_id=night.job_id,
                    status=night.status,  # type: ignore[arg-type]  # the table's own check
                    finished_at=night.finished_at,
                )
                for night in schedule.nights
            ],
            rounds=[
                RoundOut(
                    name=each.name,
                    what=each.what,
                    every_seconds=each.every_seconds,
                    can_be_woken=each.can_be_woken,
                )
                for each in schedule.rounds
            ],
        )


class CheckOut(ResponseModel):
    """One thing looked at."""

    name: str = Field(examples=["due_customers"])
    status: Literal["ok", "warning", "failed"]
    value: float | str | None = Field(description="what was seen: seconds, a number, a name")
    sentence: str


class HealthOut(ResponseModel):
    """Whether the service does its work; the worst check is the whole."""

    status: Literal["ok", "warning", "failed"]
    checks: list[CheckOut]

    @classmethod
    def of(cls, health: Health) -> "HealthOut":
        """Show the service's health."""
        return cls(
            status=health.status.value,
            checks=[
                CheckOut(
                    name=check.name, status=check.status.value, value=check.value, sentence=check.sentence
                )
                for check in health.checks
            ],
        )
