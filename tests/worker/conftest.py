"""A database of the tests' own: workers look at every company there is, so nobody else's may be there."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import count

import asyncpg
import pytest

from chaos.ground import ROUND_SECONDS
from conftest import ERASURE_KEY, PEPPER, VAULT_KEY, Copied
from journey_service.domain.access.actors import Actor
from journey_service.repositories.database import Database
from journey_service.services.companies.provisioning import NewCompany, found_company

_numbers = count(1)


@dataclass(frozen=True)
class Ground:
    """A database, the service's way to it, and the owner's."""

    url: str
    database: Database
    owner: asyncpg.Connection

    def environment(self, redis_url: str = "") -> dict[str, str]:
        """What a process of the service is to be told; leases are short, so that kills cost little time."""
        return {
            "DATABASE_URL": self.url,
            "REDIS_URL": redis_url,
            "JOURNEY_KEY_PEPPER": PEPPER,
            "JOURNEY_ERASURE_KEY": ERASURE_KEY,
            "JOURNEY_VAULT_KEY": VAULT_KEY,
            "JOURNEY_LEASE_SECONDS": "1",
            "JOURNEY_ROUND_SECONDS": str(ROUND_SECONDS),
            "JOURNEY_POOL_TIMEOUT": "20",
        }

    async def found(self, **properties: object) -> int:
        """A company; keywords are those of NewCompany."""
        new = NewCompany(**{"name": "A test", "timezone": "UTC", "currency": "EUR", **properties})
        return (await found_company(self.database, new, author=Actor("tests"))).company.id

    async def ask(self, sql: str, *values: object) -> object:
        """One value, as the owner of everything sees it."""
        return await self.owner.fetchval(sql, *values)


@pytest.fixture
async def ground(copied: Copied) -> AsyncIterator[Ground]:
    """An empty, migrated database."""
    url = await copied(f"ground_{next(_numbers)}")
    database = Database(url, pool_size=20, pool_timeout=30)
    owner = await asyncpg.connect(url)
    yield Ground(url, database, owner)
    await owner.close()
    await database.close()
