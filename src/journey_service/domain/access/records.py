"""API keys and audit entries as they are stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from journey_service.domain.access.actors import Actor


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key as it is kept: never the secret, only its hash. Without `scopes` it may do what its role may.

    `rotated_from` is the key it takes the place of; `last_used_at` is right to the minute.
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


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Something privileged that is done: to a customer, or to a `target` named `<kind>:<id>`.

    `detail` says more, in words that identify nobody. `before` and `after` are kept as hashes only, to prove later what
    a setting was; nothing personal goes there, as a hash of something short is as good as the thing itself.
    """

    action: str
    customer_id: int | None = None
    target: str | None = None
    detail: Mapping[str, Any] | None = None
    before: object = None
    after: object = None


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """A row of the log."""

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
    """Which rows are asked for; None: any."""

    actor: str | None = None
    action: str | None = None
    customer_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None
