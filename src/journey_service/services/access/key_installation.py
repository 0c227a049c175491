"""Installs API keys with given ids: the operators' key of the environment, and the keys of the demo."""

import secrets
from collections.abc import Sequence
from typing import Final

from journey_service.domain.access.actors import EVERYTHING, Actor, Role
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.errors import InvalidInputError
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.access.credentials import (
    OPERATORS,
    SECRET_BYTES,
    KeyRequest,
    check_token,
    hash_secret,
    split_token,
)

_ENVIRONMENT: Final = Actor("environment")
_BOOTSTRAP: Final = "bootstrap"
_MAX_OPERATOR_KEYS: Final = 1_000
"""Operator keys among which earlier bootstrap keys are searched."""
_VARIABLE: Final = "JOURNEY_BOOTSTRAP_KEY"


async def install_bootstrap_key(database: Database, token: str, *, pepper: str) -> None:
    """Installs the operator key of the environment; revokes the one installed before it.

    A revoked key stays revoked. Raises InvalidInputError for a malformed token, and for the id of another key.
    """
    check_token(token, _VARIABLE)
    parts = split_token(token)
    assert parts is not None  # it was just checked
    key_id, secret = parts

    async def unit(uow: UnitOfWork) -> None:
        for key in await uow.api_keys.page(after="", limit=_MAX_OPERATOR_KEYS):
            is_former = key.name == _BOOTSTRAP and key.key_id != key_id
            if is_former and await uow.api_keys.revoke(key.key_id):
                await uow.audit_log.record(_ENVIRONMENT, AuditEntry("key.revoke", target=f"key:{key.key_id}"))
        await _install(
            uow, key_id, secret, KeyRequest(_BOOTSTRAP, [EVERYTHING], Role.OPERATOR), pepper, _ENVIRONMENT
        )

    await _check_free(database, OPERATORS, key_id)
    await database.run(OPERATORS, unit)


async def install_key(
    database: Database, company_id: int, *, key_id: str, scopes: Sequence[str], pepper: str, by: Actor
) -> str:
    """Installs a key under a given id, replacing the key with this id; returns the token."""
    secret = secrets.token_urlsafe(SECRET_BYTES)

    async def unit(uow: UnitOfWork) -> None:
        await _install(uow, key_id, secret, KeyRequest(key_id, scopes, Role.ADMIN), pepper, by)

    await database.run(company_id, unit)
    return f"jrn_{key_id}_{secret}"


async def _install(
    uow: UnitOfWork, key_id: str, secret: str, request: KeyRequest, pepper: str, by: Actor
) -> None:
    """Writes a key under a given id, unless a key with this id and secret exists, valid or revoked."""
    secret_hash = hash_secret(secret, pepper)
    known = await uow.api_keys.find(key_id)
    if known is not None and known.secret_hash == secret_hash:
        return
    await uow.api_keys.upsert(
        key_id, name=request.name, role=request.role, secret_hash=secret_hash, scopes=request.scopes
    )
    await uow.audit_log.record(by, AuditEntry("key.bootstrap", target=f"key:{key_id}"))


async def _check_free(database: Database, company_id: int, key_id: str) -> None:
    """Checks that no other company has a key with this id: keys are looked up before the company is known."""
    found = await database.look_up_credential(lambda lookup: lookup.api_keys.find_live(key_id))
    if found is not None and found[0].company_id != company_id:
        raise InvalidInputError.at(_VARIABLE, "contains the id of another key; choose another id")
