"""Processor time of one event in the API process, by part. `python bench/event_budget.py`, ends by itself.

Starts its own PostgreSQL and Valkey and one API process, and sends single events over 64 connections. A timer of
processor time interrupts the API process; the innermost function with a known part gets the sample. The sum is the
processor time of the process divided by the number of events, so it contains no waiting and no time of PostgreSQL.

`--against FOLDER` compares with another source folder instead: two API processes over the same database take turns,
first with single events, then with batches. Figures depend on the machine; compare ratios.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Final, cast

import greenlet
import httpx
import uvloop
from ingest import CONNECTIONS, OPERATOR, environment, make_event

from journey_service.embedded import EmbeddedServers
from journey_service.repositories import migrations as migrating

SECONDS: Final = 8.0
CUSTOMERS: Final = 500
BATCH: Final = 1_000
WARM_UP_BATCHES: Final = 4
PORT: Final = 18_110
SAMPLE_SECONDS: Final = 0.001
SOURCE: Final = Path(__file__).parents[1] / "src"

_LOAD: Final = ("get", "find", "list", "load", "lock", "resolve", "read", "fetch", "is_")
_PARTS: Final = (
    # Part, part of the file's path, beginnings of the function's name; the first match counts.
    ("event loop", "/uvicorn/server.py", ()),
    ("HTTP protocol", "/api/server/protocol.py", ()),
    ("HTTP protocol", "/uvicorn/", ()),
    ("credential, limits", "/api/middleware/rate_limits", ()),
    ("credential, limits", "/api/authentication.py", ()),
    ("credential, limits", "/api/customer_paths.py", ()),
    ("credential, limits", "/services/access/", ()),
    ("credential, limits", "/fastapi/security/", ()),
    ("middlewares", "/api/middleware/", ()),
    ("middlewares", "/api/problems.py", ()),
    ("middlewares", "/starlette/middleware/", ()),
    ("middlewares", "/fastapi/middleware/", ()),
    ("middlewares", "/fastapi/applications.py", ()),
    ("middlewares", "/fastapi/telemetry/", ("enabled",)),
    ("middlewares", "/starlette/applications.py", ()),
    (
        "parse",
        "/api/request_bodies.py",
        ("read_", "parse_", "to_utf8", "check_json", "check_media", "media_type"),
    ),
    ("parse", "/domain/events/parsing.py", ("parse",)),
    ("parse", "/domain/events/cloud_events.py", ()),
    ("routing, dependencies", "/api/request_bodies.py", ()),
    ("routing, dependencies", "/api/events/direct_routes.py", ()),
    ("routing, dependencies", "/fastapi/", ()),
    ("routing, dependencies", "/starlette/routing.py", ()),
    ("queue of events", "/services/batching.py", ()),
    ("queue of events", "/services/events/ingest_batcher.py", ()),
    ("transaction", "/repositories/database.py", ()),
    ("transaction", "/repositories/connections.py", ()),
    ("transaction", "/repositories/fair_shares.py", ()),
    ("load", "/repositories/", _LOAD),
    ("load", "/services/", _LOAD),
    ("write", "/repositories/", ()),
    ("write", "/services/journeys/transaction.py", ("write", "_")),
    ("answer", "/services/journeys/transaction.py", ("view",)),
    ("answer", "/api/", ()),
    ("answer", "/starlette/responses.py", ()),
    ("decide", "/domain/", ()),
    ("decide", "/services/", ()),
)
_OTHER: Final = "event loop"


def part_of(codes: tuple[CodeType, ...]) -> str:
    """Returns the part of a stack, innermost function first."""
    for code in codes:
        for part, path, names in _PARTS:
            if path in code.co_filename and (not names or code.co_name.startswith(names)):
                return part
    return _OTHER


def _stack(frame: FrameType | None) -> Iterator[CodeType]:
    """Yields the code of all functions, innermost first, also beyond a switch of greenlets."""
    current: greenlet.greenlet | None = greenlet.getcurrent()
    while current is not None:
        while frame is not None:
            yield frame.f_code
            frame = frame.f_back
        current = current.parent
        frame = None if current is None else current.gr_frame


def serve(port: int, report: Path) -> None:
    """Runs the API; samples its stack between SIGUSR1 and SIGUSR2, then writes the samples by part."""
    stacks: Counter[tuple[CodeType, ...]] = Counter()

    def sample(_: int, frame: FrameType | None) -> None:
        stacks[tuple(_stack(frame))] += 1

    def start(*_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, SAMPLE_SECONDS, SAMPLE_SECONDS)

    def stop(*_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        parts: Counter[str] = Counter()
        functions: Counter[str] = Counter()
        for codes, count in stacks.items():
            parts[part_of(codes)] += count
            functions[f"{codes[0].co_filename}:{codes[0].co_qualname}"] += count
        written = report.with_suffix(".part")
        written.write_text(json.dumps({"parts": parts, "functions": functions.most_common(60)}), "utf-8")
        written.rename(report)

    signal.signal(signal.SIGPROF, sample)
    signal.signal(signal.SIGUSR1, start)
    signal.signal(signal.SIGUSR2, stop)
    from journey_service.cli import app as run  # noqa: PLC0415  # the source folder is that of PYTHONPATH

    sys.argv = ["journey", "api", "--port", str(port)]
    run()


class _Client(asyncio.Protocol):
    """A connection that sends the next event when it has the response to the last."""

    def __init__(self, load: "_Load") -> None:
        self._load = load
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends the first event."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._load.next_request())

    def data_received(self, data: bytes) -> None:
        """Sends the next event once the response is complete."""
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        if len(body) < int(length.partition(b":")[2]):
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self._load.failure = self._received.decode()
        self._received = b""
        self._load.answered += 1
        if self._load.failure is None and time.perf_counter() < self._load.end:
            self._transport.write(self._load.next_request())
        else:
            self._transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        """Notes the end of the connection."""
        self._load.open -= 1
        if not self._load.open:
            self._load.done.set()


@dataclass
class _Load:
    """Single events over several connections for some seconds."""

    api: "Api"
    name: str
    end: float
    answered: int = 0
    sent: int = 0
    open: int = CONNECTIONS
    failure: str | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def next_request(self) -> bytes:
        """Returns the next event as a request."""
        self.sent += 1
        body = json.dumps(make_event(self.sent, self.name)).encode()
        return (
            b"POST /api/v1/events HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer %b\r\nContent-Length: %d\r\n\r\n%b"
        ) % (self.api.key.encode(), len(body), body)


@dataclass
class Api:
    """An API process, and the key of its company."""

    process: subprocess.Popen[bytes]
    port: int
    report: Path
    key: str = ""

    def processor_seconds(self) -> float:
        """Returns the processor time that the process has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def prepare(self, company_id: int) -> None:
        """Creates the company and its key."""
        headers = {"Authorization": f"Bearer {OPERATOR}"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", headers=headers) as client:
            company = {"id": company_id, "name": "bench", "timezone": "UTC", "currency": "EUR"}
            await client.post("/api/v1/admin/companies", json=company)
            made = await client.post(
                f"/api/v1/admin/companies/{company_id}/keys", json={"name": "bench", "scopes": ["*"]}
            )
            self.key = made.json()["secret"]

    async def warm_up(self, seconds: float) -> None:
        """Sends events until all customers are known and most of their moves are over."""
        await self.in_batches("warm-up-batch", WARM_UP_BATCHES)
        await self.one_by_one("warm-up", min(2.0, seconds))

    async def one_by_one(self, name: str, seconds: float) -> tuple[float, float]:
        """Sends single events; returns events per second, and microseconds of processor time for each."""
        load = _Load(self, name, time.perf_counter() + seconds)
        began, used = time.perf_counter(), self.processor_seconds()
        for _ in range(CONNECTIONS):
            await asyncio.get_running_loop().create_connection(lambda: _Client(load), "127.0.0.1", self.port)
        await load.done.wait()
        if load.failure is not None:
            raise RuntimeError(load.failure)
        return _rates(load.answered, began, self.processor_seconds() - used)

    async def in_batches(self, name: str, batches: int) -> tuple[float, float]:
        """Sends batches one after another; returns the same."""
        headers = {"Authorization": f"Bearer {self.key}"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", headers=headers) as client:
            began, used = time.perf_counter(), self.processor_seconds()
            for number in range(batches):
                events = [make_event(number * BATCH + each, name) for each in range(BATCH)]
                answer = await client.post("/api/v1/events/batch", json=events, timeout=60)
                if {result["status"] for result in answer.json()["results"]} != {"applied"}:
                    raise RuntimeError(answer.text[:500])
        return _rates(batches * BATCH, began, self.processor_seconds() - used)


def _rates(events: int, began: float, processor_seconds: float) -> tuple[float, float]:
    return events / (time.perf_counter() - began), processor_seconds / events * 1e6


@contextmanager
def _started(port: int, source: Path, servers: EmbeddedServers, report: Path) -> Iterator[Api]:
    command = [sys.executable, __file__, "--serve", str(port), "--report", str(report)]
    folders = os.pathsep.join((str(source), str(Path(__file__).parent)))
    process = subprocess.Popen(  # noqa: S603  # ourselves
        command,
        env={
            **environment(servers.database_url),
            "REDIS_URL": servers.redis_url or "",
            "PYTHONPATH": folders,
        },
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(process, port)
        yield Api(process, port, report)
    finally:
        process.terminate()
        process.wait(30)


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    """Waits until the process answers. Raises RuntimeError if it ends."""
    while process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise RuntimeError("The API process has ended.")


async def _budget(api: Api, seconds: float) -> None:
    await api.prepare(1)
    await api.warm_up(seconds)
    api.process.send_signal(signal.SIGUSR1)
    per_second, microseconds = await api.one_by_one("sampled", seconds)
    api.process.send_signal(signal.SIGUSR2)
    while not api.report.exists():  # noqa: ASYNC110  # another process writes it
        await asyncio.sleep(0.05)
    found = json.loads(api.report.read_text("utf-8"))
    total = sum(found["parts"].values())
    print(
        f"{per_second:.0f} events/s; {microseconds:.0f} us of processor time for one event in the API process"
    )
    for part, count in sorted(found["parts"].items(), key=lambda pair: -pair[1]):
        print(f"{part:24} {microseconds * count / total:7.0f} us {100 * count / total:5.1f} %")
    print()
    for name, count in found["functions"][:25]:
        print(f"{microseconds * count / total:7.1f} us  {name.rpartition('site-packages/')[2]}")


async def _compare(here: Api, there: Api, seconds: float, slices: int) -> None:
    await here.prepare(1)
    await there.prepare(2)
    for api in (here, there):
        await api.warm_up(seconds)
    for name, batches in (("single events", 0), (f"batches of {BATCH}", 4)):
        found: dict[int, list[tuple[float, float]]] = {here.port: [], there.port: []}
        for turn in range(slices):
            for api in (there, here) if turn % 2 else (here, there):
                run = f"{name}-{turn}"
                done = api.in_batches(run, batches) if batches else api.one_by_one(run, seconds)
                found[api.port].append(await done)
        rates, times = (
            [statistics.median(each[index] for each in found[api.port]) for api in (here, there)]
            for index in (0, 1)
        )
        print(f"{name}: {rates[0]:.0f} and {rates[1]:.0f} events/s, {rates[0] / rates[1]:.2f} times as many;")
        print(f"  processor time {times[0]:.0f} and {times[1]:.0f} us, {times[0] / times[1]:.2f} of it")


def main() -> None:
    """Measures once and prints the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, help="another source folder to compare with")
    parser.add_argument("--source", type=Path, default=SOURCE, help="source folder of the API process")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--slices", type=int, default=5)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--report", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve is not None:
        serve(chosen.serve, chosen.report)
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedServers(Path(folder) / "data") as servers,
        ExitStack() as stack,
    ):
        migrating.upgrade(servers.database_url)
        here = stack.enter_context(_started(PORT, chosen.source, servers, Path(folder) / "here.json"))
        if chosen.against is None:
            uvloop.run(_budget(here, chosen.seconds))
            return
        there = stack.enter_context(_started(PORT + 1, chosen.against, servers, Path(folder) / "there.json"))
        uvloop.run(_compare(here, there, chosen.seconds, chosen.slices))


if __name__ == "__main__":
    main()
