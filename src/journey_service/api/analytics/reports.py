"""Figures about all customers of a company."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from journey_service.api.analytics.date_ranges import RangeDep
from journey_service.api.analytics.schemas.distribution import DistributionOut, StageCountOut
from journey_service.api.analytics.schemas.drilldown import ChurnPageOut, ChurnRowOut
from journey_service.api.analytics.schemas.reports import (
    AutomatedOut,
    AutomationOut,
    BandOut,
    CohortRowOut,
    CohortsOut,
    ConversionOut,
    ConversionsOut,
    FlowOut,
    FlowsOut,
    FunnelOut,
    OverviewOut,
    OverviewRowOut,
    RisksOut,
    StageTimeOut,
    StepOut,
    TimeInStageOut,
)
from journey_service.api.authentication import AnalyticsReader
from journey_service.api.csv_responses import Format, answer, tabular
from journey_service.api.dependencies import (
    AppStateDep,
    AsOf,
    Cursor,
    Limit,
    from_cursor,
    is_decimal,
    is_id,
    next_cursor,
)
from journey_service.api.problems import problems
from journey_service.api.request_bodies import StrictRoute
from journey_service.api.schema_fields import ResponseModel
from journey_service.domain.analytics.records import RiskPageRequest
from journey_service.services.analytics import automation, drilldown, funnels, overview
from journey_service.services.analytics import cohorts as outcomes
from journey_service.services.analytics import overview as metrics
from journey_service.services.analytics import time_in_stage as visits

router = APIRouter(prefix="/analytics", tags=["analytics"], route_class=StrictRoute)

Mode = Annotated[
    Literal["reached", "cohort"],
    Query(description="who reached a stage in the range, or how far those came whose journey opened in it"),
]
WindowDays = Annotated[
    int, Query(ge=1, le=3_660, description="with mode=cohort: how long each is followed, in days of 24 hours")
]


@router.get(
    "/overview",
    summary="Read how a company's customers stand",
    response_model=OverviewOut,
    responses=tabular(problems()),
)
async def get_overview(
    caller: AnalyticsReader, app_state: AppStateDep, asked: RangeDep, form: Format = "json"
) -> ResponseModel | Response:
    """Customers by stage, at risk and at the top as of now; and what happened in the range."""
    out = OverviewOut.of(await metrics.get_overview(app_state.database, caller.company_id, asked))
    return answer(out, [out], OverviewRowOut, form, "overview")


@router.get(
    "/distribution",
    summary="Count customers by stage",
    response_model=DistributionOut,
    responses=tabular(problems()),
)
async def get_distribution(
    caller: AnalyticsReader, app_state: AppStateDep, as_of: AsOf = None, form: Format = "json"
) -> ResponseModel | Response:
    """How many customers are in each stage now, or were at a past instant, as the ledger has it."""
    out = DistributionOut.of(await overview.get_distribution(app_state.database, caller.company_id, as_of))
    return answer(out, out.items, StageCountOut, form, "distribution")


@router.get(
    "/funnel",
    summary="Read the funnel of progress stages",
    response_model=FunnelOut,
    responses=tabular(problems()),
)
async def get_funnel(
    caller: AnalyticsReader,
    app_state: AppStateDep,
    asked: RangeDep,
    mode: Mode = "reached",
    window_days: WindowDays = 90,
    form: Format = "json",
) -> ResponseModel | Response:
    """Distinct customers by progress stage reached, in percent of the first and to the next one."""
    if mode == "cohort":
        out = FunnelOut.of(
            await funnels.get_cohort_funnel(
                app_state.database, caller.company_id, asked, window_days=window_days
            )
        )
    else:
        out = FunnelOut.of(await funnels.get_funnel(app_state.database, caller.company_id, asked))
    return answer(out, out.items, StepOut, form, "funnel")


@router.get(
    "/transitions",
    summary="Count moves between stages",
    response_model=FlowsOut,
    responses=tabular(problems()),
)
async def get_flows(
    caller: AnalyticsReader, app_state: AppStateDep, asked: RangeDep, form: Format = "json"
) -> ResponseModel | Response:
    """Moves and distinct customers for each way between two stages, without openings."""
    out = FlowsOut.of(await funnels.get_flows(app_state.database, caller.company_id, asked))
    return answer(out, out.items, FlowOut, form, "transitions")


@router.get(
    "/time-in-stage",
    summary="Read how long customers stay in stages",
    response_model=TimeInStageOut,
    responses=tabular(problems()),
)
async def get_time_in_stage(
    caller: AnalyticsReader, app_state: AppStateDep, asked: RangeDep, form: Format = "json"
) -> ResponseModel | Response:
    """Mean, median and 90th percentile of the visits that ended in the range, and the age of those that go on."""
    out = TimeInStageOut.of(await visits.get_time_in_stage(app_state.database, caller.company_id, asked))
    return answer(out, out.items, StageTimeOut, form, "time-in-stage")


@router.get(
    "/conversion-rates",
    summary="Read how visits of stages end",
    response_model=ConversionsOut,
    responses=tabular(problems()),
)
async def get_conversions(
    caller: AnalyticsReader, app_state: AppStateDep, asked: RangeDep, form: Format = "json"
) -> ResponseModel | Response:
    """Of the visits of each stage that ended in the range, how many by an entry (of a risk stage: by a return)."""
    out = ConversionsOut.of(await visits.get_conversions(app_state.database, caller.company_id, asked))
    return answer(out, out.items, ConversionOut, form, "conversion-rates")


@router.get(
    "/risk-distribution",
    summary="Count customers by risk",
    response_model=RisksOut,
    responses=tabular(problems()),
)
async def get_risks(
    caller: AnalyticsReader, app_state: AppStateDep, form: Format = "json"
) -> ResponseModel | Response:
    """Customers by stored risk as of now; those in the last two bands are on the guide's list, unless they churned."""
    out = RisksOut.of(await overview.get_risks(app_state.database, caller.company_id))
    return answer(out, out.items, BandOut, form, "risk-distribution")


@router.get(
    "/churn-predictions",
    summary="List customers at risk",
    response_model=ChurnPageOut,
    responses=tabular(problems()),
)
async def list_churning(
    caller: AnalyticsReader,
    app_state: AppStateDep,
    limit: Limit = 50,
    cursor: Cursor = None,
    form: Format = "json",
) -> ResponseModel | Response:
    """The guide's list as of now: a stored risk above 0.7 and not in the last risk stage, the riskiest first."""
    after = from_cursor("churning", cursor, is_decimal, is_id)
    page = RiskPageRequest(after=None if after is None else (after[0], after[1]), limit=limit + 1)
    found = await drilldown.list_churning(app_state.database, caller.company_id, page)
    cursor = next_cursor("churning", found.customers, limit, lambda row: row.found.key)
    out = ChurnPageOut.of(found, limit, cursor)
    return answer(out, out.items, ChurnRowOut, form, "churn-predictions")


@router.get(
    "/cohorts",
    summary="Read who comes again, by the month of the first visit",
    response_model=CohortsOut,
    responses=tabular(problems()),
)
async def get_cohorts(
    caller: AnalyticsReader, app_state: AppStateDep, asked: RangeDep, form: Format = "json"
) -> ResponseModel | Response:
    """Of those who first came in each local month that the range touches: who came in each month since."""
    out = CohortsOut.of(await outcomes.get_cohorts(app_state.database, caller.company_id, asked))
    return answer(out, out.items, CohortRowOut, form, "cohorts")


@router.get(
    "/automation",
    summary="Read what has become of actions",
    response_model=AutomationOut,
    responses=tabular(problems()),
)
async def get_automation(
    caller: AnalyticsReader, app_state: AppStateDep, asked: RangeDep, form: Format = "json"
) -> ResponseModel | Response:
    """Actions planned in the range by name: done, dead, cancelled, pending, and how many succeed."""
    out = AutomationOut.of(await automation.get_automation(app_state.database, caller.company_id, asked))
    return answer(out, out.items, AutomatedOut, form, "automation")
