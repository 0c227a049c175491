"""Operators: companies and their keys."""

from typing import Annotated

from fastapi import APIRouter, Path

from journey_service.api.bodies import SMALL_BODY, StrictRoute
from journey_service.api.dependencies import (
    CompanyId,
    Cursor,
    HouseDep,
    Limit,
    Operator,
    from_cursor,
    is_id,
    is_text,
    to_cursor,
)
from journey_service.api.problems import JSON_BODY, problems
from journey_service.api.shapes.companies import (
    CompaniesOut,
    CompanyIn,
    CompanyOut,
    FoundedOut,
    KeyIn,
    KeyOut,
    KeysOut,
    NewKeyOut,
)
from journey_service.domain.errors import (
    CompanyExistsError,
    CompanyNotFoundError,
    KeyNotFoundError,
)
from journey_service.services import companies, credentials
from journey_service.services.stage_maps import get_map

router = APIRouter(prefix="/admin", tags=["operators"], route_class=StrictRoute)

KeyId = Annotated[str, Path(min_length=1, max_length=64, pattern="^[A-Za-z0-9-]+$")]


@router.post(
    "/companies",
    summary="Found a company",
    status_code=201,
    responses=problems(CompanyExistsError, *JSON_BODY, of_company=False),
    max_body_size=SMALL_BODY,
)
async def post_company(body: CompanyIn, caller: Operator, house: HouseDep) -> FoundedOut:
    """Found a tenant with its stage map and policy."""
    new = companies.NewCompany(
        id=body.id,
        name=body.name,
        timezone=body.timezone,
        currency=body.currency,
        test_clock=body.test_clock,
        policy=body.policy,
        stages=body.stages,
    )
    desk = await companies.found_company(house.database, new, author=caller.actor)
    return FoundedOut.of(desk, await get_map(house.database, desk.company.id))


@router.get("/companies", summary="List companies", responses=problems(of_company=False))
async def list_companies(
    caller: Operator,  # noqa: ARG001  # naming it is the check
    house: HouseDep,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> CompaniesOut:
    """Companies by id, page by page."""
    after = from_cursor("companies", cursor, is_id)
    found = await companies.list_companies(house.database, after=after[0] if after else 0, limit=limit + 1)
    items = [
        CompanyOut(
            id=company.id,
            name=company.name,
            timezone=company.timezone,
            currency=company.currency,
            test_clock=company.clock_at,
            map_version=company.map_version,
            created_at=company.created_at,
        )
        for company in found[:limit]
    ]
    next_cursor = to_cursor("companies", items[-1].id) if len(found) > limit else None
    return CompaniesOut(items=items, next_cursor=next_cursor)


@router.post(
    "/companies/{company_id}/keys",
    summary="Make an API key",
    status_code=201,
    responses=problems(CompanyNotFoundError, *JSON_BODY),
    max_body_size=SMALL_BODY,
)
async def post_key(
    company_id: CompanyId,
    body: KeyIn,
    caller: Operator,  # noqa: ARG001
    house: HouseDep,
) -> NewKeyOut:
    """Make a key for a company. Its `secret` is shown this once and kept as a hash only."""
    new = await credentials.create_key(
        house.database,
        company_id,
        name=body.name,
        scopes=body.scopes,
        expires_at=body.expires_at,
        pepper=house.settings.key_pepper.get_secret_value(),
    )
    return NewKeyOut.of_new(new)


@router.get("/companies/{company_id}/keys", summary="List API keys", responses=problems(CompanyNotFoundError))
async def list_keys(
    company_id: CompanyId,
    caller: Operator,  # noqa: ARG001
    house: HouseDep,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> KeysOut:
    """The keys of a company, without their secrets."""
    after = from_cursor("keys", cursor, is_text)
    found = await credentials.list_keys(
        house.database, company_id, after=after[0] if after else "", limit=limit + 1
    )
    items = [KeyOut.of(key) for key in found[:limit]]
    return KeysOut(items=items, next_cursor=to_cursor("keys", items[-1].id) if len(found) > limit else None)


@router.delete(
    "/companies/{company_id}/keys/{key_id}",
    summary="Revoke an API key",
    status_code=204,
    responses=problems(KeyNotFoundError, of_company=False),
)
async def delete_key(
    company_id: CompanyId,
    key_id: KeyId,
    caller: Operator,  # noqa: ARG001
    house: HouseDep,
) -> None:
    """End a key: at once in this process, within two seconds in every other."""
    await credentials.revoke_key(house.database, company_id, key_id)
    house.remembered.clear()
