"""What is kept for a while only: cleared every night, by the periods of the company's policy."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.jobs import JobPage, JobRun

CHUNK: Final = 2_000
"""How many rows one transaction clears."""


async def clear_old(run: JobRun) -> None:
    """Part of a job: clear details of events, faults of histories and of jobs, and audit rows whose time is over."""
    for name, clear in _STEPS.items():

        async def page(
            uow: UnitOfWork, name: str = name, clear: Callable[[UnitOfWork], Awaitable[int]] = clear
        ) -> JobPage:
            cleared = await clear(uow)
            ended = run.cursor.get("ended", [])
            cursor = {**run.cursor, "ended": ended if cleared else [*ended, name]}
            return JobPage(cursor, {name: cleared} if cleared else {})

        while name not in run.cursor.get("ended", []):
            await run.page(page)


async def _event_details(uow: UnitOfWork) -> int:
    context = await uow.companies.get_context()
    # Events are as old as they are in the company's own time.
    before = context.now - timedelta(days=context.rulebook.policy.keep_event_details_days)
    return await uow.retention.clear_event_details(before, most=CHUNK)


async def _import_faults(uow: UnitOfWork) -> int:
    days = (await uow.companies.get_context()).rulebook.policy.keep_import_faults_days
    return await uow.retention.delete_import_errors(days=days, most=CHUNK)


async def _job_details(uow: UnitOfWork) -> int:
    days = (await uow.companies.get_context()).rulebook.policy.keep_job_details_days
    return await uow.retention.clear_job_details(days=days, most=CHUNK)


async def _audit(uow: UnitOfWork) -> int:
    days = (await uow.companies.get_context()).rulebook.policy.keep_audit_days
    return await uow.audit_log.prune(days=days, most=CHUNK)


async def _news(uow: UnitOfWork) -> int:
    days = (await uow.companies.get_context()).rulebook.policy.keep_news_days
    return await uow.outbound_events.delete_old(days=days, most=CHUNK)


_STEPS: Final[dict[str, Callable[[UnitOfWork], Awaitable[int]]]] = {
    "event_details": _event_details,
    "import_faults": _import_faults,
    "job_details": _job_details,
    "news": _news,
    "audit": _audit,
}
