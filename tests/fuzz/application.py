"""The application on an event loop of its own thread, for tests whose own code is synchronous."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from typing import Any

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import FastAPI

from api.calls import API
from conftest import ERASURE_KEY, OPERATOR_KEY, PATIENT, VAULT_KEY
from journey_service.main import create_app
from journey_service.repositories.database import Database
from journey_service.services.operations.schedule import IMPORTS, JOBS
from journey_service.settings import Settings
from journey_service.worker.polling import PollingLoops

BASE_URL = "http://journey.test"
OPERATOR = {"Authorization": f"Bearer {OPERATOR_KEY}"}


@dataclass(frozen=True)
class Application:
    """The started application, and how its event loop is reached."""

    app: FastAPI
    portal: BlockingPortal
    database: Database

    def run(self, function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        """Returns the result of a coroutine function on the event loop of the application."""
        return self.portal.call(function, *args)

    def send(self, request: httpx.Request) -> httpx.Response:
        """Returns the response to a request; no cookie is kept, and no redirect is followed."""
        return self.portal.call(self._send, request)

    async def _send(self, request: httpx.Request) -> httpx.Response:
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        response = await transport.handle_async_request(request)
        await response.aread()
        response.request = request
        response.elapsed = timedelta(0)
        return response

    def call(
        self, method: str, path: str, headers: Mapping[str, str], body: Any = None, **rest: Any
    ) -> httpx.Response:
        """Returns the response to a request below the API."""
        if body is not None:
            rest["json"] = body
        return self.send(httpx.Request(method, f"{BASE_URL}{API}{path}", headers=headers, **rest))

    def demand(
        self, method: str, path: str, headers: Mapping[str, str], body: Any = None, **rest: Any
    ) -> Any:
        """Returns the content of the response to a request that must succeed."""
        response = self.call(method, path, headers, body, **rest)
        assert response.is_success, response.text
        return response.json() if response.content else None


@asynccontextmanager
async def _started(settings: Settings) -> AsyncIterator[tuple[FastAPI, Database]]:
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        app.state.app_state.event_stream.max_stream_seconds = 0  # a stream ends after the events there are
        database = Database(
            settings.database_url.get_secret_value(),
            pool_size=5,
            **PATIENT,
            erasure_key=ERASURE_KEY,
            vault_key=VAULT_KEY,
        )
        working = PollingLoops(database, names=(JOBS, IMPORTS), pause_seconds=0.05)
        working.start()
        try:
            yield app, database
        finally:
            await working.close()
            await database.close()


@contextmanager
def started(settings: Settings) -> Iterator[Application]:
    """Runs the application in a thread during a `with` block, with a worker for jobs and imports."""
    # The service imports it later, in its thread; Hypothesis looks into it meanwhile.
    import_module("numpy")
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(_started(settings)) as (app, database),
    ):
        yield Application(app, portal, database)
