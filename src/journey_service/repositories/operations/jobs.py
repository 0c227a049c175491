"""Jobs: their parameters, progress and leases; and nightly runs."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

import orjson
from sqlalchemy import func, insert, literal_column, or_, select, text, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.operations.records import Job, JobFilter, NightlyRun
from journey_service.repositories.tables import jobs, nightly_runs

_COLUMNS: Final = [
    jobs.c[name]
    for name in (
        *("id", "kind", "status", "parameters", "cursor", "counts", "done", "total", "error"),
        *("result", "actor", "created_at", "started_at", "finished_at"),
    )
]
# Lists omit parameters, cursors and results, which may be long.
_LISTED: Final = [
    {
        "parameters": literal_column("'{}'::jsonb", jobs.c.parameters.type).label("parameters"),
        "cursor": literal_column("NULL").label("cursor"),
        "result": literal_column("NULL").label("result"),
    }.get(column.name, column)
    for column in _COLUMNS
]
_CLAIM: Final = text(
    "UPDATE jobs SET status = 'running', lease_token = :token,"
    " lease_until = clock_timestamp() + make_interval(secs => :seconds),"
    " started_at = coalesce(started_at, clock_timestamp())"
    " WHERE company_id = :company_id AND id = :id AND (status = 'queued'"
    " OR (status = 'running' AND lease_until < clock_timestamp()))"
)
_SAVE_PROGRESS: Final = text(
    "UPDATE jobs SET lease_until = clock_timestamp() + make_interval(secs => :seconds), done = done + :done,"
    " total = coalesce(CAST(:total AS bigint), total), cursor = CAST(:cursor AS jsonb),"
    " counts = CAST(:counts AS jsonb)"
    " WHERE company_id = :company_id AND id = :id AND lease_token = :token AND status = 'running'"
)
_INSERT_NIGHTLY_RUNS: Final = text(
    "INSERT INTO nightly_runs (company_id, local_date, due_at, job_id)"
    " SELECT :company_id, local_date, due_at, :job_id"
    " FROM unnest(CAST(:dates AS date[]), CAST(:instants AS timestamptz[])) AS t(local_date, due_at)"
)

_IS_OLDER: Final = text(
    "SELECT CAST(:instant AS timestamptz) < clock_timestamp() - make_interval(hours => :hours) OR EXISTS (SELECT 1"
    " FROM jobs WHERE company_id = :company_id AND kind = ANY(CAST(:kinds AS text[])) AND finished_at > :instant)"
)
_FIND_UNFINISHED: Final = text(
    "SELECT id FROM jobs WHERE company_id = :company_id AND kind = :kind AND status IN ('queued', 'running')"
    " ORDER BY id LIMIT 1"
)
_RESTART: Final = text(
    "UPDATE jobs SET status = 'queued', lease_token = NULL, lease_until = clock_timestamp(),"
    " parameters = CAST(:parameters AS jsonb), cursor = NULL, counts = '{}', done = 0, total = NULL"
    " WHERE company_id = :company_id AND id = :id AND status IN ('queued', 'running')"
)
# One event that is not yet published is enough: readers get the progress at the time of publication or later.
_REPORT_PROGRESS: Final = text(
    "INSERT INTO outbound_events (company_id, type, job_id) SELECT :company_id, 'job.progress', :id"
    " WHERE :is_ended OR NOT EXISTS (SELECT 1 FROM outbound_events"
    "   WHERE company_id = :company_id AND position IS NULL AND job_id = :id)"
)


class Jobs:
    """The jobs and nightly runs of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def enqueue(
        self,
        kind: str,
        parameters: Mapping[str, Any],
        *,
        actor: str,
        request: tuple[str, bytes] | None = None,
    ) -> int:
        """Enqueues a job; returns its id. `request` is an idempotency key and the hash of its request.

        Violates a unique key, so that the transaction is run again, if the idempotency key exists.
        """
        request_key, request_hash = request or (None, None)
        inserted = await self._connection.execute(
            insert(jobs)
            .values(
                company_id=self._company_id,
                kind=kind,
                status="queued",
                parameters=dict(parameters),
                actor=actor,
                request_key=request_key,
                request_hash=request_hash,
            )
            .returning(jobs.c.id)
        )
        return int(inserted.scalar_one())

    async def find(self, job_id: int) -> Job | None:
        """Finds a job by id."""
        row = (await self._connection.execute(select(*_COLUMNS).where(*self._is(job_id)))).one_or_none()
        return None if row is None else Job(**row._mapping)

    async def find_by_request(self, kind: str, request_key: str) -> tuple[Job, bytes] | None:
        """Finds the job of a kind that was created with an idempotency key, and the hash of its request."""
        row = (
            await self._connection.execute(
                select(*_COLUMNS, jobs.c.request_hash).where(
                    jobs.c.company_id == self._company_id,
                    jobs.c.kind == kind,
                    jobs.c.request_key == request_key,
                )
            )
        ).one_or_none()
        if row is None:
            return None
        values = dict(row._mapping)
        return Job(**{name: value for name, value in values.items() if name != "request_hash"}), bytes(
            values["request_hash"]
        )

    async def page(self, filter_: JobFilter) -> list[Job]:
        """Returns the jobs that match, newest first, without parameters, cursors and results."""
        statement = select(*_LISTED).where(jobs.c.company_id == self._company_id)
        if filter_.before is not None:
            statement = statement.where(jobs.c.id < filter_.before)
        if filter_.statuses:
            statement = statement.where(jobs.c.status.in_(filter_.statuses))
        if filter_.kinds:
            statement = statement.where(jobs.c.kind.in_(filter_.kinds))
        rows = await self._connection.execute(statement.order_by(jobs.c.id.desc()).limit(filter_.limit))
        return [Job(**row._mapping) for row in rows]

    async def find_latest_result(self, kind: str) -> Job | None:
        """Finds the latest job of a kind that is done and whose result is stored."""
        row = (
            await self._connection.execute(
                select(*_COLUMNS)
                .where(
                    jobs.c.company_id == self._company_id,
                    jobs.c.kind == kind,
                    jobs.c.status == "done",
                    jobs.c.result.is_not(None),
                )
                .order_by(jobs.c.id.desc())
                .limit(1)
            )
        ).one_or_none()
        return None if row is None else Job(**row._mapping)

    async def is_older(self, instant: datetime, *, hours: int, kinds: Sequence[str]) -> bool:
        """Returns whether an instant is `hours` ago, or before the end of a job of these kinds (real time)."""
        is_older: bool = await self._connection.scalar(
            _IS_OLDER,
            {"company_id": self._company_id, "instant": instant, "hours": hours, "kinds": list(kinds)},
        )
        return is_older

    async def count_failed(self) -> int:
        """Counts the jobs that have failed."""
        statement = select(func.count()).where(
            jobs.c.company_id == self._company_id, jobs.c.status == "failed"
        )
        return int(await self._connection.scalar(statement) or 0)

    async def claim(self, job_id: int, token: str, seconds: float) -> bool:
        """Claims a job with a lease; returns False if another worker has it or it has ended."""
        claimed = await self._connection.execute(
            _CLAIM, {"company_id": self._company_id, "id": job_id, "token": token, "seconds": seconds}
        )
        return claimed.rowcount == 1

    async def save_progress(
        self,
        job_id: int,
        token: str,
        seconds: float,
        *,
        cursor: Mapping[str, Any],
        counts: Mapping[str, int],
        done: int,
        total: int | None,
    ) -> bool:
        """Saves progress and renews the lease, in the transaction of the work; False if it was lost."""
        updated = await self._connection.execute(
            _SAVE_PROGRESS,
            {
                "company_id": self._company_id,
                "id": job_id,
                "token": token,
                "seconds": seconds,
                "cursor": orjson.dumps(cursor).decode(),
                "counts": orjson.dumps(counts).decode(),
                "done": done,
                "total": total,
            },
        )
        if updated.rowcount == 1:
            await self._report(job_id, is_ended=False)
        return updated.rowcount == 1

    async def find_unfinished(self, kind: str) -> int | None:
        """Finds the id of the company's first unfinished job of a kind."""
        job_id: int | None = await self._connection.scalar(
            _FIND_UNFINISHED, {"company_id": self._company_id, "kind": kind}
        )
        return job_id

    async def restart(self, job_id: int, parameters: Mapping[str, object]) -> None:
        """Restarts an unfinished job with other parameters; a worker that has it loses its lease."""
        await self._connection.execute(
            _RESTART,
            {
                "company_id": self._company_id,
                "id": job_id,
                "parameters": orjson.dumps(parameters).decode(),
            },
        )

    async def set_result(self, job_id: int, token: str, result: Mapping[str, Any]) -> bool:
        """Saves the result of a claimed job; returns False if the lease was lost."""
        updated = await self._connection.execute(
            update(jobs)
            .where(*self._is(job_id), jobs.c.lease_token == token, jobs.c.status == "running")
            .values(result=dict(result))
        )
        return updated.rowcount == 1

    async def replace_result(self, job_id: int, token: str, result: Mapping[str, Any] | None) -> None:
        """Replaces the result of a claimed job and clears its cursor."""
        await self._connection.execute(
            update(jobs)
            .where(*self._is(job_id), jobs.c.lease_token == token, jobs.c.status == "running")
            .values(result=result, cursor=None)
        )

    async def release(self, job_id: int, token: str) -> None:
        """Releases a claimed job, so that another worker continues it; its waiting time starts now."""
        await self._connection.execute(
            update(jobs)
            .where(*self._is(job_id), jobs.c.lease_token == token, jobs.c.status == "running")
            .values(status="queued", lease_token=None, lease_until=func.clock_timestamp())
        )

    async def finish(self, job_id: int, token: str, *, error: str | None = None) -> bool:
        """Ends a job; returns False if the lease was lost."""
        updated = await self._connection.execute(
            update(jobs)
            .where(*self._is(job_id), jobs.c.lease_token == token, jobs.c.status == "running")
            .values(
                status="done" if error is None else "failed",
                error=error,
                finished_at=func.clock_timestamp(),
                lease_token=None,
                lease_until=None,
            )
        )
        if updated.rowcount == 1:
            await self._report(job_id, is_ended=True)
        return updated.rowcount == 1

    async def insert_nightly_runs(self, runs: Sequence[tuple[date, datetime]], job_id: int) -> None:
        """Inserts nightly runs (local day, due instant) as the work of a job.

        Violates a unique key, so that the transaction is run again, if the run of a day exists.
        """
        if runs:
            await self._connection.execute(
                _INSERT_NIGHTLY_RUNS,
                {
                    "company_id": self._company_id,
                    "job_id": job_id,
                    "dates": [day for day, _ in runs],
                    "instants": [due_at for _, due_at in runs],
                },
            )

    async def list_nightly_runs(self, *, limit: int) -> list[NightlyRun]:
        """Lists the latest nightly runs, newest first."""
        rows = await self._connection.execute(
            select(
                nightly_runs.c.local_date,
                nightly_runs.c.due_at,
                nightly_runs.c.job_id,
                jobs.c.status,
                jobs.c.finished_at,
            )
            .join(
                jobs, (jobs.c.company_id == nightly_runs.c.company_id) & (jobs.c.id == nightly_runs.c.job_id)
            )
            .where(nightly_runs.c.company_id == self._company_id)
            .order_by(nightly_runs.c.local_date.desc())
            .limit(limit)
        )
        return [NightlyRun(*row) for row in rows]

    async def has_nightly_run(self, day: date) -> bool:
        """Returns whether the nightly run of a local day exists."""
        local_date = await self._connection.scalar(
            select(nightly_runs.c.local_date).where(
                nightly_runs.c.company_id == self._company_id, nightly_runs.c.local_date == day
            )
        )
        return local_date is not None

    async def _report(self, job_id: int, *, is_ended: bool) -> None:
        """Inserts the outbound event of a job's progress."""
        values = {"company_id": self._company_id, "id": job_id, "is_ended": is_ended}
        await self._connection.execute(_REPORT_PROGRESS, values)

    def _is(self, job_id: int) -> tuple[Any, Any]:
        return jobs.c.company_id == self._company_id, jobs.c.id == job_id


class DueJobs:
    """Jobs of all companies that wait for a worker."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def list_due(self, *, limit: int) -> list[tuple[int, int]]:
        """Lists (company, job): the next job of each company, in the order they were queued.

        Jobs with expired leases are included. One job per company, so that a company with many jobs does
        not hide the others.
        """
        is_free = or_(
            jobs.c.status == "queued",
            (jobs.c.status == "running") & (jobs.c.lease_until < func.clock_timestamp()),
        )
        first = (
            select(jobs.c.company_id, jobs.c.id, jobs.c.created_at)
            .where(is_free)
            .ext(distinct_on(jobs.c.company_id))
            .order_by(jobs.c.company_id, jobs.c.created_at, jobs.c.id)
            .subquery()
        )
        rows = await self._connection.execute(
            select(first.c.company_id, first.c.id)
            .order_by(first.c.created_at, first.c.company_id)
            .limit(limit)
        )
        return [(row.company_id, row.id) for row in rows]
