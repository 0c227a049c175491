"""API keys: creates, authenticates, rotates and revokes them.

A token is returned once, at creation; the database holds only a peppered hash of its secret.
"""

import contextlib
import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from journey_service.domain.access.actors import EVERYTHING, OPERATE, ROLE_SCOPES, SCOPES, SELF, Actor, Role
from journey_service.domain.access.claims import ClaimMapping
from journey_service.domain.access.errors import KeyNotFoundError, RotationInProgressError
from journey_service.domain.access.records import DEFAULT_RATE_LIMIT, AuditEntry, KeyRateLimit, StoredKey
from journey_service.domain.errors import (
    FieldError,
    ForbiddenError,
    InvalidInputError,
    UnauthenticatedError,
    UnavailableError,
    quote_value,
)
from journey_service.domain.events.event import MAX_ID
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork

OPERATORS: Final = 0
"""The company id of operators' keys."""
MAX_OVERLAP_SECONDS: Final = 90 * 86_400
"""Maximum time during which a rotated key stays valid next to its successor."""

_TOKEN: Final = re.compile(r"jrn_([A-Za-z0-9-]{1,64})_([A-Za-z0-9_-]{32,200})", re.ASCII)
SECRET_BYTES: Final = 32
"""Random bytes of the secret of a token."""
_MAX_SUBJECT_LENGTH: Final = 200
# Of several roles in a token the one with the most scopes counts. Operators are recognized by another audience.
_BY_PRECEDENCE: Final = (Role.ADMIN, Role.MANAGER, Role.AGENT, Role.SERVICE)


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller: an API key or a person, with company, role and scopes.

    `name` identifies the caller in the audit log; `key_id` is the API key, if the caller uses one. The browser session
    of an operator may have chosen the company that its requests act for, for a reason. `requests_per_second` and
    `events_per_second` are rate limits of the key itself.
    """

    name: str
    company_id: int
    role: Role
    scopes: frozenset[str]
    key_id: str | None = None
    chosen_company_id: int | None = None
    reason: str | None = None
    requests_per_second: int | None = None
    events_per_second: int | None = None

    @property
    def is_operator(self) -> bool:
        """Whether the caller operates the service across companies."""
        return self.company_id == OPERATORS

    @property
    def own_or_chosen_company_id(self) -> int | None:
        """Company of the caller; of an operator, the one that the session has chosen, or None."""
        return self.chosen_company_id if self.is_operator else self.company_id

    def may(self, scope: str) -> bool:
        """Returns whether the caller has a scope."""
        return (
            scope == SELF
            or self.is_operator
            or (scope != OPERATE and (EVERYTHING in self.scopes or scope in self.scopes))
        )

    def may_grant(self, scopes: Collection[str]) -> bool:
        """Returns whether the caller may grant these scopes: a caller grants only scopes of its own."""
        return all(self.may(scope) for scope in scopes)


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """Properties of a key to be created. Without `scopes` it has those of its role, also later ones."""

    name: str
    scopes: Sequence[str] = ()
    role: Role = Role.SERVICE
    expires_at: datetime | None = None
    rate_limit: KeyRateLimit = DEFAULT_RATE_LIMIT

    @property
    def allows(self) -> frozenset[str]:
        """The scopes that the key will have."""
        return allowed(self.role, self.scopes)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just created, with its token, which cannot be read again."""

    key: StoredKey
    token: str


def allowed(role: str, scopes: Collection[str]) -> frozenset[str]:
    """Returns the scopes of a credential: its own, or else those of its role."""
    return frozenset(scopes) or ROLE_SCOPES[Role(role)]


def check_token(token: str, name: str) -> None:
    """Checks the format of a token from the environment. Raises InvalidInputError."""
    if split_token(token) is None:
        raise InvalidInputError.at(name, "must look like jrn_<id>_<32 or more characters>")


def split_token(token: str) -> tuple[str, str] | None:
    """Returns the key id and the secret of a token; None if it is not a token."""
    match = _TOKEN.fullmatch(token)
    return None if match is None else (match[1], match[2])


def is_key(token: str) -> bool:
    """Returns whether a token looks like an API key."""
    return token.startswith("jrn_")


async def authenticate(database: Database, token: str, *, pepper: str, is_known: bool = False) -> Principal:
    """Authenticates an API key. Raises UnauthenticatedError, with the same message for every reason.

    A key that `is_known` to have been valid lately is looked up even while many unknown ones are.
    """
    parts = split_token(token)
    if parts is None:
        raise UnauthenticatedError("The credential is not valid.")
    key_id, secret = parts
    found = await database.look_up_credential(
        lambda lookup: lookup.api_keys.find_live(key_id), is_known=is_known
    )
    presented = hash_secret(secret, pepper)
    if found is None or not hmac.compare_digest(found[0].secret_hash, presented):
        raise UnauthenticatedError("The credential is not valid.")
    stored, is_use_stale = found
    if is_use_stale:
        # The time of the last use is informative: failing to store it is no reason to reject the key.
        with contextlib.suppress(UnavailableError):
            await database.run_for_credential(stored.company_id, lambda uow: uow.api_keys.record_use(key_id))
    role = Role.OPERATOR if stored.company_id == OPERATORS else Role(stored.role)
    scopes = allowed(role, stored.scopes)
    return Principal(
        f"key:{key_id}",
        stored.company_id,
        role,
        scopes,
        key_id,
        requests_per_second=stored.rate_limit.requests_per_second,
        events_per_second=stored.rate_limit.events_per_second,
    )


def principal_of(
    subject: str, claims: Mapping[str, Any], *, is_for_operators: bool, mapping: ClaimMapping
) -> Principal:
    """Maps a verified identity to a principal. Raises ForbiddenError if its claims grant no access."""
    roles = mapping.roles(claims)
    if not 0 < len(subject) <= _MAX_SUBJECT_LENGTH or not subject.isprintable():
        raise ForbiddenError(
            f"The account's subject must have 1 to {_MAX_SUBJECT_LENGTH} printable characters."
        )
    name = f"user:{subject}"
    if is_for_operators:
        if Role.OPERATOR not in roles:
            raise ForbiddenError("The account does not have the operator role.")
        return Principal(name, OPERATORS, Role.OPERATOR, ROLE_SCOPES[Role.OPERATOR])
    role = next((role for role in _BY_PRECEDENCE if role in roles), None)
    company_id = _company(mapping.company(claims))
    if role is None or company_id is None:
        raise ForbiddenError("The account has no role in a company of this service.")
    return Principal(name, company_id, role, ROLE_SCOPES[role])


async def create_key(
    database: Database,
    company_id: int,
    request: KeyRequest,
    *,
    pepper: str,
    by: Actor,
    caller: Principal | None = None,
) -> NewKey:
    """Creates a key of a company, or of the operators (company 0).

    A `caller` can grant only scopes of its own, and no expiry later than that of its own key.

    Raises InvalidInputError, CompanyNotFoundError, ForbiddenError.
    """
    _check(company_id, request)
    if caller is not None and not caller.may_grant(request.allows):
        raise ForbiddenError("You can grant a key only scopes that you have.")

    async def unit(uow: UnitOfWork) -> NewKey:
        if company_id != OPERATORS:
            await uow.companies.get_context()
        if request.expires_at is not None and request.expires_at <= await uow.api_keys.get_database_time():
            raise InvalidInputError.at("/expires_at", "must be in the future")
        return await _insert(uow, await _limit_expiry(uow, request, caller), "key.create", by, pepper)

    return await database.run(company_id, unit)


async def rotate_key(
    database: Database,
    company_id: int,
    key_id: str,
    *,
    overlap_seconds: int,
    pepper: str,
    by: Actor,
    caller: Principal | None = None,
) -> NewKey:
    """Creates the successor of a key, with its name and scopes. The old key expires after the overlap.

    Raises KeyNotFoundError, RotationInProgressError while a predecessor or successor is valid, ForbiddenError.
    """

    async def unit(uow: UnitOfWork) -> NewKey:
        if company_id != OPERATORS:
            await uow.companies.get_context()
        old = await uow.api_keys.find(key_id) if await uow.api_keys.lock(key_id) else None
        if old is None:
            raise KeyNotFoundError(key_id)
        if caller is not None and not caller.may_grant(allowed(old.role, old.scopes)):
            raise ForbiddenError("You can grant a key only scopes that you have.")
        if await uow.api_keys.find_successor(key_id) is not None or (
            old.rotated_from is not None and await uow.api_keys.lock(old.rotated_from)
        ):
            raise RotationInProgressError(key_id)
        # The successor of a key that expires has the same lifetime.
        lifetime = None if old.expires_at is None else old.expires_at - old.created_at
        expires_at = None if lifetime is None else await uow.api_keys.get_database_time() + lifetime
        request = KeyRequest(old.name, old.scopes, Role(old.role), expires_at, old.rate_limit)
        new = await _insert(uow, request, "key.rotate", by, pepper, rotated_from=key_id)
        await uow.api_keys.expire_in(key_id, overlap_seconds)
        return new

    return await database.run(company_id, unit)


async def list_keys(database: Database, company_id: int, *, after: str, limit: int) -> Sequence[StoredKey]:
    """Returns a page of a company's keys, in order of id. Raises CompanyNotFoundError."""

    async def unit(uow: UnitOfWork) -> Sequence[StoredKey]:
        if company_id != OPERATORS:
            await uow.companies.get_context()
        return await uow.api_keys.page(after=after, limit=limit)

    return await database.run(company_id, unit)


async def limit_key(
    database: Database, company_id: int, key_id: str, rate_limit: KeyRateLimit, *, by: Actor
) -> StoredKey:
    """Sets the rate limits of an active key. Raises KeyNotFoundError."""

    async def unit(uow: UnitOfWork) -> StoredKey:
        if not await uow.api_keys.lock(key_id):
            raise KeyNotFoundError(key_id)
        await uow.api_keys.set_rate_limit(key_id, rate_limit)
        stored = await uow.api_keys.find(key_id)
        assert stored is not None  # it is locked
        detail = {
            "requests_per_second": rate_limit.requests_per_second,
            "events_per_second": rate_limit.events_per_second,
        }
        await uow.audit_log.record(by, AuditEntry("key.update", target=f"key:{key_id}", detail=detail))
        return stored

    return await database.run(company_id, unit)


async def revoke_key(database: Database, company_id: int, key_id: str, *, by: Actor) -> None:
    """Revokes a key and every session opened with it. Raises KeyNotFoundError."""

    async def unit(uow: UnitOfWork) -> None:
        if not await uow.api_keys.revoke(key_id):
            raise KeyNotFoundError(key_id)
        await uow.audit_log.record(by, AuditEntry("key.revoke", target=f"key:{key_id}"))

    await database.run(company_id, unit)


def _check(company_id: int, request: KeyRequest) -> None:
    errors = [
        FieldError(f"/scopes/{index}", f"must be one of {', '.join(SCOPES)}; got {quote_value(scope)}")
        for index, scope in enumerate(request.scopes)
        if scope not in SCOPES
    ]
    if request.role is Role.OPERATOR and company_id != OPERATORS:
        errors.append(FieldError("/role", "is not a role within a company"))
    if errors:
        raise InvalidInputError(errors)


async def _limit_expiry(uow: UnitOfWork, request: KeyRequest, caller: Principal | None) -> KeyRequest:
    """Returns the request with an expiry no later than that of the caller's own key."""
    own = None if caller is None or caller.key_id is None else await uow.api_keys.find(caller.key_id)
    if own is None or own.expires_at is None:
        return request
    expires_at = own.expires_at if request.expires_at is None else min(request.expires_at, own.expires_at)
    return replace(request, expires_at=expires_at)


async def _insert(
    uow: UnitOfWork,
    request: KeyRequest,
    action: str,
    by: Actor,
    pepper: str,
    *,
    rotated_from: str | None = None,
) -> NewKey:
    key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(SECRET_BYTES)
    await uow.api_keys.upsert(
        key_id,
        name=request.name,
        role=request.role,
        secret_hash=hash_secret(secret, pepper),
        scopes=request.scopes,
        expires_at=request.expires_at,
        rotated_from=rotated_from,
    )
    if request.rate_limit != DEFAULT_RATE_LIMIT:
        await uow.api_keys.set_rate_limit(key_id, request.rate_limit)
    stored = await uow.api_keys.find(key_id)
    assert stored is not None  # it was just written
    detail = {"role": request.role, "scopes": list(request.scopes), "rotated_from": rotated_from}
    await uow.audit_log.record(by, AuditEntry(action, target=f"key:{key_id}", detail=detail))
    return NewKey(stored, f"jrn_{key_id}_{secret}")


def _company(claim: object) -> int | None:
    """Returns the company id of a claim, which is an integer or a string of digits; None if it is neither."""
    if isinstance(claim, str) and claim.isascii() and claim.isdigit() and len(claim) <= len(str(MAX_ID)):
        claim = int(claim)
    return claim if isinstance(claim, int) and not isinstance(claim, bool) and 0 < claim <= MAX_ID else None


def hash_secret(secret: str, pepper: str) -> bytes:
    """Returns the peppered hash of a secret that the database stores."""
    # A random secret needs no slow hash. Without the pepper, a stolen table does not allow checking of secrets.
    return hmac.digest(pepper.encode(), secret.encode(), hashlib.sha256)
