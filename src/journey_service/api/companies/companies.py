"""Routes of companies, for operators."""

from fastapi import APIRouter, Response

from journey_service.api.authentication import CompanyId, Operator
from journey_service.api.companies.schemas.companies import (
    Company,
    CompanyCreate,
    CompanyCreated,
    CompanyPage,
    CompanyUpdate,
)
from journey_service.api.dependencies import (
    AppStateDep,
    Cursor,
    IfMatchETags,
    Limit,
    from_cursor,
    is_id,
    next_cursor,
)
from journey_service.api.problems import JSON_BODY, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, StrictRoute
from journey_service.domain.companies.errors import (
    CompanyExistsError,
    CompanyNotFoundError,
    CurrencyInUseError,
    StaleSettingsError,
)
from journey_service.services.companies import corrections, provisioning
from journey_service.services.companies.corrections import CompanyCorrection
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
    view = await get_map(app_state.database, context.company.id)
    return CompanyCreated.of_context(context, view, body)


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


@router.get("/companies/{company_id}", summary="Get a company", responses=problems(CompanyNotFoundError))
async def get_company(
    company_id: CompanyId, response: Response, caller: Operator, app_state: AppStateDep
) -> Company:
    """Returns a company. Its ETag is a hash of name, time zone and currency."""
    company = await corrections.get_company(app_state.database, company_id, by=caller.actor)
    response.headers["ETag"] = f'"{corrections.tag_of(company)}"'
    return Company.of(company)


@router.patch(
    "/companies/{company_id}",
    summary="Correct a company",
    responses=problems(CompanyNotFoundError, CurrencyInUseError, StaleSettingsError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def update_company(
    company_id: CompanyId,
    body: CompanyUpdate,
    response: Response,
    caller: Operator,
    app_state: AppStateDep,
    seen: IfMatchETags,
) -> Company:
    """Corrects the name, the time zone, and, while no amount is stored, the currency of a company.

    A corrected time zone counts from its next midnight on, also for the nightly run. Days before, their metrics and
    snapshots keep the zone in which they were counted.
    """
    company = await corrections.correct_company(
        app_state.database,
        company_id,
        CompanyCorrection(caller.actor, body.name, body.timezone, body.currency, seen),
    )
    response.headers["ETag"] = f'"{corrections.tag_of(company)}"'
    return Company.of(company)
