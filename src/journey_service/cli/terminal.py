"""Shared code of all commands: options, database connection, output, and error messages."""

import asyncio
import getpass
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, TypeVar

import orjson
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from journey_service.domain.access.actors import Actor
from journey_service.domain.companies.records import Company
from journey_service.domain.errors import InvalidInputError, JourneyServiceError
from journey_service.domain.events.event import MAX_ID
from journey_service.embedded import EmbeddedError, connect_or_start
from journey_service.repositories.database import Database
from journey_service.services.companies.provisioning import get_company_context, list_companies
from journey_service.services.operations import health
from journey_service.settings import read_migration_settings

T = TypeVar("T")

EXIT_FINDINGS = 2
"""Exit status of a command that ran and found a problem."""
DEFAULT_DATA_DIR: Final = Path(".journey")
_PAGE = 500

CONSOLE = Console(stderr=True)

DataDir = Annotated[
    Path | None,
    typer.Option(
        help=(
            "Data directory of `journey up`; its servers are started if needed."
            " Default: DATABASE_URL if set, else .journey."
        ),
        show_default=False,
    ),
]
CompanyId = Annotated[int, typer.Option("--company", min=1, max=MAX_ID, help="The company's id.")]
MaybeCompanyId = Annotated[
    int | None,
    typer.Option("--company", min=1, max=MAX_ID, help="The company's id. Default: all companies."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]


@dataclass(frozen=True)
class CommandContext:
    """Context of a command. `pepper` is empty if JOURNEY_KEY_PEPPER is not set."""

    database: Database
    database_url: str
    pepper: str
    redis_url: str | None


def with_database(
    data_dir: Path | None, run: Callable[[CommandContext], Awaitable[T]], *, is_to_be_migrated: bool = True
) -> T:
    """Runs a command on the database of DATABASE_URL, or of a data directory, which is started if needed."""
    with expected_errors():
        url = os.environ.get("DATABASE_URL")
        if data_dir is None and url:
            secrets = {
                "key_pepper": os.environ.get("JOURNEY_KEY_PEPPER", ""),
                "erasure_key": os.environ.get("JOURNEY_ERASURE_KEY") or None,
                "vault_key": os.environ.get("JOURNEY_VAULT_KEY") or None,
            }
            return asyncio.run(_run_on(url, os.environ.get("REDIS_URL") or None, secrets, run))
        directory = checked_directory(data_dir)
        with connect_or_start(directory) as servers:
            if is_to_be_migrated and not asyncio.run(_is_migrated(servers.database_url)):
                _migrate(directory)
            return asyncio.run(_run_on(servers.database_url, servers.redis_url, servers.secrets, run))


async def _run_on(
    url: str,
    redis_url: str | None,
    secrets: Mapping[str, str | None],
    run: Callable[[CommandContext], Awaitable[T]],
) -> T:
    database = Database(
        url,
        application_name="journey-command",
        pool_timeout=10,
        erasure_key=secrets["erasure_key"],
        vault_key=secrets["vault_key"],
    )
    try:
        return await run(CommandContext(database, url, secrets["key_pepper"] or "", redis_url))
    finally:
        await database.close()


@contextmanager
def owner_url(data_dir: Path | None) -> Iterator[str]:
    """Yields the database URL of the table owner; starts the servers of the data directory if needed."""
    with expected_errors():
        if data_dir is None and (os.environ.get("DATABASE_URL") or os.environ.get("MIGRATION_DATABASE_URL")):
            yield read_migration_settings().url
            return
        with connect_or_start(checked_directory(data_dir)) as servers:
            yield servers.database_url


async def _is_migrated(url: str) -> bool:
    database = Database(url, application_name="journey-command")
    try:
        return await health.is_migrated(database)
    finally:
        await database.close()


def _migrate(directory: Path) -> None:
    """Migrates in a separate process, because importing alembic would slow down every command."""
    command = (sys.executable, "-m", "journey_service.cli", "migrate", "--data-dir", str(directory))
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own program
    if done.returncode:
        raise EmbeddedError(f"the database could not be migrated: {done.stderr.strip()}")


def cli_actor(command: str) -> Actor:
    """Returns the actor of a command, with the operating system's login as its reason."""
    return Actor(f"journey {command}", is_operator=True, reason=f"login {getpass.getuser()}")


async def select_companies(database: Database, company_id: int | None) -> list[Company]:
    """Returns one company, or all of them by id. Raises CompanyNotFoundError."""
    if company_id is not None:
        return [(await get_company_context(database, company_id)).company]
    found: list[Company] = []
    while page := await list_companies(database, after=found[-1].id if found else 0, limit=_PAGE):
        found += page
    return found


@contextmanager
def expected_errors() -> Iterator[None]:
    """Prints expected errors as one sentence on stderr and exits with status 1."""
    try:
        yield
    except InvalidInputError as error:
        for field_error in error.errors:
            print_error(f"{field_error.pointer or 'input'}: {field_error.message}")
        raise typer.Exit(1) from error
    except (JourneyServiceError, EmbeddedError) as error:
        print_error(str(error))
        raise typer.Exit(1) from error
    except ValidationError as error:
        for found in error.errors():
            print_error(": ".join((*map(str, found["loc"][:1]), found["msg"])))
        raise typer.Exit(1) from None


def print_error(sentence: str) -> None:
    """Prints an error on stderr."""
    CONSOLE.print(sentence, style="red", highlight=False, markup=False, soft_wrap=True)


def print_note(sentence: str) -> None:
    """Prints a note on stderr, so that stdout holds the result only."""
    CONSOLE.print(sentence, highlight=False, markup=False, soft_wrap=True)


def print_line(line: str = "") -> None:
    """Prints one line of a result on stdout."""
    sys.stdout.write(f"{line}\n")


def print_json(value: object) -> None:
    """Prints a result as one JSON object on one line."""
    print_line(orjson.dumps(value).decode())


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints rows under headings, with numbers aligned right. Cells are never truncated."""
    shown = [[_shown(value) for value in row] for row in rows]
    numeric = [all(_is_number(row[column]) for row in shown) for column in range(len(headings))]
    widths = [max(len(row[column]) for row in [headings, *shown]) for column in range(len(headings))]
    for row in [list(headings), *shown]:
        cells = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        )
        print_line("  ".join(cells).rstrip())


def bar(*, is_shown: bool = True) -> Progress:
    """Returns a progress bar on stderr."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=CONSOLE,
        disable=not is_shown,
    )


def checked_directory(data_dir: Path | None) -> Path:
    """Returns the data directory of a command. Raises InvalidInputError if `journey up` has not created it."""
    chosen = DEFAULT_DATA_DIR if data_dir is None else data_dir
    if not (chosen / "secrets.json").exists():
        hint = "; use --data-dir or set DATABASE_URL" if data_dir is None else ""
        raise InvalidInputError.at("--data-dir", f"{chosen} is not a `journey up` data directory{hint}")
    return chosen


def _shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else str(value)


def _is_number(shown: str) -> bool:
    return shown.lstrip("-").replace(".", "", 1).replace("%", "", 1).isdigit() or shown == "-"
