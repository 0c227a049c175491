"""A client that holds every answer against the published contract, and the database seen from outside."""

import re
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from api.calls import NOON, PROBLEM, Outside, Tenant
from journey_service.domain.events.parsing import parse_instant
from journey_service.embedded import Servers
from journey_service.repositories.database import Database
from journey_service.services.operations.schedule import IMPORTS, JOBS
from journey_service.worker.polling import PollingLoops


class Contract:
    """An OpenAPI document, held against answers."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._operations = [
            (method.upper(), re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path)), operation["responses"])
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        ]

    async def check(self, answer: httpx.Response) -> None:
        """Errors are problems, nothing goes wrong on our side, and whatever is answered was promised."""
        await answer.aread()
        status = answer.status_code
        where = f"{answer.request.method} {answer.request.url}: {status} {answer.text[:500]}"
        assert status < 500 or status == 503, where
        media = answer.headers.get("content-type", "").split(";")[0]
        if status >= 400 and answer.request.url.path != "/readyz":
            assert media == PROBLEM, where
            told = answer.json()
            assert told["type"].startswith("/problems/"), where
            assert told["status"] == status, where
            assert isinstance(told["title"], str), where
            assert isinstance(told["detail"], str), where
            assert (told["type"] == "/problems/invalid-input") == ("errors" in told), where
        promised = self._promised(answer.request)
        if promised is not None:
            assert str(status) in promised, f"not in the contract: {where}"
            contents = promised[str(status)].get("content", {})
            assert not answer.content or media in contents, f"not in the contract: {media} {where}"

    def _promised(self, request: httpx.Request) -> dict[str, Any] | None:
        for method, path, responses in self._operations:
            if method == request.method and path.fullmatch(request.url.path):
                return responses
        return None


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
    """Whoever watches is told what there is, and nothing of what comes: answers are read to their ends here."""
    api.state.app_state.event_stream.max_stream_seconds = 0


@pytest.fixture(scope="session")
async def outside(servers: Servers) -> AsyncIterator[Outside]:
    """The database as its owner sees it."""
    connection = await asyncpg.connect(servers.database_url)
    yield Outside(connection)
    await connection.close()


@pytest.fixture(scope="session")
async def generated_ids(found_tenant: Any) -> int:
    """Where the ids begin that the service gives to companies: far from those that tests give themselves."""
    await found_tenant(id=8_000_000_000)
    return 8_000_000_001


@pytest.fixture
async def salon(found_tenant: Any) -> Tenant:
    """A company of the test's own whose clock stands still at noon of 1 March 2026."""
    return await found_tenant(test_clock=parse_instant(NOON, ""))


@pytest.fixture(scope="module", autouse=True)
async def rounds(database: Database) -> AsyncIterator[None]:
    """A worker that does what the API leaves to one: histories and jobs, but not the sweep.

    Tests say when time passes; a sweep of everybody's customers would now and then be faster than they are.
    """
    working = PollingLoops(database, names=(JOBS, IMPORTS), pause_seconds=0.05)
    working.start()
    yield
    await working.close()
