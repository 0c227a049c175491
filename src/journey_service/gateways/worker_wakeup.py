"""Redis or Valkey: a doorbell. It may be away, frozen or empty at any moment; that costs time, never work.

A ring is an arq job that names a round of the worker; it carries no work of its own. Jobs are JSON: whoever
can write to the queue can ring, and nothing else.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import orjson
from arq.connections import ArqRedis
from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

QUEUE: Final = "journey:doorbell"
WAKE: Final = "wake"
_TIMEOUT_SECONDS: Final = 0.5
_FORGET_MS: Final = 60_000


def connect(url: str, *, timeout_seconds: float = _TIMEOUT_SECONDS) -> ArqRedis:
    """Redis as both ends of the doorbell use it. Nothing is sent yet."""
    pool = ConnectionPool.from_url(
        url, socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds
    )
    return ArqRedis(
        pool,
        job_serializer=to_json,
        job_deserializer=orjson.loads,
        default_queue_name=QUEUE,
        expires_extra_ms=_FORGET_MS,
    )


def to_json(job: Mapping[str, Any]) -> bytes:
    """A job as JSON; an exception, which arq notes beside it, as its text."""
    return orjson.dumps(job, default=str)


class WorkerWakeup:
    """The ringing end."""

    def __init__(self, url: str) -> None:
        self._redis = connect(url)
        self._waking: dict[str, asyncio.Task[None]] = {}

    async def answers(self) -> bool:
        """Whether Redis is there right now."""
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                return bool(await self._redis.ping())
        except (RedisError, OSError, TimeoutError):
            return False

    async def worker_report(self) -> str | None:
        """What the workers last said of themselves, within the last minute; None if nothing is known."""
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                told = await self._redis.get(f"{QUEUE}:health-check")
        except (RedisError, OSError, TimeoutError):
            return None
        return None if told is None else bytes(told).decode()

    def wake(self, round_: str) -> None:
        """Ask the workers to begin a round now. Returns at once; nobody may hear it."""
        if round_ not in self._waking:
            self._waking[round_] = asyncio.create_task(self._enqueue_wake(round_))

    async def close(self) -> None:
        """Let the last rings out, and close every connection."""
        await asyncio.gather(*self._waking.values())
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    async def _enqueue_wake(self, round_: str) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                # One ring of a kind is enough, however many press the button.
                await self._redis.enqueue_job(WAKE, round_, _job_id=f"{WAKE}:{round_}")
        except (RedisError, OSError, TimeoutError):
            return  # the workers look by themselves every few seconds
        finally:
            self._waking.pop(round_, None)
