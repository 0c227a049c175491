"""`import`: imports a file of past events."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.progress import Progress

from journey_service.cli.terminal import (
    EXIT_FINDINGS,
    AsJson,
    CommandContext,
    CompanyId,
    DataDir,
    bar,
    cli_actor,
    print_error,
    print_json,
    print_line,
    with_database,
)
from journey_service.domain.events.cell_formats import DateFormat, DecimalName, to_separator
from journey_service.domain.events.csv_header import parse_columns
from journey_service.domain.events.import_file import Encoding, FileFormat
from journey_service.domain.events.parsing import parse_instant
from journey_service.domain.events.records import ImportLineError, ImportOptions, ImportRecord
from journey_service.repositories.database import Database
from journey_service.services.events import imports

_CHUNK_BYTES = 256 * 1024
_BEFORE_ALL = (0, "")
MAX_ERRORS_SHOWN: Final = 20
"""Maximum number of line errors to print; further lines are only counted."""


def import_(
    file: Annotated[Path, typer.Argument(help="CSV or NDJSON, plain or gzip.", exists=True, dir_okay=False)],
    company: CompanyId,
    *,
    until: Annotated[
        str | None, typer.Option(help="Evaluate customers up to this time (RFC 3339) instead of now.")
    ] = None,
    actions: Annotated[
        bool,
        typer.Option(
            "--actions", help="Run the actions of stages that were entered within the last 24 hours."
        ),
    ] = False,
    column: Annotated[
        list[str] | None,
        typer.Option(help="Field of a CSV column that has another name: COLUMN:FIELD. May be repeated."),
    ] = None,
    decimal_separator: Annotated[
        DecimalName | None, typer.Option(help="Separator of decimals in CSV, where the file leaves it open.")
    ] = None,
    date_format: Annotated[
        DateFormat | None, typer.Option(help="Format of dates with slashes in CSV.")
    ] = None,
    encoding: Annotated[Encoding | None, typer.Option(help="Character encoding; UTF-8 by default.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Import a file of past events. Running it again changes nothing."""

    async def run(context: CommandContext) -> tuple[ImportRecord, Sequence[ImportLineError]]:
        file_format = FileFormat(
            parse_columns(column or (), "--column"), to_separator(decimal_separator), date_format, encoding
        )
        instant = None if until is None else parse_instant(until, "--until")
        with bar(is_shown=not as_json) as shown:
            ended = await _import(
                context.database, company, file, ImportOptions(instant, actions, file_format), shown
            )
        errors = await imports.list_line_errors(
            context.database, company, ended.id, after=_BEFORE_ALL, limit=MAX_ERRORS_SHOWN
        )
        return ended, errors

    ended, errors = with_database(data_dir, run)
    _report(ended, errors, as_json=as_json)
    if ended.status == "failed":
        print_error(f"Import {ended.id} failed: {ended.error}")
    if ended.failed_lines or ended.status == "failed":
        raise typer.Exit(EXIT_FINDINGS)


async def _import(
    database: Database, company: int, file: Path, options: ImportOptions, shown: Progress
) -> ImportRecord:
    size = file.stat().st_size
    found = await imports.find_unfinished(database, company, _digest(file), options)
    if found is None:
        reading = shown.add_task("reading", total=size)
        found = await imports.stage_import(
            database,
            company,
            _chunks(file),
            actor=cli_actor("import"),
            is_gzip=True if file.suffix == ".gz" else None,
            options=options,
            on_progress=lambda done: shown.update(reading, completed=done),
        )
    replaying = shown.add_task("replaying", total=found.staged, completed=found.done)
    import_id = found.id
    done = await imports.run_import(
        database, company, import_id, on_progress=lambda now: shown.update(replaying, completed=now.done)
    )
    while not done:  # a worker holds the lease: wait for it
        await asyncio.sleep(1)
        now = await imports.get_import(database, company, import_id)
        shown.update(replaying, completed=now.done)
        done = now.status in ("done", "failed") or await imports.run_import(database, company, import_id)
    return await imports.get_import(database, company, import_id)


async def _chunks(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            yield chunk


def _digest(file: Path) -> bytes:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def _report(ended: ImportRecord, errors: Sequence[ImportLineError], *, as_json: bool) -> None:
    counts = {
        "import_id": ended.id,
        "status": ended.status,
        "lines": ended.staged,
        "applied": ended.applied,
        "duplicates": ended.duplicates,
        "late": ended.late,
        "later": ended.later,
        "erased": ended.erased,
        "failed": ended.failed_lines,
        "transitions": ended.transitions,
    }
    ignored = list(ended.ignored_columns)
    if as_json:
        listed = [{"line": error.line, "pointer": error.pointer, "detail": error.message} for error in errors]
        print_json({**counts, "ignored_columns": ignored, "errors": listed})
        return
    print_line("  ".join(f"{name} {value}" for name, value in counts.items()))
    if ignored:
        print_error(f"ignored columns: {', '.join(ignored)}")
    for error in errors:
        print_error(f"line {error.line}: {error.pointer or 'the line'} {error.message}")
    hidden = ended.failed_lines - len({error.line for error in errors})
    if hidden > 0:
        print_error(f"and {hidden} more lines with errors: see GET /api/v1/imports/{ended.id}/errors")
