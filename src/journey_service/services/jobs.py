"""Long work: queued as a row, done page by page by whoever holds the lease, gone on with after any death.

Each page is one transaction that moves the cursor together with the work it did. A runner that has lost its
lease finds that out inside the transaction, and keeps nothing of the page.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from journey_service.domain.errors import (
    JobNotFoundError,
    RetriesExhaustedError,
    UnavailableError,
)
from journey_service.domain.operations.records import Job
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork

T = TypeVar("T")
MAX_INLINE_CUSTOMERS: Final = 5_000
"""Up to how many customers a change is carried through, or rehearsed, while the caller waits."""
INLINE_TIMEOUT_SECONDS: Final = 10.0
_TURNS: Final = 4
_GIVING_WAY_SECONDS: Final = 0.5

LEASE_SECONDS: Final = 15.0
_LOGGER = logging.getLogger(__name__)

ProgressCallback = Callable[[Job], None]


@dataclass(frozen=True, slots=True)
class JobPage:
    """What one page of a job did: where to go on, what it adds to the counts, how much of the total is done."""

    cursor: Mapping[str, Any]
    counts: Mapping[str, int] = field(default_factory=dict)
    done: int = 0
    total: int | None = None


class LeaseLostError(Exception):
    """Somebody else has taken the job, or it has ended."""


@dataclass(slots=True)
class JobRun:
    """A job being done by one who holds its lease."""

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
        unit: Callable[[UnitOfWork], Awaitable[JobPage]],
        *,
        is_exclusive: bool = False,
        timeout_ms: int | None = None,
    ) -> JobPage:
        """Do one page in a transaction of its own, beside no other of the company if it is to be alone.

        Raises LeaseLostError, with nothing of it kept.
        """

        async def guarded(uow: UnitOfWork) -> tuple[JobPage, dict[str, int]]:
            page = await unit(uow)
            counts = dict(self.counts)
            for name, more in page.counts.items():
                counts[name] = counts.get(name, 0) + more
            is_held = await uow.jobs.progress(
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
            return page, counts

        page, self.counts = await self.database.run(
            self.company_id, guarded, is_exclusive=is_exclusive, timeout_ms=timeout_ms
        )
        self.cursor = dict(page.cursor)
        if self.on_progress is not None:
            self.on_progress(await get_job(self.database, self.company_id, self.job.id))
        return page

    async def set_result(self, result: Mapping[str, Any]) -> None:
        """Write down what the job has found. Raises LeaseLostError."""

        async def unit(uow: UnitOfWork) -> bool:
            return await uow.jobs.set_result(self.job.id, self.token, result)

        if not await self.database.run(self.company_id, unit):
            raise LeaseLostError


JobHandler = Callable[[JobRun], Awaitable[None]]


async def get_job(database: Database, company_id: int, job_id: int, *, kind: str | None = None) -> Job:
    """One job, of a kind if that is asked. Raises JobNotFoundError."""

    async def unit(uow: UnitOfWork) -> Job:
        found = await uow.jobs.find(job_id)
        if found is None or kind not in (None, found.kind):
            raise JobNotFoundError(job_id)
        return found

    return await database.run(company_id, unit)


async def list_jobs(database: Database, company_id: int, *, before: int | None, limit: int) -> Sequence[Job]:
    """Jobs, newest first. Raises CompanyNotFoundError."""

    async def unit(uow: UnitOfWork) -> Sequence[Job]:
        await uow.companies.context()
        return await uow.jobs.latest(before=before, limit=limit)

    return await database.run(company_id, unit)


async def run_job(
    database: Database,
    company_id: int,
    job_id: int,
    kinds: Mapping[str, JobHandler],
    *,
    lease_seconds: float = LEASE_SECONDS,
    on_progress: ProgressCallback | None = None,
) -> bool:
    """Do a queued job, or go on with one whose runner fell silent; False if somebody else has it.

    Raises UnavailableError with the job left to be gone on with. An error nobody expected ends the job as
    failed, and is raised.
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
        kinds,
    )


async def run_claimed(run: JobRun, kinds: Mapping[str, JobHandler]) -> bool:
    """Do a job whose lease is held already; otherwise as `run_job`."""
    try:
        await kinds[run.job.kind](run)
        return await _finish(run)
    except LeaseLostError:
        return False
    except (asyncio.CancelledError, UnavailableError):
        # Somebody else may go on at once, without waiting for the lease to run out.
        await asyncio.shield(_release(run))
        raise
    except Exception as error:
        await _finish(run, error=f"{type(error).__name__}: {error}")
        raise


@dataclass(frozen=True, slots=True)
class InlineJob:
    """A job just queued; with a token, its lease is held from the first by whoever is about to do it here."""

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
    """Queue a job for a worker, or, `is_for_here`, for this process, before any worker can take it."""
    job_id = await uow.jobs.queue(kind, parameters, actor=actor)
    token = new_token() if is_inline else None
    if token is not None:
        await uow.jobs.claim(job_id, token, lease_seconds)
    job = await uow.jobs.find(job_id)
    assert job is not None  # noqa: S101  # it was just written
    return InlineJob(job, token)


async def run_inline(
    database: Database,
    company_id: int,
    inline_job: InlineJob,
    kind: JobHandler,
    *,
    lease_seconds: float,
    timeout_seconds: float | None,
    on_progress: ProgressCallback | None = None,
) -> Job:
    """Do an errand that is to be done here, until patience ends: then a worker goes on. Returns how far it is."""
    job = inline_job.job
    if inline_job.token is not None:
        run = JobRun(database, company_id, job, inline_job.token, lease_seconds, {}, {}, on_progress)
        try:
            async with asyncio.timeout(timeout_seconds):
                await run_claimed(run, {job.kind: kind})
        except TimeoutError:
            pass  # the lease is given back
    return await get_job(database, company_id, job.id)


def new_token() -> str:
    """What tells one holder of a lease from every other."""
    return secrets.token_hex(16)


async def _finish(run: JobRun, *, error: str | None = None) -> bool:
    async def unit(uow: UnitOfWork) -> bool:
        await _forget_erased(uow, run)
        return await uow.jobs.finish(run.job.id, run.token, error=error)

    return await run.database.run(run.company_id, unit)


async def _forget_erased(uow: UnitOfWork, run: JobRun) -> None:
    """Take customers out of what a job has found who were erased while it was under way: it knew them before."""
    job = await uow.jobs.find(run.job.id)
    if job is None or not await uow.tombstones.has_any_since(job.created_at):
        return
    erased = await uow.tombstones.among(_named_in(job.result))
    await uow.jobs.forget(run.job.id, run.token, _without(job.result, erased))


def _named_in(found: Any) -> set[int]:  # noqa: ANN401  # any JSON value
    """Every customer that stands in what a job has found."""
    if isinstance(found, Mapping):
        named = {found["customer_id"]} if isinstance(found.get("customer_id"), int) else set()
        return named.union(*(_named_in(inner) for inner in found.values()))
    return set().union(*(_named_in(inner) for inner in found)) if isinstance(found, list) else set()


def _without(found: Any, erased: Collection[int]) -> Any:  # noqa: ANN401  # any JSON value
    """What a job has found, without the entries of some customers."""
    if isinstance(found, Mapping):
        return {name: _without(inner, erased) for name, inner in found.items()}
    if isinstance(found, list):
        return [
            _without(inner, erased)
            for inner in found
            if not (isinstance(inner, Mapping) and inner.get("customer_id") in erased)
        ]
    return found


async def _release(run: JobRun) -> None:
    async def unit(uow: UnitOfWork) -> None:
        await uow.jobs.release(run.job.id, run.token)

    try:
        await run.database.run(run.company_id, unit)
    except UnavailableError:
        return  # then the lease has to run out


async def run_exclusive(
    database: Database, company_id: int, switch: Callable[[UnitOfWork], Awaitable[T]]
) -> T:
    """Run the switch between the company's other transactions, of which some may be long.

    While it waits, others wait for it: it gives way again and again. Raises UnavailableError in the end.
    """
    for _ in range(_TURNS - 1):
        try:
            return await database.run(company_id, switch, is_exclusive=True)
        except RetriesExhaustedError:
            raise
        except UnavailableError:
            await asyncio.sleep(_GIVING_WAY_SECONDS)
    return await database.run(company_id, switch, is_exclusive=True)
