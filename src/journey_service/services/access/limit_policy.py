"""Which rate limits apply to a caller: of the credential and of its company, for requests and for events."""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from journey_service.domain.access.rate_limits import RateLimit
from journey_service.services.access.credentials import Principal
from journey_service.services.access.rate_limiter import Bucket

REQUEST_BURST: Final = 4
"""Seconds of a request limit that may be used at once."""
EVENT_BURST: Final = 2
"""Seconds of an event limit that may be used at once."""


@dataclass(frozen=True, slots=True)
class LimitPolicy:
    """Limits per second of credentials and companies, and per minute of failed attempts from one address.

    Operations that ingest events count events; all others count requests. The company of an operator's request is not
    charged.
    """

    requests: int
    events: int
    company_requests: int
    company_events: int
    failures: int
    sign_in_failures: int

    def buckets(self, principal: Principal, *, counts_events: bool) -> list[Bucket]:
        """Returns the buckets of a caller: of its credential and, except for operators, of its company."""
        kind = "events" if counts_events else "requests"
        # Names of users are personal data.
        name = blake2b(f"{principal.company_id}:{principal.name}".encode(), digest_size=16).hexdigest()
        buckets = [Bucket(f"{kind}:key:{name}", self._limit_of(principal, counts_events=counts_events))]
        if not principal.is_operator:
            buckets.append(self.company_bucket(principal.company_id, counts_events=counts_events))
        return buckets

    def company_bucket(self, company_id: int, *, counts_events: bool) -> Bucket:
        """Returns the bucket of a company."""
        if counts_events:
            return Bucket(f"events:company:{company_id}", _event_limit("company-events", self.company_events))
        return Bucket(f"requests:company:{company_id}", _request_limit("company", self.company_requests))

    def failure_bucket(self, address: str) -> Bucket:
        """Returns the bucket of failed credentials from an address."""
        return Bucket(f"failures:{address}", _minute_limit("address", self.failures))

    def sign_in_bucket(self, address: str, purpose: str = "sign-in") -> Bucket:
        """Returns the bucket of failed sign-ins, or of invalid unsubscribe links, from an address."""
        return Bucket(f"{purpose}:{address}", _minute_limit(purpose, self.sign_in_failures))

    def _limit_of(self, principal: Principal, *, counts_events: bool) -> RateLimit:
        if counts_events:
            return _event_limit("key-events", principal.events_per_second or self.events)
        return _request_limit("key", principal.requests_per_second or self.requests)


@lru_cache(maxsize=1024)
def _request_limit(name: str, per_second: int) -> RateLimit:
    return RateLimit(name, per_second, REQUEST_BURST * per_second)


@lru_cache(maxsize=1024)
def _event_limit(name: str, per_second: int) -> RateLimit:
    return RateLimit(name, per_second, EVENT_BURST * per_second)


def _minute_limit(name: str, per_minute: int) -> RateLimit:
    return RateLimit(name, per_minute / 60, per_minute)
