"""What runs when: the rounds of the worker, and the nightly run of a company."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from journey_service.domain.calendar import latest_night, local_day, night_at
from journey_service.domain.companies.records import Company
from journey_service.domain.operations.records import Night
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import Work

SWEEP: Final = "sweep"
NIGHTS: Final = "nights"
JOBS: Final = "jobs"
IMPORTS: Final = "imports"
NEWS: Final = "news"
ACTIONS: Final = "actions"
SUMS: Final = "sums"
EVERY_SECONDS: Final = 5.0
NIGHTS_SHOWN: Final = 7


@dataclass(frozen=True, slots=True)
class Round:
    """What a worker looks for every so many seconds, and, where `is_rung`, as soon as somebody rings for it."""

    name: str
    what: str
    every_seconds: float
    is_rung: bool


ROUNDS: Final = (
    Round(SWEEP, "decides customers who fall due", EVERY_SECONDS, is_rung=False),
    Round(NIGHTS, "begins nightly runs that fall due", EVERY_SECONDS, is_rung=False),
    Round(JOBS, "does long work that waits", EVERY_SECONDS, is_rung=True),
    Round(NEWS, "puts news in order, for endpoints and streams", EVERY_SECONDS, is_rung=True),
    Round(ACTIONS, "sends mails and messages, writes tasks", EVERY_SECONDS, is_rung=True),
    Round(SUMS, "adds up what figures are answered from", 30.0, is_rung=False),
    Round(IMPORTS, "replays histories that wait", EVERY_SECONDS, is_rung=True),
)


@dataclass(frozen=True, slots=True)
class Schedule:
    """What runs when for a company, at its `now`; `nights` are the latest nightly runs, newest first."""

    company: Company
    now: datetime
    next_night_at: datetime
    nights: tuple[Night, ...]
    rounds: tuple[Round, ...] = ROUNDS

    @property
    def next_night_local(self) -> datetime:
        """The next nightly run on the company's own clocks."""
        return self.next_night_at.astimezone(ZoneInfo(self.company.timezone))

    @property
    def next_night(self) -> date:
        """The local day the next nightly run is written down under."""
        return local_day(self.next_night_at, ZoneInfo(self.company.timezone))

    @property
    def is_night_due(self) -> bool:
        """Whether the next nightly run has fallen due and waits for a worker."""
        return self.next_night_at <= self.now


async def get_schedule(database: Database, company_id: int) -> Schedule:
    """What runs when for a company. Raises CompanyNotFoundError."""

    async def unit(work: Work) -> Schedule:
        desk = await work.companies.desk()
        nights = await work.jobs.nights(limit=NIGHTS_SHOWN)
        next_night_at = desk.company.next_night_at
        if next_night_at is None:  # a company older than nightly runs: its first one is due at once
            zone = ZoneInfo(desk.company.timezone)
            next_night_at = night_at(latest_night(desk.now, zone), zone)
        return Schedule(desk.company, desk.now, next_night_at, tuple(nights))

    return await database.run(company_id, unit)
