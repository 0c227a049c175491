"""Crash recovery: after kill -9 of the API under load, every acknowledged event is stored exactly once."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from conftest import ERASURE_KEY, PEPPER, VAULT_KEY
from ledger import find_violations, rows
from processes import Server, free_port

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
KILLS = 3
SENDERS = 8

pytestmark = pytest.mark.big


def _body(number: int) -> dict[str, object]:
    return {
        "id": str(number),
        "source": "kill",
        "type": "appointment_completed",
        "customer_id": number % 40,
        "occurred_at": (START + timedelta(seconds=number)).isoformat(),
        "data": {"total_amount": 1},
    }


async def test_every_acknowledged_event_survives_kill_9_and_counts_once(
    servers, database, create_test_company
):
    tenant = await create_test_company(test_clock=START + timedelta(days=1))
    environment = {
        "DATABASE_URL": servers.database_url,
        "REDIS_URL": servers.redis_url or "",
        "JOURNEY_KEY_PEPPER": PEPPER,
        "JOURNEY_ERASURE_KEY": ERASURE_KEY,
        "JOURNEY_VAULT_KEY": VAULT_KEY,
        "JOURNEY_POOL_TIMEOUT": "20",
    }
    port = free_port()
    acknowledged: set[int] = set()
    sent = 0
    for _ in range(KILLS):
        server = Server(environment, port=port).await_ready()
        is_dead, is_enough = asyncio.Event(), asyncio.Event()
        target = len(acknowledged) + 100

        async def send(
            client: httpx.AsyncClient,
            is_dead: asyncio.Event = is_dead,
            is_enough: asyncio.Event = is_enough,
            target: int = target,
        ) -> None:
            nonlocal sent
            while not is_dead.is_set():
                number, sent = sent, sent + 1
                try:
                    answer = await client.post("/api/v1/events", json=_body(number))
                except httpx.HTTPError:
                    return  # stored or not: it was not acknowledged
                if answer.status_code == 200:
                    acknowledged.add(number)
                    if len(acknowledged) >= target:
                        is_enough.set()

        async with httpx.AsyncClient(base_url=server.url, headers=tenant.headers, timeout=300) as client:
            senders = [asyncio.create_task(send(client)) for _ in range(SENDERS)]
            await is_enough.wait()
            server.kill()
            is_dead.set()
            await asyncio.gather(*senders)

    ids = await rows(database, tenant.id, "SELECT event_id FROM journey_events WHERE company_id = :company")
    stored = [int(row.event_id) for row in ids]
    lost = acknowledged - set(stored)
    twice = len(stored) - len(set(stored))
    never_sent = set(stored) - set(range(sent))
    print(f"{len(lost)} lost, {twice} duplicated of {sent} sent, {KILLS} kills")
    assert (lost, twice, never_sent) == (set(), 0, set())
    assert len(acknowledged) >= KILLS * 100
    assert await find_violations(database, tenant.id) == []

    server = Server(environment, port=port).await_ready()
    try:
        async with httpx.AsyncClient(base_url=server.url, headers=tenant.headers, timeout=300) as client:
            again = [await client.post("/api/v1/events", json=_body(number)) for number in range(0, sent, 7)]
    finally:
        server.stop()
    known = {number for number in range(0, sent, 7) if number in set(stored)}
    assert [answer.json()["status"] for answer in again] == [
        "duplicate" if number in known else "applied" for number in range(0, sent, 7)
    ]
    assert await find_violations(database, tenant.id) == []
