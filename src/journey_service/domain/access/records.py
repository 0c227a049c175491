"""API keys and audit entries as they are stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from journey_service.domain.access.actors import Actor


@dataclass(frozen=True, slots=True)
class StoredKey:
    """An API key with the hash of its secret. Without `scopes`, the scopes of the role apply.

    `rotated_from` is the key that it replaces; `last_used_at` has a resolution of one minute.
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
