"""Today: what is to be done in a company now, as counts of lists."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final

from journey_service.domain.actions.records import OpenTaskCounts
from journey_service.domain.analytics.date_ranges import DateRange
from journey_service.domain.analytics.snapshots import day_before
from journey_service.domain.calendar import instant_of, local_day
from journey_service.domain.journeys.relationship import Motion
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.query_context import TIMEOUT_MS
from journey_service.services.analytics.risk_list import count_at_risk
from journey_service.services.operations.checks import find_reconciliation
from journey_service.services.operations.reconciliation import ReconciliationStatus

_ONE_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ReconciliationSummary:
    """Summary of the stored reconciliation, which was computed at `at`, in real time."""

    status: ReconciliationStatus
    at: datetime
    is_outdated: bool


@dataclass(frozen=True, slots=True)
class TodayCounts:
    """Counts as of now. `day_end` is the end of the local day; `since` is the local day before it.

    `lapsed` and `returned` are customers who moved since then.
    """

    as_of: datetime
    day: date
    day_end: datetime
    since: date
    tasks: OpenTaskCounts
    at_risk: int
    lapsed: int
    returned: int
    running_campaigns: int
    dead_actions: int
    failed_jobs: int
    agreement: ReconciliationSummary | None


async def get_today(database: Database, company_id: int, *, assignee: str) -> TodayCounts:
    """Returns the counts of today, with the tasks of an assignee as their own. Raises CompanyNotFoundError."""

    async def unit(uow: UnitOfWork) -> TodayCounts:
        context = await uow.companies.get_context()
        zone = context.company.zone
        day = local_day(context.now, zone)
        day_end, since = instant_of(day + _ONE_DAY, time(0), zone), day_before(day, zone)
        moved = await uow.drilldown.count_moved((Motion.LAPSE, Motion.RETURN), DateRange(since, day), zone)
        return TodayCounts(
            context.now,
            day,
            day_end,
            since,
            await uow.tasks.count_open(context.now, day_end, assignee),
            at_risk=await count_at_risk(uow, context),
            lapsed=moved[Motion.LAPSE],
            returned=moved[Motion.RETURN],
            running_campaigns=await uow.campaigns.count_running(),
            dead_actions=await uow.delivery_log.count_dead(),
            failed_jobs=await uow.jobs.count_failed(),
            agreement=await _find_agreement(uow),
        )

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS, is_repeatable_read=True)


async def _find_agreement(uow: UnitOfWork) -> ReconciliationSummary | None:
    stored = await find_reconciliation(uow)
    if stored is None or stored.checked_at is None:
        return None
    return ReconciliationSummary(stored.found.status, stored.checked_at, stored.is_outdated)
