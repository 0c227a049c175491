"""Rate limits of credentials, companies and addresses: shared by all processes, with local portions of tokens.

A process takes portions of tokens from the shared buckets, so that most requests need no round trip. A limit may
therefore be exceeded by one portion for each process. While the shared store does not respond, each process counts
alone, with its part of every limit.
"""

import asyncio
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final, NamedTuple

from journey_service.domain.access.rate_limits import (
    BucketGrant,
    BucketRequest,
    BucketStore,
    RateLimit,
    RateLimitedError,
    TokenBucket,
)

PORTION_SECONDS: Final = 0.1
"""A portion holds the tokens that are restored in this time, at least one."""
STORE_PAUSE_SECONDS: Final = 1.0
"""Seconds for which a store that did not respond is left alone."""
MAX_BUCKETS: Final = 20_000
"""Buckets that a process remembers; the least recently used one is forgotten."""

_LOGGER: Final = logging.getLogger(__name__)


class Bucket(NamedTuple):
    """A bucket that a request takes from: its key, without personal data, and its limit."""

    key: str
    limit: RateLimit


class LimitState(NamedTuple):
    """State of a limit after a request: whole tokens left, and seconds until all are restored."""

    limit: RateLimit
    left: int
    reset_seconds: int


@dataclass(slots=True)
class _Portion:
    """Tokens of a bucket that this process holds, negative if it owes some; what is left in the bucket itself."""

    held: int = 0
    left: float = 0.0
    denied_until: float = 0.0
    denied: int = 0
    """The smallest number of tokens that was refused until `denied_until`."""
    local: TokenBucket | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class RateLimiter:
    """The rate limits of one process. Without a store, it counts alone, as one of `processes`."""

    def __init__(
        self,
        store: BucketStore | None,
        *,
        processes: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._processes = processes
        self._clock = clock
        self._portions: OrderedDict[str, _Portion] = OrderedDict()
        self._store_is_down_until = 0.0
        self._is_local = store is None

    @property
    def is_local(self) -> bool:
        """Whether this process counts alone."""
        return self._is_local

    async def take(self, buckets: Sequence[Bucket], tokens: int = 1) -> list[LimitState]:
        """Takes tokens from every bucket, or from none.

        Raises RateLimitedError, which names the limit that is used up and the time until it is not.
        """
        portions = [self._portion(bucket.key) for bucket in buckets]
        self._check_denied(buckets, portions, tokens)
        if any(portion.held < tokens for portion in portions):
            # Requests that need a portion of the same credential wait for one that is being fetched.
            async with portions[0].lock:
                self._check_denied(buckets, portions, tokens)
                if any(portion.held < tokens for portion in portions):
                    await self._fetch(buckets, portions, tokens)
        for portion in portions:
            portion.held -= tokens
        return [_state(bucket.limit, portion) for bucket, portion in zip(buckets, portions, strict=True)]

    def charge(self, buckets: Sequence[Bucket], tokens: int) -> None:
        """Takes tokens that are known only after the request was let through; a bucket may become overdrawn."""
        for bucket in buckets:
            self._portion(bucket.key).held -= tokens

    def check(self, bucket: Bucket) -> None:
        """Raises RateLimitedError if this process knows that the bucket is used up. Takes nothing."""
        portion = self._portions.get(bucket.key)
        if portion is not None:
            self._check_denied([bucket], [portion], 1)

    async def count_failure(self, bucket: Bucket) -> None:
        """Takes a token for a failed attempt; if there is none, `check` refuses the next ones."""
        try:
            await self.take([bucket])
        except RateLimitedError:
            return

    async def close(self) -> None:
        """Closes the store."""
        if self._store is not None:
            await self._store.close()

    def _portion(self, key: str) -> _Portion:
        portion = self._portions.get(key)
        if portion is None:
            if len(self._portions) >= MAX_BUCKETS:
                self._portions.popitem(last=False)
            portion = self._portions[key] = _Portion()
        else:
            self._portions.move_to_end(key)
        return portion

    def _check_denied(self, buckets: Sequence[Bucket], portions: Sequence[_Portion], tokens: int) -> None:
        now = self._clock()
        for bucket, portion in zip(buckets, portions, strict=True):
            if portion.denied_until > now and tokens >= portion.denied:
                raise RateLimitedError(bucket.limit.name, retry_after=portion.denied_until - now)

    async def _fetch(self, buckets: Sequence[Bucket], portions: Sequence[_Portion], tokens: int) -> None:
        """Fills portions up from the buckets. Raises RateLimitedError."""
        requests = [
            _request(bucket, portion.held, tokens) for bucket, portion in zip(buckets, portions, strict=True)
        ]
        grants = await self._take_shared(requests)
        if grants is None:
            grants = self._take_local(requests, portions)
        for portion, request, grant in zip(portions, requests, grants, strict=True):
            portion.held += request.debt + grant.granted
            portion.left = grant.left
            if grant.granted < request.least:
                self._deny(portion, request, tokens)
        self._check_denied(buckets, portions, tokens)

    def _deny(self, portion: _Portion, request: BucketRequest, tokens: int) -> None:
        """Remembers that a bucket has too few tokens, if it is this one."""
        if portion.left >= request.least:
            return  # another bucket of the request has too few
        wait = (request.least - portion.left) / request.limit.per_second
        portion.denied_until = self._clock() + wait
        portion.denied = tokens

    async def _take_shared(self, requests: Sequence[BucketRequest]) -> Sequence[BucketGrant] | None:
        """Returns what the shared buckets gave; None while the store does not respond."""
        if self._store is None or self._clock() < self._store_is_down_until:
            return None
        try:
            grants = await self._store.take(requests)
        except ConnectionError:
            self._store_is_down_until = self._clock() + STORE_PAUSE_SECONDS
            self._set_local(is_local=True)
            return None
        self._set_local(is_local=False)
        return grants

    def _take_local(
        self, requests: Sequence[BucketRequest], portions: Sequence[_Portion]
    ) -> Sequence[BucketGrant]:
        now = self._clock()
        buckets = []
        for request, portion in zip(requests, portions, strict=True):
            if portion.local is None:
                portion.local = TokenBucket(request.limit.part_of(self._processes), now)
            buckets.append(portion.local)
        is_granted = all(
            bucket.left(now) - request.debt >= request.least
            for bucket, request in zip(buckets, requests, strict=True)
        )
        grants = []
        for bucket, request in zip(buckets, requests, strict=True):
            bucket.take(request, now, is_granted=is_granted)
            grants.append(BucketGrant(request.least if is_granted else 0, bucket.left(now)))
        return grants

    def _set_local(self, *, is_local: bool) -> None:
        if is_local != self._is_local:
            self._is_local = is_local
            text = "counts alone: the shared store does not respond" if is_local else "counts together again"
            _LOGGER.warning("Rate limits: this process %s", text)


def address_key(address: str) -> str | None:
    """Returns the key of the buckets of a client address; that of its /64 network for IPv6, None for no address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(ip_network((parsed, 64), strict=False)) if mapped is None else str(mapped)
    return str(parsed)


def _request(bucket: Bucket, held: int, tokens: int) -> BucketRequest:
    missing = tokens - max(0, held)
    portion = max(tokens, math.floor(bucket.limit.per_second * PORTION_SECONDS))
    # A bucket that has enough tokens in this process gives none.
    least, most = (0, 0) if missing <= 0 else (missing, portion - max(0, held))
    return BucketRequest(bucket.key, bucket.limit, max(0, -held), least, most)


def _state(limit: RateLimit, portion: _Portion) -> LimitState:
    left = max(0, math.floor(min(limit.burst, portion.left + portion.held)))
    return LimitState(limit, left, math.ceil((limit.burst - left) / limit.per_second))
