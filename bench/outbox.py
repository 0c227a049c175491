"""Draining the outbox, and sending webhooks, compared with bare loops. `python bench/outbox.py [N]`.

N actions (10,000 by default) of as many customers in one company. First on a channel that does nothing, against a loop
that claims and completes actions in SQL. Then as signed webhooks to a receiver in a process of its own, against an HTTP
client that sends the same number of messages with the same signature, as many at the same time. Starts its own
PostgreSQL (default settings, fsync on) in a temporary folder. Each value is the median of five alternating runs;
compare ratios.
"""

import argparse
import asyncio
import base64
import hmac
import multiprocessing
import secrets
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from hashlib import sha256
from multiprocessing.connection import Connection
from pathlib import Path

import asyncpg
import httpx
from crowd import make_crowd
from results import record

from journey_service.domain.access.actors import Actor
from journey_service.domain.actions.delivery import DeliveryReceipt, WebhookMessage
from journey_service.embedded import EmbeddedServers
from journey_service.gateways.http_client import HttpClient
from journey_service.gateways.webhooks import Webhooks
from journey_service.repositories import migrations as migrating
from journey_service.repositories.database import Database
from journey_service.services.actions.delivery.dispatcher import MessageSenders, OutboxDispatcher
from journey_service.services.actions.webhook_endpoints import add_endpoint
from journey_service.services.companies.provisioning import NewCompany, create_company

COMPANY = 1
TURNS = 5
AT_ONCE = 50
SECRET = secrets.token_bytes(32)
BODY = b'{"type":"action.crm_update","data":{"customer_id":4711,"stage":"customer","action":"update_crm_status"}}'

CLAIM = (
    "WITH c AS (SELECT id FROM journey_actions WHERE company_id = $1 AND state IN ('pending', 'leased')"
    " AND ready_at <= now() ORDER BY ready_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED)"
    " UPDATE journey_actions a SET state = 'leased', lease_token = $3, ready_at = now() + interval '60 s'"
    " FROM c WHERE a.company_id = $1 AND a.id = c.id RETURNING a.id"
)
COMPLETE = (
    "UPDATE journey_actions SET state = 'done', lease_token = NULL, ready_at = NULL"
    " WHERE company_id = $1 AND id = $2 AND state = 'leased' AND lease_token = $3"
)
FILL = (
    "INSERT INTO journey_actions (company_id, relationship_id, stage, name, number, channel, step, is_stage_bound,"
    " planned_at, due_at, ready_at) SELECT company_id, id, current_stage, 'update_crm_status', 0, 'crm',"
    ' \'{"channel": "crm", "delay_days": 0}\', false, now(), now(), now() FROM customer_relationships'
    " WHERE company_id = $1"
)


class Nowhere:
    """A message sender that does nothing."""

    async def send(self, message: WebhookMessage) -> DeliveryReceipt:
        """Accepts the message."""
        assert message.body
        return DeliveryReceipt("")


def receive(ready: Connection) -> None:
    """Runs a receiver of webhooks that answers every request with 204, until its process is ended."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
                )
                await reader.readexactly(int(length.split(b":")[1]))
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


async def bare(owner: asyncpg.Connection) -> None:
    """Claims fifty actions and completes each: the cost of the mechanism without any checks."""
    while claimed := await owner.fetch(CLAIM, COMPANY, AT_ONCE, "bare"):
        for row in claimed:
            await owner.execute(COMPLETE, COMPANY, row["id"], "bare")


async def bare_client(url: str, messages: int) -> None:
    """Sends signed messages over one HTTP client, several at the same time."""
    numbers = iter(range(messages))

    async def sender(client: httpx.AsyncClient) -> None:
        for number in numbers:
            key, now = f"msg_{number}", str(int(time.time()))
            signed = hmac.digest(SECRET, f"{key}.{now}.".encode() + BODY, sha256)
            headers = {
                "content-type": "application/json",
                "webhook-id": key,
                "webhook-timestamp": now,
                "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
            }
            (await client.post(url, content=BODY, headers=headers)).raise_for_status()

    async with httpx.AsyncClient() as client:
        await asyncio.gather(*(sender(client) for _ in range(AT_ONCE)))


async def run(url: str, actions: int, receiver: str) -> dict[str, float]:
    """Measures alternately; returns the medians in actions per second."""
    database = Database(url, vault_key="another key of the benchmark")
    owner = await asyncpg.connect(url)
    await create_company(database, NewCompany("Bench", "UTC", "EUR", id=COMPANY), author=Actor("bench"))
    await make_crowd(owner, COMPANY, actions, datetime(2026, 1, 5, tzinfo=UTC))
    await add_endpoint(
        database,
        COMPANY,
        url=receiver,
        events=["action.crm_update"],
        description=None,
        by=Actor("bench"),
    )
    nowhere = OutboxDispatcher(database, MessageSenders(Nowhere()))
    webhooks = OutboxDispatcher(database, MessageSenders(Webhooks(HttpClient(trusted=[receiver]))))
    turns: dict[str, Callable[[], Awaitable[object]]] = {
        "bare loop in SQL": lambda: bare(owner),
        "dispatcher, no channel": nowhere.drain,
        "bare HTTP client": lambda: bare_client(receiver, actions),
        "dispatcher, webhooks": webhooks.drain,
    }
    taken: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(TURNS):
        for name, turn in turns.items():
            await owner.execute("DELETE FROM action_attempts")
            await owner.execute("DELETE FROM journey_actions")
            await owner.execute(FILL, COMPANY)
            await owner.execute("VACUUM ANALYZE journey_actions")
            began = time.perf_counter()
            await turn()
            taken[name].append(time.perf_counter() - began)
            left = await owner.fetchval("SELECT count(*) FROM journey_actions WHERE state <> 'done'")
            assert left == (actions if "client" in name else 0), f"{left} actions are left by {name}"
    await owner.close()
    await database.close()
    return {name: actions / statistics.median(seconds) for name, seconds in taken.items()}


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("actions", type=int, nargs="?", default=10_000)
    parser.add_argument("--record", action="store_true", help="store the results in results.json")
    asked = parser.parse_args()
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=receive, args=(theirs,), daemon=True)
    process.start()
    receiver = f"http://127.0.0.1:{ours.recv()}"
    with tempfile.TemporaryDirectory() as folder, EmbeddedServers(Path(folder), with_valkey=False) as servers:
        migrating.upgrade(servers.database_url)
        rates = asyncio.run(run(servers.database_url, asked.actions, receiver))
    process.terminate()
    ratios = {
        "dispatcher / bare loop": rates["dispatcher, no channel"] / rates["bare loop in SQL"],
        "webhooks / bare client": rates["dispatcher, webhooks"] / rates["bare HTTP client"],
    }
    for name, rate in rates.items():
        print(f"{name:24} {rate:8,.0f} actions/s")
    for name, ratio in ratios.items():
        print(f"{name:24} {ratio:8.2f}")
    if asked.record:
        record("outbox", {"actions": asked.actions, "per_second": rates, "ratios": ratios})


if __name__ == "__main__":
    main()
