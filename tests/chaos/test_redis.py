"""T4: Redis is killed, emptied, frozen, locked or full: events are ingested, and due actions are sent in time."""

import time
from collections import Counter
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest
from redis.asyncio import Redis as Client
from redis.exceptions import RedisError

from chaos.system import (
    POLL_SECONDS,
    ApiProcess,
    DeliveryTotals,
    WorkerProcess,
    assert_detected,
    effects_of_first_visit,
    kill_at_end,
    print_result,
    wait_for,
)
from processes import Redis, free_port

NO_CALL_SECONDS = 3 * POLL_SECONDS
"""Seconds without a call after which a worker counts as not polling."""
OTHER_PASSWORD = "another password"


@pytest.fixture
async def redis():
    started = Redis()

    async def answers():
        try:
            async with Client.from_url(started.url) as client:
                return await client.ping()
        except (RedisError, OSError):
            return False

    await wait_for(answers)
    yield started
    started.thaw()
    started.kill()


@asynccontextmanager
async def _emptied(redis):
    async with Client.from_url(redis.url) as client:
        await client.flushall()
    yield


@asynccontextmanager
async def _killed(redis):
    redis.kill()
    yield
    redis.start()


@asynccontextmanager
async def _frozen(redis):
    redis.freeze()
    yield
    redis.thaw()


@asynccontextmanager
async def _locked(redis):
    """Refuses new connections and closes existing ones."""
    async with Client.from_url(redis.url) as client:
        await client.config_set("requirepass", OTHER_PASSWORD)
        await client.client_kill_filter(_type="normal", skipme=True)
    yield
    async with Client.from_url(redis.url, password=OTHER_PASSWORD) as client:
        await client.config_set("requirepass", "")


@asynccontextmanager
async def _full(redis):
    async with Client.from_url(redis.url) as client:
        await client.config_set("maxmemory", "1")
        yield
        await client.config_set("maxmemory", "0")


FAULTS = {"emptied": _emptied, "killed": _killed, "frozen": _frozen, "locked": _locked, "full": _full}


class VisitSender:
    """Sends first visits of customers over HTTP."""

    def __init__(self, system, company_id, client):
        self.totals = DeliveryTotals(set(), system.receivers)
        self.statuses = Counter()
        self.acknowledged = {}
        self._system = system
        self._company_id = company_id
        self._client = client

    async def send_next(self, count):
        """Sends profiles and first visits of some customers; records every response."""
        at = (await self._system.now() - timedelta(minutes=1)).isoformat()
        for _ in range(count):
            n = len(self.acknowledged)
            profile = {"name": "Ada Keller", "email": f"ada{n}@{self._company_id}.salon.example"}
            visit = {
                "id": f"visit {n}",
                "source": "chaos",
                "type": "appointment_completed",
                "customer_id": n,
                "occurred_at": at,
            }
            values = await self._client.put(f"/customers/{n}", json=profile)
            came = await self._client.post("/events", json=visit)
            self.statuses.update((values.status_code, came.status_code))
            self.acknowledged[n] = time.monotonic()
            self.totals.expected |= effects_of_first_visit(self._company_id, n)

    @property
    def latest(self):
        """The maximum time between a response and an effect of its event, in seconds."""
        reached = {}
        for call in self._system.receivers.calls:
            reached.setdefault(call.effect, call.at)
        return max(
            reached[effect] - since
            for n, since in self.acknowledged.items()
            for effect in effects_of_first_visit(self._company_id, n)
        )


async def test_events_are_ingested_and_actions_sent_in_time_without_redis(system, redis, size, chance, seed):
    rounds, visits_per_round = size(ci=1, chaos=6, full=20), size(ci=5, chaos=20, full=40)
    company_id = await system.create_company()
    headers = await system.create_headers(company_id)
    environment = system.environment(redis_url=redis.url)
    faults = [name for _ in range(rounds) for name in chance.sample([*FAULTS], len(FAULTS))]
    with kill_at_end([WorkerProcess(environment, "w"), ApiProcess(environment, free_port())]) as [
        worker,
        api,
    ]:
        api.await_ready()
        async with httpx.AsyncClient(base_url=f"{api.url}/api/v1", headers=headers, timeout=300) as client:
            visit_sender = VisitSender(system, company_id, client)

            async def is_delivered():
                # A call that took too long on a busy machine is due again in minutes.
                await system.make_pending_ready("attempts > 0")
                return not visit_sender.totals.lost

            for name in faults:
                async with FAULTS[name](redis):
                    await visit_sender.send_next(visits_per_round)
                    await wait_for(is_delivered)
                await visit_sender.send_next(1)
                await wait_for(is_delivered)
        assert worker.is_alive
        assert worker.stop() == 0

    lost, duplicated, unexpected = visit_sender.totals.violation_counts
    errors = visit_sender.statuses.total() - visit_sender.statuses[200] - visit_sender.statuses[201]
    print_result(
        *("T4", lost, duplicated, len(visit_sender.totals.expected), len(faults), seed),
        f"{errors} errors of {visit_sender.statuses.total()} requests; {visit_sender.latest:.1f} s late at most",
    )
    assert (lost, duplicated, unexpected, errors) == (0, 0, 0, 0)
    assert await system.find_violations() == []


async def test_a_worker_without_polling_is_detected(system, redis):
    company_id = await system.create_company()
    guard = "polling"
    totals = DeliveryTotals(await system.send_first_visits(company_id, range(1)), system.receivers)
    redis.kill()
    environment = system.environment(redis_url=redis.url)
    with kill_at_end([WorkerProcess(environment, "w", without=guard)]) as [worker]:
        await wait_for(lambda: not totals.lost)
        # The first poll may still find one visit; later visits are not found.
        with pytest.raises(TimeoutError):
            for n in range(1, 4):
                totals.expected |= await system.send_first_visits(company_id, range(n, n + 1))
                await wait_for(lambda: not totals.lost, NO_CALL_SECONDS)
        assert worker.is_alive
    assert_detected(guard, totals.lost)
