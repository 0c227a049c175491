"""Two API processes against one: `python bench/api_workers.py [TURNS]`.

Single events over 64 connections, in turns, to an API with one process and to one with two, over the same database.
The load and PostgreSQL share the cores with them. Processor time is that of the API's processes. Starts its own
PostgreSQL (default settings, fsync on) in a temporary folder. Medians of TURNS (5 by default). Linux only.
"""

import argparse
import asyncio
import statistics
import tempfile
from pathlib import Path

import httpx
import ingest
from process_tree import processor_seconds
from results import record

from journey_service.embedded import EmbeddedServers
from journey_service.repositories import migrations as migrating

COMPANY = 1


async def measure(url: str, turn: int, workers: int, seconds: float) -> tuple[float, float]:
    """Starts an API; returns events per second, and the microseconds of processor time of one event."""
    with ingest.api_process(url, workers=workers) as api:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{ingest.PORT}", timeout=60) as client:
            key = await ingest.create_key(client, COMPANY)
        await ingest.one_by_one(key, name=f"warm-{turn}-{workers}", seconds=seconds / 4)
        before = processor_seconds(api.pid)
        rate, taken = await ingest.one_by_one(key, name=f"event-{turn}-{workers}", seconds=seconds)
        return rate, (processor_seconds(api.pid) - before) / len(taken) * 1e6


def main() -> None:
    """Measures, and prints medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("turns", nargs="?", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0, help="length of a turn")
    parser.add_argument("--record", action="store_true", help="store the results in results.json")
    chosen = parser.parse_args()
    found: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedServers(Path(folder) / "data", with_valkey=False) as servers,
    ):
        migrating.upgrade(servers.database_url)
        for turn in range(chosen.turns):
            for workers, results in found.items():
                results.append(asyncio.run(measure(servers.database_url, turn, workers, chosen.seconds)))
    rates = {workers: statistics.median(rate for rate, _ in results) for workers, results in found.items()}
    busy = {workers: statistics.median(micros for _, micros in results) for workers, results in found.items()}
    for workers in found:
        print(
            f"{workers} API processes  {rates[workers]:8.0f} events/s   {busy[workers]:6.0f} us of each event"
        )
    ratios = {"throughput": rates[2] / rates[1], "processor time": busy[2] / busy[1]}
    for name, ratio in ratios.items():
        print(f"two / one, {name:15} {ratio:6.2f}")
    if chosen.record:
        record("api_workers", {"per_second": rates, "microseconds": busy, "ratios": ratios})


if __name__ == "__main__":
    main()
