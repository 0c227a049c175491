"""How the API answers while it is misused: `python bench/bad_days.py [--only NAME]`, ends by itself. Linux only.

Starts its own PostgreSQL and one API process on loopback, with the default limits. Each measurement sends hostile
requests, and meanwhile asks `/livez` and a well-behaved company's list of customers, from another address. Times depend
on the machine; the wait without a hostile request is printed with them.
"""

import argparse
import asyncio
import gzip
import json
import os
import resource
import secrets
import signal
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
from ingest import PORT, api_process, create_key, make_event
from process_tree import descendants, memory_bytes, processor_seconds

from journey_service.embedded import EmbeddedServers
from journey_service.repositories import migrations as migrating

URL: Final = f"http://127.0.0.1:{PORT}"
NDJSON: Final = {"Content-Type": "application/x-ndjson"}
LINES: Final = 2_600_000
SECONDS: Final = 5.0
FILES: Final = 1_024
MEBIBYTE: Final = 1024 * 1024


@dataclass(slots=True)
class Honest:
    """What well-behaved requests got: seconds of each, and how many had each status; 0 is a failed connection."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    def __str__(self) -> str:
        ordered = sorted(self.seconds) or [0.0]
        p95 = ordered[int(0.95 * (len(ordered) - 1))]
        others = len(self.seconds) - self.statuses[200]
        return (
            f"{len(self.seconds)} requests, {others} without 200, "
            f"p95 {p95 * 1_000:.0f} ms, longest {ordered[-1] * 1_000:.0f} ms"
        )


@dataclass(frozen=True, slots=True)
class Target:
    """The API: its process, and keys of a hostile and of a well-behaved company."""

    pid: int
    postgres: int
    hostile: Mapping[str, str]
    honest: Mapping[str, str]


@asynccontextmanager
async def asking(path: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[Honest]:
    """Sends one request after another during an `async with` block."""
    found = Honest()

    async def ask() -> None:
        transport = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
        async with httpx.AsyncClient(
            base_url=URL, headers=headers, timeout=60, transport=transport
        ) as client:
            while True:
                began = time.perf_counter()
                try:
                    status = (await client.get(path)).status_code
                except httpx.HTTPError:
                    status = 0
                found.seconds.append(time.perf_counter() - began)
                found.statuses[status] += 1
                await asyncio.sleep(0.01)

    task = asyncio.create_task(ask())
    try:
        yield found
        await asyncio.sleep(0.05)  # the request under way counts too
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def alone(target: Target) -> None:
    """Well-behaved requests without hostile ones."""
    async with asking("/livez") as livez, asking("/api/v1/customers", target.honest) as lists:
        await asyncio.sleep(SECONDS)
    print(f"  /livez: {livez}\n  lists:  {lists}")


async def _send(target: Target, path: str, body: bytes, headers: Mapping[str, str]) -> None:
    used, memory = processor_seconds(target.pid), memory_bytes(target.pid)
    async with (
        httpx.AsyncClient(base_url=URL, headers=target.hostile, timeout=300) as client,
        asking("/livez") as livez,
    ):
        began = time.perf_counter()
        answer = await client.post(path, content=body, headers=headers)
        seconds = time.perf_counter() - began
    print(
        f"  {answer.status_code} after {seconds:.2f} s, {processor_seconds(target.pid) - used:.2f} s of the processor,"
        f" memory {(memory_bytes(target.pid) - memory) / MEBIBYTE:+.0f} MiB\n  /livez: {livez}"
    )


async def many_lines(target: Target) -> None:
    """2,600,000 lines `1` to POST /events/batch."""
    await _send(target, "/api/v1/events/batch", b"1\n" * LINES, NDJSON)


async def many_numbers(target: Target) -> None:
    """`[1,1,...]` of 5.2 MB to POST /events/batch."""
    body = b"[" + b"1," * (LINES - 2) + b"1]"
    await _send(target, "/api/v1/events/batch", body, {"Content-Type": "application/json"})


async def large_batch(target: Target) -> None:
    """A batch of 5,000 valid events."""
    events = [make_event(number, f"batch-{secrets.token_hex(4)}") for number in range(5_000)]
    await _send(
        target, "/api/v1/events/batch", json.dumps(events).encode(), {"Content-Type": "application/json"}
    )


async def gzip_bomb(target: Target) -> None:
    """9.8 KB of gzip with 5,000,000 invalid lines to POST /imports."""
    body = gzip.compress(b"customer_id,occurred_at,type\n" + b"x\n" * 5_000_000)
    await _send(target, "/api/v1/imports", body, {"Content-Type": "application/gzip"})


async def invalid_keys(target: Target) -> None:
    """400 connections with invalid keys."""
    statuses: Counter[int] = Counter()
    end = time.perf_counter() + SECONDS

    async def guess(client: httpx.AsyncClient) -> None:
        while time.perf_counter() < end:
            key = f"jrn_{secrets.token_hex(8)}_{secrets.token_urlsafe(32)}"
            try:
                answer = await client.get("/api/v1/customers", headers={"Authorization": f"Bearer {key}"})
                statuses[answer.status_code] += 1
            except httpx.HTTPError:
                statuses[0] += 1

    limits = httpx.Limits(max_connections=400)
    async with (
        httpx.AsyncClient(base_url=URL, timeout=60, limits=limits) as client,
        asking("/api/v1/customers", target.honest) as lists,
    ):
        await asyncio.gather(*(guess(client) for _ in range(400)))
    print(f"  guesses by status: {dict(statuses)}\n  lists:  {lists}")


async def unread_documents(target: Target) -> None:
    """100 connections that request /openapi.json 50 times each and do not read."""
    async with httpx.AsyncClient(base_url=URL, timeout=60) as client:
        await client.get("/openapi.json")  # built once
        before = processor_seconds(target.pid)
        for _ in range(200):
            await client.get("/openapi.json", headers={"Accept-Encoding": "gzip"})
        print(f"  {(processor_seconds(target.pid) - before) / 200 * 1_000:.1f} ms of the processor each")
    writers = []
    for _ in range(100):
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", PORT, limit=1)
            writer.write(b"GET /openapi.json HTTP/1.1\r\nHost: bench\r\n\r\n" * 50)
            writers.append(writer)
    async with asking("/api/v1/customers", target.honest) as lists:
        await asyncio.sleep(SECONDS)
    print(f"  lists:  {lists}")
    for writer in writers:
        writer.transport.abort()


async def slow_clients(target: Target) -> None:
    """500 slow headers, 500 slow bodies and 1,000 silent connections, with 1,024 files for the process."""
    resource.prlimit(target.pid, resource.RLIMIT_NOFILE, (FILES, FILES))
    starts = (
        *[b"GET / HTTP/1.1\r\nHost: bench\r\nX-A: "] * 500,
        *[b"POST /api/v1/events HTTP/1.1\r\nHost: bench\r\nContent-Length: 999\r\n\r\n{"] * 500,
        *[b""] * 1_000,
    )
    open_: set[int] = set()

    async def drip(number: int, start: bytes) -> None:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
            open_.add(number)
            try:
                writer.write(start)
                while not reader.at_eof():
                    with suppress(TimeoutError):
                        await asyncio.wait_for(reader.read(1_024), 1)
                    if start:
                        writer.write(b" ")
            finally:
                open_.discard(number)
                writer.transport.abort()

    began = time.perf_counter()
    async with asking("/api/v1/customers", target.honest) as lists:
        drips = [asyncio.create_task(drip(number, start)) for number, start in enumerate(starts)]
        _, pending = await asyncio.wait(drips, timeout=120)
    print(f"  the last one was closed after {time.perf_counter() - began:.1f} s, {len(pending)} are open")
    print(f"  lists:  {lists}")
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)


async def frozen_database(target: Target) -> None:
    """PostgreSQL stopped with SIGSTOP."""
    processes = descendants(target.postgres)
    async with httpx.AsyncClient(base_url=URL, headers=target.honest, timeout=60) as client:
        for pid in processes:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        try:
            for path in ("/readyz", "/api/v1/customers", "/livez"):
                began = time.perf_counter()
                answer = await client.get(path)
                print(f"  {path}: {answer.status_code} after {time.perf_counter() - began:.2f} s")
        finally:
            for pid in processes:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
        began = time.perf_counter()
        while (await client.get("/readyz")).status_code != httpx.codes.OK:  # noqa: ASYNC110  # another process
            await asyncio.sleep(0.1)
        print(f"  ready again after {time.perf_counter() - began:.2f} s")


async def many_reads(target: Target) -> None:
    """3,000 reads with one key, then 1,000 guessed sign-ins."""
    async with httpx.AsyncClient(base_url=URL, headers=target.hostile, timeout=60) as client:
        reads: Counter[int] = Counter()
        for _ in range(100):  # thirty at a time: more per second than a key may send
            answers = await asyncio.gather(*(client.get("/api/v1/customers") for _ in range(30)))
            reads.update(answer.status_code for answer in answers)
    async with httpx.AsyncClient(base_url=URL, timeout=60, headers={"Origin": URL}) as client:
        guesses = Counter(
            [
                (await client.post("/sign-in", data={"key": f"jrn_{secrets.token_hex(8)}"})).status_code
                for _ in range(1_000)
            ]
        )
    print(f"  reads by status: {dict(reads)}\n  sign-ins by status: {dict(guesses)}")


async def many_streams(target: Target) -> None:
    """101 event streams of one company."""
    statuses: Counter[int] = Counter()
    limits = httpx.Limits(max_connections=200)
    async with httpx.AsyncClient(base_url=URL, headers=target.hostile, timeout=60, limits=limits) as client:
        responses = []
        for _ in range(101):
            request = client.build_request("GET", "/api/v1/stream")
            responses.append(await client.send(request, stream=True))
            statuses[responses[-1].status_code] += 1
        for response in responses:
            await response.aclose()
    print(f"  by status: {dict(statuses)}")


MEASUREMENTS: Final[Sequence[Callable[[Target], Awaitable[None]]]] = (
    alone,
    many_lines,
    many_numbers,
    large_batch,
    gzip_bomb,
    unread_documents,
    many_streams,
    frozen_database,
    slow_clients,
    invalid_keys,
    many_reads,
)


async def _measure(pid: int, postgres: int, names: Sequence[str]) -> None:
    async with httpx.AsyncClient(base_url=URL, timeout=60) as client:
        hostile, honest = [await create_key(client, company_id) for company_id in (1, 2)]
    target = Target(pid, postgres, *({"Authorization": f"Bearer {key}"} for key in (hostile, honest)))
    for measure in MEASUREMENTS:
        if not names or measure.__name__ in names:
            print(f"{measure.__name__}: {measure.__doc__}", flush=True)
            await measure(target)


def main() -> None:
    """Runs the measurements one after another."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [measure.__name__ for measure in MEASUREMENTS]
    parser.add_argument("--only", action="append", choices=names, help="repeatable")
    chosen = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedServers(Path(folder) / "data", with_valkey=False) as servers,
    ):
        migrating.upgrade(servers.database_url)
        postmaster = (Path(folder) / "data" / "postgres" / "postmaster.pid").read_text(encoding="ascii")
        # The default limits are part of what is measured.
        with api_process(servers.database_url, limits={}) as api:
            asyncio.run(_measure(api.pid, int(postmaster.split()[0]), chosen.only or ()))


if __name__ == "__main__":
    main()
