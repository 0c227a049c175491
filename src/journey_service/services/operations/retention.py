"""Retention: every nightly run clears data older than the periods of the company's policy."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.access.idempotency import KEPT_HOURS
from journey_service.services.jobs import JobRun, PageResult

CLEAR_BATCH_SIZE: Final = 2_000
"""Rows cleared by one transaction."""
MAX_UPLOAD_HOURS: Final = 24
"""An import whose file is not read by then was interrupted together with its process."""


async def clear_expired(run: JobRun) -> None:
    """Part of a job: clears expired event details, import errors, job details, outbound events and audit entries.

    Also ends imports whose upload was interrupted, which deletes their lines.
    """
    for name, clear in _STEPS.items():

        async def page(
            uow: UnitOfWork, name: str = name, clear: Callable[[UnitOfWork], Awaitable[int]] = clear
        ) -> PageResult:
            cleared = await clear(uow)
            ended = run.cursor.get("ended", [])
            cursor = {**run.cursor, "ended": ended if cleared else [*ended, name]}
            return PageResult(cursor, {name: cleared} if cleared else {})

        while name not in run.cursor.get("ended", []):
            await run.page(page)


async def _event_details(uow: UnitOfWork) -> int:
    context = await uow.companies.get_context()
    # The age of an event is measured in the company's time.
    before = context.now - timedelta(days=context.rulebook.policy.keep_event_details_days)
    return await uow.retention.clear_event_details(before, limit=CLEAR_BATCH_SIZE)


async def _import_errors(uow: UnitOfWork) -> int:
    days = (await uow.companies.get_context()).rulebook.policy.keep_import_errors_days
    return await uow.retention.delete_import_errors(days=days, limit=CLEAR_BATCH_SIZE)


async def _interrupted_imports(uow: UnitOfWork) -> int:
    found = await uow.imports.list_interrupted(hours=MAX_UPLOAD_HOURS, limit=1)
    for import_id, is_dry_run in found:
        if is_dry_run:
            await uow.imports.delete(import_id)
        else:
            await uow.imports.finish(import_id, error="The upload ended too early.")
    return len(found)


async def _job_details(uow: UnitOfWork) -> int:
    days = (await uow.companies.get_context()).rulebook.policy.keep_job_details_days
    return await uow.retention.clear_job_details(days=days, limit=CLEAR_BATCH_SIZE)


async def _audit(uow: UnitOfWork) -> int:
    days = (await uow.companies.get_context()).rulebook.policy.keep_audit_days
    return await uow.audit_log.prune(days=days, limit=CLEAR_BATCH_SIZE)


async def _outbound_events(uow: UnitOfWork) -> int:
    days = (await uow.companies.get_context()).rulebook.policy.keep_outbound_events_days
    return await uow.outbound_events.delete_old(days=days, limit=CLEAR_BATCH_SIZE)


async def _idempotency_keys(uow: UnitOfWork) -> int:
    return await uow.idempotency_keys.delete_old(hours=KEPT_HOURS, limit=CLEAR_BATCH_SIZE)


_STEPS: Final[dict[str, Callable[[UnitOfWork], Awaitable[int]]]] = {
    "event_details": _event_details,
    "import_errors": _import_errors,
    "interrupted_imports": _interrupted_imports,
    "job_details": _job_details,
    "outbound_events": _outbound_events,
    "audit": _audit,
    "idempotency_keys": _idempotency_keys,
}
