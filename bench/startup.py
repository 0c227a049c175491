"""Start of the whole service in an empty folder: `python bench/startup.py [TURNS]`.

`journey up --no-demo` creates a database cluster and the schema, and starts PostgreSQL, Valkey, the API and a worker.
Measured are the seconds until `/readyz` answers 200, those of a second start in the same folder, and the memory of all
processes 10 seconds after a start. Medians of TURNS (5 by default) starts. Linux only.
"""

import argparse
import asyncio
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from ingest import MAX_START_SECONDS, free_port, is_ready
from process_tree import memory_bytes
from results import record

REST_SECONDS = 10.0
MEBIBYTE = 1024 * 1024


async def start(folder: Path, rest_seconds: float) -> tuple[float, int]:
    """Starts the service and ends it; returns the seconds until it is ready, and its memory at rest in bytes."""
    port = free_port()
    command = ["up", "--no-demo", "--port", str(port), "--data-dir", str(folder)]
    began = time.perf_counter()
    process = subprocess.Popen(  # noqa: ASYNC220, S603  # ourselves, started at once
        [sys.executable, "-m", "journey_service.cli", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            while not await is_ready(client):
                assert process.poll() is None, "the service has ended"
                assert time.perf_counter() - began < MAX_START_SECONDS, "the service does not become ready"
                await asyncio.sleep(0.02)
        seconds = time.perf_counter() - began
        await asyncio.sleep(rest_seconds)
        return seconds, memory_bytes(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(300)


def main() -> None:
    """Measures, and prints the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("turns", nargs="?", type=int, default=5)
    parser.add_argument("--rest", type=float, default=REST_SECONDS, help="seconds before memory is read")
    parser.add_argument("--record", action="store_true", help="store the results in results.json")
    chosen = parser.parse_args()
    first, second, memory = [], [], []
    for _ in range(chosen.turns):
        with tempfile.TemporaryDirectory() as folder:
            seconds, used = asyncio.run(start(Path(folder) / "data", chosen.rest))
            first.append(seconds)
            memory.append(used / MEBIBYTE)
            second.append(asyncio.run(start(Path(folder) / "data", 0.0))[0])
    found = {
        "first_start_s": statistics.median(first),
        "second_start_s": statistics.median(second),
        "memory_mib": statistics.median(memory),
    }
    print(f"first start to 200   {found['first_start_s']:6.1f} s   from {min(first):.1f} to {max(first):.1f}")
    print(
        f"second start to 200  {found['second_start_s']:6.1f} s   from {min(second):.1f} to {max(second):.1f}"
    )
    print(
        f"memory at rest       {found['memory_mib']:6.0f} MiB   from {min(memory):.0f} to {max(memory):.0f}"
    )
    if chosen.record:
        record("startup", {**found, "turns": chosen.turns})


if __name__ == "__main__":
    main()
