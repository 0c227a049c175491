"""Routes of API keys: of any company for operators, of the caller's company for its admin."""

from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Final

from fastapi import APIRouter, Path

from journey_service.api.access.schemas.api_keys import (
    ApiKey,
    ApiKeyCreate,
    ApiKeyCreated,
    ApiKeyPage,
    ApiKeyRateLimit,
    ApiKeyRotation,
    ApiKeyUpdate,
)
from journey_service.api.authentication import Admin, AdminReader, Caller, CompanyId, Operator
from journey_service.api.dependencies import (
    AppState,
    AppStateDep,
    Cursor,
    Limit,
    from_cursor,
    is_text,
    next_cursor,
)
from journey_service.api.middleware.idempotent_requests import ONCE_PER_KEY
from journey_service.api.problems import JSON_BODY, KEY_ERRORS, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, StrictRoute
from journey_service.api.schema_fields import KEY_ID_PATTERN
from journey_service.domain.access.errors import KeyNotFoundError, RotationInProgressError
from journey_service.domain.access.records import DEFAULT_RATE_LIMIT, StoredKey
from journey_service.domain.companies.errors import CompanyNotFoundError
from journey_service.domain.errors import FieldError, InvalidInputError
from journey_service.services.access import audit, credentials

router = APIRouter(prefix="/admin", route_class=StrictRoute)

KeyId = Annotated[
    str,
    Path(
        min_length=1,
        max_length=64,
        pattern=KEY_ID_PATTERN,
        description="Id of the key",
        examples=["0123456789abcdef"],
    ),
]

_KEYS: Final = "/companies/{company_id}/keys"
_OPERATORS: list[str | Enum] = ["operators"]
_API_KEYS: list[str | Enum] = ["API keys"]


@router.post(
    _KEYS,
    summary="Create an API key for a company",
    tags=_OPERATORS,
    status_code=201,
    dependencies=[ONCE_PER_KEY],
    responses=problems(*KEY_ERRORS, CompanyNotFoundError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def create_company_api_key(
    company_id: CompanyId, body: ApiKeyCreate, caller: Operator, app_state: AppStateDep
) -> ApiKeyCreated:
    """Creates an API key for a company. The response is the only one that contains its `secret`."""
    return await _create(app_state, company_id, body, caller)


@router.get(
    _KEYS, summary="List a company's API keys", tags=_OPERATORS, responses=problems(CompanyNotFoundError)
)
async def list_company_api_keys(
    company_id: CompanyId, caller: Operator, app_state: AppStateDep, limit: Limit = 50, cursor: Cursor = None
) -> ApiKeyPage:
    """Lists the API keys of a company, including expired and revoked ones, without their secrets."""
    await audit.record_operator_access(
        app_state.database, company_id, "list_company_api_keys", by=caller.actor
    )
    return await _list(app_state, company_id, limit, cursor)


@router.post(
    f"{_KEYS}/{{key_id}}/rotate",
    summary="Rotate a company's API key",
    tags=_OPERATORS,
    status_code=201,
    dependencies=[ONCE_PER_KEY],
    responses=problems(
        *KEY_ERRORS, CompanyNotFoundError, KeyNotFoundError, RotationInProgressError, *JSON_BODY
    ),
    max_body_size=MAX_BODY_BYTES,
)
async def rotate_company_api_key(
    company_id: CompanyId,
    key_id: KeyId,
    caller: Operator,
    app_state: AppStateDep,
    body: ApiKeyRotation | None = None,
) -> ApiKeyCreated:
    """Creates a key with the same name, role and scopes. The previous key expires after the overlap."""
    return await _rotate(app_state, company_id, key_id, body, caller)


@router.patch(
    f"{_KEYS}/{{key_id}}",
    summary="Change a company's API key",
    tags=_OPERATORS,
    responses=problems(KeyNotFoundError, *JSON_BODY, of_company=False),
    max_body_size=MAX_BODY_BYTES,
)
async def update_company_api_key(
    company_id: CompanyId, key_id: KeyId, body: ApiKeyUpdate, caller: Operator, app_state: AppStateDep
) -> ApiKey:
    """Sets the rate limits of a key. Within two seconds, every process applies them."""
    return await _update(app_state, company_id, key_id, body, caller)


@router.delete(
    f"{_KEYS}/{{key_id}}",
    summary="Revoke a company's API key",
    tags=_OPERATORS,
    status_code=204,
    responses=problems(KeyNotFoundError, of_company=False),
)
async def revoke_company_api_key(
    company_id: CompanyId, key_id: KeyId, caller: Operator, app_state: AppStateDep
) -> None:
    """Revokes a key and its sessions. Within two seconds, every process refuses them."""
    await _revoke(app_state, company_id, key_id, caller)


@router.post(
    "/keys",
    summary="Create an API key",
    tags=_API_KEYS,
    status_code=201,
    dependencies=[ONCE_PER_KEY],
    responses=problems(*KEY_ERRORS, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def create_api_key(body: ApiKeyCreate, caller: Admin, app_state: AppStateDep) -> ApiKeyCreated:
    """Creates an API key of the caller's company. Scopes that the caller lacks are refused.

    The response is the only one that contains its `secret`.
    """
    return await _create(app_state, caller.company_id, body, caller)


@router.get("/keys", summary="List API keys", tags=_API_KEYS, responses=problems())
async def list_api_keys(
    caller: AdminReader, app_state: AppStateDep, limit: Limit = 50, cursor: Cursor = None
) -> ApiKeyPage:
    """Lists the API keys of the caller's company, including expired and revoked ones, without their secrets."""
    return await _list(app_state, caller.company_id, limit, cursor)


@router.post(
    "/keys/{key_id}/rotate",
    summary="Rotate an API key",
    tags=_API_KEYS,
    status_code=201,
    dependencies=[ONCE_PER_KEY],
    responses=problems(*KEY_ERRORS, KeyNotFoundError, RotationInProgressError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def rotate_api_key(
    key_id: KeyId, caller: Admin, app_state: AppStateDep, body: ApiKeyRotation | None = None
) -> ApiKeyCreated:
    """Creates a key with the same name, role and scopes. The previous key expires after the overlap."""
    return await _rotate(app_state, caller.company_id, key_id, body, caller)


@router.patch(
    "/keys/{key_id}",
    summary="Change an API key",
    tags=_API_KEYS,
    responses=problems(KeyNotFoundError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def update_api_key(key_id: KeyId, body: ApiKeyUpdate, caller: Admin, app_state: AppStateDep) -> ApiKey:
    """Sets the rate limits of a key of the caller's company. Within two seconds, every process applies them."""
    return await _update(app_state, caller.company_id, key_id, body, caller)


@router.delete(
    "/keys/{key_id}",
    summary="Revoke an API key",
    tags=_API_KEYS,
    status_code=204,
    responses=problems(KeyNotFoundError),
)
async def revoke_api_key(key_id: KeyId, caller: Admin, app_state: AppStateDep) -> None:
    """Revokes a key of the caller's company and its sessions. Within two seconds, every process refuses them."""
    await _revoke(app_state, caller.company_id, key_id, caller)


async def _create(app_state: AppState, company_id: int, body: ApiKeyCreate, caller: Caller) -> ApiKeyCreated:
    _check_rate_limit(app_state, body.rate_limit, caller)
    new = await credentials.create_key(
        app_state.database,
        company_id,
        body.to_request(),
        pepper=app_state.settings.key_pepper.get_secret_value(),
        by=caller.actor,
        caller=caller.principal,
    )
    return ApiKeyCreated.of_new(new)


async def _rotate(
    app_state: AppState, company_id: int, key_id: str, body: ApiKeyRotation | None, caller: Caller
) -> ApiKeyCreated:
    new = await credentials.rotate_key(
        app_state.database,
        company_id,
        key_id,
        overlap_seconds=(body or ApiKeyRotation()).overlap_seconds,
        pepper=app_state.settings.key_pepper.get_secret_value(),
        by=caller.actor,
        caller=caller.principal,
    )
    app_state.credential_cache.clear()  # without an overlap the old key is invalid already
    return ApiKeyCreated.of_new(new)


async def _update(
    app_state: AppState, company_id: int, key_id: str, body: ApiKeyUpdate, caller: Caller
) -> ApiKey:
    _check_rate_limit(app_state, body.rate_limit, caller)
    limit = DEFAULT_RATE_LIMIT if body.rate_limit is None else body.rate_limit.to_limit()
    stored = await credentials.limit_key(app_state.database, company_id, key_id, limit, by=caller.actor)
    app_state.credential_cache.clear()
    return ApiKey.of(stored)


def _check_rate_limit(app_state: AppState, limit: ApiKeyRateLimit | None, caller: Caller) -> None:
    """Checks that a company's own administrator does not raise its limits. Raises InvalidInputError."""
    if limit is None or caller.principal.is_operator:
        return
    policy = app_state.limit_policy
    defaults = {"requests_per_second": policy.requests, "events_per_second": policy.events}
    errors = [
        FieldError(f"/rate_limit/{name}", f"must be at most {most}; operators may set more")
        for name, most in defaults.items()
        if (getattr(limit, name) or 0) > most
    ]
    if errors:
        raise InvalidInputError(errors)


async def _list(app_state: AppState, company_id: int, limit: int, cursor: str | None) -> ApiKeyPage:
    after = from_cursor("keys", cursor, is_text)
    found: Sequence[StoredKey] = await credentials.list_keys(
        app_state.database, company_id, after=after[0] if after else "", limit=limit + 1
    )
    return ApiKeyPage(
        items=[ApiKey.of(key) for key in found[:limit]],
        next_cursor=next_cursor("keys", found, limit, lambda row: [row.key_id]),
    )


async def _revoke(app_state: AppState, company_id: int, key_id: str, caller: Caller) -> None:
    await credentials.revoke_key(app_state.database, company_id, key_id, by=caller.actor)
    app_state.credential_cache.clear()
