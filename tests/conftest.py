"""Servers for the tests: PostgreSQL and Valkey from wheels, a migrated database, and companies of each test.

Tests share one database: each creates companies of its own, which row-level security isolates.
JOURNEY_TEST_POSTGRES_BIN names the programs of another PostgreSQL to run against.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

import statements
from journey_service.domain.access.actors import Actor
from journey_service.embedded import EmbeddedServers, ServerAddresses
from journey_service.main import create_app
from journey_service.repositories import database as database_settings
from journey_service.repositories import migrations as migrating
from journey_service.repositories.database import Database
from journey_service.services.access import credentials
from journey_service.services.access.credentials import KeyRequest
from journey_service.services.companies.provisioning import NewCompany, create_company
from journey_service.settings import Settings
from processes import UNLIMITED
from profiles import load_profile
from server_versions import (
    NEWEST,
    OLDEST,
    OLDEST_BIN,
    check_version,
    exempt_repetitions,
    is_installed,
    is_repeated,
)

PEPPER = "Zr7nQ2vK9xW4mB8tYcL3eHs6"
ERASURE_KEY = "pD5wXk1RzT8bVq3NmGf7uJc2"
VAULT_KEY = "nW3xKc8TzQ5vJb2RmLs9yGd6"
OPERATOR_KEY = "jrn_tests_hY4sLm9QeWx2RtBv6KdPz8NcJg3FuT5a"
DATA = Path(__file__).parents[2] / "shared" / "data"

PATIENT = {"pool_timeout": 60.0, "statement_timeout_ms": 60_000}
"""Options of a Database whose calls do not fail because the machine is busy."""

_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_PROFILE = pytest.StashKey[str]()
_ids = count(1_000)


Copied = Callable[..., Awaitable[str]]


def pytest_configure(config: pytest.Config) -> None:
    """Choose how many examples property tests take."""
    config.stash[_PROFILE] = load_profile()
    statements.record()
    # No transaction of this process fails because the machine is busy or stalls for seconds.
    database_settings.LOCK_TIMEOUT = "60s"
    database_settings.IDLE_TRANSACTION_TIMEOUT = "10min"


def pytest_report_header(config: pytest.Config) -> str:
    """Print how thorough this run is."""
    return f"hypothesis examples: {config.stash[_PROFILE]} (JOURNEY_FULL=1 for thorough)"


def pytest_xdist_auto_num_workers() -> int:
    """Return the workers of `-n auto`: one more than cores, as tests often wait for PostgreSQL."""
    return (os.cpu_count() or 1) + 1


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that exercises SQL on the oldest supported PostgreSQL as well."""
    if "servers" not in metafunc.fixturenames:
        return
    versions, names = [NEWEST], [pytest.HIDDEN_PARAM]
    if is_repeated(metafunc.definition):
        versions.append(OLDEST)
        names.append(f"postgresql-{OLDEST}")
    metafunc.parametrize("servers", versions, ids=names, indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Start with the long tests, so that no worker is left with one at the end; drop exempt repetitions."""
    dropped = exempt_repetitions(items)
    config.hook.pytest_deselected(items=dropped)
    kept = set(items) - set(dropped)
    items[:] = [item for item in items if item in kept]
    items.sort(key=lambda item: item.get_closest_marker("big") is None)


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> Iterator[ServerAddresses]:
    """A PostgreSQL and a Valkey of one worker of the test run."""
    named = OLDEST_BIN if request.param == OLDEST else os.environ.get("JOURNEY_TEST_POSTGRES_BIN")
    with (
        # Not in a folder of pytest: another run would close it to the user that PostgreSQL runs as.
        TemporaryDirectory(prefix="journey-tests-", ignore_cleanup_errors=True) as folder,
        EmbeddedServers(
            Path(folder), postgres_bin=Path(named) if named else None, postgres_settings=_FAST
        ) as running,
    ):
        if request.param == OLDEST:
            asyncio.run(check_version(running.database_url, OLDEST))
        migrating.upgrade(running.database_url)
        yield running
    if request.param == NEWEST and is_installed():
        refused = statements.refused_by(OLDEST_BIN, statements.executed)
        if refused:
            pytest.fail(statements.failure(refused))


@pytest.fixture(scope="session")
async def copied(servers: ServerAddresses) -> Copied:
    """A function that creates an empty, migrated database, replacing one of the same name; returns its URL."""
    root = servers.database_url.rsplit("/", 1)[0]

    async def copy(name: str, template: str = "migrated") -> str:
        owner = await asyncpg.connect(servers.database_url)
        try:
            await owner.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            await owner.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        finally:
            await owner.close()
        return f"{root}/{name}"

    # Alembic runs an event loop of its own.
    await asyncio.to_thread(migrating.upgrade, await copy("migrated", "template1"))
    return copy


@pytest.fixture(scope="session")
async def database(servers: ServerAddresses) -> AsyncIterator[Database]:
    """The database of the service."""
    opened = Database(
        servers.database_url,
        pool_size=20,
        **PATIENT,
        erasure_key=ERASURE_KEY,
        vault_key=VAULT_KEY,
    )
    yield opened
    await opened.close()


@dataclass(frozen=True)
class Tenant:
    """A company of one test, with a key that has all scopes."""

    id: int
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """The request headers of this company."""
        return {"Authorization": f"Bearer {self.token}"}


FoundTenant = Callable[..., Awaitable[Tenant]]


@pytest.fixture(scope="session")
def create_test_company(database: Database) -> FoundTenant:
    """A function that creates a company for one test; keywords are those of NewCompany."""

    async def found(*, scopes: tuple[str, ...] = ("*",), **properties: object) -> Tenant:
        new = NewCompany(
            **{"name": "A test", "timezone": "UTC", "currency": "EUR", "id": next(_ids), **properties}
        )
        context = await create_company(database, new, author=Actor("tests"))
        key = await credentials.create_key(
            database, context.company.id, KeyRequest("tests", scopes), pepper=PEPPER, by=Actor("tests")
        )
        return Tenant(context.company.id, key.token)

    return found


@pytest.fixture
async def tenant(create_test_company: FoundTenant) -> Tenant:
    """A company of one test, in UTC, with the default stage map."""
    return await create_test_company()


@pytest.fixture(scope="session")
def settings(servers: ServerAddresses) -> Settings:
    """The settings of the service on the test servers."""
    return Settings.model_validate(
        {
            "DATABASE_URL": servers.database_url,
            "REDIS_URL": servers.redis_url,
            "JOURNEY_ENVIRONMENT": "development",
            "JOURNEY_KEY_PEPPER": PEPPER,
            "JOURNEY_ERASURE_KEY": ERASURE_KEY,
            "JOURNEY_VAULT_KEY": VAULT_KEY,
            "JOURNEY_BOOTSTRAP_KEY": OPERATOR_KEY,
            "JOURNEY_POOL_TIMEOUT": 30,
            **UNLIMITED,
            "JOURNEY_STATEMENT_TIMEOUT": 60,
            "JOURNEY_READINESS_TIMEOUT": 30,
        }
    )


@pytest.fixture(scope="session")
async def api(settings: Settings) -> AsyncIterator[FastAPI]:
    """The application, started."""
    application = create_app(settings)
    async with application.router.lifespan_context(application):
        yield application


@pytest.fixture(scope="session")
async def http(api: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client that calls the application without a network."""
    transport = httpx.ASGITransport(app=api, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://journey.test") as client:
        yield client


@pytest.fixture(scope="session")
def operator() -> dict[str, str]:
    """The request headers of an operator."""
    return {"Authorization": f"Bearer {OPERATOR_KEY}"}


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of the public data sets."""
    if not DATA.is_dir():
        if os.environ.get("REQUIRE_ALL"):
            pytest.fail(f"the data sets are required and {DATA} is not there")
        pytest.skip(f"the data sets are not here: {DATA}")
    return DATA


def utc(text: str) -> datetime:
    """An instant from `2026-03-01` or `2026-03-01T09:30`."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
