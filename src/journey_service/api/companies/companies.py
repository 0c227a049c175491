"""Routes of companies, for operators."""

from fastapi import APIRouter

from journey_service.api.authentication import Operator
from journey_service.api.companies.schemas.companies import (
    Company,
    CompanyCreate,
    CompanyCreated,
    CompanyPage,
)
from journey_service.api.dependencies import AppStateDep, Cursor, Limit, from_cursor, is_id, next_cursor
from journey_service.api.problems import JSON_BODY, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, StrictRoute
from journey_service.domain.companies.errors import CompanyExistsError
from journey_service.services.companies import provisioning
from journey_service.services.stages.stage_maps import get_map

router = APIRouter(prefix="/admin", tags=["operators"], route_class=StrictRoute)


@router.post(
    "/companies",
    summary="Create a company",
    status_code=201,
    responses=problems(CompanyExistsError, *JSON_BODY, of_company=False),
    max_body_size=MAX_BODY_BYTES,
)
async def create_company(body: CompanyCreate, caller: Operator, app_state: AppStateDep) -> CompanyCreated:
    """Creates a company with its stage map and settings."""
    new = provisioning.NewCompany(
        id=body.id,
        name=body.name,
        timezone=body.timezone,
        currency=body.currency,
        test_clock=body.test_clock,
        deliver=body.deliver,
        policy=body.settings,
        stages=body.stages,
    )
    context = await provisioning.create_company(app_state.database, new, author=caller.actor)
    return CompanyCreated.of_context(context, await get_map(app_state.database, context.company.id))


@router.get("/companies", summary="List companies", responses=problems(of_company=False))
async def list_companies(
    caller: Operator,  # noqa: ARG001  # required for its check
    app_state: AppStateDep,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> CompanyPage:
    """Lists all companies by id."""
    after = from_cursor("companies", cursor, is_id)
    found = await provisioning.list_companies(
        app_state.database, after=after[0] if after else 0, limit=limit + 1
    )
    return CompanyPage(
        items=[Company.of(company) for company in found[:limit]],
        next_cursor=next_cursor("companies", found, limit, lambda row: [row.id]),
    )
