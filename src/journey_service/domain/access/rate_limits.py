"""Rate limits as token buckets: what a caller may do at once, and how fast that is restored."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from journey_service.domain.errors import JourneyServiceError


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A token bucket: `burst` tokens at most, restored at `per_second`. `name` appears in headers and metrics."""

    name: str
    per_second: float
    burst: float

    @property
    def window_seconds(self) -> int:
        """Seconds in which an empty bucket becomes full, rounded up."""
        return math.ceil(self.burst / self.per_second)

    def part_of(self, processes: int) -> "RateLimit":
        """Returns the limit of one of several processes that cannot count together; at least one token."""
        return RateLimit(self.name, self.per_second / processes, max(1.0, self.burst / processes))


class BucketRequest(NamedTuple):
    """What is taken from a bucket of the store.

    `debt` is taken in any case; then at least `least` and at most `most` tokens, from all buckets of a request or from
    none.
    """

    key: str
    limit: RateLimit
    debt: int
    least: int
    most: int


class BucketGrant(NamedTuple):
    """What a bucket gave, and the tokens that are left in it, negative if it is overdrawn."""

    granted: int
    left: float


class BucketStore(Protocol):
    """Token buckets that all processes share."""

    async def take(self, requests: Sequence[BucketRequest]) -> Sequence[BucketGrant]:
        """Takes tokens from buckets at once. Raises ConnectionError if the store does not respond."""
        ...

    async def close(self) -> None:
        """Closes every connection."""
        ...


class TokenBucket:
    """A token bucket of one process, full at first. Times are seconds of any clock that never goes back."""

    def __init__(self, limit: RateLimit, now: float) -> None:
        self._limit = limit
        self._tokens = limit.burst
        self._at = now

    def take(self, request: BucketRequest, now: float, *, is_granted: bool = True) -> None:
        """Takes the debt and, if `is_granted`, the least number of tokens."""
        self._tokens = max(self.left(now) - request.debt, -self._limit.burst)
        self._at = now
        if is_granted:
            self._tokens -= request.least

    def left(self, now: float) -> float:
        """Returns the tokens in the bucket."""
        return min(self._limit.burst, self._tokens + (now - self._at) * self._limit.per_second)


class RateLimitedError(JourneyServiceError):
    """The caller has used up a rate limit; `limit` names it."""

    code = "rate-limited"
    title = "Too many requests"

    def __init__(self, limit: str = "key", *, retry_after: float = 1.0) -> None:
        super().__init__(f"The rate limit {limit!r} is used up; try again after the seconds of Retry-After.")
        self.limit = limit
        self.retry_after = max(1, math.ceil(retry_after))
