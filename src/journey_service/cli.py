"""The `journey` command: the composition root of everything that is not the API's own process."""

import asyncio
import hashlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer
import uvicorn
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from journey_service.domain.errors import InvalidInputError, JourneyServiceError
from journey_service.domain.intake import parse_instant
from journey_service.embedded import Embedded, EmbeddedError, Servers, connect_or_start
from journey_service.main import create_app
from journey_service.repositories import migrating
from journey_service.repositories.database import Database
from journey_service.repositories.imports import Import
from journey_service.services import credentials, demo, imports
from journey_service.settings import Settings, read_migration_settings

T = TypeVar("T")

app = typer.Typer(help="The customer journey service.", no_args_is_help=True, add_completion=False)
keys_app = typer.Typer(help="API keys: make, list, revoke.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")

_CONSOLE = Console(stderr=True)
_FACTORY = "journey_service.main:create_app"
_CHUNK = 256 * 1024
_DEFAULT_DATA = Path(".journey")
# The contract is the same wherever the service runs, so it needs no place to run.
_NOWHERE = Settings.model_validate({"DATABASE_URL": "postgresql://nowhere", "JOURNEY_KEY_PEPPER": "-" * 16})

DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder of `journey up`, running or not. Without it, DATABASE_URL says where to go."),
]
Company = Annotated[int, typer.Option("--company", min=1, help="The company's id.")]


@app.command()
def up(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where the service listens.")] = 8000,
    host: Annotated[str, typer.Option(help="The address it listens on.")] = "127.0.0.1",
    data_dir: Annotated[Path, typer.Option(help="Folder for everything that is kept.")] = _DEFAULT_DATA,
    with_demo: Annotated[bool, typer.Option("--demo/--no-demo", help="Bring a demo company.")] = True,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes answering requests.")] = 1,
) -> None:
    """Start everything here: a real PostgreSQL and Valkey of its own, migrations, and the API."""
    # The server hands a signal on once it has stopped; what was started here still has to be put away.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with _told():
        if chosen := os.environ.get("JOURNEY_BOOTSTRAP_KEY"):
            credentials.check_token(chosen, "JOURNEY_BOOTSTRAP_KEY")
    with _told(), Embedded(data_dir) as servers:
        migrating.upgrade(servers.database_url)
        os.environ.update(_environment(servers))
        if with_demo:
            _bring_demo(servers, f"http://{host}:{port}")
        _serve(host, port, workers)


@app.command()
def api(
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    host: Annotated[str, typer.Option()] = "127.0.0.1",
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes answering requests.")] = 1,
) -> None:
    """Answer requests, with the database and the secrets of the environment."""
    _serve(host, port, workers)


@app.command()
def migrate(data_dir: DataDir = None) -> None:
    """Bring the database to the schema of this version."""
    with _told():
        if data_dir is None:
            migrating.upgrade(read_migration_settings().url)
        else:
            with connect_or_start(data_dir) as servers:
                migrating.upgrade(servers.database_url)
    _CONSOLE.print("The database is at the schema of this version.")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV or NDJSON, plain or gzip.", exists=True, dir_okay=False)],
    company: Company,
    until: Annotated[
        str | None, typer.Option(help="Bring journeys up to this instant (RFC 3339) instead of now.")
    ] = None,
    data_dir: DataDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Read a history in and replay it through the engine. Running it again changes nothing."""

    async def work(database: Database, _: str) -> Import:
        instant = None if until is None else parse_instant(until, "--until")
        with _bar() as bar:
            return await _import(database, company, file, instant, bar)

    found = _with_database(data_dir, work)
    _report(found, as_json=as_json)
    if found.failed_lines:
        raise typer.Exit(2)


@app.command()
def openapi(
    out: Annotated[Path | None, typer.Option(help="Write it there instead of printing it.")] = None,
) -> None:
    """Write the API's contract."""
    document = create_app(_NOWHERE).openapi()

    text = json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, encoding="utf-8")


@keys_app.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    company: Annotated[int | None, typer.Option(min=1, help="The company's id.")] = None,
    operator: Annotated[bool, typer.Option("--operator", help="A key of the operators'.")] = False,
    scope: Annotated[
        list[str] | None, typer.Option(help="May be given more than once; * by default.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Make a key and print it, this once."""
    if (company is None) is not operator:
        raise typer.BadParameter("Name either a --company or --operator.")

    async def work(database: Database, pepper: str) -> str:
        if not pepper:
            raise InvalidInputError.at("JOURNEY_KEY_PEPPER", "must be what the service is started with")
        new = await credentials.create_key(
            database,
            credentials.OPERATORS if company is None else company,
            name=name,
            scopes=scope or [credentials.EVERYTHING],
            pepper=pepper,
        )
        return new.token

    sys.stdout.write(_with_database(data_dir, work) + "\n")


@keys_app.command("list")
def list_keys(
    company: Annotated[int, typer.Option(min=0, help="The company's id; 0 for the operators' own keys.")],
    data_dir: DataDir = None,
) -> None:
    """List keys; their secrets are kept nowhere."""

    async def work(database: Database, _: str) -> None:
        for key in await credentials.list_keys(database, company, after="", limit=1_000):
            ends = "never" if key.expires_at is None else key.expires_at.isoformat()
            state = "revoked" if key.revoked_at else f"ends {ends}"
            sys.stdout.write(f"{key.key_id}\t{state}\t{','.join(key.scopes)}\t{key.name}\n")

    _with_database(data_dir, work)


@keys_app.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument()],
    company: Annotated[int, typer.Option(min=0, help="The company's id; 0 for the operators' own keys.")],
    data_dir: DataDir = None,
) -> None:
    """End a key."""

    async def work(database: Database, _: str) -> None:
        await credentials.revoke_key(database, company, key_id)

    _with_database(data_dir, work)


def _serve(host: str, port: int, workers: int) -> None:
    uvicorn.run(
        _FACTORY,
        factory=True,
        host=host,
        port=port,
        workers=workers,
        log_level="info",
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=16_384,
        timeout_graceful_shutdown=25,
    )


def _environment(servers: Servers) -> dict[str, str]:
    return {
        "DATABASE_URL": servers.database_url,
        "REDIS_URL": servers.redis_url or "",
        "JOURNEY_KEY_PEPPER": servers.secrets["key_pepper"],
    }


def _bring_demo(servers: Servers, address: str) -> None:
    async def work() -> str:
        database = Database(servers.database_url)
        try:
            now = datetime.now(UTC)  # noqa: TID251  # a composition root
            if await demo.open_demo(database, now=now):
                _CONSOLE.print("A demo company has been founded and its two years replayed.")
            return await demo.hand_out_key(database, pepper=servers.secrets["key_pepper"])
        finally:
            await database.close()

    token = asyncio.run(work())
    _CONSOLE.print(f"Documentation: {address}/docs\nA key for the demo company {demo.DEMO_COMPANY}: {token}")


def _with_database(data_dir: Path | None, work: Callable[[Database, str], Awaitable[T]]) -> T:
    """Do some work on the database meant, started for it if need be."""

    async def connected(url: str, pepper: str) -> T:
        database = Database(url, application_name="journey-command", pool_timeout=10)
        try:
            return await work(database, pepper)
        finally:
            await database.close()

    with _told():
        if data_dir is None:
            url = os.environ.get("DATABASE_URL")
            if not url:
                raise typer.BadParameter("Set DATABASE_URL, or name a --data-dir.")
            return asyncio.run(connected(url, os.environ.get("JOURNEY_KEY_PEPPER", "")))
        if not (data_dir / "secrets.json").exists():
            raise InvalidInputError.at("--data-dir", f"{data_dir} is no folder of `journey up`")
        with connect_or_start(data_dir) as servers:
            migrating.upgrade(servers.database_url)
            return asyncio.run(connected(servers.database_url, servers.secrets["key_pepper"]))


@contextmanager
def _told() -> Iterator[None]:
    """Turn expected failures into a sentence and an exit status."""
    try:
        yield
    except InvalidInputError as error:
        for fault in error.faults:
            _complain(f"{fault.pointer or 'input'}: {fault.message}")
        raise typer.Exit(1) from error
    except (JourneyServiceError, EmbeddedError) as error:
        _complain(str(error))
        raise typer.Exit(1) from error
    except ValidationError as error:
        for found in error.errors():
            _complain(f"{found['loc'][0]}: {found['msg']}")
        raise typer.Exit(1) from None


def _complain(sentence: str) -> None:
    _CONSOLE.print(sentence, style="red", highlight=False, markup=False, soft_wrap=True)


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=_CONSOLE,
    )


async def _import(
    database: Database, company: int, file: Path, until: datetime | None, bar: Progress
) -> Import:
    size = file.stat().st_size
    found = await imports.find_unfinished(database, company, _digest(file), until=until)
    if found is None:
        reading = bar.add_task("reading", total=size)
        found = await imports.read_history(
            database,
            company,
            _chunks(file),
            actor="journey import",
            is_gzip=True if file.suffix == ".gz" else None,
            until=until,
            on_progress=lambda done: bar.update(reading, completed=done),
        )
    replaying = bar.add_task("replaying", total=found.staged, completed=found.done)
    import_id = found.id
    done = await imports.run_import(
        database, company, import_id, on_progress=lambda now: bar.update(replaying, completed=now.done)
    )
    while not done:  # somebody else has it: watch
        await asyncio.sleep(1)
        now = await imports.get_import(database, company, import_id)
        bar.update(replaying, completed=now.done)
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
        "failed": found.failed_lines,
        "transitions": found.transitions,
    }
    if as_json:
        sys.stdout.write(json.dumps(counts) + "\n")
        return
    sys.stdout.write("  ".join(f"{name} {value}" for name, value in counts.items()) + "\n")


if __name__ == "__main__":
    app()
