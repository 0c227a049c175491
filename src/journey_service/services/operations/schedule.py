"""What runs when: the rounds of the worker, and the nightly run of a company."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

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
EVERY_SECONDS: Final = 5.0
NIGHTS_SHOWN: Final = 7


@dataclass(frozen=True, slots=True)
class PollingTask:
    """What a worker looks for every so many seconds, and, where `is_rung`, as soon as somebody rings for it."""

    name: str
    what: str
    every_seconds: float
    can_be_woken: bool


POLLING_TASKS: Final = (
    PollingTask(DUE_CUSTOMERS, "decides customers who fall due", EVERY_SECONDS, can_be_woken=False),
    PollingTask(NIGHTLY_RUNS, "begins nightly runs that fall due", EVERY_SECONDS, can_be_woken=False),
    PollingTask(JOBS, "does long work that waits", EVERY_SECONDS, can_be_woken=True),
    PollingTask(
        OUTBOUND_EVENTS, "puts news in order, for endpoints and streams", EVERY_SECONDS, can_be_woken=True
    ),
    PollingTask(ACTIONS, "sends mails and messages, writes tasks", EVERY_SECONDS, can_be_woken=True),
    PollingTask(ROLLUPS, "adds up what figures are answered from", 30.0, can_be_woken=False),
    PollingTask(IMPORTS, "replays histories that wait", EVERY_SECONDS, can_be_woken=True),
)


@dataclass(frozen=True, slots=True)
class Schedule:
    """What runs when for a company, at its `now`; `nights` are the latest nightly runs, newest first."""

    company: Company
    now: datetime
    next_nightly_run_at: datetime
    nights: tuple[NightlyRun, ...]
    rounds: tuple[PollingTask, ...] = POLLING_TASKS

    @property
    def next_night_local(self) -> datetime:
        """The next nightly run on the company's own clocks."""
        return self.next_nightly_run_at.astimezone(ZoneInfo(self.company.timezone))

    @property
    def next_nightly_run_date(self) -> date:
        """The local day the next nightly run is written down under."""
        return local_day(self.next_nightly_run_at, ZoneInfo(self.company.timezone))

    @property
    def is_night_due(self) -> bool:
        """Whether the next nightly run has fallen due and waits for a worker."""
        return self.next_nightly_run_at <= self.now


async def get_schedule(database: Database, company_id: int) -> Schedule:
    """What runs when for a company. Raises CompanyNotFoundError."""

    async def unit(uow: UnitOfWork) -> Schedule:
        context = await uow.companies.get_context()
        nights = await uow.jobs.list_nightly_runs(limit=NIGHTS_SHOWN)
        next_nightly_run_at = context.company.next_nightly_run_at
        if next_nightly_run_at is None:  # a company older than nightly runs: its first one is due at once
            zone = ZoneInfo(context.company.timezone)
            next_nightly_run_at = nightly_run_at(latest_nightly_run_date(context.now, zone), zone)
        return Schedule(context.company, context.now, next_nightly_run_at, tuple(nights))

    return await database.run(company_id, unit)
