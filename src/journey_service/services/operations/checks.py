"""Stored checks of a company's data: reconciliation and data quality, computed by jobs and kept as their results.

Both read all of a company's data, so reads show the stored result. Erasure and retention apply to it as to every result
of a job.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from journey_service.domain.access.actors import SCHEDULE, Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.rollups import REBUILD_ROLLUPS_JOB
from journey_service.services.analytics.snapshots import REBUILD_SNAPSHOTS_JOB
from journey_service.services.jobs import JobRun
from journey_service.services.journeys.policy_rollout import APPLY_SETTINGS_JOB
from journey_service.services.journeys.stage_map_rollout import ROLL_OUT_STAGE_MAP_JOB
from journey_service.services.operations.data_quality import REPAIR_DATA_JOB, DataIssue, inspect
from journey_service.services.operations.reconciliation import (
    MetricComparison,
    MetricDifference,
    ReconciliationReport,
    ReconciliationStatus,
    reconcile,
)
from journey_service.services.operations.test_clock import ADVANCE_CLOCK_JOB

T = TypeVar("T")

RECONCILE_JOB: Final = "reconcile_metrics"
INSPECT_DATA_JOB: Final = "inspect_data"
MAX_AGE_HOURS: Final = 26
"""Age of a stored result in hours; an older one is outdated: the nightly run has not replaced it."""
_OUTDATING_JOBS: Final = (
    REPAIR_DATA_JOB,
    REBUILD_ROLLUPS_JOB,
    REBUILD_SNAPSHOTS_JOB,
    APPLY_SETTINGS_JOB,
    ROLL_OUT_STAGE_MAP_JOB,
    ADVANCE_CLOCK_JOB,
)
"""Jobs that change what the checks compare; a result from before their end is outdated."""


@dataclass(frozen=True, slots=True)
class CheckReport(Generic[T]):
    """The result of a check. `checked_at` is in real time; None: nothing was stored, it was computed now."""

    checked_at: datetime | None
    is_outdated: bool
    found: T


async def get_reconciliation(database: Database, company_id: int) -> CheckReport[ReconciliationReport]:
    """Returns the stored reconciliation; computes it if none is stored. Raises CompanyNotFoundError."""
    return await _get(database, company_id, RECONCILE_JOB, _to_reconciliation, reconcile)


async def find_reconciliation(uow: UnitOfWork) -> CheckReport[ReconciliationReport] | None:
    """Finds the stored reconciliation; None if none is stored."""
    return await _find(uow, RECONCILE_JOB, _to_reconciliation)


async def get_data_quality(database: Database, company_id: int) -> CheckReport[Sequence[DataIssue]]:
    """Returns the stored inspection of the data; computes it if none is stored. Raises CompanyNotFoundError."""
    return await _get(database, company_id, INSPECT_DATA_JOB, _to_issues, inspect)


async def queue_reconciliation(database: Database, company_id: int, *, actor: Actor) -> int:
    """Enqueues a reconciliation, unless one is waiting; returns the job's id. Raises CompanyNotFoundError."""
    return await _queue(database, company_id, RECONCILE_JOB, "metrics.reconcile", actor)


async def queue_inspection(database: Database, company_id: int, *, actor: Actor) -> int:
    """Enqueues an inspection of the data, unless one is waiting; returns the job's id. Raises CompanyNotFoundError."""
    return await _queue(database, company_id, INSPECT_DATA_JOB, "data.inspect", actor)


async def enqueue_checks(database: Database, company_id: int) -> None:
    """Enqueues both checks for the schedule, unless they are waiting."""

    async def unit(uow: UnitOfWork) -> None:
        for kind in (RECONCILE_JOB, INSPECT_DATA_JOB):
            await _enqueue(uow, kind, SCHEDULE)

    await database.run(company_id, unit)


async def run_reconciliation(run: JobRun) -> None:
    """Job handler: reconciles the metrics and stores the result."""
    found = await run.keep_lease(reconcile(run.database, run.company_id))
    await run.set_result(asdict(found))


async def run_inspection(run: JobRun) -> None:
    """Job handler: inspects the data and stores the result."""
    found = await run.keep_lease(inspect(run.database, run.company_id))
    await run.set_result({"issues": [asdict(issue) for issue in found]})


async def _get(
    database: Database,
    company_id: int,
    kind: str,
    parse: Callable[[Mapping[str, Any]], T],
    compute: Callable[[Database, int], Awaitable[T]],
) -> CheckReport[T]:
    async def unit(uow: UnitOfWork) -> CheckReport[T] | None:
        await uow.companies.get_context()
        return await _find(uow, kind, parse)

    stored = await database.run(company_id, unit)
    return CheckReport(None, False, await compute(database, company_id)) if stored is None else stored


async def _find(uow: UnitOfWork, kind: str, parse: Callable[[Mapping[str, Any]], T]) -> CheckReport[T] | None:
    job = await uow.jobs.find_latest_result(kind)
    if job is None or job.started_at is None or job.result is None:
        return None
    is_outdated = await uow.jobs.is_older(job.started_at, hours=MAX_AGE_HOURS, kinds=_OUTDATING_JOBS)
    return CheckReport(job.started_at, is_outdated, parse(job.result))


async def _queue(database: Database, company_id: int, kind: str, action: str, actor: Actor) -> int:
    async def unit(uow: UnitOfWork) -> int:
        await uow.companies.get_context()
        job_id = await _enqueue(uow, kind, actor)
        await uow.audit_log.record(actor, AuditEntry(action, target=f"job:{job_id}"))
        return job_id

    return await database.run(company_id, unit)


async def _enqueue(uow: UnitOfWork, kind: str, actor: Actor) -> int:
    waiting = await uow.jobs.find_unfinished(kind)
    return await uow.jobs.enqueue(kind, {}, actor=actor.name) if waiting is None else waiting


def _to_reconciliation(result: Mapping[str, Any]) -> ReconciliationReport:
    return ReconciliationReport(
        [
            MetricComparison(**{**check, "status": ReconciliationStatus(check["status"])})
            for check in result["checks"]
        ],
        [MetricDifference(**difference) for difference in result["differences"]],
    )


def _to_issues(result: Mapping[str, Any]) -> Sequence[DataIssue]:
    return [DataIssue(**issue) for issue in result["issues"]]
