"""Schedule: the polling tasks of the workers, and the nightly runs of a company."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from journey_service.domain.calendar import latest_nightly_run_date, local_day, nightly_run_at
from journey_service.domain.companies.records import Company
from journey_service.domain.operations.records import NightlyRun
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork

DUE_CUSTOMERS: Final = "due_customers"
NIGHTLY_RUNS: Final = "nightly_runs"
JOBS: Final = "jobs"
IMPORTS: Final = "imports"
OUTBOUND_EVENTS: Final = "outbound_events"
ACTIONS: Final = "actions"
ROLLUPS: Final = "rollups"
POLL_SECONDS: Final = 5.0
"""Seconds between two polls of a task."""
MERGE_POLL_SECONDS: Final = 30.0
MAX_NIGHTLY_RUNS: Final = 7
"""Nightly runs in a schedule."""


@dataclass(frozen=True, slots=True)
class ScheduledPolling:
    """A task that every worker polls for; `can_be_woken`: also as soon as a wake-up arrives."""

    name: str
    description: str
    every_seconds: float
    can_be_woken: bool


POLLING_TASKS: Final = (
    ScheduledPolling(DUE_CUSTOMERS, "evaluates customers that are due", POLL_SECONDS, can_be_woken=False),
    ScheduledPolling(NIGHTLY_RUNS, "starts nightly runs that are due", POLL_SECONDS, can_be_woken=False),
    ScheduledPolling(JOBS, "runs queued jobs", POLL_SECONDS, can_be_woken=True),
    ScheduledPolling(
        OUTBOUND_EVENTS, "publishes outbound events to endpoints and streams", POLL_SECONDS, can_be_woken=True
    ),
    ScheduledPolling(ACTIONS, "sends emails and messages, creates tasks", POLL_SECONDS, can_be_woken=True),
    ScheduledPolling(
        ROLLUPS, "merges the rollups that reports are read from", MERGE_POLL_SECONDS, can_be_woken=False
    ),
    ScheduledPolling(IMPORTS, "runs queued imports", POLL_SECONDS, can_be_woken=True),
)


@dataclass(frozen=True, slots=True)
class CompanySchedule:
    """Schedule of a company at its current time. `nightly_runs` are the latest, newest first."""

    company: Company
    now: datetime
    next_nightly_run_at: datetime
    nightly_runs: tuple[NightlyRun, ...]
    polling_tasks: tuple[ScheduledPolling, ...] = POLLING_TASKS

    @property
    def next_nightly_run_local(self) -> datetime:
        """The next nightly run in the company's time zone."""
        return self.next_nightly_run_at.astimezone(self.company.zone)

    @property
    def next_nightly_run_date(self) -> date:
        """The local date of the next nightly run."""
        return local_day(self.next_nightly_run_at, self.company.zone)

    @property
    def is_nightly_run_due(self) -> bool:
        """Whether the next nightly run is due and waits for a worker."""
        return self.next_nightly_run_at <= self.now


async def get_schedule(database: Database, company_id: int) -> CompanySchedule:
    """Returns the schedule of a company. Raises CompanyNotFoundError."""

    async def unit(uow: UnitOfWork) -> CompanySchedule:
        context = await uow.companies.get_context()
        nightly_runs = await uow.jobs.list_nightly_runs(limit=MAX_NIGHTLY_RUNS)
        next_nightly_run_at = context.company.next_nightly_run_at
        if next_nightly_run_at is None:  # created before nightly runs existed: the first one is due at once
            zone = context.company.zone
            next_nightly_run_at = nightly_run_at(latest_nightly_run_date(context.now, zone), zone)
        return CompanySchedule(context.company, context.now, next_nightly_run_at, tuple(nightly_runs))

    return await database.run(company_id, unit)
