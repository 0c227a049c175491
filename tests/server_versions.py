"""The PostgreSQL versions that tests run on: all on the newest, a choice of them on the oldest too.

Every statement that a run executes on the newest version is prepared on the oldest one: see `statements`. What a
statement does there is tested by the tests of the repositories, all of which are repeated, and by the first test of
every file of the services and the API that reaches the `servers` fixture; JOURNEY_FULL=1 repeats all of them. Files of
HTTP_ONLY are left out: the SQL they cause is exercised by others that are repeated. So are tests that are marked as
`newest_only`: those that check the checks. Of a parametrised test the first parameters are repeated, and all of them
where each one has SQL of its own: such a test is marked as `each_has_its_sql`.
"""

from collections.abc import Iterable
from pathlib import Path

import asyncpg
import pytest

from profiles import THOROUGH, active

NEWEST, OLDEST = "18", "15"
OLDEST_BIN = Path("/usr/lib/postgresql/15/bin")
TESTS = Path(__file__).parent
REPEATED = ("repositories", "services", "api", "test_postgres_15.py")
REPEATED_WHOLE = ("repositories", "test_postgres_15.py")
"""Folders of which every test is repeated in a quick run, not the first of each file."""
HTTP_ONLY = frozenset(
    {
        "api/access/test_authentication.py",
        "api/actions/test_event_stream.py",
        "api/events/test_cloud_events.py",
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
        "api/test_head.py",
        "api/test_isolation.py",
        "api/test_openapi.py",
        "api/test_query_parameters.py",
        "api/test_request_bodies.py",
        "api/test_access_log.py",
        "api/test_clients.py",
        "api/test_trailing_newline.py",
        "api/test_wakeups.py",
    }
)


newest_only = pytest.mark.newest_only
each_has_its_sql = pytest.mark.each_has_its_sql


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


def repeated_unit(item: pytest.Item) -> str:
    """Return what is repeated once: a test with its parameters, or in a quick run a file of services or the API."""
    path = item.path.relative_to(TESTS)
    is_whole = path.parts[0] in REPEATED_WHOLE or active() == THOROUGH
    return item.nodeid.partition("[")[0] if is_whole else path.as_posix()


def exempt_repetitions(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Return the tests on the oldest version that add nothing to those on the newest."""
    exempt: list[pytest.Item] = []
    repeated: dict[str, str] = {}
    for item in items:
        callspec = getattr(item, "callspec", None)
        if callspec is None or callspec.params.get("servers") != OLDEST:
            continue
        test, unit = item.nodeid.partition("[")[0], repeated_unit(item)
        has_own_sql = item.get_closest_marker("each_has_its_sql") is not None
        is_first = unit not in repeated or (has_own_sql and repeated[unit] == test)
        if is_first and not is_exempt(item):
            repeated[unit] = test
        else:
            exempt.append(item)
    return exempt


async def check_version(url: str, expected: str) -> None:
    """Raise AssertionError if a server is of another major version."""
    connection = await asyncpg.connect(url)
    try:
        found = await connection.fetchval("SHOW server_version")
    finally:
        await connection.close()
    assert found.partition(".")[0] == expected, f"PostgreSQL {expected} was expected, and this is {found}"
