"""Wakes workers through Redis or Valkey. If Redis is down, frozen or loses its data, work only starts later.

A wake-up is an arq job that contains only the name of a polling task. Jobs are JSON, so write access to the queue
allows wake-ups and nothing else.
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
    """Creates the Redis client of senders and receivers of wake-ups. It connects at the first command."""
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
    """Serializes a job as JSON; exceptions are stored as text."""
    return orjson.dumps(job, default=str)


class WorkerWakeup:
    """Sends wake-ups to the workers."""

    def __init__(self, url: str) -> None:
        self._redis = connect(url)
        self._pending: dict[str, asyncio.Task[None]] = {}

    async def responds(self) -> bool:
        """Whether Redis responds right now."""
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                return bool(await self._redis.ping())
        except (RedisError, OSError, TimeoutError):
            return False

    async def worker_report(self) -> str | None:
        """Returns the latest health report of the workers; None if there is none from the last minute."""
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                report = await self._redis.get(f"{QUEUE}:health-check")
        except (RedisError, OSError, TimeoutError):
            return None
        return None if report is None else bytes(report).decode()

    def wake(self, task: str) -> None:
        """Wakes the workers for a polling task. Returns at once; delivery is not guaranteed."""
        if task not in self._pending:
            self._pending[task] = asyncio.create_task(self._enqueue_wake(task))

    async def close(self) -> None:
        """Sends pending wake-ups and closes every connection."""
        await asyncio.gather(*self._pending.values())
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
            self._pending.pop(task, None)
