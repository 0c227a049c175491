"""Ingest against what PostgreSQL can do, in turns: `python bench/ingest_ratios.py [TURNS] [--record]`.

Single events, answered after their commit, from 64 connections to one API process, against pgbench with 64 clients and
the statements of one event (`event_statements.py`). Batches and an import, against COPY of the same event rows. Starts
its own PostgreSQL (default settings, fsync on) in a temporary folder, and ends by itself. Each value is the median of
the turns (5 by default); compare ratios.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx
import ingest
from event_statements import Script, capture, copy_events, run_pgbench
from results import record

from journey_service.domain.access.actors import Actor
from journey_service.embedded import EmbeddedServers, ServerAddresses
from journey_service.embedded.postgres import postgres_binaries
from journey_service.repositories import migrations as migrating
from journey_service.repositories.database import APP_ROLE, Database
from journey_service.services.events.imports.imports import run_import, stage_import

COMPANY = 77
"""Its id is that of no customer and no relationship."""
CAPTURED = 1_777
"""The customer whose event is captured: a number that occurs nowhere else in the statements."""
SECONDS = 4.0
LINES_PER_CUSTOMER = 2


async def write_script(url: str, file: Path) -> None:
    """Writes the script of one event of a known customer; the customers have sent events before."""
    database = Database(url)
    try:
        ids = range(ingest.CUSTOMERS)
        for name in ("first", "second"):
            await ingest.count_statements(
                database, [ingest.make_event(number, name) for number in ids], COMPANY
            )
        values = ingest.make_event(CAPTURED, "captured")
        captured = await capture(database, COMPANY, [values])
    finally:
        await database.close()
    connection = await asyncpg.connect(url)
    relationship_id = await connection.fetchval(
        "SELECT id FROM customer_relationships WHERE company_id = $1 AND customer_id = $2", COMPANY, CAPTURED
    )
    offsets = await connection.fetchval(
        "SELECT count(DISTINCT id - customer_id) FROM customer_relationships WHERE company_id = $1", COMPANY
    )
    await connection.close()
    assert offsets == 1, "relationships have the ids of their customers, shifted"
    script = Script(
        captured,
        event_id=str(values["id"]),
        customer_id=CAPTURED,
        relationship_id=relationship_id,
        customers=ingest.CUSTOMERS,
    )
    await asyncio.to_thread(file.write_text, script.text, "utf-8")


async def import_lines(url: str, lines: int, first_customer: int) -> float:
    """Imports events of new customers, some of each; returns lines per second, from the first byte to the end."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"customer_id,occurred_at,event_type,amount\n"
        for start in range(0, lines, 1_000):
            yield "".join(
                f"{first_customer + n // LINES_PER_CUSTOMER},2026-01-{1 + n % 28:02},appointment_completed,20\n"
                for n in range(start, min(start + 1_000, lines))
            ).encode()

    database = Database(url)
    try:
        began = time.perf_counter()
        stored = await stage_import(database, COMPANY, chunks(), actor=Actor("bench"))
        await run_import(database, COMPANY, stored.id)
        return lines / (time.perf_counter() - began)
    finally:
        await database.close()


async def measure(
    servers: ServerAddresses, chosen: argparse.Namespace, folder: Path
) -> dict[str, list[float]]:
    """Measures everything in turns; returns rates per second by name."""
    url, script = servers.database_url, folder / "event.sql"
    rates: dict[str, list[float]] = {}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{ingest.PORT}", timeout=120) as client:
        key = await ingest.create_key(client, COMPANY)
        client.headers["Authorization"] = f"Bearer {key}"
        await write_script(url, script)
        for turn in range(chosen.turns):
            single, _ = await ingest.one_by_one(key, seconds=chosen.seconds, name=f"single-{turn}")
            bench = await asyncio.to_thread(
                *(run_pgbench, postgres_binaries(), url, script),
                clients=ingest.CONNECTIONS,
                seconds=chosen.seconds,
                role=APP_ROLE,
            )
            batched = await ingest.in_batches(client, name=f"batch-{turn}", batches=chosen.batches)
            imported = await import_lines(url, chosen.lines, 1_000_000 * (turn + 1))
            copied = await copy_events(url, COMPANY, chosen.lines)
            measured = {
                "single events": single,
                "pgbench": bench,
                "batches": batched,
                "import": imported,
                "COPY": copied,
            }
            for name, rate in measured.items():
                rates.setdefault(name, []).append(rate)
    return rates


def main() -> None:
    """Measures, and prints medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("turns", nargs="?", type=int, default=5)
    parser.add_argument("--lines", type=int, default=20_000, help="lines of each import")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="length of each run with single events"
    )
    parser.add_argument("--batches", type=int, default=ingest.BATCHES, help="batches of each turn")
    parser.add_argument("--record", action="store_true", help="store the results in results.json")
    chosen = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedServers(Path(folder) / "data", with_valkey=False) as servers,
    ):
        migrating.upgrade(servers.database_url)
        with ingest.api_process(servers.database_url):
            rates = asyncio.run(measure(servers, chosen, Path(folder)))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, values in rates.items():
        print(f"{name:14} {medians[name]:9.0f}/s   from {min(values):.0f} to {max(values):.0f}")
    ratios = {
        "single events / pgbench": medians["single events"] / medians["pgbench"],
        "batches / COPY": medians["batches"] / medians["COPY"],
        "import / COPY": medians["import"] / medians["COPY"],
    }
    for name, ratio in ratios.items():
        print(f"{name:24} {ratio:.3f}")
    if chosen.record:
        record("ingest", {"rates": medians, "ratios": ratios, "turns": chosen.turns})


if __name__ == "__main__":
    main()
