"""The hearing end of the doorbell: an arq worker whose jobs ring for rounds, and whose schedule does too."""

import asyncio
import contextlib
import logging
from typing import Any, Final

import orjson
from arq import Worker, cron, func
from arq.cron import CronJob
from redis.exceptions import RedisError

from journey_service.gateways.worker_wakeup import QUEUE, WAKE, connect, to_json
from journey_service.services.operations.schedule import (
    ACTIONS,
    DUE_CUSTOMERS,
    IMPORTS,
    JOBS,
    NIGHTLY_RUNS,
    OUTBOUND_EVENTS,
)
from journey_service.worker.polling import PollingLoops

_ROUNDS: Final = "rounds"
_EVERY_FIVE_SECONDS: Final = set(range(0, 60, 5))
_POLL_SECONDS: Final = 0.25
_REPORT_SECONDS: Final = 30
_CONNECT_TIMEOUT_SECONDS: Final = 5.0
_RETRY_SECONDS: Final = 2.0
_TIMEOUT_SECONDS: Final = 5
_HANG_UP_SECONDS: Final = 1.0

_LOGGER = logging.getLogger(__name__)


async def wake(ctx: dict[str, Any], name: str) -> None:
    """Somebody rang for a round."""
    ctx[_ROUNDS].wake(name)


async def every_five_seconds(ctx: dict[str, Any]) -> None:
    """Look for whoever is due, and for work that waits."""
    for name in (DUE_CUSTOMERS, OUTBOUND_EVENTS, ACTIONS, JOBS, IMPORTS):
        ctx[_ROUNDS].wake(name)


async def every_minute(ctx: dict[str, Any]) -> None:
    """Look for companies where it has become two o'clock."""
    ctx[_ROUNDS].wake(NIGHTLY_RUNS)


async def listen(url: str, rounds: PollingLoops) -> None:
    """Answer the doorbell until cancelled. Redis may come, go, freeze and forget meanwhile."""
    triggers_actions = True
    while True:
        worker = _worker(url, rounds)
        try:
            await worker.async_run()
        except (RedisError, OSError, TimeoutError) as error:
            if triggers_actions:
                _LOGGER.warning("the doorbell is out of order, rounds go on by themselves: %s", error)
            triggers_actions = False
        except Exception:
            _LOGGER.exception("the doorbell failed, rounds go on by themselves")
        finally:
            await _close(worker)
        await asyncio.sleep(_RETRY_SECONDS)
        if not triggers_actions and await _answers(url):
            _LOGGER.warning("the doorbell is heard again")
            triggers_actions = True


def _worker(url: str, rounds: PollingLoops) -> Worker:
    return Worker(
        functions=[func(wake, name=WAKE, keep_result=0)],
        cron_jobs=schedule(),
        redis_pool=connect(url, timeout_seconds=_CONNECT_TIMEOUT_SECONDS),
        queue_name=QUEUE,
        handle_signals=False,
        poll_delay=_POLL_SECONDS,
        job_timeout=_TIMEOUT_SECONDS,
        keep_result=0,
        max_tries=1,
        health_check_interval=_REPORT_SECONDS,
        job_serializer=to_json,
        job_deserializer=orjson.loads,
        log_results=False,
        ctx={_ROUNDS: rounds},
    )


def schedule() -> list[CronJob]:
    """What is rung for by the clock on the wall; the rounds look at the companies' own clocks."""
    return [
        cron(every_five_seconds, second=_EVERY_FIVE_SECONDS, timeout=_TIMEOUT_SECONDS),
        cron(every_minute, second=0, timeout=_TIMEOUT_SECONDS),
    ]


async def _answers(url: str) -> bool:
    redis = connect(url)
    try:
        return bool(await redis.ping())
    except (RedisError, OSError, TimeoutError):
        return False
    finally:
        await redis.aclose()
        await redis.connection_pool.disconnect()


async def _close(worker: Worker) -> None:
    """Let the rings under way end, and hang up. Whatever is wrong with Redis must keep nobody from going."""
    ringing = list(worker.tasks.values())
    if ringing:
        _, late = await asyncio.wait(ringing, timeout=_HANG_UP_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*ringing, return_exceptions=True)
    pool = worker.pool
    with contextlib.suppress(RedisError, OSError, TimeoutError):
        async with asyncio.timeout(_HANG_UP_SECONDS):
            await pool.delete(worker.health_check_key)
    with contextlib.suppress(RedisError, OSError, TimeoutError):
        await pool.connection_pool.disconnect()
