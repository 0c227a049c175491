"""API keys: made, rotated and revoked by operators for any company, by a company's admin for their own."""

from collections.abc import Sequence
from enum import Enum
from typing import Annotated

from fastapi import APIRouter, Path

from journey_service.api.authentication import Admin, AdminReader, Caller, CompanyId, Operator
from journey_service.api.companies.schemas.companies import KeyIn, KeyOut, KeysOut, NewKeyOut, RotationIn
from journey_service.api.dependencies import (
    AppState,
    AppStateDep,
    Cursor,
    Limit,
    from_cursor,
    is_text,
    next_cursor,
)
from journey_service.api.problems import JSON_BODY, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, StrictRoute
from journey_service.domain.access.errors import KeyNotFoundError, RotationPendingError
from journey_service.domain.access.records import StoredKey
from journey_service.domain.companies.errors import CompanyNotFoundError
from journey_service.services.access import audit, credentials

router = APIRouter(prefix="/admin", route_class=StrictRoute)

KeyId = Annotated[str, Path(min_length=1, max_length=64, pattern="^[A-Za-z0-9-]+$")]

_KEYS = "/companies/{company_id}/keys"
_OPERATORS: list[str | Enum] = ["operators"]
_OWN: list[str | Enum] = ["keys"]


@router.post(
    _KEYS,
    summary="Make an API key for a company",
    tags=_OPERATORS,
    status_code=201,
    responses=problems(CompanyNotFoundError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def post_key(company_id: CompanyId, body: KeyIn, caller: Operator, app_state: AppStateDep) -> NewKeyOut:
    """Make a key for a company. Its `secret` is shown this once and kept as a hash only."""
    return await _make(app_state, company_id, body, caller)


@router.get(
    _KEYS, summary="List a company's API keys", tags=_OPERATORS, responses=problems(CompanyNotFoundError)
)
async def list_keys(
    company_id: CompanyId, caller: Operator, app_state: AppStateDep, limit: Limit = 50, cursor: Cursor = None
) -> KeysOut:
    """The keys of a company, without their secrets."""
    await audit.record_operator_access(app_state.database, company_id, "list_keys", by=caller.actor)
    return await _list(app_state, company_id, limit, cursor)


@router.post(
    f"{_KEYS}/{{key_id}}/rotate",
    summary="Make the successor of a company's API key",
    tags=_OPERATORS,
    status_code=201,
    responses=problems(CompanyNotFoundError, KeyNotFoundError, RotationPendingError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def post_rotation(
    company_id: CompanyId,
    key_id: KeyId,
    caller: Operator,
    app_state: AppStateDep,
    body: RotationIn | None = None,
) -> NewKeyOut:
    """Make a key of the same name and rights. Both are alive for the overlap, then the old one ends by itself."""
    return await _rotate(app_state, company_id, key_id, body, caller)


@router.delete(
    f"{_KEYS}/{{key_id}}",
    summary="Revoke a company's API key",
    tags=_OPERATORS,
    status_code=204,
    responses=problems(KeyNotFoundError, of_company=False),
)
async def delete_key(company_id: CompanyId, key_id: KeyId, caller: Operator, app_state: AppStateDep) -> None:
    """End a key and its sessions: at once in this process, within two seconds in every other."""
    await _revoke(app_state, company_id, key_id, caller)


@router.post(
    "/keys",
    summary="Make an API key",
    tags=_OWN,
    status_code=201,
    responses=problems(*JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def post_own_key(body: KeyIn, caller: Admin, app_state: AppStateDep) -> NewKeyOut:
    """Make a key of the own company, that may do nothing its maker may not. Its `secret` is shown this once."""
    return await _make(app_state, caller.company_id, body, caller)


@router.get("/keys", summary="List API keys", tags=_OWN, responses=problems())
async def list_own_keys(
    caller: AdminReader, app_state: AppStateDep, limit: Limit = 50, cursor: Cursor = None
) -> KeysOut:
    """The keys of the own company, without their secrets: what each may do, and when it was last used."""
    return await _list(app_state, caller.company_id, limit, cursor)


@router.post(
    "/keys/{key_id}/rotate",
    summary="Make the successor of an API key",
    tags=_OWN,
    status_code=201,
    responses=problems(KeyNotFoundError, RotationPendingError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def post_own_rotation(
    key_id: KeyId, caller: Admin, app_state: AppStateDep, body: RotationIn | None = None
) -> NewKeyOut:
    """Make a key of the same name and rights. Both are alive for the overlap, then the old one ends by itself."""
    return await _rotate(app_state, caller.company_id, key_id, body, caller)


@router.delete(
    "/keys/{key_id}",
    summary="Revoke an API key",
    tags=_OWN,
    status_code=204,
    responses=problems(KeyNotFoundError),
)
async def delete_own_key(key_id: KeyId, caller: Admin, app_state: AppStateDep) -> None:
    """End a key of the own company and its sessions: here at once, within two seconds everywhere."""
    await _revoke(app_state, caller.company_id, key_id, caller)


async def _make(app_state: AppState, company_id: int, body: KeyIn, caller: Caller) -> NewKeyOut:
    new = await credentials.create_key(
        app_state.database,
        company_id,
        body.as_wish(),
        pepper=app_state.settings.key_pepper.get_secret_value(),
        by=caller.actor,
        caller=caller.principal,
    )
    return NewKeyOut.of_new(new)


async def _rotate(
    app_state: AppState, company_id: int, key_id: str, body: RotationIn | None, caller: Caller
) -> NewKeyOut:
    new = await credentials.rotate_key(
        app_state.database,
        company_id,
        key_id,
        overlap_seconds=(body or RotationIn()).overlap_seconds,
        pepper=app_state.settings.key_pepper.get_secret_value(),
        by=caller.actor,
        caller=caller.principal,
    )
    app_state.credential_cache.clear()  # without an overlap the old key has ended
    return NewKeyOut.of_new(new)


async def _list(app_state: AppState, company_id: int, limit: int, cursor: str | None) -> KeysOut:
    after = from_cursor("keys", cursor, is_text)
    found: Sequence[StoredKey] = await credentials.list_keys(
        app_state.database, company_id, after=after[0] if after else "", limit=limit + 1
    )
    items = [KeyOut.of(key) for key in found[:limit]]
    return KeysOut(items=items, next_cursor=next_cursor("keys", found, limit, lambda row: [row.key_id]))


async def _revoke(app_state: AppState, company_id: int, key_id: str, caller: Caller) -> None:
    await credentials.revoke_key(app_state.database, company_id, key_id, by=caller.actor)
    app_state.credential_cache.clear()
