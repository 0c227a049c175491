"""Runs jobs for commands, in this process or by a worker, with a progress bar and a final report."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from rich.progress import Progress

from journey_service.cli.customer_options import customers_named
from journey_service.cli.terminal import (
    CommandContext,
    bar,
    print_error,
    print_json,
    print_line,
    select_companies,
)
from journey_service.domain.errors import JourneyServiceError
from journey_service.domain.operations.records import Job
from journey_service.repositories.database import Database
from journey_service.services.job_registry import JOB_HANDLERS
from journey_service.services.jobs import ProgressCallback, get_job, run_job

_ENDED = ("done", "failed")
_POLL_SECONDS = 0.5
_LOGGER = logging.getLogger(__name__)


async def run_or_wait(database: Database, company_id: int, job_id: int, shown: Progress) -> Job:
    """Runs a queued job in this process, or waits for the worker that runs it. Returns the ended job."""
    on_progress = _shown_as(shown, company_id)
    while True:
        try:
            await run_job(database, company_id, job_id, JOB_HANDLERS, on_progress=on_progress)
        except JourneyServiceError:
            raise
        except Exception:
            if (await get_job(database, company_id, job_id)).status != "failed":
                raise
            # The error is stored with the job, and reported with its result.
            _LOGGER.exception("job %d of company %d failed", job_id, company_id)
        job = await get_job(database, company_id, job_id)
        on_progress(job)
        if job.status in _ENDED:
            return job
        await asyncio.sleep(_POLL_SECONDS)


async def run_in_companies(
    context: CommandContext,
    company: int | None,
    customer_ids: Sequence[int],
    queue: Callable[[int], Awaitable[int]],
    *,
    is_shown: bool,
) -> list[tuple[int, Job]]:
    """Queues a job in one company or in all companies, and runs each. Returns the ended jobs."""
    ended = []
    with bar(is_shown=is_shown) as shown, customers_named(customer_ids):
        for one in await select_companies(context.database, company):
            job_id = await queue(one.id)
            ended.append((one.id, await run_or_wait(context.database, one.id, job_id, shown)))
    return ended


async def watch(database: Database, company_id: int, job_id: int, shown: Progress) -> Job:
    """Waits until a worker has ended a job. Returns the ended job."""
    on_progress = _shown_as(shown, company_id)
    while True:
        job = await get_job(database, company_id, job_id)
        on_progress(job)
        if job.status in _ENDED:
            return job
        await asyncio.sleep(_POLL_SECONDS)


def report(ended: Sequence[tuple[int, Job]], names: Sequence[str], *, as_json: bool) -> bool:
    """Prints the counts of jobs, one per company. Returns whether all of them succeeded."""
    results = [_result(company_id, job, names) for company_id, job in ended]
    if as_json:
        print_json({"companies": results})
    for (company_id, job), result in zip(ended, results, strict=True):
        if not as_json:
            print_line(
                f"company {company_id}: job {job.id}  "
                + "  ".join(f"{name} {result[name]}" for name in names)
            )
        if job.status == "failed":
            print_error(f"Job {job.id} of company {company_id} failed: {job.error}")
    return all(job.status == "done" for _, job in ended)


def _result(company_id: int, job: Job, names: Sequence[str]) -> Mapping[str, object]:
    counts = {name: job.counts.get(name, 0) for name in names}
    return {"company_id": company_id, "job_id": job.id, "status": job.status, "error": job.error, **counts}


def _shown_as(shown: Progress, company_id: int) -> ProgressCallback:
    bar_id = shown.add_task(f"company {company_id}", total=None)

    def on_progress(job: Job) -> None:
        is_done = job.status == "done"
        total = max(job.done, job.total or 0) if is_done else job.total
        shown.update(
            bar_id, description=f"company {company_id}: {job.status}", completed=job.done, total=total
        )

    return on_progress
