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
from journey_service.domain.events.files.csv_header import parse_columns
from journey_service.domain.events.files.import_file import Encoding, FileFormat
from journey_service.domain.events.files.import_table import ImportKind, table_kind
from journey_service.domain.events.records import (
    ImportCheck,
    ImportLineError,
    ImportOptions,
    ImportRecord,
    OnChanged,
)
from journey_service.domain.events.values import parse_instant
from journey_service.repositories.database import Database
from journey_service.services.events.imports import imports

_CHUNK_BYTES = 256 * 1024
_BEFORE_ALL = (0, "")
MAX_ERRORS_SHOWN: Final = 20
"""Maximum number of line errors to print; further lines are only counted."""


_File = Annotated[
    Path, typer.Argument(help="CSV, NDJSON or .xlsx, plain or gzip.", exists=True, dir_okay=False)
]
_Kind = Annotated[ImportKind, typer.Option(help="What the lines are.")]
_DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would happen, without changing anything.")
]
_Source = Annotated[
    str | None,
    typer.Option(help="System that the file comes from; columns and formats are remembered for it."),
]
_Sheet = Annotated[str | None, typer.Option(help="Sheet of a spreadsheet; the first one by default.")]
_Until = Annotated[
    str | None, typer.Option(help="Evaluate customers up to this time (RFC 3339) instead of now.")
]
_WithActions = Annotated[
    bool,
    typer.Option("--actions", help="Run the actions of stages that were entered within the last 24 hours."),
]
_OnChanged = Annotated[
    OnChanged,
    typer.Option(
        help="Lines that differ from a known one in the amount alone: held back, added, or put in its place."
    ),
]
_Columns = Annotated[
    list[str] | None,
    typer.Option(help="Field of a CSV column that has another name: COLUMN:FIELD. May be repeated."),
]
_DecimalSeparator = Annotated[
    DecimalName | None, typer.Option(help="Separator of decimals in CSV, where the file leaves it open.")
]
_DateFormat = Annotated[DateFormat | None, typer.Option(help="Format of dates with slashes in CSV.")]
_Encoding = Annotated[Encoding | None, typer.Option(help="Character encoding; UTF-8 by default.")]


def import_(
    file: _File,
    company: CompanyId,
    *,
    kind: _Kind = "events",
    dry_run: _DryRun = False,
    source: _Source = None,
    sheet: _Sheet = None,
    until: _Until = None,
    actions: _WithActions = False,
    on_changed: _OnChanged = "hold",
    column: _Columns = None,
    decimal_separator: _DecimalSeparator = None,
    date_format: _DateFormat = None,
    encoding: _Encoding = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Import a file of past events. Running it again changes nothing."""
    file_format = FileFormat(
        parse_columns(column or (), "--column", table_kind(kind)),
        to_separator(decimal_separator),
        date_format,
        encoding,
        sheet,
    )
    instant = None if until is None else parse_instant(until, "--until")
    options = ImportOptions(instant, actions, file_format, on_changed, kind, source)
    if dry_run:
        _dry_run(data_dir, company, file, options, as_json=as_json)
        return

    async def run(context: CommandContext) -> tuple[ImportRecord, Sequence[ImportLineError]]:
        with bar(is_shown=not as_json) as shown:
            ended = await _import(context.database, company, file, options, shown)
        errors = await imports.list_line_errors(
            context.database, company, ended.id, after=_BEFORE_ALL, limit=MAX_ERRORS_SHOWN
        )
        return ended, errors

    ended, errors = with_database(data_dir, run)
    _report(ended, errors, as_json=as_json)
    if ended.status == "failed":
        print_error(f"Import {ended.id} failed: {ended.error}")
    if ended.failed_lines or ended.changed or ended.status == "failed":
        raise typer.Exit(EXIT_FINDINGS)


def _dry_run(
    data_dir: Path | None, company: int, file: Path, options: ImportOptions, *, as_json: bool
) -> None:
    async def run(context: CommandContext) -> ImportCheck:
        return await imports.check_import(
            context.database,
            company,
            _chunks(file),
            actor=cli_actor("import"),
            is_gzip=_is_gzip(file),
            options=options,
        )

    found = with_database(data_dir, run)
    _print_check(found, as_json=as_json)
    if found.failed or found.changed:
        raise typer.Exit(EXIT_FINDINGS)


def _print_check(found: ImportCheck, *, as_json: bool) -> None:
    counts = {
        "lines": found.lines,
        "new": found.new,
        "known": found.known,
        "changed": found.changed,
        "later": found.later,
        "erased": found.erased,
        "failed": found.failed,
        "customers_new": found.customers_new,
        "customers_known": found.customers_known,
    }
    ignored = [name for name, field in found.columns if field is None and name.strip()]
    if as_json:
        print_json(
            {
                **counts,
                "profile_fields": found.profile_fields,
                "ignored_columns": ignored,
                "errors": [error._asdict() for error in found.errors],
            }
        )
    else:
        print_line("  ".join(f"{name} {value}" for name, value in counts.items()))
        if found.profile_fields:
            fields = (f"{name} {value}" for name, value in found.profile_fields.items())
            print_line(f"profile fields: {'  '.join(fields)}")
        if ignored:
            print_error(f"ignored columns: {', '.join(ignored)}")
        for error in found.errors[:MAX_ERRORS_SHOWN]:
            cell = "the line" if error.column is None else f"{error.column} ({error.value})"
            print_error(f"line {error.line}: {cell} {error.message}")


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
            is_gzip=_is_gzip(file),
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


def _is_gzip(file: Path) -> bool | None:
    return True if file.suffix == ".gz" else None


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
        "changed": ended.changed,
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
    hidden = ended.failed_lines + ended.changed - len({error.line for error in errors})
    if hidden > 0:
        print_error(f"and {hidden} more lines with errors: see GET /api/v1/imports/{ended.id}/errors.csv")
