"""T13: one company floods the API with each kind of work; another one is answered, and nearly as fast as before.

`tests/api/test_fairness.py` removes the guards.
"""

import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx

from chaos.system import ApiProcess, kill_at_end, print_result
from processes import free_port

FLOODS = {"batch": 20, "report": 40, "preview": 15, "keys": 100}
"""Connections of the noisy company for each kind of work; `keys`: nobody's, with a new invalid key each time."""
CUSTOMERS = 2_000
WARM_UP = 10
MIN_P95_SECONDS = 0.1
"""Below it, a difference between two p95 is no reason to act."""


@contextmanager
def flood(url, token, kind, connections):
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("flood.py")), url, token, kind, str(connections)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


async def measure(client, requests, name):
    """Sends requests of several kinds one after the other; returns the refused ones and the p95 in seconds."""
    seconds, refused = [], 0
    for number in range(requests):
        began = time.perf_counter()
        if number % 3 == 0:
            answer = await client.get("/api/v1/customers", params={"limit": 20})
        elif number % 3 == 1:
            answer = await client.get("/api/v1/customers/1")
        else:
            event = {
                "id": f"{name} {number}",
                "source": "quiet",
                "type": "call_received",
                "customer_id": 1,
                "occurred_at": "2025-01-15T10:00:00Z",
                "data": {"call_duration": 60},
            }
            answer = await client.post("/api/v1/events", json=event)
        seconds.append(time.perf_counter() - began)
        refused += answer.status_code != 200
    return refused, sorted(seconds)[int(len(seconds) * 0.95)]


async def _compare(system, requests, floods):
    """Returns for each flood the refused requests of the quiet company and its p95, first without any flood."""
    quiet, noisy = await system.create_company(), await system.create_company()
    for company_id in (quiet, noisy):
        await system.send_first_visits(company_id, range(CUSTOMERS if company_id == noisy else 50))
    headers, token = await system.create_headers(quiet), await system.create_headers(noisy)
    environment = system.environment() | {"JOURNEY_POOL_TIMEOUT": "0.5"}
    found = {}
    with kill_at_end([ApiProcess(environment, free_port())]) as (server,):
        server.await_ready()
        async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=300) as client:
            await measure(client, WARM_UP, "warm up")
            found["none"] = await measure(client, requests, "none")
            for kind, connections in floods.items():
                with flood(server.url, token["Authorization"].removeprefix("Bearer "), kind, connections):
                    await measure(client, WARM_UP, f"begin {kind}")
                    found[kind] = await measure(client, requests, kind)
    return found


async def test_a_flood_of_one_company_refuses_no_request_of_another(system, size, seed):
    requests = size(ci=18, chaos=180, full=600)

    found = await _compare(system, requests, FLOODS)

    (_, own), refused = found["none"], sum(refused for refused, _ in found.values())
    print_result(
        *("T13", refused, 0, requests * len(found), len(FLOODS), seed),
        "p95 of the quiet company in ms: "
        + ", ".join(f"{kind} {1_000 * p95:.0f}" for kind, (_, p95) in found.items()),
    )
    assert refused == 0
    # Ratios of times depend on the machine: they are for runs on a quiet one.
    if size(ci=False, chaos=True, full=True):
        assert {kind: p95 for kind, (_, p95) in found.items() if p95 > max(2 * own, MIN_P95_SECONDS)} == {}
