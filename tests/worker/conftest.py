"""A separate database for worker tests: workers poll every company in it, so it holds no others."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import count

import asyncpg
import pytest

from chaos.system import POLL_SECONDS
from conftest import ERASURE_KEY, PATIENT, PEPPER, VAULT_KEY, Copied
from journey_service.domain.access.actors import Actor
from journey_service.repositories.database import Database
from journey_service.services.companies.provisioning import NewCompany, create_company

_numbers = count(1)


@dataclass(frozen=True)
class WorkerDatabase:
    """A database with the service's connection pool and a connection of the schema owner."""

    url: str
    database: Database
    owner: asyncpg.Connection

    def environment(self, redis_url: str = "") -> dict[str, str]:
        """Returns the environment of a service process; leases are short, so that kills cost little time."""
        return {
            "DATABASE_URL": self.url,
            "REDIS_URL": redis_url,
            "JOURNEY_KEY_PEPPER": PEPPER,
            "JOURNEY_ERASURE_KEY": ERASURE_KEY,
            "JOURNEY_VAULT_KEY": VAULT_KEY,
            "JOURNEY_LEASE_SECONDS": "1",
            "JOURNEY_POLL_SECONDS": str(POLL_SECONDS),
            "JOURNEY_POOL_TIMEOUT": "20",
            "JOURNEY_READINESS_TIMEOUT": "30",
            "JOURNEY_STATEMENT_TIMEOUT": "30",
        }

    async def create_company(self, **properties: object) -> int:
        """Creates a company, with the keywords of NewCompany; returns its id."""
        new = NewCompany(**{"name": "A test", "timezone": "UTC", "currency": "EUR", **properties})
        return (await create_company(self.database, new, author=Actor("tests"))).company.id

    async def fetch_value(self, sql: str, *values: object) -> object:
        """Returns one value, read as the schema owner: row-level security does not apply."""
        return await self.owner.fetchval(sql, *values)


@pytest.fixture
async def worker_database(copied: Copied) -> AsyncIterator[WorkerDatabase]:
    """An empty, migrated database."""
    url = await copied(f"worker_{next(_numbers)}")
    # A slow machine may let statements wait for each other for longer than the service does.
    database = Database(url, pool_size=20, **PATIENT)
    owner = await asyncpg.connect(url)
    yield WorkerDatabase(url, database, owner)
    await owner.close()
    await database.close()
