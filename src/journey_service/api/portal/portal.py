"""The answers the guide's own components work on."""

from typing import Annotated

from fastapi import APIRouter, Query

from journey_service.api.authentication import AnalyticsReader, CustomerReader
from journey_service.api.dependencies import (
    AnyCustomerId,
    AppStateDep,
    Cursor,
    Limit,
    from_cursor,
    is_decimal,
    is_id,
    next_cursor,
)
from journey_service.api.portal.schemas import PortalAnalyticsOut, PortalRiskOut, PortalTimelineOut
from journey_service.api.problems import problems
from journey_service.api.request_bodies import StrictRoute
from journey_service.domain.analytics.date_ranges import Period
from journey_service.domain.analytics.records import RISK_SORTS, RiskPageRequest
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.domain.errors import ForbiddenError, InvalidInputError
from journey_service.domain.events.event import MAX_ID
from journey_service.services.analytics import drilldown
from journey_service.services.analytics import overview as metrics
from journey_service.services.journeys import reading

router = APIRouter(prefix="/portal", tags=["portal"], route_class=StrictRoute)

_MOST_MOVES = 1_000
OwnCompanyId = Annotated[int | None, Query(ge=1, le=MAX_ID, description="the credential's own company")]


def _check_own(company_id: int | None, own: int) -> None:
    if company_id not in (None, own):
        raise ForbiddenError("The credential belongs to another company.")


@router.get(
    "/customers/at-risk",
    summary="List what the risk dashboard draws",
    responses=problems(),
)
async def list_portal_at_risk(
    caller: CustomerReader,
    app_state: AppStateDep,
    company_id: OwnCompanyId = None,
    sort: Annotated[
        str, Query(description="descending with - before it", json_schema_extra={"enum": list(RISK_SORTS)})
    ] = "-risk_score",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> PortalRiskOut:
    """Customers in the mildest risk stage, or with a stored risk above 0.7 and not in the last one."""
    _check_own(company_id, caller.company_id)
    if sort not in RISK_SORTS:
        raise InvalidInputError.at("query/sort", f"must be one of {', '.join(RISK_SORTS)}")
    after = from_cursor("at_risk", cursor, lambda part: part == sort, is_decimal, is_id)
    page = RiskPageRequest(sort, None if after is None else (after[1], after[2]), limit + 1)
    found = await drilldown.list_at_risk(app_state.database, caller.company_id, page)
    cursor = next_cursor("at_risk", found.customers, limit, lambda row: [sort, *row.found.key])
    return PortalRiskOut.of(found, limit, cursor)


@router.get(
    "/customers/{customer_id}/journey",
    summary="Read what the timeline draws",
    responses=problems(CustomerNotFoundError),
)
async def get_portal_journey(
    customer_id: AnyCustomerId,
    caller: CustomerReader,
    app_state: AppStateDep,
    company_id: OwnCompanyId = None,
) -> PortalTimelineOut:
    """Where the customer stands and the latest 1,000 moves, newest first, without the opening one."""
    _check_own(company_id, caller.company_id)
    view, entries = await reading.list_transitions(
        app_state.database, caller.company_id, customer_id, before=None, limit=_MOST_MOVES
    )
    return PortalTimelineOut.of(view, entries)


@router.get(
    "/analytics/customer-journey",
    summary="Read what the analytics dashboard draws",
    responses=problems(),
)
async def get_portal_analytics(
    caller: AnalyticsReader,
    app_state: AppStateDep,
    company_id: OwnCompanyId = None,
    period: Annotated[Period, Query(description="rules the funnel, the flows and the times")] = Period.MONTH,
) -> PortalAnalyticsOut:
    """Counts as of now; the funnel, the flows and the times of a period, with the names of stages."""
    _check_own(company_id, caller.company_id)
    return PortalAnalyticsOut.of(await metrics.get_portal(app_state.database, caller.company_id, period))
