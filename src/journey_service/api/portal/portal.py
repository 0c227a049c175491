"""Routes for the guide's own dashboard components."""

from typing import Annotated, Final

from fastapi import APIRouter, Query

from journey_service.api.analytics.risk_filters import RiskFilterDep, RiskSort, risk_page
from journey_service.api.authentication import AnalyticsReader, CustomerReader
from journey_service.api.dependencies import (
    AnyCustomerId,
    AppStateDep,
    Cursor,
    Limit,
    next_cursor,
)
from journey_service.api.portal.schemas import PortalAnalytics, PortalRiskPage, PortalTimeline
from journey_service.api.problems import problems
from journey_service.api.request_bodies import StrictRoute
from journey_service.domain.analytics.date_ranges import Period
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.domain.errors import ForbiddenError
from journey_service.domain.events.event import MAX_ID
from journey_service.services.analytics import overview as metrics
from journey_service.services.analytics import risk_list
from journey_service.services.journeys import reading

router = APIRouter(prefix="/portal", tags=["portal"], route_class=StrictRoute)

_MAX_TRANSITIONS: Final = 1_000
OwnCompanyId = Annotated[
    int | None,
    Query(
        ge=1,
        le=MAX_ID,
        description="Id of the caller's company; any other id is refused. Default: the caller's company",
        examples=[42],
    ),
]
PortalPeriod = Annotated[
    Period,
    Query(
        description="Range of local days that ends today, for the funnel, the flows and the times. `week`: 7 days;"
        " `month`: 30; `quarter`: 90; `year`: 365; `all`: all days"
    ),
]


def _check_own(company_id: int | None, own: int) -> None:
    if company_id not in (None, own):
        raise ForbiddenError("The credential belongs to another company.")


@router.get(
    "/customers/at-risk",
    summary="List customers of the risk dashboard",
    responses=problems(),
)
async def list_portal_risk_customers(
    caller: CustomerReader,
    app_state: AppStateDep,
    filter_: RiskFilterDep,
    company_id: OwnCompanyId = None,
    sort: RiskSort = "-risk_score",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> PortalRiskPage:
    """Lists customers in the first risk stage, and those with a risk score above 0.7 outside the last risk stage."""
    _check_own(company_id, caller.company_id)
    page = risk_page("at_risk", sort, limit, cursor, filter_)
    found = await risk_list.list_at_risk(app_state.database, caller.company_id, page)
    cursor = next_cursor("at_risk", found.customers, limit, lambda row: [sort, *row.found.key])
    return PortalRiskPage.of(found, limit, cursor)


@router.get(
    "/customers/{customer_id}/journey",
    summary="Get the timeline of a customer",
    responses=problems(CustomerNotFoundError),
)
async def get_portal_timeline(
    customer_id: AnyCustomerId,
    caller: CustomerReader,
    app_state: AppStateDep,
    company_id: OwnCompanyId = None,
) -> PortalTimeline:
    """Returns the journey of a customer and its latest 1,000 transitions, newest first, except the first transition."""
    _check_own(company_id, caller.company_id)
    view, entries = await reading.list_transitions(
        app_state.database, caller.company_id, customer_id, before=None, limit=_MAX_TRANSITIONS
    )
    return PortalTimeline.of(view, entries)


@router.get(
    "/analytics/customer-journey",
    summary="Get the analytics dashboard",
    responses=problems(),
)
async def get_portal_analytics(
    caller: AnalyticsReader,
    app_state: AppStateDep,
    company_id: OwnCompanyId = None,
    period: PortalPeriod = Period.MONTH,
) -> PortalAnalytics:
    """Returns the number of customers now, and the funnel, the flows and the times in stages of a period."""
    _check_own(company_id, caller.company_id)
    return PortalAnalytics.of(await metrics.get_portal(app_state.database, caller.company_id, period))
