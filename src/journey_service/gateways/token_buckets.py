"""Token buckets in Redis or Valkey, shared by all processes: one round trip for all buckets of a request."""

import asyncio
from collections.abc import Sequence
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from journey_service.domain.access.rate_limits import BucketGrant, BucketRequest

TIMEOUT_SECONDS: Final = 0.25
"""Seconds to wait for the store; requests wait as long once a second while it is down."""

_PREFIX: Final = "journey:rate:"
# The clock is that of the store. Keys expire when their buckets are full again.
_TAKE: Final = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local tokens, is_enough = {}, true
for i, key in ipairs(KEYS) do
  local rate, burst, debt, least = unpack(ARGV, 5 * i - 4, 5 * i - 1)
  rate, burst, debt, least = tonumber(rate), tonumber(burst), tonumber(debt), tonumber(least)
  local stored = redis.call('HMGET', key, 'tokens', 'at')
  local left, at = tonumber(stored[1] or burst), tonumber(stored[2] or now)
  left = math.min(burst, left + math.max(0, now - at) * rate)
  tokens[i] = math.max(left - debt, -burst)
  is_enough = is_enough and tokens[i] >= least
end
local answer = {}
for i, key in ipairs(KEYS) do
  local granted = 0
  if is_enough then granted = math.min(math.max(0, math.floor(tokens[i])), tonumber(ARGV[5 * i])) end
  local left = tokens[i] - granted
  redis.call('HSET', key, 'tokens', tostring(left), 'at', string.format('%.6f', now))
  redis.call('PEXPIRE', key, math.ceil(2000 * tonumber(ARGV[5 * i - 3]) / tonumber(ARGV[5 * i - 4])) + 1000)
  answer[2 * i - 1], answer[2 * i] = tostring(granted), tostring(left)
end
return answer
"""


class TokenBuckets:
    """The token buckets of a Redis or Valkey."""

    def __init__(self, url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._timeout_seconds = timeout_seconds
        self._redis = Redis.from_url(
            url, socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds
        )
        self._take = self._redis.register_script(_TAKE)

    async def take(self, requests: Sequence[BucketRequest]) -> Sequence[BucketGrant]:
        """Takes tokens from buckets, from all or from none. Raises ConnectionError if the store does not respond."""
        arguments: list[str | float] = []
        for _, limit, debt, least, most in requests:
            arguments += [limit.per_second, limit.burst, debt, least, most]
        keys = [f"{_PREFIX}{request.key}" for request in requests]
        try:
            async with asyncio.timeout(self._timeout_seconds):
                answer = await self._take(keys=keys, args=arguments)
            values = [float(value) for value in answer]
        except (RedisError, OSError, TimeoutError, ValueError) as error:
            raise ConnectionError("the store of the rate limits does not respond") from error
        return [
            BucketGrant(int(granted), left) for granted, left in zip(values[::2], values[1::2], strict=True)
        ]

    async def close(self) -> None:
        """Closes every connection."""
        await self._redis.aclose()
