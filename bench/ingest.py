"""Events per second: sent one by one, in batches, and imported. `python bench/ingest.py`, ends by itself.

Starts its own PostgreSQL (default settings, fsync on) and one API process on loopback, in a temporary folder, and
drives it with 64 connections. Figures depend on the machine; compare ratios. The numbers of SQL statements do not: they
are those of single events and of batches, without a `booking_id` and with one. `--statements` counts these alone.
"""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from application import NO_LIMITS
from event_statements import capture

from journey_service.domain.access.actors import Actor
from journey_service.embedded import EmbeddedServers
from journey_service.repositories import migrations as migrating
from journey_service.repositories.database import Database
from journey_service.services.companies.provisioning import NewCompany, create_company
from journey_service.services.events.imports.imports import get_import, run_import, stage_import

CONNECTIONS = 64
CUSTOMERS = 2_000
SECONDS = 8.0
BATCHES, BATCH = 8, 1_000
LINES = 50_000
MAX_START_SECONDS = 600.0
"""Seconds in which an API has to become ready; a busy machine needs many."""
COUNTED_COMPANY = 2
"""The company whose statements are counted."""


def free_port() -> int:
    """Returns a port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


PORT = free_port()
OPERATOR = "jrn_bench_0123456789abcdef0123456789abcdef"
PEPPER = "a pepper for benches only"


def make_event(number: int, name: str, *, has_booking: bool = False) -> dict[str, object]:
    """Returns an event of one of the customers."""
    data: dict[str, object] = {"total_amount": 20}
    return {
        "id": f"{name}-{number}",
        "source": "bench",
        "type": "appointment_completed",
        "customer_id": number % CUSTOMERS,
        "occurred_at": "2026-01-01T09:00:00Z",
        "data": {**data, "booking_id": f"{name}-{number}"} if has_booking else data,
    }


async def one_by_one(
    key: str, *, name: str = "single", has_booking: bool = False, seconds: float = SECONDS
) -> tuple[float, list[float]]:
    """Returns events per second and the seconds of each request, over raw keep-alive connections."""
    numbers = iter(range(10**9))
    taken: list[float] = []
    end = time.perf_counter() + seconds

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        while time.perf_counter() < end:
            values = make_event(next(numbers), f"{name}-{has_booking}", has_booking=has_booking)
            body = json.dumps(values).encode()
            began = time.perf_counter()
            writer.write(
                b"POST /api/v1/events HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
                b"Authorization: Bearer %b\r\nContent-Length: %d\r\n\r\n%b" % (key.encode(), len(body), body)
            )
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(head.decode())
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.split(b":")[1]))
            taken.append(time.perf_counter() - began)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
    return len(taken) / (time.perf_counter() - began), sorted(taken)


async def in_batches(client: httpx.AsyncClient, *, name: str = "batch", batches: int = BATCHES) -> float:
    """Returns events per second of batches."""
    began = time.perf_counter()
    for batch in range(batches):
        events = [make_event(batch * BATCH + number, name) for number in range(BATCH)]
        answer = await client.post("/api/v1/events/batch", json=events, timeout=60)
        if {result["status"] for result in answer.json()["results"]} != {"applied"}:
            raise RuntimeError(answer.text[:500])
    return batches * BATCH / (time.perf_counter() - began)


async def is_ready(client: httpx.AsyncClient) -> bool:
    """Returns whether an API answers and is ready."""
    try:
        return (await client.get("/readyz")).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


async def create_key(client: httpx.AsyncClient, company_id: int) -> str:
    """Waits for the API, creates the company if it is not there, and returns a key of it."""
    async with asyncio.timeout(MAX_START_SECONDS):
        while not await is_ready(client):  # noqa: ASYNC110  # another process, which has no event
            await asyncio.sleep(0.1)
    operator = {"Authorization": f"Bearer {OPERATOR}"}
    company = {"id": company_id, "name": "bench", "timezone": "UTC", "currency": "EUR"}
    await client.post("/api/v1/admin/companies", json=company, headers=operator)
    values = {"name": "bench", "scopes": ["*"]}
    made = await client.post(f"/api/v1/admin/companies/{company_id}/keys", json=values, headers=operator)
    return str(made.json()["secret"])


async def count_statements(
    database: Database, events: Sequence[dict[str, object]], company_id: int = COUNTED_COMPANY
) -> int:
    """Returns the number of SQL statements of one transaction that applies events, without its frame."""
    return len(await capture(database, company_id, events))


async def _count_statements(url: str) -> None:
    """Prints the statements of events without a booking and with one, of known customers; one by one and in a batch."""
    database = Database(url)
    new = NewCompany(id=COUNTED_COMPANY, name="bench", timezone="UTC", currency="EUR")
    await create_company(database, new, author=Actor("bench"))
    for name in ("first", "second"):  # the customers are known, and their first moves are over
        await count_statements(database, [make_event(number, name) for number in range(CUSTOMERS)])
    for has_booking in (False, True):
        name = "with booking_id" if has_booking else "without booking_id"
        single = await count_statements(
            database, [make_event(1, f"one-{has_booking}", has_booking=has_booking)]
        )
        events = [
            make_event(number, f"many-{has_booking}", has_booking=has_booking) for number in range(BATCH)
        ]
        batch = await count_statements(database, events)
        print(f"statements {name:19} {single:5} for one event   {batch:5} for a batch of {BATCH}")
    outcome = make_event(1, "one-True", has_booking=True)
    data = {"total_amount": 30, "booking_id": "one-True-1", "reported_at": "2026-01-01T10:00:00Z"}
    correction = {**outcome, "id": "corrected", "data": data}
    print(
        f"statements of a corrected outcome  {await count_statements(database, [correction]):5} for one event"
    )
    await database.close()


async def _imported(url: str, count: int) -> float:
    database = Database(url)

    async def lines() -> AsyncIterator[bytes]:
        yield b"customer_id,occurred_at,event_type,amount\n"
        for start in range(0, count, 1_000):
            yield "".join(
                f"{100_000 + n // 5},202{1 + n % 5}-0{1 + n % 9}-11,appointment_completed,20\n"
                for n in range(start, min(start + 1_000, count))
            ).encode()

    began = time.perf_counter()
    found = await stage_import(database, 1, lines(), actor=Actor("bench"))
    await run_import(database, 1, found.id)
    seconds = time.perf_counter() - began
    applied = (await get_import(database, 1, found.id)).applied
    await database.close()
    return applied / seconds


async def _measure(url: str, seconds: float, batches: int, lines: int) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{PORT}") as client:
        key = await create_key(client, 1)
        client.headers["Authorization"] = f"Bearer {key}"
        single, taken = await one_by_one(key, seconds=seconds)
        booked, taken_booked = await one_by_one(key, has_booking=True, seconds=seconds)
        batched = await in_batches(client, batches=batches)
    imported = await _imported(url, lines)
    print(
        f"one by one, {CONNECTIONS} connections  {single:8.0f} events/s   p50 {_at(taken, 0.5)}  p99 {_at(taken, 0.99)}"
    )
    print(
        f"the same, with booking_id        {booked:8.0f} events/s   p50 {_at(taken_booked, 0.5)}"
        f"  p99 {_at(taken_booked, 0.99)}"
    )
    print(f"in batches of {BATCH}          {batched:8.0f} events/s")
    print(f"imported, {lines} lines       {imported:8.0f} events/s")


def _at(taken: list[float], share: float) -> str:
    return f"{taken[int(len(taken) * share)] * 1_000:.0f} ms"


def environment(database_url: str, limits: Mapping[str, str] = NO_LIMITS) -> dict[str, str]:
    """Returns the environment of an API process, by default without rate limits."""
    return {
        **os.environ,
        "JOURNEY_ENVIRONMENT": "development",
        **limits,
        "DATABASE_URL": database_url,
        "JOURNEY_KEY_PEPPER": PEPPER,
        "JOURNEY_ERASURE_KEY": "a key of the benchmark",
        "JOURNEY_VAULT_KEY": "a vault of benches, of nothing",
        "JOURNEY_BOOTSTRAP_KEY": OPERATOR,
    }


@contextmanager
def api_process(
    database_url: str, *, workers: int = 1, limits: Mapping[str, str] = NO_LIMITS
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs the API on PORT during a `with` block; yields its process, the parent of further ones."""
    command = ["api", "--port", str(PORT), "--workers", str(workers)]
    api = subprocess.Popen(  # noqa: S603  # ourselves
        [sys.executable, "-m", "journey_service.cli", *command],
        env=environment(database_url, limits),
        stderr=subprocess.DEVNULL,
    )
    try:
        yield api
    finally:
        api.terminate()
        api.wait(300)


def main() -> None:
    """Measures once and prints the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--statements", action="store_true", help="count SQL statements only")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="length of each measurement of single events"
    )
    parser.add_argument("--batches", type=int, default=BATCHES)
    parser.add_argument("--lines", type=int, default=LINES, help="lines of the import")
    chosen = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedServers(Path(folder) / "data", with_valkey=False) as servers,
    ):
        migrating.upgrade(servers.database_url)
        asyncio.run(_count_statements(servers.database_url))
        if chosen.statements:
            return
        with api_process(servers.database_url):
            asyncio.run(_measure(servers.database_url, chosen.seconds, chosen.batches, chosen.lines))


if __name__ == "__main__":
    main()
