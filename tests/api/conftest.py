"""A client that holds every answer against the published contract, and the database seen from outside."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from api.calls import NOON, DatabaseOwner, Tenant
from api.contract import Contract
from journey_service.domain.events.values import parse_instant
from journey_service.embedded import ServerAddresses
from journey_service.repositories.database import Database
from journey_service.services.operations.schedule import IMPORTS, JOBS
from journey_service.worker.polling import PollingLoops


@pytest.fixture(scope="session")
def contract(api: FastAPI) -> Contract:
    """What the application promises."""
    return Contract(api.openapi())


@pytest.fixture(scope="session")
async def http(api: FastAPI, contract: Contract) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, whose every answer is held against the contract."""
    transport = httpx.ASGITransport(app=api, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://journey.test", event_hooks={"response": [contract.check]}
    ) as client:
        yield client


@pytest.fixture(scope="session", autouse=True)
def streams_end(api: FastAPI) -> None:
    """The event stream ends after existing events: answers are read to their ends here."""
    api.state.app_state.event_stream.max_stream_seconds = 0


@pytest.fixture(scope="session")
async def database_owner(servers: ServerAddresses) -> AsyncIterator[DatabaseOwner]:
    """The database as its owner sees it."""
    connection = await asyncpg.connect(servers.database_url)
    yield DatabaseOwner(connection)
    await connection.close()


@pytest.fixture(scope="session")
async def generated_ids(create_test_company: Any) -> int:
    """Where the ids begin that the service gives to companies: far from those that tests give themselves."""
    await create_test_company(id=8_000_000_000)
    return 8_000_000_001


@pytest.fixture
async def salon(create_test_company: Any) -> Tenant:
    """A company of the test's own whose clock stands still at noon of 1 March 2026."""
    return await create_test_company(test_clock=parse_instant(NOON, ""))


@pytest.fixture(scope="module", autouse=True)
async def polling_loops(database: Database) -> AsyncIterator[None]:
    """A worker that does what the API leaves to one: histories and jobs, but not the sweep.

    Tests decide when time passes; a sweep of all customers could be faster than they are.
    """
    working = PollingLoops(database, names=(JOBS, IMPORTS), pause_seconds=0.05)
    working.start()
    yield
    await working.close()
