"""Routes of drill-down: the customers or stage visits behind a metric, exactly as many as it counts."""

from typing import Annotated

from fastapi import APIRouter, Query

from journey_service.api.analytics.date_ranges import OfStage, RangeDep, page_request
from journey_service.api.analytics.reports import Mode, WindowDays
from journey_service.api.analytics.schemas.dates import Month
from journey_service.api.analytics.schemas.distribution import BandName
from journey_service.api.analytics.schemas.drilldown import (
    DrilldownCustomer,
    DrilldownCustomerPage,
    StageVisit,
    StageVisitPage,
)
from journey_service.api.authentication import AnalyticsReader, Caller
from journey_service.api.csv_responses import get_with_csv
from journey_service.api.dependencies import (
    AppStateDep,
    AsOf,
    Cursor,
    Limit,
    from_cursor,
    is_id,
    next_cursor,
    repeatable,
)
from journey_service.api.problems import problems
from journey_service.api.request_bodies import StrictRoute
from journey_service.api.schema_fields import StageKey
from journey_service.domain.analytics.risk_bands import BANDS
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.journeys.relationship import Motion
from journey_service.services.analytics import drilldown
from journey_service.services.analytics.drilldown import (
    ActionOutcome,
    CohortOutcome,
    CohortStepRequest,
    DrilldownPage,
)

router = APIRouter(prefix="/analytics", tags=["analytics"], route_class=StrictRoute)


@get_with_csv(
    router,
    "/distribution/customers",
    DrilldownCustomer,
    summary="List the customers in a stage",
    responses=problems(),
)
async def list_stage_customers(
    caller: AnalyticsReader,
    app_state: AppStateDep,
    stage: OfStage,
    as_of: AsOf = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> DrilldownCustomerPage:
    """Lists the customers who are in a stage now, or were in it at a past time."""
    page = page_request("stage_customers", limit, cursor)
    found = await drilldown.list_in_stage(app_state.database, caller.company_id, stage, as_of, page)
    return _page("stage_customers", found, limit, caller)


OutcomeParam = Annotated[
    CohortOutcome | None,
    Query(
        description="Only with `mode=cohort`. `converted`: customers who reached a later stage; `pending`: who"
        " have not, and whose window has not ended; `dropped`: who did not before their window ended. Default:"
        " all",
        examples=["converted"],
    ),
]


@get_with_csv(
    router,
    "/funnel/customers",
    DrilldownCustomer,
    summary="List the customers behind a funnel stage",
    responses=problems(),
)
async def list_funnel_customers(
    caller: AnalyticsReader,
    app_state: AppStateDep,
    days: RangeDep,
    stage: OfStage,
    mode: Mode = "reached",
    window_days: WindowDays = 90,
    outcome: OutcomeParam = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> DrilldownCustomerPage:
    """Lists the customers who entered a stage or a later one in the range; with `mode=cohort`, in their window."""
    page = page_request("funnel_customers", limit, cursor)
    if mode == "cohort":
        step = CohortStepRequest(stage, window_days, outcome)
        found = await drilldown.list_cohort_step(app_state.database, caller.company_id, days, step, page)
    elif outcome is not None:
        raise InvalidInputError.at("query/outcome", "must be given only with mode=cohort")
    else:
        found = await drilldown.list_reached(app_state.database, caller.company_id, days, stage, page)
    return _page("funnel_customers", found, limit, caller)


@get_with_csv(
    router,
    "/transitions/customers",
    DrilldownCustomer,
    summary="List the customers behind a flow",
    responses=problems(),
)
async def list_flow_customers(
    caller: AnalyticsReader,
    app_state: AppStateDep,
    days: RangeDep,
    to_stage: Annotated[StageKey, Query(description="Key of the stage that the customer entered")],
    from_stage: Annotated[
        StageKey | None,
        Query(
            description="Key of the stage that the customer left; default: customers whose journey began in `to_stage`",
            examples=["customer"],
        ),
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> DrilldownCustomerPage:
    """Lists the customers who moved from one stage to another in the range, and how often each did."""
    page = page_request("flow_customers", limit, cursor)
    flow = (from_stage, to_stage)
    found = await drilldown.list_flow(app_state.database, caller.company_id, days, flow, page)
    return _page("flow_customers", found, limit, caller)


MotionParam = Annotated[
    list[Motion] | None,
    repeatable(
        "Only transitions of this kind. `opening`: the first of a journey; `entry`: to a higher progress stage;"
        " `down`: to a lower progress stage, by a manual move; `lapse`: into a risk stage; `return`: from a risk"
        " stage to a progress stage; `remap`: out of an archived stage. Default: all but `opening`",
        examples=[["lapse"]],
    ),
]
ToStageParam = Annotated[
    list[StageKey] | None,
    repeatable("Only transitions to the stage with this key", examples=[["at_risk"]]),
]


@get_with_csv(
    router,
    "/overview/customers",
    DrilldownCustomer,
    summary="List the customers who moved",
    responses=problems(),
)
async def list_moved_customers(
    caller: AnalyticsReader,
    app_state: AppStateDep,
    days: RangeDep,
    motion: MotionParam = None,
    to_stage: ToStageParam = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> DrilldownCustomerPage:
    """Lists the customers who moved in the range, and how often each did."""
    page = page_request("moved_customers", limit, cursor)
    found = await drilldown.list_moved(
        app_state.database, caller.company_id, days, motion or (), to_stage or (), page
    )
    return _page("moved_customers", found, limit, caller)


NameParam = Annotated[
    str,
    Query(
        max_length=64,
        pattern="^[a-z][a-z0-9_]*$",
        description="Name of the action",
        examples=["send_welcome_email"],
    ),
]
StateParam = Annotated[
    ActionOutcome,
    Query(
        description="Outcome of the action. `done`: carried out; `dead`: delivery failed permanently; `cancelled`:"
        " cancelled; `skipped`: cancelled, because its channel has no receiver; `pending`: planned or being"
        " delivered",
        examples=["done"],
    ),
]


@get_with_csv(
    router,
    "/automation/customers",
    DrilldownCustomer,
    summary="List the customers behind an action",
    responses=problems(),
)
async def list_action_customers(
    caller: AnalyticsReader,
    app_state: AppStateDep,
    days: RangeDep,
    name: NameParam,
    state: StateParam,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> DrilldownCustomerPage:
    """Lists the customers with actions of a name and outcome that were planned in the range, and how many each has."""
    page = page_request("action_customers", limit, cursor)
    found = await drilldown.list_with_action(app_state.database, caller.company_id, days, name, state, page)
    return _page("action_customers", found, limit, caller)


IsOpenParam = Annotated[
    bool,
    Query(
        alias="open",
        description="Whether to list the visits that are open now, regardless of the range",
        examples=[True],
    ),
]
ConvertedParam = Annotated[
    bool | None,
    Query(
        description="Only visits that ended with a conversion (true) or without one (false); default: both. A"
        " conversion is a move to a progress stage with a higher `order`; for a risk stage, a move to any"
        " progress stage",
        examples=[True],
    ),
]


@get_with_csv(
    router,
    "/time-in-stage/visits",
    StageVisit,
    summary="List the visits of a stage",
    responses=problems(),
)
async def list_stage_visits(
    caller: AnalyticsReader,
    app_state: AppStateDep,
    days: RangeDep,
    stage: OfStage,
    is_open: IsOpenParam = False,  # noqa: FBT002  # a query parameter
    converted: ConvertedParam = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> StageVisitPage:
    """Lists the visits of a stage that ended in the range or, with `open=true`, that are open now."""
    key = from_cursor("stage_visits", cursor, is_id, is_id)
    after = None if key is None else (key[0], key[1])
    if is_open:
        if converted is not None:
            raise InvalidInputError.at("query/converted", "must not be combined with open=true")
        found = await drilldown.list_open_visits(
            app_state.database, caller.company_id, stage, after=after, limit=limit + 1
        )
    else:
        found = await drilldown.list_ended_visits(
            app_state.database,
            caller.company_id,
            days,
            stage,
            is_converted=converted,
            after=after,
            limit=limit + 1,
        )
    following = next_cursor("stage_visits", found.visits, limit, lambda row: [row.customer_id, row.seq])
    return StageVisitPage.of(found, limit, following, is_named=caller.sees_names)


@get_with_csv(
    router,
    "/risk-distribution/customers",
    DrilldownCustomer,
    summary="List the customers in a risk band",
    responses=problems(),
)
async def list_risk_band_customers(
    caller: AnalyticsReader,
    app_state: AppStateDep,
    band: Annotated[
        BandName,
        Query(
            description="Name of the risk band. Risk scores: `low`: 0 to 0.3; `medium`: 0.31 to 0.7; `high`: 0.71 to"
            " 0.8; `critical`: 0.81 to 1",
            examples=["high"],
        ),
    ],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> DrilldownCustomerPage:
    """Lists the customers whose stored risk score lies in a band."""
    chosen = next(each for each in BANDS if each.name == band)
    page = page_request("risk_band_customers", limit, cursor)
    found = await drilldown.list_in_band(app_state.database, caller.company_id, chosen, page)
    return _page("risk_band_customers", found, limit, caller)


@get_with_csv(
    router,
    "/cohorts/customers",
    DrilldownCustomer,
    summary="List the retained customers of a cohort",
    responses=problems(),
)
async def list_cohort_customers(
    caller: AnalyticsReader,
    app_state: AppStateDep,
    cohort: Annotated[Month, Query(description="Local month of the first appointment", examples=["2026-01"])],
    month: Annotated[int, Query(ge=0, le=3_600, description="Number of months after `cohort`", examples=[1])],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> DrilldownCustomerPage:
    """Lists the customers of a cohort who had an appointment a number of months after their first one."""
    page = page_request("cohort_customers", limit, cursor)
    found = await drilldown.list_retained(app_state.database, caller.company_id, cohort, month, page)
    return _page("cohort_customers", found, limit, caller)


def _page(name: str, found: DrilldownPage, limit: int, caller: Caller) -> DrilldownCustomerPage:
    following = next_cursor(name, found.customers, limit, lambda row: [row.customer_id])
    return DrilldownCustomerPage.of(found, limit, following, is_named=caller.sees_names)
