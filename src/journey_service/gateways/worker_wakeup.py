"""Wakes workers through Redis or Valkey. It may be down, frozen, or emptied at any time; that costs latency only.

A wake-up is an arq job that names a polling task of the worker and carries no work of its own. Jobs are JSON, so that
write access to the queue allows wake-ups and nothing else.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import orjson
from arq.connections import ArqRedis
from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

QUEUE: Final = "journey:wakeup"
WAKE: Final = "wake"
_TIMEOUT_SECONDS: Final = 0.5
_DEDUPLICATION_MS: Final = 60_000


def connect(url: str, *, timeout_seconds: float = _TIMEOUT_SECONDS) -> ArqRedis:
    """Creates the Redis client of both ends. No connection is made yet."""
    pool = ConnectionPool.from_url(
        url, socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds
    )
    return ArqRedis(
        pool,
        job_serializer=to_json,
        job_deserializer=orjson.loads,
        default_queue_name=QUEUE,
        expires_extra_ms=_DEDUPLICATION_MS,
    )


def to_json(job: Mapping[str, Any]) -> bytes:
    """Serializes a job as JSON; an exception that arq stores with it becomes its text."""
    return orjson.dumps(job, default=str)


class WorkerWakeup:
    """The sending end of wake-ups."""

    def __init__(self, url: str) -> None:
        self._redis = connect(url)
        self._waking: dict[str, asyncio.Task[None]] = {}

    async def answers(self) -> bool:
        """Whether Redis responds right now."""
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                return bool(await self._redis.ping())
        except (RedisError, OSError, TimeoutError):
            return False

    async def worker_report(self) -> str | None:
        """Returns the workers' last health report of the last minute; None if there is none."""
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                told = await self._redis.get(f"{QUEUE}:health-check")
        except (RedisError, OSError, TimeoutError):
            return None
        return None if told is None else bytes(told).decode()

    def wake(self, task: str) -> None:
        """Wakes the workers for a polling task. Returns at once; delivery is not guaranteed."""
        if task not in self._waking:
            self._waking[task] = asyncio.create_task(self._enqueue_wake(task))

    async def close(self) -> None:
        """Sends pending wake-ups and closes every connection."""
        await asyncio.gather(*self._waking.values())
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    async def _enqueue_wake(self, task: str) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                # The job id deduplicates concurrent wake-ups of the same polling task.
                await self._redis.enqueue_job(WAKE, task, _job_id=f"{WAKE}:{task}")
        except (RedisError, OSError, TimeoutError):
            return  # the workers poll every few seconds anyway
        finally:
            self._waking.pop(task, None)
