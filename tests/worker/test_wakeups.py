"""Wake-ups: a woken loop polls at once, messages are JSON, and a failing Redis delays no caller."""

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
"""A pause that no test waits for: every poll was started by a wake-up."""
LONG = 300.0


@pytest.fixture
async def redis():
    started = Redis()
    await _wait_until_ready(started)
    yield started
    started.thaw()
    started.kill()


async def _wait_until_ready(redis):
    async with Client.from_url(redis.url) as client:
        while True:
            try:
                return await client.ping()
            except (RedisError, OSError):
                await asyncio.sleep(0.01)


@asynccontextmanager
async def listening(database, redis):
    """Polling loops that poll only when woken, and a listener for wake-ups."""
    polling_loops = PollingLoops(database, names=(JOBS,), pause_seconds=NEVER)
    polling_loops.start()
    listener = asyncio.create_task(listen(redis.url, polling_loops))
    try:
        yield polling_loops
    finally:
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)
        await polling_loops.close()


async def _is_done_when_woken(database, tenant, worker_wakeup):
    """Returns True once a job is done that only a wake-up can start; wakes repeatedly, as a wake-up may be lost."""
    job_id = await queue_rescore(database, tenant.id, actor=Actor("tests"))
    async with asyncio.timeout(LONG):
        while (await get_job(database, tenant.id, job_id)).status != "done":
            worker_wakeup.wake(JOBS)
            await asyncio.sleep(0.02)
    return True


async def test_a_woken_loop_polls_at_once(database, tenant, redis):
    worker_wakeup = WorkerWakeup(redis.url)
    async with listening(database, redis):
        assert await _is_done_when_woken(database, tenant, worker_wakeup)
    await worker_wakeup.close()


async def test_wakeups_work_again_after_redis_was_emptied_stopped_and_frozen(database, tenant, redis):
    worker_wakeup = WorkerWakeup(redis.url)
    async with listening(database, redis):
        assert await _is_done_when_woken(database, tenant, worker_wakeup)

        async with Client.from_url(redis.url) as client:
            await client.flushall()
        assert await _is_done_when_woken(database, tenant, worker_wakeup)

        redis.kill()
        assert await worker_wakeup.responds() is False
        redis.start()
        assert await _is_done_when_woken(database, tenant, worker_wakeup)

        redis.freeze()
        assert await worker_wakeup.responds() is False
        redis.thaw()
        assert await _is_done_when_woken(database, tenant, worker_wakeup)
    await worker_wakeup.close()


async def test_concurrent_wakeups_are_one_job_in_json(redis):
    worker_wakeup = WorkerWakeup(redis.url)
    for _ in range(100):
        worker_wakeup.wake(JOBS)
        await asyncio.sleep(0)
    await worker_wakeup.close()

    async with Client.from_url(redis.url) as client:
        waiting = await client.zrange(QUEUE, 0, -1)
        job = json.loads(await client.get(f"arq:job:{waiting[0].decode()}"))
    assert len(waiting) == 1
    assert (job["f"], job["a"], job["k"]) == ("wake", [JOBS], {})


async def test_an_unreachable_redis_delays_no_caller(redis):
    worker_wakeup = WorkerWakeup(redis.url)
    redis.freeze()
    worker_wakeup.wake(JOBS)
    assert await worker_wakeup.worker_report() is None
    await worker_wakeup.close()

    unreachable = WorkerWakeup("redis://127.0.0.1:1/0")
    unreachable.wake(JOBS)
    assert (await unreachable.responds(), await unreachable.worker_report()) == (False, None)
    await unreachable.close()


async def test_the_worker_reports_its_health(database, redis):
    worker_wakeup = WorkerWakeup(redis.url)
    assert await worker_wakeup.worker_report() is None
    async with listening(database, redis), asyncio.timeout(LONG):
        while await worker_wakeup.worker_report() is None:
            await asyncio.sleep(0.02)
    await worker_wakeup.close()


async def test_a_wrong_redis_password_stops_no_polling(database, tenant, redis):
    async with Client.from_url(redis.url) as client:
        await client.config_set("requirepass", "another")
    polling_loops = PollingLoops(database, names=(JOBS,), pause_seconds=0.02)
    polling_loops.start()
    listener = asyncio.create_task(listen(redis.url, polling_loops))
    job_id = await queue_rescore(database, tenant.id, actor=Actor("tests"))
    async with asyncio.timeout(LONG):
        while (await get_job(database, tenant.id, job_id)).status != "done":
            await asyncio.sleep(0.02)
    assert not listener.done()
    listener.cancel()
    await asyncio.gather(listener, return_exceptions=True)
    await polling_loops.close()


async def test_waking_an_unknown_task_is_ignored(database):
    PollingLoops(database).wake("unknown")


def test_the_cron_schedule_wakes_every_five_seconds_and_every_minute():
    jobs = {job.name: job for job in schedule()}
    assert jobs["cron:every_five_seconds"].second == set(range(0, 60, 5))
    assert jobs["cron:every_minute"].second == 0
    assert {task.name for task in POLLING_TASKS} == {
        "due_customers",
        "nightly_runs",
        "jobs",
        "imports",
        "actions",
        "outbound_events",
        "rollups",
    }
