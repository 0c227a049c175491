"""Statements that a test run executes, and whether the oldest supported PostgreSQL prepares each of them."""

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
from sqlalchemy import Engine, event

from journey_service.embedded import EmbeddedServers
from journey_service.repositories import migrations as migrating

executed: set[str] = set()
"""The distinct statements that engines of this process have executed."""
_MAX_SHOWN = 5


def record() -> None:
    """Begin to record the statements of all engines."""
    event.listen(Engine, "before_cursor_execute", _add)


@contextmanager
def unrecorded() -> Iterator[None]:
    """Discard statements that are executed during a `with` block."""
    before = set(executed)
    try:
        yield
    finally:
        executed.intersection_update(before)


def _add(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
    executed.add(statement)


def refused_by(postgres_bin: Path, statements: Collection[str]) -> list[str]:
    """Return an error for each statement that a migrated server of other programs does not prepare."""
    with (
        TemporaryDirectory(prefix="journey-oldest-", ignore_cleanup_errors=True) as folder,
        EmbeddedServers(Path(folder), postgres_bin=postgres_bin) as servers,
    ):
        migrating.upgrade(servers.database_url)
        return asyncio.run(_refused(servers.database_url, statements))


async def _refused(url: str, statements: Collection[str]) -> list[str]:
    connection = await asyncpg.connect(url, statement_cache_size=0)
    errors = []
    try:
        # The report of slow statements reads it where it is installed.
        await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        for statement in sorted(statements):
            try:
                await connection.prepare(statement)
            except asyncpg.PostgresError as error:
                errors.append(f"{error}: {statement}")
    finally:
        await connection.close()
    return errors


def failure(errors: Collection[str]) -> str:
    """Return the text of a failure."""
    shown = "\n".join(list(errors)[:_MAX_SHOWN])
    return f"{len(errors)} statements are refused by the oldest supported PostgreSQL:\n{shown}"
