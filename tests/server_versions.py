"""The PostgreSQL versions that tests run on: all on the newest, those that exercise SQL on the oldest too.

Every test under a folder of REPEATED that reaches the `servers` fixture is repeated; a new file is, without being
listed. Files of HTTP_ONLY are left out: the SQL they cause is exercised by others that are repeated.
"""

from pathlib import Path

import asyncpg
import pytest

NEWEST, OLDEST = "18", "15"
OLDEST_BIN = Path("/usr/lib/postgresql/15/bin")
TESTS = Path(__file__).parent
REPEATED = ("repositories", "services", "api", "test_postgres_15.py")
HTTP_ONLY: frozenset[str] = frozenset()


def is_installed() -> bool:
    """Return whether the oldest supported PostgreSQL is on this machine."""
    return (OLDEST_BIN / "initdb").exists()


def is_repeated(item: pytest.Item) -> bool:
    """Return whether a test that reaches the servers runs on the oldest supported PostgreSQL too."""
    path = item.path.relative_to(TESTS)
    return (
        is_installed()
        and path.parts[0] in REPEATED
        and path.as_posix() not in HTTP_ONLY
        and item.get_closest_marker("big") is None
    )


async def check_version(url: str, expected: str) -> None:
    """Raise AssertionError if a server is of another major version."""
    connection = await asyncpg.connect(url)
    try:
        found = await connection.fetchval("SHOW server_version")
    finally:
        await connection.close()
    assert found.partition(".")[0] == expected, f"PostgreSQL {expected} was expected, and this is {found}"
