"""Imports of files of past events: their state, staged lines, and errors of lines."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import orjson
from sqlalchemy import delete, func, insert, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.events.event import Event
from journey_service.domain.events.parsing import IMPORT_SOURCE, ImportLine
from journey_service.domain.events.records import ImportLineError, ImportOptions, ImportRecord
from journey_service.repositories.tables import Row, import_errors, import_lines, imports

_COLUMNS: Final = [
    imports.c[name]
    for name in (
        *("id", "status", "until", "runs_actions", "lines", "staged", "done", "applied", "duplicates"),
        *("late", "later", "erased", "transitions", "failed_lines", "ignored_columns", "cursor", "error"),
        *("actor", "created_at", "finished_at"),
    )
]
_STAGE: Final = text(
    "INSERT INTO import_lines (company_id, import_id, customer_id, occurred_at, line, type, source, event_id,"
    " amount_cents, call_duration, booking_id, scheduled_for, reported_at, retracts_source, retracts_id, metadata)"
    " SELECT :company_id, :import_id, customer_id, occurred_at, line, type, source, event_id, amount_cents,"
    " call_duration, booking_id, scheduled_for, reported_at, retracts_source, retracts_id, CAST(metadata AS jsonb)"
    " FROM unnest(CAST(:customer_id AS bigint[]), CAST(:occurred_at AS timestamptz[]), CAST(:line AS bigint[]),"
    " CAST(:type AS text[]), CAST(:source AS text[]), CAST(:event_id AS text[]),"
    " CAST(:amount_cents AS bigint[]), CAST(:call_duration AS int[]), CAST(:booking_id AS text[]),"
    " CAST(:scheduled_for AS timestamptz[]), CAST(:reported_at AS timestamptz[]), CAST(:retracts_source AS text[]),"
    " CAST(:retracts_id AS text[]), CAST(:metadata AS text[]))"
    " AS t(customer_id, occurred_at, line, type, source, event_id, amount_cents, call_duration, booking_id,"
    " scheduled_for, reported_at, retracts_source, retracts_id, metadata) ON CONFLICT DO NOTHING"
)
# Lines are applied in the order of the primary key, so each page is one range of it.
_NEXT: Final = text(
    "SELECT customer_id, occurred_at, line, type, source, event_id, amount_cents, call_duration, booking_id,"
    " scheduled_for, reported_at, retracts_source, retracts_id, metadata FROM import_lines"
    " WHERE company_id = :company_id AND import_id = :import_id"
    " AND (customer_id, occurred_at, line) > (:customer_id, CAST(:occurred_at AS timestamptz), :line)"
    " ORDER BY customer_id, occurred_at, line LIMIT :limit"
)
_COUNT_SAME_INSTANT: Final = text(
    "SELECT type, count(*) AS number FROM import_lines WHERE company_id = :company_id AND import_id = :import_id"
    " AND customer_id = :customer_id AND occurred_at = CAST(:occurred_at AS timestamptz) AND line <= :line"
    " AND event_id IS NULL GROUP BY type"
)
_CLAIM: Final = text(
    "UPDATE imports SET status = 'running', lease_token = :token,"
    " lease_until = clock_timestamp() + make_interval(secs => :seconds)"
    " WHERE company_id = :company_id AND id = :id AND (status = 'queued'"
    " OR (status = 'running' AND lease_until < clock_timestamp()))"
)
_SAVE_PROGRESS: Final = text(
    "UPDATE imports SET lease_until = clock_timestamp() + make_interval(secs => :seconds), done = done + :done,"
    " applied = applied + :applied, duplicates = duplicates + :duplicates, late = late + :late,"
    " later = later + :later, erased = erased + :erased, transitions = transitions + :transitions,"
    " failed_lines = failed_lines + :failed, cursor = CAST(:cursor AS jsonb)"
    " WHERE company_id = :company_id AND id = :id AND lease_token = :token AND status = 'running'"
)
_MAX_ERRORS: Final = 10_000
"""Per import; later errors are only counted."""


class Imports:
    """The imports of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def insert(self, options: ImportOptions, *, actor: str) -> int:
        """Inserts an import whose file is being read; returns its id."""
        return int(
            (
                await self._connection.execute(
                    insert(imports)
                    .values(
                        company_id=self._company_id,
                        id=func.nextval("jobs_id_seq"),
                        status="reading",
                        until=options.until,
                        runs_actions=options.runs_actions,
                        file_format=options.file_format.written,
                        actor=actor,
                    )
                    .returning(imports.c.id)
                )
            ).scalar_one()
        )

    async def find(self, import_id: int) -> ImportRecord | None:
        """Finds an import by id."""
        row = (await self._connection.execute(select(*_COLUMNS).where(*self._is(import_id)))).one_or_none()
        return None if row is None else _to_import(row)

    async def find_unfinished(self, digest: bytes, options: ImportOptions) -> ImportRecord | None:
        """Finds the unfinished import of the same content with the same options."""
        row = (
            await self._connection.execute(
                select(*_COLUMNS)
                .where(
                    imports.c.company_id == self._company_id,
                    imports.c.content_hash == digest,
                    imports.c.until.is_not_distinct_from(options.until),
                    imports.c.runs_actions == options.runs_actions,
                    imports.c.file_format == options.file_format.written,
                    imports.c.status.in_(("queued", "running")),
                )
                .order_by(imports.c.id)
                .limit(1)
            )
        ).one_or_none()
        return None if row is None else _to_import(row)

    async def insert_lines(self, import_id: int, lines: Sequence[ImportLine]) -> None:
        """Stages parsed lines until they are applied."""
        if not lines:
            return
        events = [line.event for line in lines]
        await self._connection.execute(
            _STAGE,
            {
                "company_id": self._company_id,
                "import_id": import_id,
                "customer_id": [event.customer_id for event in events],
                "occurred_at": [event.occurred_at for event in events],
                "line": [line.number for line in lines],
                "type": [event.type for event in events],
                "source": [event.source for event in events],
                "event_id": [line.event.event_id if line.has_id else None for line in lines],
                "amount_cents": [event.amount_cents for event in events],
                "call_duration": [event.call_duration for event in events],
                "booking_id": [event.booking_id for event in events],
                "scheduled_for": [event.scheduled_for for event in events],
                "reported_at": [event.reported_at for event in events],
                "retracts_source": [event.retracts and event.retracts[0] for event in events],
                "retracts_id": [event.retracts and event.retracts[1] for event in events],
                "metadata": [
                    None if event.metadata is None else orjson.dumps(event.metadata).decode()
                    for event in events
                ],
            },
        )

    async def insert_errors(self, import_id: int, errors: Sequence[ImportLineError]) -> None:
        """Inserts errors of lines; the first 10,000 of an import are kept."""
        if not errors:
            return
        count = await self._connection.scalar(
            select(func.count()).where(
                import_errors.c.company_id == self._company_id, import_errors.c.import_id == import_id
            )
        )
        rows = {
            (error.line, error.pointer): {
                "company_id": self._company_id,
                "import_id": import_id,
                "line": error.line,
                "pointer": error.pointer,
                "message": error.message,
            }
            for error in errors[: max(0, _MAX_ERRORS - (count or 0))]
        }
        if rows:
            await self._connection.execute(
                upsert(import_errors).on_conflict_do_nothing(), list(rows.values())
            )

    async def add_read_counts(self, import_id: int, *, lines: int, staged: int, failed: int) -> None:
        """Adds to the numbers of lines read, staged and failed."""
        await self._connection.execute(
            update(imports)
            .where(*self._is(import_id))
            .values(
                lines=imports.c.lines + lines,
                staged=imports.c.staged + staged,
                failed_lines=imports.c.failed_lines + failed,
            )
        )

    async def enqueue(self, import_id: int, digest: bytes, ignored_columns: Sequence[str]) -> None:
        """Queues an import whose file is read completely."""
        await self._connection.execute(
            update(imports)
            .where(*self._is(import_id))
            .values(status="queued", content_hash=digest, ignored_columns=list(ignored_columns))
        )

    async def claim(self, import_id: int, token: str, seconds: int) -> bool:
        """Claims an import with a lease; returns False if another worker has it."""
        claimed = await self._connection.execute(
            _CLAIM, {"company_id": self._company_id, "id": import_id, "token": token, "seconds": seconds}
        )
        return claimed.rowcount == 1

    async def release(self, import_id: int, token: str) -> None:
        """Releases a claimed import, so that another worker continues it."""
        await self._connection.execute(
            update(imports)
            .where(*self._is(import_id), imports.c.lease_token == token, imports.c.status == "running")
            .values(status="queued", lease_token=None, lease_until=None)
        )

    async def save_progress(
        self,
        import_id: int,
        token: str,
        seconds: int,
        *,
        cursor: tuple[int, datetime, int] | None,
        counts: Mapping[str, int],
    ) -> bool:
        """Saves progress and renews the lease, in the transaction of the work; False if it was lost."""
        updated = await self._connection.execute(
            _SAVE_PROGRESS,
            {
                "company_id": self._company_id,
                "id": import_id,
                "token": token,
                "seconds": seconds,
                "cursor": None
                if cursor is None
                else orjson.dumps([cursor[0], cursor[1].isoformat(), cursor[2]]).decode(),
                **{
                    name: counts.get(name, 0)
                    for name in (
                        *("done", "applied", "duplicates", "late", "later", "erased"),
                        *("transitions", "failed"),
                    )
                },
            },
        )
        return updated.rowcount == 1

    async def finish(self, import_id: int, *, error: str | None = None) -> None:
        """Ends an import and deletes its staged lines."""
        await self._connection.execute(
            delete(import_lines).where(
                import_lines.c.company_id == self._company_id, import_lines.c.import_id == import_id
            )
        )
        await self._connection.execute(
            update(imports)
            .where(*self._is(import_id))
            .values(
                status="done" if error is None else "failed",
                error=error,
                cursor=None,  # it contains a customer id
                content_hash=None,  # guesses of the file's content could be checked against it
                finished_at=func.clock_timestamp(),
                lease_token=None,
                lease_until=None,
            )
        )

    async def list_lines(
        self, import_id: int, cursor: tuple[int, datetime, int] | None, *, limit: int, start: datetime
    ) -> list[ImportLine]:
        """Lists staged lines in the order in which they are applied, after the cursor."""
        customer_id, occurred_at, line = cursor or (-1, start, 0)
        rows = await self._connection.execute(
            _NEXT,
            {
                "company_id": self._company_id,
                "import_id": import_id,
                "customer_id": customer_id,
                "occurred_at": occurred_at,
                "line": line,
                "limit": limit,
            },
        )
        return [_to_line(row) for row in rows]

    async def count_same_instant(self, import_id: int, cursor: tuple[int, datetime, int]) -> dict[str, int]:
        """Counts lines without an id at the cursor's customer and instant, up to it, by type."""
        rows = await self._connection.execute(
            _COUNT_SAME_INSTANT,
            {
                "company_id": self._company_id,
                "import_id": import_id,
                "customer_id": cursor[0],
                "occurred_at": cursor[1],
                "line": cursor[2],
            },
        )
        return {row.type: row.number for row in rows}

    async def page(self, *, before: int | None, limit: int) -> list[ImportRecord]:
        """Returns imports, newest first, with ids below `before`."""
        statement = select(*_COLUMNS).where(imports.c.company_id == self._company_id)
        if before is not None:
            statement = statement.where(imports.c.id < before)
        rows = await self._connection.execute(statement.order_by(imports.c.id.desc()).limit(limit))
        return [_to_import(row) for row in rows]

    async def page_errors(
        self, import_id: int, *, after: tuple[int, str], limit: int
    ) -> list[ImportLineError]:
        """Returns errors by line and pointer, after `after`."""
        line, pointer = after
        rows = await self._connection.execute(
            select(import_errors.c.line, import_errors.c.pointer, import_errors.c.message)
            .where(
                import_errors.c.company_id == self._company_id,
                import_errors.c.import_id == import_id,
                or_(
                    import_errors.c.line > line,
                    (import_errors.c.line == line) & (import_errors.c.pointer > pointer),
                ),
            )
            .order_by(import_errors.c.line, import_errors.c.pointer)
            .limit(limit)
        )
        return [ImportLineError(*row) for row in rows]

    def _is(self, import_id: int) -> tuple[Any, Any]:
        return imports.c.company_id == self._company_id, imports.c.id == import_id


class DueImports:
    """Imports of all companies that wait for a worker."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def list_due(self, *, limit: int) -> list[tuple[int, int]]:
        """Lists (company, import) in the order they were queued, with those of expired leases."""
        rows = await self._connection.execute(
            select(imports.c.company_id, imports.c.id)
            .where(
                or_(
                    imports.c.status == "queued",
                    (imports.c.status == "running") & (imports.c.lease_until < func.clock_timestamp()),
                )
            )
            .order_by(imports.c.created_at, imports.c.company_id, imports.c.id)
            .limit(limit)
        )
        return [(row.company_id, row.id) for row in rows]


def _to_import(row: Row) -> ImportRecord:
    values = dict(row._mapping)
    cursor = values.pop("cursor")
    position = None if cursor is None else (cursor[0], datetime.fromisoformat(cursor[1]), cursor[2])
    return ImportRecord(cursor=position, **values)


def _to_line(row: Row) -> ImportLine:
    event = Event(
        source=row.source or IMPORT_SOURCE,
        event_id=row.event_id or "",
        customer_id=row.customer_id,
        type=row.type,
        occurred_at=row.occurred_at,
        amount_cents=row.amount_cents,
        call_duration=row.call_duration,
        booking_id=row.booking_id,
        scheduled_for=row.scheduled_for,
        metadata=row.metadata,
        reported_at=row.reported_at,
        retracts=None if row.retracts_id is None else (row.retracts_source, row.retracts_id),
    )
    return ImportLine(row.line, event, row.event_id is not None)
