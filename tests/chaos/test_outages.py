"""T15, T16: the database is full, read-only, without free connections, or does not respond, and comes back.

Each request gets a 2xx or a clean 503 on a connection that stays open, nothing acknowledged is lost, and the service
recovers without a restart. The database is on a file system of its own (tmpfs), which needs the right to mount.
"""

import asyncio
import os
import signal
import subprocess
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import httpx
import pytest

from chaos.receivers import receivers as opened_receivers
from chaos.system import ApiProcess, SystemUnderTest, assert_detected, kill_at_end, print_result, wait_for
from conftest import ERASURE_KEY, PATIENT, VAULT_KEY
from journey_service.embedded import EmbeddedServers
from journey_service.repositories import migrations
from journey_service.repositories.database import Database
from processes import free_port

SIZE = "224m"
SETTINGS = {
    "fsync": "off",
    "max_connections": "40",
    "min_wal_size": "32MB",
    "max_wal_size": "64MB",
    "autovacuum": "off",
}
SHORT = {"JOURNEY_POOL_TIMEOUT": "1", "JOURNEY_STATEMENT_TIMEOUT": "1", "JOURNEY_READINESS_TIMEOUT": "1"}
WITHOUT = "deadlines,outages"


@contextmanager
def mounted(folder):
    """Mounts a small file system; yields whether that was possible."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=755", "tmpfs", str(folder)]
    is_mounted = (
        os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0
    )
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Outage:
    """A database of its own, an API process, and a sender that notes what was acknowledged."""

    def __init__(self, system, folder, is_mounted, server, unguarded, headers):
        self.system, self.folder, self.is_mounted = system, folder, is_mounted
        self.server, self.unguarded, self.headers = server, unguarded, headers
        self.acknowledged, self.refused, self.ports, self.kinds = set(), 0, set(), set()
        self._numbers = count(1)

    def client(self, server=None):
        limits = httpx.Limits(max_connections=1)
        url = (server or self.server).url
        return httpx.AsyncClient(base_url=url, headers=self.headers, timeout=300, limits=limits)

    async def send(self, client):
        """Sends an event that creates a customer; returns the response, which is a 200 or a clean 503."""
        number = next(self._numbers)
        body = {
            "id": f"event {number}",
            "source": "outage",
            "type": "appointment_completed",
            "customer_id": number,
            "occurred_at": (await self._at()).isoformat(),
            "data": {"total_amount": 400},
        }
        answer = await client.post("/api/v1/events", json=body)
        stream = answer.extensions["network_stream"]
        self.ports.add(stream.get_extra_info("client_addr"))
        if answer.status_code == 200:
            self.acknowledged.add(body["id"])
        else:
            assert answer.status_code == 503, answer.text
            assert int(answer.headers["retry-after"]) >= 1
            self.refused += 1
            self.kinds.add((answer.json()["type"], answer.json().get("resource")))
        return answer

    async def _at(self):
        if not hasattr(self, "_began"):
            self._began = await self.system.now()
        return self._began

    async def until(self, client, status):
        """Sends until the status is the wanted one."""
        await wait_for(lambda: self._has_status(client, status))

    async def _has_status(self, client, status):
        return (await self.send(client)).status_code == status

    async def database(self, client):
        """Returns the status and the condition of the database by the readiness check."""
        ready = await client.get("/readyz")
        return ready.status_code, ready.json()["database"]

    async def lost(self):
        """Returns the acknowledged events that are not stored."""
        rows = await self.system.owner.fetch("SELECT event_id FROM journey_events")
        return self.acknowledged - {row["event_id"] for row in rows}

    async def report(self, name, seed):
        lost = len(await self.lost())
        print_result(f"T16 {name}", lost, 0, len(self.acknowledged), self.refused, seed)
        assert lost == 0
        assert await self.system.find_violations() == []


@pytest.fixture(scope="module")
async def outage():
    with (
        TemporaryDirectory(prefix="journey-outages-", ignore_cleanup_errors=True) as name,
        mounted(name) as is_mounted,
        EmbeddedServers(Path(name) / "data", with_valkey=False, postgres_settings=SETTINGS) as servers,
        opened_receivers() as receivers,
    ):
        await asyncio.to_thread(migrations.upgrade, servers.database_url)
        database = Database(servers.database_url, **PATIENT, erasure_key=ERASURE_KEY, vault_key=VAULT_KEY)
        owner = await asyncpg.connect(servers.database_url)
        system = SystemUnderTest(servers.database_url, database, owner, receivers)
        headers = await system.create_headers(await system.create_company())
        environment = system.environment() | SHORT
        processes = [
            ApiProcess(environment, free_port()),
            ApiProcess(environment, free_port(), without=WITHOUT),
        ]
        with kill_at_end(processes):
            for process in processes:
                await asyncio.to_thread(process.await_ready)
            yield Outage(system, Path(name), is_mounted, *processes, headers)
        await database.close()
        with suppress(OSError, asyncpg.PostgresError):
            await owner.close()


@contextmanager
def frozen(folder):
    """Freezes all processes of the PostgreSQL of this test."""
    postmaster = int((folder / "data" / "postgres" / "postmaster.pid").read_text().split()[0])
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    pids = [postmaster, *map(int, children)]
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


async def test_requests_and_readiness_are_answered_while_the_database_does_not_respond(outage, seed):
    async with outage.client() as client, outage.client() as other:
        await outage.until(client, 200)
        with frozen(outage.folder):
            assert (await outage.send(client)).status_code == 503
            assert await outage.database(other) == (503, "unreachable")
            assert (await other.get("/livez")).status_code == 200
        await outage.until(client, 200)
        await wait_for(lambda: is_ready(other))
    await outage.report("frozen", seed)


async def is_ready(client):
    return (await client.get("/readyz")).status_code == 200


async def test_requests_without_deadlines_wait_for_the_database(outage):
    async with outage.client(outage.unguarded) as client, outage.client(outage.unguarded) as other:
        await outage.until(client, 200)
        with frozen(outage.folder):
            waiting = asyncio.create_task(outage.send(client))
            for _ in range(8):  # each takes as long as its deadline
                assert (await other.get("/readyz")).status_code == 503
            is_waiting = not waiting.done()
        with suppress(AssertionError):
            await waiting
        assert_detected("deadlines of transactions", is_waiting)
        await wait_for(lambda: is_ready(other))


async def has_condition(outage, client, condition):
    return await outage.database(client) == (503, condition)


async def read(client, path):
    """Reads until the answer is 200: on a busy machine, a request may not end within the short deadlines."""

    async def answer():
        response = await client.get(path)
        return response.json() if response.status_code == 200 else None

    return await wait_for(answer)


async def set_read_only(outage, value):
    await outage.system.owner.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
    await outage.system.owner.execute("SELECT pg_reload_conf()")


async def test_writes_to_a_read_only_database_are_refused_cleanly(outage, seed):
    async with outage.client() as client, outage.client(outage.unguarded) as unguarded:
        outage.kinds.clear()
        outage.ports.clear()
        await outage.until(client, 200)
        await set_read_only(outage, "on")
        try:
            await wait_for(lambda: has_condition(outage, client, "read_only"))
            await outage.until(client, 503)
            await read(client, "/api/v1/customers")
            answer = await unguarded.post("/api/v1/customers/1/evaluate")
            assert_detected("errors by SQLSTATE", answer.status_code == 500)
        finally:
            await set_read_only(outage, "off")
        await outage.until(client, 200)
    assert ("/problems/database-read-only", "writes") in outage.kinds
    assert len(outage.ports) == 1, "the connection was closed"
    await outage.report("read-only", seed)


async def take_all_connections(outage):
    """Opens connections until the server refuses them, also those that the service had; returns them."""
    taken = []
    refused = 0
    while refused < 2:
        try:
            taken.append(await asyncpg.connect(outage.system.url))
        except asyncpg.TooManyConnectionsError:
            refused += 1
            await outage.system.owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'journey-%'"
            )
    return taken


async def test_without_free_connections_requests_are_refused_cleanly(outage, seed):
    async with outage.client() as client:
        outage.kinds.clear()
        await outage.until(client, 200)
        taken = await take_all_connections(outage)
        try:
            await outage.until(client, 503)
            await wait_for(lambda: has_condition(outage, client, "no_connections"))
        finally:
            for connection in taken:
                await connection.close()
        await outage.until(client, 200)
        await wait_for(lambda: is_ready(client))
    assert ("/problems/unavailable", "connections") in outage.kinds
    await outage.report("connections", seed)


async def test_writes_to_a_full_disk_are_refused_cleanly(outage, seed):
    if not outage.is_mounted:
        pytest.skip("a small file system cannot be mounted")
    filler = outage.folder / "filler"
    async with outage.client() as client:
        outage.kinds.clear()
        outage.ports.clear()
        await outage.until(client, 200)
        try:
            fill(filler)
            await outage.until(client, 503)
            await wait_for(lambda: has_condition(outage, client, "disk_full"))
            await read(client, "/api/v1/customers")
            [found, *_] = (await read(client, "/api/v1/admin/health"))["checks"]
            assert found["message"] == "the disk of the database is full: it refuses writes"
        finally:
            filler.unlink()
        await outage.until(client, 200)
        await wait_for(lambda: is_ready(client))
    assert ("/problems/database-full", "disk") in outage.kinds
    assert len(outage.ports) == 1, "the connection was closed"
    await outage.report("disk full", seed)


def fill(file):
    """Writes until the file system is full."""
    with file.open("wb", buffering=0) as opened, suppress(OSError):
        while True:
            opened.write(bytes(65_536))
    with file.open("ab", buffering=0) as opened, suppress(OSError):
        while True:
            opened.write(bytes(512))
