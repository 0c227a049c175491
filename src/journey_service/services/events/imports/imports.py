"""Imports of past events: stages the lines of an import file, then replays them customer by customer.

Staging ends with every valid line in the database; only then is the import queued. Replaying runs in short
transactions that commit their work together with the cursor, so that it can be interrupted and resumed at any time.
Nothing is applied twice: every event has an id.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from typing import Final

from journey_service.domain.access.actors import Actor
from journey_service.domain.errors import InvalidInputError, UnavailableError
from journey_service.domain.events.errors import ImportNotFoundError
from journey_service.domain.events.files.import_file import AS_THE_FILE_SHOWS, FileFormat
from journey_service.domain.events.files.import_table import ImportKind
from journey_service.domain.events.records import (
    ErrorLine,
    ImportCheck,
    ImportLineError,
    ImportOptions,
    ImportRecord,
)
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.snapshots import take_page
from journey_service.services.companies.provisioning import get_company_context
from journey_service.services.events.imports.check import check_lines
from journey_service.services.events.imports.customers import load_customer_page
from journey_service.services.events.imports.reading import ImportSource
from journey_service.services.events.imports.replay import load_page
from journey_service.services.events.imports.staging import Staging, mark_failed
from journey_service.services.jobs import new_token

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

    Raises MalformedError or InvalidInputError, with nothing stored, if the whole file is unreadable, and
    TooManyImportsError.
    """
    context = await get_company_context(database, company_id)
    if options.until is not None and options.until > context.now:
        raise InvalidInputError.at("/until", "must not be after the company's current time")
    options = await _with_known_format(database, company_id, options)
    staging = Staging(database, company_id, actor, options)
    digest = hashlib.sha256()
    source = ImportSource(context, options, is_gzip=is_gzip)
    try:
        await staging.add_all(source, _observed(chunks, digest.update, on_progress))
        return await staging.finish(digest.digest(), source)
    except BaseException as error:
        await asyncio.shield(staging.abandon(error))
        raise


async def check_import(
    database: Database,
    company_id: int,
    chunks: AsyncIterable[bytes],
    *,
    actor: Actor,
    is_gzip: bool | None = None,
    options: ImportOptions = DEFAULT_IMPORT_OPTIONS,
) -> ImportCheck:
    """Returns what an import of the file would do.

    The lines are staged until the result is known, and then deleted; nothing else is written.

    Raises MalformedError or InvalidInputError if the whole file is unreadable, and TooManyImportsError.
    """
    context = await get_company_context(database, company_id)
    if options.until is not None and options.until > context.now:
        raise InvalidInputError.at("/until", "must not be after the company's current time")
    options = await _with_known_format(database, company_id, options)
    staging = Staging(database, company_id, actor, options, is_dry_run=True)
    source = ImportSource(context, options, is_gzip=is_gzip)
    try:
        await staging.add_all(source, chunks)
        return await check_lines(database, company_id, staging, source, options)
    finally:
        await asyncio.shield(staging.delete())


async def _with_known_format(database: Database, company_id: int, options: ImportOptions) -> ImportOptions:
    """Adds the format of the latest import from the same source, unless the caller names one."""
    source = options.source
    if source is None or options.file_format != AS_THE_FILE_SHOWS:
        return options
    found = await find_format(database, company_id, options.kind, source)
    return options if found is None else options._replace(file_format=found)


async def find_format(
    database: Database, company_id: int, kind: ImportKind, source: str
) -> FileFormat | None:
    """Returns the format of the latest accepted import of this kind from a source; None if none named one."""

    async def unit(uow: UnitOfWork) -> FileFormat | None:
        return await uow.imports.find_format(kind, source)

    return await database.run(company_id, unit)


async def _observed(
    chunks: AsyncIterable[bytes],
    update: Callable[[bytes], None],
    on_progress: Callable[[int], None] | None,
) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in chunks:
        update(chunk)
        size += len(chunk)
        yield chunk
        if on_progress is not None:
            on_progress(size)


async def find_unfinished(
    database: Database, company_id: int, digest: bytes, options: ImportOptions = DEFAULT_IMPORT_OPTIONS
) -> ImportRecord | None:
    """Returns a staged, unfinished import of the same content (SHA-256) with the same options, if any."""
    options = await _with_known_format(database, company_id, options)

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


async def list_error_lines(
    database: Database, company_id: int, import_id: int, *, after: int, limit: int
) -> tuple[ImportRecord, Sequence[ErrorLine]]:
    """Returns an import and a page of its lines with errors. Raises ImportNotFoundError."""

    async def unit(uow: UnitOfWork) -> tuple[ImportRecord, Sequence[ErrorLine]]:
        found = await _get(uow, import_id)
        return found, await uow.imports.page_error_lines(import_id, after=after, limit=limit)

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
        await mark_failed(database, company_id, import_id, f"{type(error).__name__}: {error}")
        raise


async def run_due_imports(database: Database) -> int:
    """Replays due imports of all companies; returns the number of finished ones."""
    due = await database.read_due_work(lambda reader: reader.imports.list_due(limit=10))
    return sum([await run_import(database, company_id, import_id) for company_id, import_id in due])


async def _release(database: Database, company_id: int, import_id: int, token: str) -> None:
    async def unit(uow: UnitOfWork) -> None:
        await uow.imports.release(import_id, token)

    await database.run(company_id, unit)


async def _get(uow: UnitOfWork, import_id: int) -> ImportRecord:
    found = await uow.imports.find(import_id)
    if found is None:
        raise ImportNotFoundError(import_id)
    return found


async def _replay_page(database: Database, company_id: int, import_id: int, token: str) -> bool | None:
    """Replays the next lines; returns True if none were left, None if the lease was lost."""

    async def unit(uow: UnitOfWork) -> bool | None:
        import_ = await _get(uow, import_id)
        page = await (load_customer_page if import_.kind == "customers" else load_page)(uow, import_)
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
