"""Liveness and readiness, and the answers of a service that cannot work."""

import asyncio
import socket
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import pytest
from pydantic import SecretStr

from api.calls import API, event, problem
from journey_service.main import create_app
from journey_service.repositories.operations.health import SCHEMA_REVISION, supported_comment

BOUND_SECONDS = 240
"""How long an answer is waited for, on a machine of any speed; a connection attempt is given up long before."""


@pytest.fixture
def closed_port():
    """A closed port of this machine."""
    with socket.socket() as held:
        held.bind(
            ("127.0.0.1", 0)
        )  # bound without listening: connections are refused, and the port stays reserved
        yield held.getsockname()[1]


def elsewhere(url, port):
    """The same URL at another port of this machine."""
    parts = urlsplit(url)
    account, _, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{account}@127.0.0.1:{port}"))


@asynccontextmanager
async def serving(settings, **changes):
    """The application on other settings, and a client of it."""
    values = {"bootstrap_key": None, "pool_size": 2, "pool_timeout": 1.0, **changes}
    app = create_app(settings.model_copy(update=values))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://journey.test") as client:
            yield client


class Wire:
    """A way to the database that can be cut, silenced and mended."""

    def __init__(self, target):
        parts = urlsplit(target)
        self._target = (parts.hostname, parts.port)
        self._server = None
        self._pipes = set()
        self._is_silent = False
        self._is_open = asyncio.Event()
        self._is_open.set()
        self.port = 0

    async def __aenter__(self):
        await self.mend()
        return self

    async def __aexit__(self, *_):
        await self.cut()

    async def mend(self):
        self._is_silent = False
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self):
        """The server has stopped listening, and every connection is closed."""
        self._server.close()
        for pipe in list(self._pipes):
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)
        await self._server.wait_closed()

    async def silence(self):
        """Connections are taken and nothing ever comes back."""
        await self.cut()
        await self.mend()
        self._is_silent = True

    def hold(self):
        """Connections stay open, new ones are taken, and nothing passes any more."""
        self._is_open.clear()

    def resume(self):
        self._is_open.set()

    async def _connect(self, reader, writer):
        task = asyncio.current_task()
        self._pipes.add(task)
        away = None
        try:
            if self._is_silent:
                await asyncio.Event().wait()
            there, away = await asyncio.open_connection(*self._target)
            await asyncio.gather(self._pump(reader, away), self._pump(there, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for one in (writer, away):
                if one is not None:
                    one.transport.abort()
            self._pipes.discard(task)

    async def _pump(self, reader, writer):
        while data := await reader.read(65_536):
            await self._is_open.wait()
            writer.write(data)
            await writer.drain()
        with suppress(OSError):
            writer.write_eof()


# ---- well


async def test_a_working_service_is_ready(http):
    alive, ready = await http.get("/livez"), await http.get("/readyz")

    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
    assert (ready.status_code, ready.json()) == (
        200,
        {"status": "ok", "database": "ok", "schema": "ok", "redis": "ok"},
    )


# ---- without Redis


async def test_without_redis_the_service_is_degraded_and_works_on(settings, salon, closed_port):
    async with asyncio.timeout(BOUND_SECONDS):
        async with serving(settings, redis_url=SecretStr(f"redis://127.0.0.1:{closed_port}")) as client:
            ready = await client.get("/readyz")
            response = await client.post(f"{API}/events", headers=salon.headers, json=event("e-1"))

    assert ready.status_code == 200
    assert ready.json() == {
        "status": "degraded",
        "database": "ok",
        "schema": "ok",
        "redis": "unreachable",
    }
    assert (response.status_code, response.json()["status"]) == (200, "applied")


async def test_a_service_that_was_given_no_redis_is_degraded(settings):
    async with serving(settings, redis_url=None) as client:
        ready = await client.get("/readyz")

    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")


# ---- without the database

ROUTES = [
    ("GET", f"{API}/customers", None),
    ("GET", f"{API}/customers/1/journey", None),
    ("POST", f"{API}/events", event("e-1")),
    ("POST", f"{API}/events/batch", [event("e-1")]),
    ("PUT", f"{API}/customers/1", {}),
    ("POST", f"{API}/customers/1/evaluate", None),
    ("POST", f"{API}/imports", None),
    ("GET", f"{API}/stages", None),
    ("GET", "/portal/customers/1/journey", None),
]


async def unavailable(client, headers, *routes):
    for method, path, body in routes:
        answer = await client.request(method, path, headers=headers, json=body)
        problem(answer, 503, "unavailable")
        assert answer.headers["retry-after"] in {"1", "2", "3"}


async def test_without_the_database_readiness_fails_in_time(settings, salon, operator, closed_port):
    url = elsewhere(settings.database_url.get_secret_value(), closed_port)
    async with asyncio.timeout(BOUND_SECONDS), serving(settings, database_url=SecretStr(url)) as client:
        ready = await client.get("/readyz")
        alive = await client.get("/livez")
        await unavailable(client, salon.headers, *ROUTES)
        await unavailable(client, operator, ("GET", f"{API}/admin/companies", None))

    assert ready.status_code == 503
    assert ready.json()["status"] == "unavailable"
    assert ready.json()["database"] == "unreachable"
    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})


@pytest.fixture
async def empty_database(settings, database_owner):
    """The URL of an empty database next to the service's own."""
    await database_owner.connection.execute("CREATE DATABASE empty_one")
    url = settings.database_url.get_secret_value()
    yield urlunsplit(urlsplit(url)._replace(path="/empty_one"))
    await database_owner.connection.execute("DROP DATABASE empty_one")


async def test_a_database_of_another_version_s_schema_is_not_ready(settings, empty_database):
    connection = await asyncpg.connect(empty_database)
    await connection.execute(
        "CREATE TABLE alembic_version AS SELECT 'of another version' AS version_num;"
        " GRANT SELECT ON alembic_version TO journey_dispatcher"
    )
    await connection.close()

    async with serving(settings, database_url=SecretStr(empty_database)) as client:
        ready = await client.get("/readyz")

    assert ready.status_code == 503
    assert (ready.json()["status"], ready.json()["database"]) == ("unavailable", "ok")
    assert ready.json()["schema"] == "mismatch"


async def test_a_database_that_was_never_migrated_is_not_ready(settings, empty_database):
    async with serving(settings, database_url=SecretStr(empty_database)) as client:
        ready = await client.get("/readyz")

    assert ready.status_code == 503
    assert ready.json()["schema"] == "mismatch"


@pytest.fixture
async def wired(settings):
    """The application at the end of a wire to the database."""
    url = settings.database_url.get_secret_value()
    async with (
        Wire(url) as wire,
        serving(settings, database_url=SecretStr(elsewhere(url, wire.port))) as client,
    ):
        yield wire, client
        await wire.cut()


async def test_a_database_that_goes_away_and_comes_back_is_noticed_both_times(wired, salon):
    wire, client = wired
    async with asyncio.timeout(2 * BOUND_SECONDS):
        assert (await client.get("/readyz")).status_code == 200
        first = await client.post(f"{API}/events", headers=salon.headers, json=event("e-1"))
        assert first.status_code == 200

        await wire.cut()
        assert (await client.get("/readyz")).status_code == 503
        await unavailable(client, salon.headers, *ROUTES)

        await wire.mend()
        assert (await client.get("/readyz")).json()["database"] == "ok"
        again = await client.post(f"{API}/events", headers=salon.headers, json=event("e-1"))
        assert again.json()["status"] == "duplicate"
        second = await client.post(f"{API}/events", headers=salon.headers, json=event("e-2"))
        assert second.json()["status"] == "applied"


async def test_a_database_that_accepts_connections_and_does_not_answer_is_given_up(wired, salon):
    wire, client = wired
    await wire.silence()
    async with asyncio.timeout(BOUND_SECONDS):
        ready, values = await asyncio.gather(
            client.get("/readyz"), client.post(f"{API}/events", headers=salon.headers, json=event("e-1"))
        )

    assert ready.status_code == 503
    problem(values, 503, "unavailable")


async def test_a_caller_who_finds_every_connection_busy_gets_retry_after(settings, salon, database_owner):
    evaluate = ("POST", f"{API}/customers/1/evaluate", None)
    async with serving(settings, pool_size=1, pool_timeout=0.2, statement_timeout=1.0) as client:
        async with asyncio.timeout(BOUND_SECONDS), database_owner.connection.transaction():
            await client.post(f"{API}/events", headers=salon.headers, json=event("e-1"))
            await database_owner.connection.execute(
                "SELECT 1 FROM customer_relationships WHERE company_id = $1 FOR UPDATE", salon.id
            )
            await asyncio.gather(*(unavailable(client, salon.headers, evaluate) for _ in range(5)))
        after = await client.post(f"{API}/customers/1/evaluate", headers=salon.headers)

    assert after.status_code == 200


async def test_a_schema_that_is_newer_and_supports_this_version_is_ready(settings, empty_database):
    connection = await asyncpg.connect(empty_database)
    await connection.execute(
        "CREATE TABLE alembic_version AS SELECT 'of the next version' AS version_num;"
        " GRANT SELECT ON alembic_version TO journey_dispatcher;"
        f" COMMENT ON TABLE alembic_version IS '{supported_comment(['next', SCHEMA_REVISION])}'"
    )
    async with serving(settings, database_url=SecretStr(empty_database)) as client:
        ready = await client.get("/readyz")
        await connection.execute(f"COMMENT ON TABLE alembic_version IS '{supported_comment(['next'])}'")
        refused = await client.get("/readyz")
    await connection.close()

    assert (ready.status_code, ready.json()["schema"]) == (200, "ok")
    assert (refused.status_code, refused.json()["schema"]) == (503, "mismatch")


async def test_a_server_that_stops_responding_fails_readiness_and_requests_within_their_deadlines(
    settings, salon
):
    """A process that ends only by its own deadlines: the server neither answers nor closes the connections."""
    url = settings.database_url.get_secret_value()
    short = {"statement_timeout": 0.5, "readiness_timeout": 0.2, "pool_timeout": 0.2}
    async with (
        asyncio.timeout(BOUND_SECONDS),
        Wire(url) as wire,
        serving(settings, database_url=SecretStr(elsewhere(url, wire.port)), **short) as client,
    ):
        wire.hold()
        ready, first = await asyncio.gather(
            client.get("/readyz"), client.post(f"{API}/events", headers=salon.headers, json=event("e-1"))
        )
        assert (ready.status_code, ready.json()["database"]) == (503, "unreachable")
        problem(first, 503, "unavailable")
        wire.resume()
        await wire.cut()
        await wire.mend()
