"""Draining the outbox compared with a bare loop of claiming and completing. `python bench/outbox.py [N]`.

N actions (10,000 by default) of as many customers in one company, on a channel that does nothing. Starts its own
PostgreSQL (default settings, fsync on) in a temporary folder. Each value is the median of five alternating runs;
compare ratios.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
from crowd import make_crowd

from journey_service.domain.access.actors import Actor
from journey_service.domain.actions.delivery import DeliveryReceipt, WebhookMessage
from journey_service.embedded import EmbeddedServers
from journey_service.repositories import migrations as migrating
from journey_service.repositories.database import Database
from journey_service.services.actions.delivery.dispatcher import MessageSenders, OutboxDispatcher
from journey_service.services.actions.webhook_endpoints import add_endpoint
from journey_service.services.companies.provisioning import NewCompany, create_company

COMPANY = 1
TURNS = 5
AT_ONCE = 50

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


async def bare(owner: asyncpg.Connection) -> None:
    """Claims fifty actions and completes each: the cost of the mechanism without any checks."""
    while claimed := await owner.fetch(CLAIM, COMPANY, AT_ONCE, "bare"):
        for row in claimed:
            await owner.execute(COMPLETE, COMPANY, row["id"], "bare")


async def run(url: str, actions: int) -> None:
    """Measures alternately, and prints the medians."""
    database = Database(url, vault_key="another key of the benchmark")
    owner = await asyncpg.connect(url)
    by = Actor("bench")
    await create_company(database, NewCompany("Bench", "UTC", "EUR", id=COMPANY), author=by)
    await make_crowd(owner, COMPANY, actions, datetime(2026, 1, 5, tzinfo=UTC))
    await add_endpoint(
        database,
        COMPANY,
        url="https://crm.example.com/",
        events=["action.crm_update"],
        description=None,
        by=by,
    )
    outbox_dispatcher = OutboxDispatcher(database, MessageSenders(Nowhere()))
    taken: dict[str, list[float]] = {"bare loop": [], "courier": []}
    for _ in range(TURNS):
        for name, turn in (("bare loop", lambda: bare(owner)), ("courier", outbox_dispatcher.drain)):
            await owner.execute("DELETE FROM action_attempts")
            await owner.execute("DELETE FROM journey_actions")
            await owner.execute(FILL, COMPANY)
            await owner.execute("VACUUM ANALYZE journey_actions")
            began = time.perf_counter()
            await turn()
            taken[name].append(time.perf_counter() - began)
            left = await owner.fetchval("SELECT count(*) FROM journey_actions WHERE state <> 'done'")
            assert left == 0, f"{left} actions are left"
    await owner.close()
    await database.close()
    rates = {name: actions / statistics.median(seconds) for name, seconds in taken.items()}
    for name, rate in rates.items():
        print(f"{name:10} {rate:8,.0f} actions/s")
    print(f"ratio      {rates['dispatcher'] / rates['bare loop']:8.2f}")


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("actions", type=int, nargs="?", default=10_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, EmbeddedServers(Path(folder), with_valkey=False) as servers:
        migrating.upgrade(servers.database_url)
        asyncio.run(run(servers.database_url, asked.actions))


if __name__ == "__main__":
    main()
