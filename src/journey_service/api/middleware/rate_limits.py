"""Rate limits of requests, and their headers: those of draft-ietf-httpapi-ratelimit-headers-11."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from starlette.datastructures import Address
from starlette.types import Scope

from journey_service.api.trusted_proxies import contains
from journey_service.domain.access.rate_limits import RateLimit, RateLimitedError
from journey_service.services.access.rate_limiter import Bucket, RateLimiter, address_key

_BUCKETS: Final = "rate_limit_buckets"


async def charge(scope: Scope, limiter: RateLimiter, buckets: Sequence[Bucket]) -> None:
    """Charges a request to rate limits, and adds their state to its response. Raises RateLimitedError."""
    limits = [bucket.limit for bucket in buckets]
    try:
        states = await limiter.take(buckets)
    except RateLimitedError as error:
        _add_headers(scope, limits, f'"{error.limit}";r=0;t={error.retry_after}')
        raise
    scope[_BUCKETS] = buckets
    current = ", ".join(f'"{state.limit.name}";r={state.left};t={state.reset_seconds}' for state in states)
    _add_headers(scope, limits, current)


def charge_more(scope: Scope, limiter: RateLimiter, tokens: int) -> None:
    """Charges further tokens to the limits of a request that was admitted; the limits may become overdrawn."""
    limiter.charge(scope[_BUCKETS], max(0, tokens))


def client_address(client: Address | None, proxies: Sequence[IPv4Network | IPv6Network]) -> str | None:
    """Returns the address of a client for its limits; None for a trusted proxy, and without an address."""
    key = None if client is None else address_key(client.host)
    if key is None:
        return None
    return None if contains(proxies, key.partition("/")[0]) else key


def _add_headers(scope: Scope, limits: Sequence[RateLimit], current: str) -> None:
    policy = ", ".join(f'"{limit.name}";q={limit.burst:.0f};w={limit.window_seconds}' for limit in limits)
    scope["added_headers"] = (
        *scope.get("added_headers", ()),
        (b"ratelimit-policy", policy.encode()),
        (b"ratelimit", current.encode()),
    )
