"""What every command shares: where it works, how it tells its results, and how it complains."""

import asyncio
import getpass
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeVar

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
from journey_service.repositories import migrations as migrating
from journey_service.repositories.database import Database
from journey_service.services.companies.provisioning import get_company_context, list_companies
from journey_service.settings import read_migration_settings

T = TypeVar("T")

EXIT_FINDINGS = 2
"""The exit status of a command that did its work and found something wrong."""
_PAGE = 500

CONSOLE = Console(stderr=True)

DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder of `journey up`, running or not. Without it, DATABASE_URL says where to go."),
]
CompanyId = Annotated[int, typer.Option("--company", min=1, max=MAX_ID, help="The company's id.")]
CustomerId = Annotated[int, typer.Option("--customer", min=0, max=MAX_ID, help="The customer's id.")]
CustomerIds = Annotated[
    list[int] | None,
    typer.Option("--customer", min=0, max=MAX_ID, help="These customers only; may be given more than once."),
]
MaybeCompanyId = Annotated[
    int | None,
    typer.Option("--company", min=1, max=MAX_ID, help="The company's id; left out, all companies."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]


@dataclass(frozen=True)
class CommandContext:
    """Where a command works, and what belongs to it. `pepper` is empty where nobody has told it."""

    database: Database
    pepper: str
    redis_url: str | None


def with_database(
    data_dir: Path | None, uow: Callable[[CommandContext], Awaitable[T]], *, is_to_be_migrated: bool = True
) -> T:
    """Do some work on the database meant, started for it if need be."""

    async def connected(
        url: str, pepper: str, redis_url: str | None, erasure_key: str | None, vault_key: str | None
    ) -> T:
        database = Database(
            url,
            application_name="journey-command",
            pool_timeout=10,
            erasure_key=erasure_key,
            vault_key=vault_key,
        )
        try:
            return await uow(CommandContext(database, pepper, redis_url))
        finally:
            await database.close()

    with told():
        if data_dir is None:
            url = os.environ.get("DATABASE_URL")
            if not url:
                raise InvalidInputError.at("DATABASE_URL", "must be set, unless a --data-dir is named")
            pepper, redis_url = os.environ.get("JOURNEY_KEY_PEPPER", ""), os.environ.get("REDIS_URL") or None
            erasure_key = os.environ.get("JOURNEY_ERASURE_KEY") or None
            vault_key = os.environ.get("JOURNEY_VAULT_KEY") or None
            return asyncio.run(connected(url, pepper, redis_url, erasure_key, vault_key))
        _check_folder(data_dir)
        with connect_or_start(data_dir) as servers:
            if is_to_be_migrated:
                migrating.upgrade(servers.database_url)
            return asyncio.run(
                connected(
                    servers.database_url,
                    servers.secrets["key_pepper"],
                    servers.redis_url,
                    servers.secrets["erasure_key"],
                    servers.secrets["vault_key"],
                )
            )


@contextmanager
def owner_url(data_dir: Path | None) -> Iterator[str]:
    """The database as the login that owns its tables, started if need be."""
    with told():
        if data_dir is None:
            yield read_migration_settings().url
            return
        _check_folder(data_dir)
        with connect_or_start(data_dir) as servers:
            yield servers.database_url


def cli_actor(command: str) -> Actor:
    """Who acts by a command: the login is told as the reason, as nobody else is asked."""
    return Actor(f"journey {command}", is_operator=True, reason=f"login {getpass.getuser()}")


async def select_companies(database: Database, company_id: int | None) -> list[Company]:
    """The company named, or all of them by id. Raises CompanyNotFoundError."""
    if company_id is not None:
        return [(await get_company_context(database, company_id)).company]
    found: list[Company] = []
    while page := await list_companies(database, after=found[-1].id if found else 0, limit=_PAGE):
        found += page
    return found


@contextmanager
def told() -> Iterator[None]:
    """Turn expected failures into a sentence and an exit status."""
    try:
        yield
    except InvalidInputError as error:
        for fault in error.faults:
            print_error(f"{fault.pointer or 'input'}: {fault.message}")
        raise typer.Exit(1) from error
    except (JourneyServiceError, EmbeddedError) as error:
        print_error(str(error))
        raise typer.Exit(1) from error
    except ValidationError as error:
        for found in error.errors():
            print_error(": ".join((*map(str, found["loc"][:1]), found["msg"])))
        raise typer.Exit(1) from None


def print_error(sentence: str) -> None:
    """Say on stderr what went wrong."""
    CONSOLE.print(sentence, style="red", highlight=False, markup=False, soft_wrap=True)


def print_note(sentence: str) -> None:
    """Say something on stderr, beside the result."""
    CONSOLE.print(sentence, highlight=False, markup=False, soft_wrap=True)


def say(line: str = "") -> None:
    """Print one line of a result."""
    sys.stdout.write(f"{line}\n")


def say_json(value: object) -> None:
    """Print a result as one JSON object."""
    say(orjson.dumps(value).decode())


def say_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under headings, numbers to the right; nothing is cut off, however narrow the terminal."""
    shown = [[_shown(value) for value in row] for row in rows]
    numeric = [all(_is_number(row[column]) for row in shown) for column in range(len(headings))]
    widths = [max(len(row[column]) for row in [headings, *shown]) for column in range(len(headings))]
    for row in [list(headings), *shown]:
        cells = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        )
        say("  ".join(cells).rstrip())


def bar(*, is_shown: bool = True) -> Progress:
    """A progress bar on stderr."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=CONSOLE,
        disable=not is_shown,
    )


def _check_folder(data_dir: Path) -> None:
    if not (data_dir / "secrets.json").exists():
        raise InvalidInputError.at("--data-dir", f"{data_dir} is no folder of `journey up`")


def _shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else str(value)


def _is_number(shown: str) -> bool:
    return shown.lstrip("-").replace(".", "", 1).replace("%", "", 1).isdigit() or shown == "-"
