"""The PostgreSQL versions that tests run on: all on the newest, those that exercise SQL on the oldest too.

Every test under a folder of REPEATED that reaches the `servers` fixture is repeated; a new file is, without being
listed. Files of HTTP_ONLY are left out: the SQL they cause is exercised by others that are repeated. So are tests, and
single parameters, that are marked as `newest_only`: those that check the checks, and more of the same by chance.
"""

from collections.abc import Iterable
from pathlib import Path

import asyncpg
import pytest

NEWEST, OLDEST = "18", "15"
OLDEST_BIN = Path("/usr/lib/postgresql/15/bin")
TESTS = Path(__file__).parent
REPEATED = ("repositories", "services", "api", "test_postgres_15.py")
HTTP_ONLY = frozenset(
    {
        "api/access/test_authentication.py",
        "api/actions/test_event_stream.py",
        "api/operations/test_health.py",
        "api/operations/test_problem_pages.py",
        "api/portal/test_dashboard.py",
        "api/test_any_json.py",
        "api/test_authorization.py",
        "api/test_bad_input.py",
        "api/test_browsers.py",
        "api/test_documentation.py",
        "api/test_error_texts.py",
        "api/test_examples.py",
        "api/test_isolation.py",
        "api/test_openapi.py",
        "api/test_query_parameters.py",
        "api/test_access_log.py",
        "api/test_clients.py",
        "api/test_trailing_newline.py",
        "api/test_wakeups.py",
    }
)


newest_only = pytest.mark.newest_only


def first_on_both(values: Iterable[object]) -> list[object]:
    """Values of a parameter that change nothing in the SQL: the first runs on both versions, the others on one."""
    first, *others = values
    return [first, *(pytest.param(*_row(value), marks=newest_only) for value in others)]


def _row(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else (value,)


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
        and not is_exempt(item)
    )


def is_exempt(item: pytest.Item) -> bool:
    """Return whether a test or one of its parameters is marked as running on the newest version alone."""
    return any(item.get_closest_marker(name) is not None for name in ("big", "newest_only"))


async def check_version(url: str, expected: str) -> None:
    """Raise AssertionError if a server is of another major version."""
    connection = await asyncpg.connect(url)
    try:
        found = await connection.fetchval("SHOW server_version")
    finally:
        await connection.close()
    assert found.partition(".")[0] == expected, f"PostgreSQL {expected} was expected, and this is {found}"
