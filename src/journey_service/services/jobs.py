"""Jobs: long work, queued as a row and run page by page under a lease; any worker can resume it.

Each page is one transaction that commits its work together with the cursor. A runner that has lost its lease detects
it inside the transaction, and the page is rolled back.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from journey_service.domain.errors import JobNotFoundError, RetriesExhaustedError, UnavailableError
from journey_service.domain.json_values import UncheckedJson
from journey_service.domain.operations.records import Job, JobFilter
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.tracing import background_span

T = TypeVar("T")

LEASE_SECONDS: Final = 15.0
"""Lifetime of a lease that is not renewed; after it, another worker resumes the job."""
MAX_INLINE_CUSTOMERS: Final = 5_000
"""Customers of a company up to which a job runs in the request; with more, a worker runs it."""
INLINE_TIMEOUT_SECONDS: Final = 10.0
"""Time that a request spends on a job; after it, a worker resumes the job."""
_EXCLUSIVE_ATTEMPTS: Final = 4
_EXCLUSIVE_PAUSE_SECONDS: Final = 0.5

_LOGGER = logging.getLogger(__name__)

ProgressCallback = Callable[[Job], None]


@dataclass(frozen=True, slots=True)
class PageResult:
    """Result of one page: the cursor of the next page, increments of the counts, and progress."""

    cursor: Mapping[str, Any]
    counts: Mapping[str, int] = field(default_factory=dict)
    done: int = 0
    total: int | None = None


class LeaseLostError(Exception):
    """The lease belongs to another worker, or the job has ended."""


@dataclass(slots=True)
class JobRun:
    """A job that runs in this process, under a lease."""

    database: Database
    company_id: int
    job: Job
    token: str
    lease_seconds: float
    cursor: dict[str, Any]
    counts: dict[str, int]
    on_progress: ProgressCallback | None = None

    async def page(
        self,
        unit: Callable[[UnitOfWork], Awaitable[PageResult]],
        *,
        is_exclusive: bool = False,
        timeout_ms: int | None = None,
    ) -> PageResult:
        """Runs one page in its own transaction, and commits it with the cursor.

        `is_exclusive` runs it while no other transaction of the company does. Raises LeaseLostError with the page
        rolled back.
        """

        async def guarded(uow: UnitOfWork) -> tuple[PageResult, dict[str, int]]:
            page = await unit(uow)
            return page, await self._save_progress(uow, page)

        page, self.counts = await self.database.run(
            self.company_id, guarded, is_exclusive=is_exclusive, timeout_ms=timeout_ms
        )
        self.cursor = dict(page.cursor)
        if self.on_progress is not None:
            self.on_progress(await get_job(self.database, self.company_id, self.job.id))
        return page

    async def _save_progress(self, uow: UnitOfWork, page: PageResult) -> dict[str, int]:
        """Saves the cursor, and the counts with those of the page, which it returns. Raises LeaseLostError."""
        counts = dict(self.counts)
        for name, increment in page.counts.items():
            counts[name] = counts.get(name, 0) + increment
        is_held = await uow.jobs.save_progress(
            self.job.id,
            self.token,
            self.lease_seconds,
            cursor=page.cursor,
            counts=counts,
            done=page.done,
            total=page.total,
        )
        if not is_held:
            raise LeaseLostError
        return counts

    async def keep_lease(self, work: Awaitable[T]) -> T:
        """Awaits work that takes longer than a lease, and renews the lease meanwhile.

        Raises LeaseLostError once another worker has the job.
        """
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                await asyncio.wait([task], timeout=self.lease_seconds / 3)
                if not task.done():
                    await self.page(self._unchanged)
            return await task
        finally:
            task.cancel()

    async def _unchanged(self, _: UnitOfWork) -> PageResult:
        return PageResult(self.cursor)

    async def set_result(self, result: Mapping[str, Any]) -> None:
        """Stores the result of the job. Raises LeaseLostError."""

        async def unit(uow: UnitOfWork) -> bool:
            return await uow.jobs.set_result(self.job.id, self.token, result)

        if not await self.database.run(self.company_id, unit):
            raise LeaseLostError


JobHandler = Callable[[JobRun], Awaitable[None]]


async def get_job(database: Database, company_id: int, job_id: int, *, kind: str | None = None) -> Job:
    """Returns one job, of `kind` if given. Raises JobNotFoundError."""

    async def unit(uow: UnitOfWork) -> Job:
        job = await uow.jobs.find(job_id)
        if job is None or kind not in (None, job.kind):
            raise JobNotFoundError(job_id)
        return job

    return await database.run(company_id, unit)


async def list_jobs(database: Database, company_id: int, filter_: JobFilter) -> Sequence[Job]:
    """Returns a page of jobs, newest first. Raises CompanyNotFoundError."""

    async def unit(uow: UnitOfWork) -> Sequence[Job]:
        await uow.companies.get_context()
        return await uow.jobs.page(filter_)

    return await database.run(company_id, unit)


async def run_job(
    database: Database,
    company_id: int,
    job_id: int,
    handlers: Mapping[str, JobHandler],
    *,
    lease_seconds: float = LEASE_SECONDS,
    on_progress: ProgressCallback | None = None,
) -> bool:
    """Runs a queued job, or resumes one whose lease has expired; False if another worker holds the lease.

    Raises UnavailableError with the job left queued. Any other error marks the job as failed and is raised.
    """
    token = new_token()

    async def claim(uow: UnitOfWork) -> Job | None:
        if not await uow.jobs.claim(job_id, token, lease_seconds):
            return None
        return await uow.jobs.find(job_id)

    job = await database.run(company_id, claim)
    if job is None:
        return False
    return await run_claimed(
        JobRun(
            database,
            company_id,
            job,
            token,
            lease_seconds,
            dict(job.cursor or {}),
            dict(job.counts),
            on_progress,
        ),
        handlers,
    )


async def run_claimed(run: JobRun, handlers: Mapping[str, JobHandler]) -> bool:
    """Runs a job whose lease this process holds; otherwise as `run_job`."""
    with background_span(f"job {run.job.kind}", company_id=run.company_id, job_id=run.job.id):
        return await _run_claimed(run, handlers)


async def _run_claimed(run: JobRun, handlers: Mapping[str, JobHandler]) -> bool:
    try:
        await handlers[run.job.kind](run)
        return await _finish(run)
    except LeaseLostError:
        return False
    except (asyncio.CancelledError, UnavailableError):
        # Another worker can then resume at once, without waiting for the lease to expire.
        await asyncio.shield(_release(run))
        raise
    except Exception as error:
        _log_failure(run, error)
        await _finish(run, error=f"{type(error).__name__}: {error}")
        raise


@dataclass(frozen=True, slots=True)
class InlineJob:
    """A job just enqueued. `token` is the lease if this process runs it, None if a worker will."""

    job: Job
    token: str | None


async def enqueue_job(
    uow: UnitOfWork,
    kind: str,
    parameters: Mapping[str, Any],
    *,
    actor: str,
    is_inline: bool,
    lease_seconds: float,
) -> InlineJob:
    """Enqueues a job for a worker, or with `is_inline` for this process, with its lease already claimed."""
    job_id = await uow.jobs.enqueue(kind, parameters, actor=actor)
    token = new_token() if is_inline else None
    if token is not None:
        await uow.jobs.claim(job_id, token, lease_seconds)
    job = await uow.jobs.find(job_id)
    assert job is not None  # it was just written
    return InlineJob(job, token)


async def run_inline(
    database: Database,
    company_id: int,
    inline_job: InlineJob,
    handler: JobHandler,
    *,
    lease_seconds: float,
    timeout_seconds: float | None = INLINE_TIMEOUT_SECONDS,
    on_progress: ProgressCallback | None = None,
) -> Job:
    """Runs an inline job; after `timeout_seconds` a worker resumes it. Returns the job's present state."""
    job = inline_job.job
    if inline_job.token is not None:
        run = JobRun(database, company_id, job, inline_job.token, lease_seconds, {}, {}, on_progress)
        try:
            async with asyncio.timeout(timeout_seconds):
                await run_claimed(run, {job.kind: handler})
        except TimeoutError:
            pass  # the lease is released, a worker resumes the job
    return await get_job(database, company_id, job.id)


def new_token() -> str:
    """Returns a random token that identifies the holder of a lease."""
    return secrets.token_hex(16)


def _log_failure(run: JobRun, error: Exception) -> None:
    """Logs a failed job by ids and type of error: its text may contain personal data."""
    night = run.job.parameters.get("night")
    job = run.job.kind if night is None else f"{run.job.kind}, nightly run of {night}"
    _LOGGER.warning(
        "job %d (%s) of company %d failed: %s", run.job.id, job, run.company_id, type(error).__name__
    )


async def _finish(run: JobRun, *, error: str | None = None) -> bool:
    async def unit(uow: UnitOfWork) -> bool:
        await _forget_erased(uow, run)
        return await uow.jobs.finish(run.job.id, run.token, error=error)

    return await run.database.run(run.company_id, unit)


async def _forget_erased(uow: UnitOfWork, run: JobRun) -> None:
    """Removes customers from the job's result who were erased after the job was created."""
    job = await uow.jobs.find(run.job.id)
    if job is None or not await uow.tombstones.has_any_since(job.created_at):
        return
    erased = await uow.tombstones.find_erased(_customers_in(job.result))
    await uow.jobs.replace_result(run.job.id, run.token, _without(job.result, erased))


def _customers_in(result: object) -> set[int]:
    """Returns every `customer_id` in a job's result."""
    if isinstance(result, Mapping):
        own = {result["customer_id"]} if isinstance(result.get("customer_id"), int) else set()
        return own.union(*(_customers_in(inner) for inner in result.values()))
    return set().union(*(_customers_in(inner) for inner in result)) if isinstance(result, list) else set()


def _without(result: UncheckedJson, erased: Collection[int]) -> UncheckedJson:
    """Returns a job's result without the entries of erased customers."""
    if isinstance(result, Mapping):
        return {name: _without(inner, erased) for name, inner in result.items()}
    if isinstance(result, list):
        return [
            _without(inner, erased)
            for inner in result
            if not (isinstance(inner, Mapping) and inner.get("customer_id") in erased)
        ]
    return result


async def _release(run: JobRun) -> None:
    async def unit(uow: UnitOfWork) -> None:
        await uow.jobs.release(run.job.id, run.token)

    try:
        await run.database.run(run.company_id, unit)
    except UnavailableError:
        return  # another worker resumes after the lease has expired


async def run_exclusive(database: Database, company_id: int, unit: Callable[[UnitOfWork], Awaitable[T]]) -> T:
    """Runs `unit` in an exclusive transaction: no other transaction of the company runs at the same time.

    Other transactions of the company wait while it waits for its lock. It therefore waits in several short attempts
    with pauses between them. Raises UnavailableError after the last attempt.
    """
    for _ in range(_EXCLUSIVE_ATTEMPTS - 1):
        try:
            return await database.run(company_id, unit, is_exclusive=True)
        except RetriesExhaustedError:
            raise
        except UnavailableError:
            await asyncio.sleep(_EXCLUSIVE_PAUSE_SECONDS)
    return await database.run(company_id, unit, is_exclusive=True)
