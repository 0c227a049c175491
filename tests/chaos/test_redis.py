"""T4: Redis dead, emptied, frozen, locked or full: events are taken as ever, and what is due goes out in time."""

import time
from collections import Counter
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest
from redis.asyncio import Redis as Client
from redis.exceptions import RedisError

from chaos.ground import ROUND_SECONDS, Api, Tally, Worker, detected, ending, of_first_visit, tell, until
from processes import Redis, free_port

LATE = 3 * ROUND_SECONDS
"""For how long nothing comes from a worker that only waits to be rung for: seconds."""
ANOTHER = "another password"


@pytest.fixture
async def redis():
    started = Redis()

    async def answers():
        try:
            async with Client.from_url(started.url) as client:
                return await client.ping()
        except (RedisError, OSError):
            return False

    await until(answers)
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
        await client.config_set("requirepass", ANOTHER)
        await client.client_kill_filter(_type="normal", skipme=True)
    yield
    async with Client.from_url(redis.url, password=ANOTHER) as client:
        await client.config_set("requirepass", "")


@asynccontextmanager
async def _full(redis):
    async with Client.from_url(redis.url) as client:
        await client.config_set("maxmemory", "1")
        yield
        await client.config_set("maxmemory", "0")


FAULTS = {"emptied": _emptied, "killed": _killed, "frozen": _frozen, "locked": _locked, "full": _full}


class Guests:
    """Sends first visits of customers over HTTP."""

    def __init__(self, ground, company_id, client):
        self.tally = Tally(set(), ground.outside)
        self.statuses = Counter()
        self.acknowledged = {}
        self._ground = ground
        self._company_id = company_id
        self._client = client

    async def come(self, count):
        """Some of them; every answer is written down."""
        at = (await self._ground.now() - timedelta(minutes=1)).isoformat()
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
            self.tally.expected |= of_first_visit(self._company_id, n)

    @property
    def latest(self):
        """The longest that anything was on its way."""
        reached = {}
        for call in self._ground.outside.calls:
            reached.setdefault(call.effect, call.at)
        return max(
            reached[effect] - since
            for n, since in self.acknowledged.items()
            for effect in of_first_visit(self._company_id, n)
        )


async def test_events_are_ingested_and_actions_sent_in_time_without_redis(ground, redis, size, chance, seed):
    rounds, guests_at_once = size(ci=1, chaos=6, full=20), size(ci=5, chaos=20, full=40)
    company_id = await ground.found()
    headers = await ground.key(company_id)
    environment = ground.environment(redis_url=redis.url)
    faults = [name for _ in range(rounds) for name in chance.sample([*FAULTS], len(FAULTS))]
    with ending([Worker(environment, "w"), Api(environment, free_port())]) as [worker, api]:
        api.await_ready()
        async with httpx.AsyncClient(base_url=f"{api.url}/api/v1", headers=headers, timeout=30) as client:
            guests = Guests(ground, company_id, client)
            for name in faults:
                async with FAULTS[name](redis):
                    await guests.come(guests_at_once)
                    await until(lambda: not guests.tally.lost)
                await guests.come(1)
                await until(lambda: not guests.tally.lost)
        assert worker.is_alive
        assert worker.stop() == 0

    lost, duplicated, phantoms = guests.tally.zeros
    errors = guests.statuses.total() - guests.statuses[200] - guests.statuses[201]
    tell(
        *("T4", lost, duplicated, len(guests.tally.expected), len(faults), seed),
        f"{errors} errors of {guests.statuses.total()} requests; {guests.latest:.1f} s late at most",
    )
    assert (lost, duplicated, phantoms, errors) == (0, 0, 0, 0)
    assert await ground.find_violations() == []


async def test_a_worker_that_only_waits_to_be_rung_for_is_noticed(ground, redis):
    company_id = await ground.found()
    guard = "polling"
    tally = Tally(await ground.visit(company_id, range(1)), ground.outside)
    redis.kill()
    environment = ground.environment(redis_url=redis.url)
    with ending([Worker(environment, "w", without=guard)]) as [worker]:
        await until(lambda: not tally.lost)
        # One may still come within the worker's first look; the next ones do not.
        with pytest.raises(TimeoutError):
            for n in range(1, 4):
                tally.expected |= await ground.visit(company_id, range(n, n + 1))
                await until(lambda: not tally.lost, LATE)
        assert worker.is_alive
    detected(guard, tally.lost)
