"""API keys: made, checked, rotated, revoked. A secret is told once and kept as a peppered hash only."""

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
from journey_service.domain.access.errors import KeyNotFoundError, RotationPendingError
from journey_service.domain.access.records import AuditEntry, StoredKey
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
"""The company under which operators' keys are kept."""
MAX_OVERLAP_SECONDS: Final = 90 * 86_400
"""For how many seconds at most two keys are alive while one takes the place of the other."""

_TOKEN: Final = re.compile(r"jrn_([A-Za-z0-9-]{1,64})_([A-Za-z0-9_-]{32,200})", re.ASCII)
_SECRET_BYTES: Final = 32
_LONGEST_SUBJECT: Final = 200
# The widest role that somebody holds counts; that of an operator is given by another audience only.
_BY_WIDTH: Final = (Role.ADMIN, Role.MANAGER, Role.AGENT, Role.SERVICE)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling: a key or a person, of which company, in which role, and what they may do.

    `name` is how histories name them; `key_id` is the key behind it, if there is one.
    """

    name: str
    company_id: int
    role: Role
    scopes: frozenset[str]
    key_id: str | None = None

    @property
    def is_operator(self) -> bool:
        """Whether the caller operates the service across companies."""
        return self.company_id == OPERATORS

    def may(self, scope: str) -> bool:
        """Whether the caller holds a scope."""
        return (
            scope == SELF
            or self.is_operator
            or (scope != OPERATE and (EVERYTHING in self.scopes or scope in self.scopes))
        )

    def may_grant(self, scopes: Collection[str]) -> bool:
        """Whether the caller may give somebody these scopes: nobody gives what they do not have."""
        return all(self.may(scope) for scope in scopes)


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """A key to be made. Without `scopes` it may do what its role may, in every later version too."""

    name: str
    scopes: Sequence[str] = ()
    role: Role = Role.SERVICE
    expires_at: datetime | None = None

    @property
    def allows(self) -> frozenset[str]:
        """What the key will be allowed."""
        return allowed(self.role, self.scopes)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made: the only moment at which its token can be read."""

    key: StoredKey
    token: str


def allowed(role: str, scopes: Collection[str]) -> frozenset[str]:
    """What a credential may do: what it says itself, or else what its role may."""
    return frozenset(scopes) or ROLE_SCOPES[Role(role)]


def check_token(token: str, name: str) -> None:
    """Whether a token of the operator's own choosing has the right form. Raises InvalidInputError."""
    if _TOKEN.fullmatch(token) is None:
        raise InvalidInputError.at(name, "must look like jrn_<id>_<32 or more characters>")


def is_key(token: str) -> bool:
    """Whether a token has the form of an API key."""
    return token.startswith("jrn_")


async def authenticate(database: Database, token: str, *, pepper: str) -> Principal:
    """Who an API key belongs to. Raises UnauthenticatedError, alike for every reason."""
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise UnauthenticatedError("The credential is not valid.")
    key_id, secret = match.groups()
    found = await database.look_up_credential(lambda lookup: lookup.api_keys.find_live(key_id))
    presented = _hash(secret, pepper)
    if found is None or not hmac.compare_digest(found[0].secret_hash, presented):
        raise UnauthenticatedError("The credential is not valid.")
    stored, is_to_be_noted = found
    if is_to_be_noted:
        # That a key is in use is good to know, and no reason to refuse it.
        with contextlib.suppress(UnavailableError):
            await database.run(stored.company_id, lambda uow: uow.api_keys.record_use(key_id))
    role = Role.OPERATOR if stored.company_id == OPERATORS else Role(stored.role)
    scopes = allowed(role, stored.scopes)
    return Principal(f"key:{key_id}", stored.company_id, role, scopes, key_id)


def principal_of(
    subject: str, claims: Mapping[str, Any], *, is_for_operators: bool, company_claim: str, role_claim: str
) -> Principal:
    """Who a verified identity is to this service. Raises ForbiddenError for one that is nobody here."""
    told = claims.get(role_claim)
    roles = {told} if isinstance(told, str) else set(told) if isinstance(told, list) else set()
    if not 0 < len(subject) <= _LONGEST_SUBJECT or not subject.isprintable():
        raise ForbiddenError("The account's subject cannot be used here.")
    name = f"user:{subject}"
    if is_for_operators:
        if Role.OPERATOR not in roles:
            raise ForbiddenError("The account is no operator's.")
        return Principal(name, OPERATORS, Role.OPERATOR, ROLE_SCOPES[Role.OPERATOR])
    role = next((role for role in _BY_WIDTH if role in roles), None)
    company_id = _company(claims.get(company_claim))
    if role is None or company_id is None:
        raise ForbiddenError("The account has no role in any company here.")
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
    """Make a key for a company (or for operators: company 0).

    `giver` gives no more than they have themselves. Raises InvalidInputError, CompanyNotFoundError, ForbiddenError.
    """
    _check(company_id, request)
    if caller is not None and not caller.may_grant(request.allows):
        raise ForbiddenError("A key can be given nothing that its giver does not hold.")

    async def unit(uow: UnitOfWork) -> NewKey:
        if company_id != OPERATORS:
            await uow.companies.get_context()
        if request.expires_at is not None and request.expires_at <= await uow.api_keys.get_database_time():
            raise InvalidInputError.at("/expires_at", "must lie in the future")
        return await _make(uow, await _bounded(uow, request, caller), "key.create", by, pepper)

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
    """Make the successor of a key: of the same name and rights. The old one lives on for the overlap, at most.

    Raises KeyNotFoundError, RotationPendingError while two of them are alive, ForbiddenError.
    """

    async def unit(uow: UnitOfWork) -> NewKey:
        if company_id != OPERATORS:
            await uow.companies.get_context()
        old = await uow.api_keys.find(key_id) if await uow.api_keys.lock(key_id) else None
        if old is None:
            raise KeyNotFoundError(key_id)
        if caller is not None and not caller.may_grant(allowed(old.role, old.scopes)):
            raise ForbiddenError("A key can be given nothing that its giver does not hold.")
        if await uow.api_keys.find_successor(key_id) is not None or (
            old.rotated_from is not None and await uow.api_keys.lock(old.rotated_from)
        ):
            raise RotationPendingError(key_id)
        # The successor of a key that ends lives as long as that one was to live.
        lifetime = None if old.expires_at is None else old.expires_at - old.created_at
        expires_at = None if lifetime is None else await uow.api_keys.get_database_time() + lifetime
        request = KeyRequest(old.name, old.scopes, Role(old.role), expires_at)
        new = await _make(uow, request, "key.rotate", by, pepper, rotated_from=key_id)
        await uow.api_keys.expire_in(key_id, overlap_seconds)
        return new

    return await database.run(company_id, unit)


async def install_bootstrap_key(database: Database, token: str, *, pepper: str) -> None:
    """Make an operator's key of the operator's own choosing known; the one that was chosen before ends.

    One that was revoked stays so, whatever the environment says. Raises InvalidInputError for its form, and for an id
    that another key has.
    """
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise InvalidInputError.at("JOURNEY_BOOTSTRAP_KEY", "must look like jrn_<id>_<32 or more characters>")
    key_id, secret = match.groups()

    async def unit(uow: UnitOfWork) -> None:
        for other in await uow.api_keys.page(after="", limit=_MANY):
            is_former = other.name == _BOOTSTRAP and other.key_id != key_id
            if is_former and await uow.api_keys.revoke(other.key_id):
                await uow.audit_log.record(_BOOT, AuditEntry("key.revoke", target=f"key:{other.key_id}"))
        await _install(
            uow, key_id, secret, KeyRequest(_BOOTSTRAP, [EVERYTHING], Role.OPERATOR), pepper, _BOOT
        )

    await _check_free(database, OPERATORS, key_id)
    await database.run(OPERATORS, unit)


async def install_key(
    database: Database, company_id: int, *, key_id: str, scopes: Sequence[str], pepper: str, by: Actor
) -> str:
    """Make a key under an id of its own; the one that stood there before ends. Returns the token."""
    secret = secrets.token_urlsafe(_SECRET_BYTES)

    async def unit(uow: UnitOfWork) -> None:
        await _install(uow, key_id, secret, KeyRequest(key_id, scopes, Role.ADMIN), pepper, by)

    await database.run(company_id, unit)
    return f"jrn_{key_id}_{secret}"


async def list_keys(database: Database, company_id: int, *, after: str, limit: int) -> Sequence[StoredKey]:
    """Keys of a company by id. Raises CompanyNotFoundError."""

    async def unit(uow: UnitOfWork) -> Sequence[StoredKey]:
        if company_id != OPERATORS:
            await uow.companies.get_context()
        return await uow.api_keys.page(after=after, limit=limit)

    return await database.run(company_id, unit)


async def revoke_key(database: Database, company_id: int, key_id: str, *, by: Actor) -> None:
    """End a key now, and every session opened with it. Raises KeyNotFoundError."""

    async def unit(uow: UnitOfWork) -> None:
        if not await uow.api_keys.revoke(key_id):
            raise KeyNotFoundError(key_id)
        await uow.audit_log.record(by, AuditEntry("key.revoke", target=f"key:{key_id}"))

    await database.run(company_id, unit)


_BOOT: Final = Actor("environment")
_BOOTSTRAP: Final = "bootstrap"
_MANY: Final = 1_000


def _check(company_id: int, request: KeyRequest) -> None:
    faults = [
        FieldError(f"/scopes/{index}", f"{quote_value(scope)} is not a scope; there are {', '.join(SCOPES)}")
        for index, scope in enumerate(request.scopes)
        if scope not in SCOPES
    ]
    if request.role is Role.OPERATOR and company_id != OPERATORS:
        faults.append(FieldError("/role", "is not a role within a company"))
    if faults:
        raise InvalidInputError(faults)


async def _bounded(uow: UnitOfWork, request: KeyRequest, caller: Principal | None) -> KeyRequest:
    """A key that ends makes none that outlives it."""
    own = None if caller is None or caller.key_id is None else await uow.api_keys.find(caller.key_id)
    if own is None or own.expires_at is None:
        return request
    ends = own.expires_at if request.expires_at is None else min(request.expires_at, own.expires_at)
    return replace(request, expires_at=ends)


async def _make(
    uow: UnitOfWork,
    request: KeyRequest,
    action: str,
    by: Actor,
    pepper: str,
    *,
    rotated_from: str | None = None,
) -> NewKey:
    key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(_SECRET_BYTES)
    await uow.api_keys.upsert(
        key_id,
        name=request.name,
        role=request.role,
        secret_hash=_hash(secret, pepper),
        scopes=request.scopes,
        expires_at=request.expires_at,
        rotated_from=rotated_from,
    )
    stored = await uow.api_keys.find(key_id)
    assert stored is not None  # noqa: S101  # it was just written
    detail = {"role": request.role, "scopes": list(request.scopes), "rotated_from": rotated_from}
    await uow.audit_log.record(by, AuditEntry(action, target=f"key:{key_id}", detail=detail))
    return NewKey(stored, f"jrn_{key_id}_{secret}")


async def _install(
    uow: UnitOfWork, key_id: str, secret: str, request: KeyRequest, pepper: str, by: Actor
) -> None:
    """Put a key under an id of its own; one that stands there just so already is left alone, alive or revoked."""
    secret_hash = _hash(secret, pepper)
    known = await uow.api_keys.find(key_id)
    if known is not None and known.secret_hash == secret_hash:
        return
    await uow.api_keys.upsert(
        key_id, name=request.name, role=request.role, secret_hash=secret_hash, scopes=request.scopes
    )
    await uow.audit_log.record(by, AuditEntry("key.install", target=f"key:{key_id}"))


async def _check_free(database: Database, company_id: int, key_id: str) -> None:
    """Refuse an id under which another company's key is found: a key is looked up before its company is known."""
    found = await database.look_up_credential(lambda lookup: lookup.api_keys.find_live(key_id))
    if found is not None and found[0].company_id != company_id:
        raise InvalidInputError.at("JOURNEY_BOOTSTRAP_KEY", "has the id of another key: choose another one")


def _company(claim: object) -> int | None:
    """A company's id as a claim tells it: a whole number, or one in letters."""
    if isinstance(claim, str) and claim.isascii() and claim.isdigit() and len(claim) <= len(str(MAX_ID)):
        claim = int(claim)
    return claim if isinstance(claim, int) and not isinstance(claim, bool) and 0 < claim <= MAX_ID else None


def _hash(secret: str, pepper: str) -> bytes:
    # High entropy needs no slow hash; the pepper keeps a stolen table from being checked against guesses.
    return hmac.digest(pepper.encode(), secret.encode(), hashlib.sha256)
