"""The doorbell: what is rung for begins at once, as JSON, and who cannot ring is not kept waiting."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis as Client
from redis.exceptions import RedisError

from journey_service.domain.access.actors import Actor
from journey_service.gateways.worker_wakeup import QUEUE, WorkerWakeup
from journey_service.services.jobs import get_job
from journey_service.services.journeys.rescoring import queue_rescore
from journey_service.services.operations.schedule import JOBS, POLLING_TASKS
from journey_service.worker.polling import PollingLoops
from journey_service.worker.wakeups import listen, schedule
from processes import Redis

NEVER = 3600.0
"""A pause that no test waits for: whatever happens was rung for."""
LONG = 60.0


@pytest.fixture
async def redis():
    started = Redis()
    await _answering(started)
    yield started
    started.thaw()
    started.kill()


async def _answering(redis):
    async with Client.from_url(redis.url) as client:
        while True:
            try:
                return await client.ping()
            except (RedisError, OSError):
                await asyncio.sleep(0.01)


@asynccontextmanager
async def hearing(database, redis):
    """Rounds that never begin by themselves, and somebody who listens for them."""
    rounds = PollingLoops(database, names=(JOBS,), pause_seconds=NEVER)
    rounds.start()
    listener = asyncio.create_task(listen(redis.url, rounds))
    try:
        yield rounds
    finally:
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)
        await rounds.close()


async def _is_done_when_rung_for(database, tenant, worker_wakeup):
    """Whether a job that nobody would look for is done; rung for again and again, as rings may be lost."""
    job_id = await queue_rescore(database, tenant.id, actor=Actor("tests"))
    async with asyncio.timeout(LONG):
        while (await get_job(database, tenant.id, job_id)).status != "done":
            worker_wakeup.wake(JOBS)
            await asyncio.sleep(0.02)
    return True


async def test_what_is_rung_for_begins(database, tenant, redis):
    worker_wakeup = WorkerWakeup(redis.url)
    async with hearing(database, redis):
        assert await _is_done_when_rung_for(database, tenant, worker_wakeup)
    await worker_wakeup.close()


async def test_the_bell_is_heard_again_after_redis_was_emptied_killed_and_frozen(database, tenant, redis):
    worker_wakeup = WorkerWakeup(redis.url)
    async with hearing(database, redis):
        assert await _is_done_when_rung_for(database, tenant, worker_wakeup)

        async with Client.from_url(redis.url) as client:
            await client.flushall()
        assert await _is_done_when_rung_for(database, tenant, worker_wakeup)

        redis.kill()
        assert await worker_wakeup.answers() is False
        redis.start()
        assert await _is_done_when_rung_for(database, tenant, worker_wakeup)

        redis.freeze()
        assert await worker_wakeup.answers() is False
        redis.thaw()
        assert await _is_done_when_rung_for(database, tenant, worker_wakeup)
    await worker_wakeup.close()


async def test_many_rings_are_one_and_they_are_json(redis):
    worker_wakeup = WorkerWakeup(redis.url)
    for _ in range(100):
        worker_wakeup.wake(JOBS)
        await asyncio.sleep(0)
    await worker_wakeup.close()

    async with Client.from_url(redis.url) as client:
        waiting = await client.zrange(QUEUE, 0, -1)
        told = json.loads(await client.get(f"arq:job:{waiting[0].decode()}"))
    assert len(waiting) == 1
    assert (told["f"], told["a"], told["k"]) == ("wake", [JOBS], {})


async def test_who_cannot_ring_goes_on(redis):
    worker_wakeup = WorkerWakeup(redis.url)
    redis.freeze()
    worker_wakeup.wake(JOBS)
    assert await worker_wakeup.worker_report() is None
    await worker_wakeup.close()

    nobody = WorkerWakeup("redis://127.0.0.1:1/0")
    nobody.wake(JOBS)
    assert (await nobody.answers(), await nobody.worker_report()) == (False, None)
    await nobody.close()


async def test_the_worker_tells_that_it_is_there(database, redis):
    worker_wakeup = WorkerWakeup(redis.url)
    assert await worker_wakeup.worker_report() is None
    async with hearing(database, redis), asyncio.timeout(LONG):
        while await worker_wakeup.worker_report() is None:
            await asyncio.sleep(0.02)
    await worker_wakeup.close()


async def test_a_wrong_password_stops_no_round(database, tenant, redis):
    async with Client.from_url(redis.url) as client:
        await client.config_set("requirepass", "another")
    rounds = PollingLoops(database, names=(JOBS,), pause_seconds=0.02)
    rounds.start()
    listener = asyncio.create_task(listen(redis.url, rounds))
    job_id = await queue_rescore(database, tenant.id, actor=Actor("tests"))
    async with asyncio.timeout(LONG):
        while (await get_job(database, tenant.id, job_id)).status != "done":
            await asyncio.sleep(0.02)
    assert not listener.done()
    listener.cancel()
    await asyncio.gather(listener, return_exceptions=True)
    await rounds.close()


async def test_a_name_nobody_knows_rings_for_nobody(database):
    PollingLoops(database).wake("the neighbours")


def test_the_schedule_rings_often_enough_for_everything():
    rung = {job.name: job for job in schedule()}
    assert rung["cron:every_five_seconds"].second == set(range(0, 60, 5))
    assert rung["cron:every_minute"].second == 0
    rounds = {each.name for each in POLLING_TASKS}
    assert rounds == {
        "due_customers",
        "nightly_runs",
        "jobs",
        "imports",
        "actions",
        "outbound_events",
        "rollups",
    }
