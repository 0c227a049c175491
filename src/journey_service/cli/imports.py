"""`import`: a history read in and replayed."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

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
    say,
    say_json,
    with_database,
)
from journey_service.domain.events.parsing import parse_instant
from journey_service.domain.events.records import Import, ImportOptions
from journey_service.repositories.database import Database
from journey_service.services.events import imports

_CHUNK = 256 * 1024


def import_(
    file: Annotated[Path, typer.Argument(help="CSV or NDJSON, plain or gzip.", exists=True, dir_okay=False)],
    company: CompanyId,
    until: Annotated[
        str | None, typer.Option(help="Bring journeys up to this instant (RFC 3339) instead of now.")
    ] = None,
    actions: Annotated[
        bool, typer.Option("--actions", help="Run the actions of stages entered within the last 24 hours.")
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Read a history in and replay it through the engine. Running it again changes nothing."""

    async def uow(place: CommandContext) -> Import:
        instant = None if until is None else parse_instant(until, "--until")
        with bar(is_shown=not as_json) as shown:
            return await _import(place.database, company, file, ImportOptions(instant, actions), shown)

    found = with_database(data_dir, uow)
    _report(found, as_json=as_json)
    if found.status == "failed":
        print_error(f"Import {found.id} failed: {found.error}")
    if found.failed_lines or found.status == "failed":
        raise typer.Exit(EXIT_FINDINGS)


async def _import(
    database: Database, company: int, file: Path, terms: ImportOptions, shown: Progress
) -> Import:
    size = file.stat().st_size
    found = await imports.find_unfinished(database, company, _digest(file), terms)
    if found is None:
        reading = shown.add_task("reading", total=size)
        found = await imports.stage_import(
            database,
            company,
            _chunks(file),
            actor=cli_actor("import"),
            is_gzip=True if file.suffix == ".gz" else None,
            terms=terms,
            on_progress=lambda done: shown.update(reading, completed=done),
        )
    replaying = shown.add_task("replaying", total=found.staged, completed=found.done)
    import_id = found.id
    done = await imports.run_import(
        database, company, import_id, on_progress=lambda now: shown.update(replaying, completed=now.done)
    )
    while not done:  # somebody else has it: watch
        await asyncio.sleep(1)
        now = await imports.get_import(database, company, import_id)
        shown.update(replaying, completed=now.done)
        done = now.status in ("done", "failed") or await imports.run_import(database, company, import_id)
    return await imports.get_import(database, company, import_id)


async def _chunks(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk


def _digest(file: Path) -> bytes:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def _report(found: Import, *, as_json: bool) -> None:
    counts = {
        "import": found.id,
        "status": found.status,
        "lines": found.staged,
        "applied": found.applied,
        "duplicates": found.duplicates,
        "late": found.late,
        "later": found.later,
        "erased": found.erased,
        "failed": found.failed_lines,
        "transitions": found.transitions,
    }
    if as_json:
        say_json(counts)
        return
    say("  ".join(f"{name} {value}" for name, value in counts.items()))
