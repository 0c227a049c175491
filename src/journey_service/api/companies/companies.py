"""Operators: companies."""

from fastapi import APIRouter

from journey_service.api.authentication import Operator
from journey_service.api.companies.schemas.companies import CompaniesOut, CompanyIn, CompanyOut, FoundedOut
from journey_service.api.dependencies import AppStateDep, Cursor, Limit, from_cursor, is_id, next_cursor
from journey_service.api.problems import JSON_BODY, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, StrictRoute
from journey_service.domain.companies.errors import CompanyExistsError
from journey_service.services.companies import provisioning as companies
from journey_service.services.stages.stage_maps import get_map

router = APIRouter(prefix="/admin", tags=["operators"], route_class=StrictRoute)


@router.post(
    "/companies",
    summary="Found a company",
    status_code=201,
    responses=problems(CompanyExistsError, *JSON_BODY, of_company=False),
    max_body_size=MAX_BODY_BYTES,
)
async def post_company(body: CompanyIn, caller: Operator, app_state: AppStateDep) -> FoundedOut:
    """Found a tenant with its stage map and policy."""
    new = companies.NewCompany(
        id=body.id,
        name=body.name,
        timezone=body.timezone,
        currency=body.currency,
        test_clock=body.test_clock,
        deliver=body.deliver,
        policy=body.policy,
        stages=body.stages,
    )
    context = await companies.create_company(app_state.database, new, author=caller.actor)
    return FoundedOut.of(context, await get_map(app_state.database, context.company.id))


@router.get("/companies", summary="List companies", responses=problems(of_company=False))
async def list_companies(
    caller: Operator,  # noqa: ARG001  # naming it is the check
    app_state: AppStateDep,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> CompaniesOut:
    """Companies by id, page by page."""
    after = from_cursor("companies", cursor, is_id)
    found = await companies.list_companies(
        app_state.database, after=after[0] if after else 0, limit=limit + 1
    )
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
    return CompaniesOut(items=items, next_cursor=next_cursor("companies", found, limit, lambda row: [row.id]))
