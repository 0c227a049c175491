"""API keys: made, checked, revoked. A secret is told once and kept as a peppered hash only."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from journey_service.domain.errors import (
    Fault,
    InvalidInputError,
    KeyNotFoundError,
    UnauthenticatedError,
    quoted,
)
from journey_service.repositories.database import Database
from journey_service.repositories.keys import StoredKey
from journey_service.repositories.unit_of_work import Work

OPERATORS: Final = 0
"""The company under which operators' keys are kept."""

EVERYTHING: Final = "*"
OPERATE: Final = "operate"
SCOPES: Final[dict[str, str]] = {
    EVERYTHING: "everything of the own company, never what is an operator's",
    "events:write": "send events and histories",
    "customers:read": "read customers, their journeys and scores",
    "customers:write": "write customers' profiles and consents",
    "journeys:write": "move, pin, evaluate and annotate by hand",
    "stages:read": "read the stage map",
    "stages:write": "preview and change the stage map",
    "analytics:read": "read figures about all customers",
    "admin": "operate the own company",
}

_TOKEN: Final = re.compile(r"jrn_([A-Za-z0-9-]{1,64})_([A-Za-z0-9_-]{32,200})", re.ASCII)
_SECRET_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling: a key, its company, and what it may do."""

    key_id: str
    company_id: int
    scopes: frozenset[str]

    @property
    def is_operator(self) -> bool:
        """Whether the caller operates the service across companies."""
        return self.company_id == OPERATORS

    @property
    def actor(self) -> str:
        """How the caller is named in histories."""
        return f"key:{self.key_id}"

    def may(self, scope: str) -> bool:
        """Whether the caller holds a scope."""
        return self.is_operator or (scope != OPERATE and (EVERYTHING in self.scopes or scope in self.scopes))


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made: the only moment at which its token can be read."""

    key: StoredKey
    token: str


def check_token(token: str, name: str) -> None:
    """Whether a token of the operator's own choosing has the right form. Raises InvalidInputError."""
    if _TOKEN.fullmatch(token) is None:
        raise InvalidInputError.at(name, "must look like jrn_<id>_<32 or more characters>")


async def authenticate(database: Database, token: str, *, pepper: str) -> Principal:
    """Who a token belongs to. Raises UnauthenticatedError, alike for every reason."""
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise UnauthenticatedError("The credential is not valid.")
    key_id, secret = match.groups()
    stored = await database.keyring(lambda keyring: keyring.keys.live(key_id))
    presented = _hash(secret, pepper)
    if stored is None or not hmac.compare_digest(stored.secret_hash, presented):
        raise UnauthenticatedError("The credential is not valid.")
    return Principal(stored.key_id, stored.company_id, frozenset(stored.scopes))


async def create_key(  # a key has these parts
    database: Database,
    company_id: int,
    *,
    name: str,
    scopes: Sequence[str],
    pepper: str,
    expires_at: datetime | None = None,
) -> NewKey:
    """Make a key for a company (or for operators: company 0). Raises InvalidInputError, CompanyNotFoundError."""
    faults = [
        Fault(f"/scopes/{index}", f"{quoted(scope)} is not a scope; there are {', '.join(SCOPES)}")
        for index, scope in enumerate(scopes)
        if scope not in SCOPES
    ]
    if not scopes:
        faults.append(Fault("/scopes", "must name at least one scope"))
    if faults:
        raise InvalidInputError(faults)
    key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(_SECRET_BYTES)

    async def unit(work: Work) -> StoredKey:
        if company_id != OPERATORS:
            await work.companies.desk()
        if expires_at is not None and expires_at <= await work.keys.clock():
            raise InvalidInputError.at("/expires_at", "must lie in the future")
        await work.keys.put(
            key_id, name=name, secret_hash=_hash(secret, pepper), scopes=scopes, expires_at=expires_at
        )
        stored = await work.keys.find(key_id)
        assert stored is not None  # noqa: S101  # it was just written
        return stored

    return NewKey(await database.run(company_id, unit), f"jrn_{key_id}_{secret}")


async def install_bootstrap_key(database: Database, token: str, *, pepper: str) -> None:
    """Make an operator's key of the operator's own choosing known. Raises InvalidInputError for its form."""
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise InvalidInputError.at("JOURNEY_BOOTSTRAP_KEY", "must look like jrn_<id>_<32 or more characters>")
    key_id, secret = match.groups()

    async def unit(work: Work) -> None:
        await work.keys.put(key_id, name="bootstrap", secret_hash=_hash(secret, pepper), scopes=[EVERYTHING])

    await database.run(OPERATORS, unit)


async def install_key(
    database: Database, company_id: int, *, key_id: str, scopes: Sequence[str], pepper: str
) -> str:
    """Make a key under an id of its own; the one that stood there before ends. Returns the token."""
    secret = secrets.token_urlsafe(_SECRET_BYTES)

    async def unit(work: Work) -> None:
        await work.keys.put(key_id, name=key_id, secret_hash=_hash(secret, pepper), scopes=scopes)

    await database.run(company_id, unit)
    return f"jrn_{key_id}_{secret}"


async def list_keys(database: Database, company_id: int, *, after: str, limit: int) -> Sequence[StoredKey]:
    """Keys of a company by id. Raises CompanyNotFoundError."""

    async def unit(work: Work) -> Sequence[StoredKey]:
        if company_id != OPERATORS:
            await work.companies.desk()
        return await work.keys.page(after=after, limit=limit)

    return await database.run(company_id, unit)


async def revoke_key(database: Database, company_id: int, key_id: str) -> None:
    """End a key now. Raises KeyNotFoundError."""

    async def unit(work: Work) -> bool:
        return await work.keys.revoke(key_id)

    if not await database.run(company_id, unit):
        raise KeyNotFoundError(key_id)


def _hash(secret: str, pepper: str) -> bytes:
    # High entropy needs no slow hash; the pepper keeps a stolen table from being checked against guesses.
    return hmac.digest(pepper.encode(), secret.encode(), hashlib.sha256)
