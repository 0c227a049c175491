"""Imports of files of past events: their state, staged lines, and errors of lines."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
from sqlalchemy import delete, func, insert, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.events.files.csv_header import CsvHeader
from journey_service.domain.events.files.import_file import FileFormat
from journey_service.domain.events.records import (
    ErrorLine,
    ImportCursor,
    ImportLineError,
    ImportOptions,
    ImportRecord,
)
from journey_service.repositories.tables import Row, import_errors, import_lines, imports

_COLUMNS: Final = [
    imports.c[name]
    for name in (
        *("id", "status", "kind", "source", "until", "runs_actions", "on_changed", "lines", "staged", "done"),
        *("applied", "duplicates", "changed", "late", "later", "erased", "transitions", "failed_lines"),
        *(
            "file_format",
            "header",
            "ignored_columns",
            "cursor",
            "error",
            "actor",
            "created_at",
            "finished_at",
        ),
    )
]
_ERROR_LINES: Final = text(
    "SELECT line, max(cells) AS cells, jsonb_agg(jsonb_build_array(pointer, message) ORDER BY pointer) AS errors"
    " FROM import_errors WHERE company_id = :company_id AND import_id = :import_id AND line > :after"
    " GROUP BY line ORDER BY line LIMIT :limit"
)
_CLAIM: Final = text(
    "UPDATE imports SET status = 'running', lease_token = :token,"
    " lease_until = clock_timestamp() + make_interval(secs => :seconds)"
    " WHERE company_id = :company_id AND id = :id AND (status = 'queued'"
    " OR (status = 'running' AND lease_until < clock_timestamp()))"
)
_SAVE_PROGRESS: Final = text(
    "UPDATE imports SET lease_until = clock_timestamp() + make_interval(secs => :seconds), done = done + :done,"
    " applied = applied + :applied, duplicates = duplicates + :duplicates, changed = changed + :changed,"
    " late = late + :late,"
    " later = later + :later, erased = erased + :erased, transitions = transitions + :transitions,"
    " failed_lines = failed_lines + :failed, cursor = CAST(:cursor AS jsonb)"
    " WHERE company_id = :company_id AND id = :id AND lease_token = :token AND status = 'running'"
)
_LOCK_QUEUE: Final = text(
    "SELECT pg_advisory_xact_lock(hashtextextended('imports:' || CAST(:company_id AS bigint), 0))"
)
_MAX_ERRORS: Final = 10_000
"""Per import; later errors are only counted."""


class Imports:
    """The imports of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def insert(self, options: ImportOptions, *, actor: str, is_dry_run: bool = False) -> int:
        """Inserts an import whose file is being read; returns its id. A dry run is in no list."""
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
                        on_changed=options.on_changed,
                        kind=options.kind,
                        source=options.source,
                        is_dry_run=is_dry_run,
                        actor=actor,
                    )
                    .returning(imports.c.id)
                )
            ).scalar_one()
        )

    async def count_unfinished(self) -> int:
        """Counts the imports that are being read, wait or run; dry runs too. Other counts wait for the transaction."""
        await self._connection.execute(_LOCK_QUEUE, {"company_id": self._company_id})
        found = await self._connection.execute(
            select(func.count()).where(
                imports.c.company_id == self._company_id,
                imports.c.status.in_(("reading", "queued", "running")),
            )
        )
        return int(found.scalar_one())

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
                    imports.c.on_changed == options.on_changed,
                    imports.c.kind == options.kind,
                    imports.c.source.is_not_distinct_from(options.source),
                    imports.c.status.in_(("queued", "running")),
                )
                .order_by(imports.c.id)
                .limit(1)
            )
        ).one_or_none()
        return None if row is None else _to_import(row)

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
                "customer_id": error.customer_id,
                "cells": _to_json(error.cells),
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

    async def enqueue(self, import_id: int, digest: bytes, header: CsvHeader | None) -> None:
        """Queues an import whose file is read completely; NDJSON has no header."""
        await self._connection.execute(
            update(imports)
            .where(*self._is(import_id))
            .values(
                status="queued",
                content_hash=digest,
                header=[] if header is None else [name.replace("\x00", "") for name in header.names],
                ignored_columns=[] if header is None else list(header.ignored),
            )
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
        cursor: ImportCursor | None,
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
                else _to_json(
                    [
                        cursor.customer_id,
                        cursor.occurred_at.isoformat(),
                        cursor.source,
                        cursor.event_id,
                        cursor.line,
                    ]
                ),
                **{
                    name: counts.get(name, 0)
                    for name in (
                        *("done", "applied", "duplicates", "changed", "late", "later", "erased"),
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

    async def delete(self, import_id: int) -> None:
        """Deletes an import with its lines and errors."""
        for table in (import_lines, import_errors):
            await self._connection.execute(
                delete(table).where(table.c.company_id == self._company_id, table.c.import_id == import_id)
            )
        await self._connection.execute(delete(imports).where(*self._is(import_id)))

    async def list_interrupted(self, *, hours: int, limit: int) -> list[tuple[int, bool]]:
        """Lists (id, whether it is a dry run) of imports whose file has been read for longer than `hours`."""
        rows = await self._connection.execute(
            select(imports.c.id, imports.c.is_dry_run)
            .where(
                imports.c.company_id == self._company_id,
                imports.c.status == "reading",
                imports.c.created_at < func.clock_timestamp() - timedelta(hours=hours),
            )
            .order_by(imports.c.id)
            .limit(limit)
        )
        return [(row.id, row.is_dry_run) for row in rows]

    async def find_format(self, kind: str, source: str) -> FileFormat | None:
        """Finds the format of the latest accepted import of this kind from a source, if it names one."""
        written = await self._connection.scalar(
            select(imports.c.file_format)
            .where(
                imports.c.company_id == self._company_id,
                imports.c.kind == kind,
                imports.c.source == source,
                imports.c.status.in_(("queued", "running", "done")),
                imports.c.file_format != {},
            )
            .order_by(imports.c.id.desc())
            .limit(1)
        )
        return None if written is None else FileFormat.read(written)

    async def page(self, *, before: int | None, limit: int) -> list[ImportRecord]:
        """Returns imports, newest first, with ids below `before`."""
        statement = select(*_COLUMNS).where(imports.c.company_id == self._company_id, ~imports.c.is_dry_run)
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

    async def page_error_lines(self, import_id: int, *, after: int, limit: int) -> list[ErrorLine]:
        """Returns lines with errors, in order, after a line: the cells, and all errors of each."""
        rows = await self._connection.execute(
            _ERROR_LINES,
            {"company_id": self._company_id, "import_id": import_id, "after": after, "limit": limit},
        )
        return [
            ErrorLine(
                row.line, _from_json(row.cells), [ImportLineError(row.line, *each) for each in row.errors]
            )
            for row in rows
        ]

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
    position = (
        None
        if cursor is None
        else ImportCursor(cursor[0], datetime.fromisoformat(cursor[1]), cursor[2], cursor[3], cursor[4])
    )
    return ImportRecord(cursor=position, file_format=FileFormat.read(values.pop("file_format")), **values)


def _to_json(value: object) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


def _from_json(text: str | None) -> Sequence[str] | None:
    return None if text is None else orjson.loads(text)
