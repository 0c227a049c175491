"""Real servers for the tests: PostgreSQL and Valkey from wheels, a migrated database, companies to be alone in.

Tests share one database and never meet: each founds companies of its own, and row-level security keeps them
apart. JOURNEY_TEST_POSTGRES_BIN names the programs of another PostgreSQL to run against.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from journey_service.domain.access.actors import Actor
from journey_service.embedded import Embedded, Servers
from journey_service.main import create_app
from journey_service.repositories import migrations as migrating
from journey_service.repositories.database import Database
from journey_service.services.access import credentials
from journey_service.services.access.credentials import KeyRequest
from journey_service.services.companies.provisioning import NewCompany, create_company
from journey_service.settings import Settings

PEPPER = "Zr7nQ2vK9xW4mB8tYcL3eHs6"
ERASURE_KEY = "pD5wXk1RzT8bVq3NmGf7uJc2"
VAULT_KEY = "nW3xKc8TzQ5vJb2RmLs9yGd6"
OPERATOR_KEY = "jrn_tests_hY4sLm9QeWx2RtBv6KdPz8NcJg3FuT5a"
DATA = Path(__file__).parents[2] / "shared" / "data"

_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_ids = count(1_000)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """A PostgreSQL and a Valkey that live as long as the test run."""
    named = os.environ.get("JOURNEY_TEST_POSTGRES_BIN")
    folder = tmp_path_factory.mktemp("servers")
    with Embedded(folder, postgres_bin=Path(named) if named else None, postgres_settings=_FAST) as running:
        migrating.upgrade(running.database_url)
        yield running


@pytest.fixture(scope="session")
async def database(servers: Servers) -> AsyncIterator[Database]:
    """The service's own way to the database."""
    opened = Database(
        servers.database_url,
        pool_size=20,
        pool_timeout=30,
        erasure_key=ERASURE_KEY,
        vault_key=VAULT_KEY,
    )
    yield opened
    await opened.close()


@dataclass(frozen=True)
class Tenant:
    """A company of a test's own, with a key that may do everything in it."""

    id: int
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """How a request of this company begins."""
        return {"Authorization": f"Bearer {self.token}"}


FoundTenant = Callable[..., Awaitable[Tenant]]


@pytest.fixture(scope="session")
def found_tenant(database: Database) -> FoundTenant:
    """Found a company nobody else uses; keywords are those of NewCompany."""

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
async def tenant(found_tenant: FoundTenant) -> Tenant:
    """A company of the test's own, in UTC, with the default stage map."""
    return await found_tenant()


@pytest.fixture(scope="session")
def settings(servers: Servers) -> Settings:
    """The service's settings on the test servers."""
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
    """A client that speaks to the application without a network in between."""
    transport = httpx.ASGITransport(app=api, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://journey.test") as client:
        yield client


@pytest.fixture(scope="session")
def operator() -> dict[str, str]:
    """How a request of an operator begins."""
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
