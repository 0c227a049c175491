"""Redis or Valkey: a doorbell. It may be away or empty at any moment."""

import asyncio

from redis.asyncio import Redis
from redis.exceptions import RedisError

_PATIENCE_SECONDS = 0.5


class Doorbell:
    """The connection to Redis, which nothing that must not be lost depends on."""

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(
            url, socket_timeout=_PATIENCE_SECONDS, socket_connect_timeout=_PATIENCE_SECONDS
        )

    async def answers(self) -> bool:
        """Whether Redis is there right now."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return bool(await self._redis.ping())
        except (RedisError, OSError, TimeoutError):
            return False

    async def close(self) -> None:
        """Close every connection."""
        await self._redis.aclose()
