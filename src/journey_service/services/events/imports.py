"""Imports of past events: stages the lines of an import file, then replays them customer by customer.

Staging ends with every valid line in the database; only then is the import queued. Replaying runs in short
transactions that commit their work together with the cursor, so that it can be interrupted and resumed at any time.
Nothing is applied twice: every event has an id.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterable, Callable, Sequence
from typing import Final
from zoneinfo import ZoneInfo

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.errors import InvalidInputError, UnavailableError
from journey_service.domain.events.errors import ImportNotFoundError
from journey_service.domain.events.import_file import ImportFileReader, InvalidLineError
from journey_service.domain.events.parsing import ImportLine
from journey_service.domain.events.records import ImportLineError, ImportOptions, ImportRecord
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.snapshots import take_page
from journey_service.services.companies.provisioning import get_company_context
from journey_service.services.events.import_replay import load_page
from journey_service.services.jobs import new_token

_STAGING_BATCH_SIZE = 5_000
_LEASE_SECONDS = 20
_TIMEOUT_MS = 60_000

ProgressCallback = Callable[[ImportRecord], None]

DEFAULT_IMPORT_OPTIONS: Final = ImportOptions()
"""Applies events up to now, without actions."""


async def stage_import(
    database: Database,
    company_id: int,
    chunks: AsyncIterable[bytes],
    *,
    actor: Actor,
    is_gzip: bool | None = None,
    options: ImportOptions = DEFAULT_IMPORT_OPTIONS,
    on_progress: Callable[[int], None] | None = None,
) -> ImportRecord:
    """Reads an import file and stages its lines; returns the queued import.

    Its transitions run actions only if the options enable it, and those older than a day never do. `on_progress` is
    called with the number of bytes read so far.

    Raises MalformedError or InvalidInputError, with nothing stored, if the whole file is unreadable.
    """
    context = await get_company_context(database, company_id)
    if options.until is not None and options.until > context.now:
        raise InvalidInputError.at("/until", "must not be after the company's current time")
    staging = _Staging(database, company_id, actor, options)
    reader = ImportFileReader(
        ZoneInfo(context.company.timezone),
        is_gzip=is_gzip,
        currency=context.company.currency,
        format_=options.file_format,
    )
    digest = hashlib.sha256()
    size = 0
    try:
        async for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
            for line in reader.parse_chunk(chunk):
                await staging.add(line, reader.lines_read)
            if on_progress is not None:
                on_progress(size)
        for line in reader.parse_rest():
            await staging.add(line, reader.lines_read)
        return await staging.finish(digest.digest(), reader)
    except BaseException:
        await staging.abandon()
        raise


async def find_unfinished(
    database: Database, company_id: int, digest: bytes, options: ImportOptions = DEFAULT_IMPORT_OPTIONS
) -> ImportRecord | None:
    """Returns a staged, unfinished import of the same content (SHA-256) with the same options, if any."""

    async def unit(uow: UnitOfWork) -> ImportRecord | None:
        return await uow.imports.find_unfinished(digest, options)

    return await database.run(company_id, unit)


async def get_import(database: Database, company_id: int, import_id: int) -> ImportRecord:
    """Returns one import. Raises ImportNotFoundError."""

    async def unit(uow: UnitOfWork) -> ImportRecord:
        return await _get(uow, import_id)

    return await database.run(company_id, unit)


async def list_imports(
    database: Database, company_id: int, *, before: int | None, limit: int
) -> Sequence[ImportRecord]:
    """Returns a page of imports, newest first. Raises CompanyNotFoundError."""

    async def unit(uow: UnitOfWork) -> Sequence[ImportRecord]:
        await uow.companies.get_context()
        return await uow.imports.page(before=before, limit=limit)

    return await database.run(company_id, unit)


async def list_line_errors(
    database: Database, company_id: int, import_id: int, *, after: tuple[int, str], limit: int
) -> Sequence[ImportLineError]:
    """Returns a page of line errors, in order of line and pointer. Raises ImportNotFoundError."""

    async def unit(uow: UnitOfWork) -> Sequence[ImportLineError]:
        await _get(uow, import_id)
        return await uow.imports.page_errors(import_id, after=after, limit=limit)

    return await database.run(company_id, unit)


async def run_import(
    database: Database, company_id: int, import_id: int, *, on_progress: ProgressCallback | None = None
) -> bool:
    """Replays a queued import, or resumes one whose lease has expired; False if another worker has it.

    Raises UnavailableError with the import left queued. Any other error marks the import as failed and is raised.
    """
    token = new_token()

    async def claim(uow: UnitOfWork) -> bool:
        return await uow.imports.claim(import_id, token, _LEASE_SECONDS)

    if not await database.run(company_id, claim):
        return False
    step = _replay_page
    try:
        while True:
            is_done = await step(database, company_id, import_id, token)
            if is_done is None:
                return False
            if on_progress is not None:
                on_progress(await get_import(database, company_id, import_id))
            if is_done and step is _take_snapshots:
                return True
            step = _take_snapshots if is_done else step
    except asyncio.CancelledError:
        # Another worker can then resume at once, without waiting for the lease to expire.
        await asyncio.shield(_release(database, company_id, import_id, token))
        raise
    except UnavailableError:
        raise
    except Exception as error:
        await _mark_failed(database, company_id, import_id, f"{type(error).__name__}: {error}")
        raise


async def run_due_imports(database: Database) -> int:
    """Replays due imports of all companies; returns the number of finished ones."""
    due = await database.read_due_work(lambda reader: reader.imports.list_due(limit=10))
    return sum([await run_import(database, company_id, import_id) for company_id, import_id in due])


async def _release(database: Database, company_id: int, import_id: int, token: str) -> None:
    async def unit(uow: UnitOfWork) -> None:
        await uow.imports.release(import_id, token)

    await database.run(company_id, unit)


async def _mark_failed(database: Database, company_id: int, import_id: int, error: str) -> None:
    async def unit(uow: UnitOfWork) -> None:
        await uow.imports.finish(import_id, error=error)

    await database.run(company_id, unit, timeout_ms=_TIMEOUT_MS)


class _Staging:
    """Writes the lines of an import file in batches as they are read."""

    def __init__(self, database: Database, company_id: int, actor: Actor, options: ImportOptions) -> None:
        self._database = database
        self._company_id = company_id
        self._actor = actor
        self._options = options
        self._import_id: int | None = None
        self._lines: list[ImportLine] = []
        self._invalid: list[InvalidLineError] = []
        self._lines_counted = 0

    async def add(self, line: ImportLine | InvalidLineError, lines_read: int) -> None:
        if isinstance(line, InvalidLineError):
            self._invalid.append(line)
        else:
            self._lines.append(line)
        if len(self._lines) + len(self._invalid) >= _STAGING_BATCH_SIZE:
            await self._flush(lines_read)

    async def finish(self, digest: bytes, reader: ImportFileReader) -> ImportRecord:
        await self._flush(reader.lines_read)
        import_id = self._import_id
        assert import_id is not None  # noqa: S101  # _flush sets it

        async def unit(uow: UnitOfWork) -> ImportRecord:
            await uow.imports.enqueue(import_id, digest, reader.ignored_columns)
            queued = await _get(uow, import_id)
            detail = {"lines": queued.lines}
            await uow.audit_log.record(
                self._actor, AuditEntry("import.create", target=f"import:{import_id}", detail=detail)
            )
            return queued

        return await self._database.run(self._company_id, unit)

    async def abandon(self) -> None:
        if self._import_id is not None:
            await _mark_failed(
                self._database, self._company_id, self._import_id, "The upload ended too early."
            )

    async def _flush(self, lines_read: int) -> None:
        lines, invalid, lines_counted = self._lines, self._invalid, self._lines_counted

        async def unit(uow: UnitOfWork) -> int:
            import_id = self._import_id
            if import_id is None:
                import_id = await uow.imports.insert(self._options, actor=self._actor.name)
            await uow.imports.insert_lines(import_id, lines)
            await uow.imports.insert_errors(import_id, _flatten(invalid))
            await uow.imports.add_read_counts(
                import_id, lines=lines_read - lines_counted, staged=len(lines), failed=len(invalid)
            )
            return import_id

        self._import_id = await self._database.run(self._company_id, unit, timeout_ms=_TIMEOUT_MS)
        self._lines, self._invalid, self._lines_counted = [], [], lines_read


def _flatten(invalid: Sequence[InvalidLineError]) -> list[ImportLineError]:
    return [
        ImportLineError(line.number, error.pointer, error.message)
        for line in invalid
        for error in line.errors
    ]


async def _get(uow: UnitOfWork, import_id: int) -> ImportRecord:
    found = await uow.imports.find(import_id)
    if found is None:
        raise ImportNotFoundError(import_id)
    return found


async def _replay_page(database: Database, company_id: int, import_id: int, token: str) -> bool | None:
    """Replays the next lines; returns True if none were left, None if the lease was lost."""

    async def unit(uow: UnitOfWork) -> bool | None:
        page = await load_page(uow, await _get(uow, import_id))
        await page.replay(uow)
        if not await uow.imports.save_progress(
            import_id, token, _LEASE_SECONDS, cursor=page.cursor, counts=page.counts
        ):
            return None
        return not page.lines

    return await database.run(company_id, unit, timeout_ms=_TIMEOUT_MS)


async def _take_snapshots(database: Database, company_id: int, import_id: int, token: str) -> bool | None:
    """Takes snapshots of the imported days; True if all are taken, None if the lease was lost."""

    async def unit(uow: UnitOfWork) -> bool | None:
        _, is_done = await take_page(uow)
        cursor = (await _get(uow, import_id)).cursor
        if not await uow.imports.save_progress(import_id, token, _LEASE_SECONDS, cursor=cursor, counts={}):
            return None
        if is_done:
            await uow.imports.finish(import_id)
        return is_done

    return await database.run(company_id, unit, timeout_ms=_TIMEOUT_MS)
