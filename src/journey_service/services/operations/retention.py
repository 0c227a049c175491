"""What is kept for a while only: cleared every night, by the periods of the company's policy."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from journey_service.repositories.unit_of_work import Work
from journey_service.services.jobs import Page, Run

CHUNK: Final = 2_000
"""How many rows one transaction clears."""


async def clear_old(run: Run) -> None:
    """Part of a job: clear details of events, faults of histories and of jobs, and audit rows whose time is over."""
    for name, clear in _STEPS.items():

        async def page(work: Work, name: str = name, clear: Callable[[Work], Awaitable[int]] = clear) -> Page:
            cleared = await clear(work)
            ended = run.cursor.get("ended", [])
            cursor = {**run.cursor, "ended": ended if cleared else [*ended, name]}
            return Page(cursor, {name: cleared} if cleared else {})

        while name not in run.cursor.get("ended", []):
            await run.page(page)


async def _event_details(work: Work) -> int:
    desk = await work.companies.desk()
    # Events are as old as they are in the company's own time.
    before = desk.now - timedelta(days=desk.rulebook.policy.keep_event_details_days)
    return await work.retention.clear_event_details(before, most=CHUNK)


async def _import_faults(work: Work) -> int:
    days = (await work.companies.desk()).rulebook.policy.keep_import_faults_days
    return await work.retention.drop_import_faults(days=days, most=CHUNK)


async def _job_details(work: Work) -> int:
    days = (await work.companies.desk()).rulebook.policy.keep_job_details_days
    return await work.retention.clear_job_details(days=days, most=CHUNK)


async def _audit(work: Work) -> int:
    days = (await work.companies.desk()).rulebook.policy.keep_audit_days
    return await work.audit.prune(days=days, most=CHUNK)


async def _news(work: Work) -> int:
    days = (await work.companies.desk()).rulebook.policy.keep_news_days
    return await work.news.drop_old(days=days, most=CHUNK)


_STEPS: Final[dict[str, Callable[[Work], Awaitable[int]]]] = {
    "event_details": _event_details,
    "import_faults": _import_faults,
    "job_details": _job_details,
    "news": _news,
    "audit": _audit,
}
