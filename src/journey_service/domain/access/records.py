"""API keys and audit entries as they are stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from journey_service.domain.access.actors import Actor


@dataclass(frozen=True, slots=True)
class KeyRateLimit:
    """Rate limits of an API key; None: the limit of the settings."""

    requests_per_second: int | None = None
    events_per_second: int | None = None


DEFAULT_RATE_LIMIT: Final = KeyRateLimit()


@dataclass(frozen=True, slots=True)
class StoredKey:
    """An API key with the hash of its secret. Without `scopes`, the scopes of the role apply.

    `rotated_from` is the key that it replaces; `last_used_at` has a resolution of one minute. `rate_limit` are limits
    of the key itself.
    """

    company_id: int
    key_id: str
    name: str
    role: str
    secret_hash: bytes
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    rotated_from: str | None
    rate_limit: KeyRateLimit = DEFAULT_RATE_LIMIT


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A privileged action to be recorded: on a customer, or on a `target` named `<kind>:<id>`.

    `detail` must not contain personal data. `before` and `after` are stored as hashes, as evidence of a setting's
    value; they must not contain personal data either, because hashes of short values can be reversed.
    """

    action: str
    customer_id: int | None = None
    target: str | None = None
    detail: Mapping[str, Any] | None = None
    before: object = None
    after: object = None


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """A row of the audit log."""

    id: int
    at: datetime
    actor: Actor
    action: str
    customer_id: int | None
    target: str | None
    detail: Mapping[str, Any] | None
    before_hash: bytes | None
    after_hash: bytes | None


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Filter of the audit log; None matches any value."""

    actor: str | None = None
    action: str | None = None
    customer_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(slots=True)
class KeyedRequest:
    """A request with an Idempotency-Key, and a hash of its content and caller."""

    company_id: int
    key: str
    request_hash: bytes
    is_claimed: bool = False
    """Whether a transaction of the request was committed and has claimed the key."""


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """The response to a request with a key; `status` is None until it is stored, and after its deletion."""

    request_hash: bytes
    status: int | None
    content_type: str | None
    etag: str | None
    body: bytes | None
