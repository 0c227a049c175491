"""Receives wake-ups: an arq worker whose jobs and cron schedule wake polling loops."""

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

_LOOPS: Final = "polling_loops"
_EVERY_FIVE_SECONDS: Final = set(range(0, 60, 5))
_POLL_SECONDS: Final = 0.25
_HEALTH_REPORT_SECONDS: Final = 30
_CONNECT_TIMEOUT_SECONDS: Final = 5.0
_RETRY_SECONDS: Final = 2.0
_TIMEOUT_SECONDS: Final = 5
_CLOSE_SECONDS: Final = 1.0
"""Seconds that a stopping worker waits for running wake-ups, and for each step of disconnecting."""

_LOGGER = logging.getLogger(__name__)


async def wake(ctx: dict[str, Any], name: str) -> None:
    """Handles a wake-up: starts the next poll of a task."""
    ctx[_LOOPS].wake(name)


async def every_five_seconds(ctx: dict[str, Any]) -> None:
    """Wakes the loops of due customers, outbound events, actions, jobs and imports."""
    for name in (DUE_CUSTOMERS, OUTBOUND_EVENTS, ACTIONS, JOBS, IMPORTS):
        ctx[_LOOPS].wake(name)


async def every_minute(ctx: dict[str, Any]) -> None:
    """Wakes the loop of nightly runs."""
    ctx[_LOOPS].wake(NIGHTLY_RUNS)


async def listen(url: str, polling_loops: PollingLoops) -> None:
    """Receives wake-ups until cancelled; reconnects after any failure of Redis."""
    is_connected = True
    while True:
        worker = _worker(url, polling_loops)
        try:
            await worker.async_run()
        except (RedisError, OSError, TimeoutError) as error:
            if is_connected:
                _LOGGER.warning("wake-ups through Redis failed; falling back to polling: %s", error)
            is_connected = False
        except Exception:
            _LOGGER.exception("wake-ups failed; falling back to polling")
        finally:
            await _close(worker)
        await asyncio.sleep(_RETRY_SECONDS)
        if not is_connected and await _responds(url):
            _LOGGER.info("wake-ups through Redis recovered")
            is_connected = True


def _worker(url: str, polling_loops: PollingLoops) -> Worker:
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
        health_check_interval=_HEALTH_REPORT_SECONDS,
        job_serializer=to_json,
        job_deserializer=orjson.loads,
        log_results=False,
        ctx={_LOOPS: polling_loops},
    )


def schedule() -> list[CronJob]:
    """Returns the cron schedule of wake-ups in real time; the polling loops use each company's own time."""
    return [
        cron(every_five_seconds, second=_EVERY_FIVE_SECONDS, timeout=_TIMEOUT_SECONDS),
        cron(every_minute, second=0, timeout=_TIMEOUT_SECONDS),
    ]


async def _responds(url: str) -> bool:
    redis = connect(url)
    try:
        return bool(await redis.ping())
    except (RedisError, OSError, TimeoutError):
        return False
    finally:
        await redis.aclose()
        await redis.connection_pool.disconnect()


async def _close(worker: Worker) -> None:
    """Waits for running wake-ups and disconnects.

    Errors of Redis are ignored, so that they do not delay the shutdown.
    """
    running = list(worker.tasks.values())
    if running:
        _, late = await asyncio.wait(running, timeout=_CLOSE_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    pool = worker.pool
    with contextlib.suppress(RedisError, OSError, TimeoutError):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await pool.delete(worker.health_check_key)
    with contextlib.suppress(RedisError, OSError, TimeoutError):
        await pool.connection_pool.disconnect()
