"""Routes of reports over all customers of a company."""

from typing import Annotated

from fastapi import APIRouter, Query

from journey_service.api.analytics.date_ranges import RangeDep
from journey_service.api.analytics.risk_filters import RiskFilterDep, RiskSort, risk_page
from journey_service.api.analytics.schemas.churn_predictions import ChurnPrediction, ChurnPredictionPage
from journey_service.api.analytics.schemas.distribution import (
    Distribution,
    RiskBand,
    RiskDistribution,
    StageCount,
)
from journey_service.api.analytics.schemas.outcomes import ActionOutcomes, Automation, CohortMonth, Cohorts
from journey_service.api.analytics.schemas.reports import (
    ConversionRate,
    ConversionRates,
    Flow,
    Flows,
    Funnel,
    FunnelMode,
    FunnelStage,
    Overview,
    StageTime,
    TimeInStage,
)
from journey_service.api.authentication import AnalyticsReader
from journey_service.api.csv_responses import get_with_csv
from journey_service.api.dependencies import (
    AppStateDep,
    AsOf,
    Cursor,
    Limit,
    next_cursor,
)
from journey_service.api.problems import problems
from journey_service.api.request_bodies import StrictRoute
from journey_service.services.analytics import (
    automation,
    cohorts,
    funnels,
    overview,
    risk_list,
    time_in_stage,
)

router = APIRouter(prefix="/analytics", tags=["analytics"], route_class=StrictRoute)

Mode = Annotated[
    FunnelMode,
    Query(
        description="`reached`: customers who entered a stage in the range. `cohort`: customers whose journey began in"
        " the range, each followed for `window_days`",
        examples=["cohort"],
    ),
]
WindowDays = Annotated[
    int,
    Query(
        ge=1,
        le=3_660,
        description="Days of 24 hours for which `mode=cohort` follows each customer",
        examples=[90],
    ),
]


@get_with_csv(
    router,
    "/overview",
    Overview,
    summary="Get the overview",
    responses=problems(),
    rows=lambda response: [response],
    without=("as_of", "first", "last", "stages"),
)
async def get_overview(caller: AnalyticsReader, app_state: AppStateDep, days: RangeDep) -> Overview:
    """Returns the number of customers by stage now, and the new customers, transitions and revenue of the range."""
    return Overview.of(await overview.get_overview(app_state.database, caller.company_id, days))


@get_with_csv(
    router,
    "/distribution",
    StageCount,
    summary="Get the distribution over stages",
    responses=problems(),
)
async def get_distribution(
    caller: AnalyticsReader, app_state: AppStateDep, as_of: AsOf = None
) -> Distribution:
    """Returns the number of customers in each stage, now or at a past time."""
    return Distribution.of(await overview.get_distribution(app_state.database, caller.company_id, as_of))


@get_with_csv(router, "/funnel", FunnelStage, summary="Get the funnel", responses=problems())
async def get_funnel(
    caller: AnalyticsReader,
    app_state: AppStateDep,
    days: RangeDep,
    mode: Mode = "reached",
    window_days: WindowDays = 90,
) -> Funnel:
    """Returns the distinct customers who reached each progress stage, and the conversion to the next one."""
    if mode == "cohort":
        return Funnel.of(
            await funnels.get_cohort_funnel(
                app_state.database, caller.company_id, days, window_days=window_days
            )
        )
    return Funnel.of(await funnels.get_funnel(app_state.database, caller.company_id, days))


@get_with_csv(router, "/transitions", Flow, summary="Get the flows between stages", responses=problems())
async def get_flows(caller: AnalyticsReader, app_state: AppStateDep, days: RangeDep) -> Flows:
    """Returns the number of transitions, and of distinct customers, from each stage to each other stage."""
    return Flows.of(await funnels.get_flows(app_state.database, caller.company_id, days))


@get_with_csv(router, "/time-in-stage", StageTime, summary="Get the time in stage", responses=problems())
async def get_time_in_stage(caller: AnalyticsReader, app_state: AppStateDep, days: RangeDep) -> TimeInStage:
    """Returns mean, median and 90th percentile of the visits that ended in the range, and the mean age of open ones."""
    return TimeInStage.of(await time_in_stage.get_time_in_stage(app_state.database, caller.company_id, days))


@get_with_csv(
    router, "/conversion-rates", ConversionRate, summary="Get conversion rates", responses=problems()
)
async def get_conversion_rates(
    caller: AnalyticsReader, app_state: AppStateDep, days: RangeDep
) -> ConversionRates:
    """Returns the percentage of the ended visits of each stage that ended with a conversion.

    A conversion is a move to a progress stage with a higher `order`; for a risk stage, a move to any progress stage.
    """
    return ConversionRates.of(
        await time_in_stage.get_conversions(app_state.database, caller.company_id, days)
    )


@get_with_csv(
    router, "/risk-distribution", RiskBand, summary="Get the risk distribution", responses=problems()
)
async def get_risk_distribution(caller: AnalyticsReader, app_state: AppStateDep) -> RiskDistribution:
    """Returns the number of customers in each band of the stored risk score, now."""
    return RiskDistribution.of(await overview.get_risks(app_state.database, caller.company_id))


@get_with_csv(
    router,
    "/churn-predictions",
    ChurnPrediction,
    summary="List churn predictions",
    responses=problems(),
    without=("retention_actions", "reach", "open_task", "running_campaign"),
)
async def list_churn_predictions(
    caller: AnalyticsReader,
    app_state: AppStateDep,
    filter_: RiskFilterDep,
    sort: RiskSort = "-risk_score",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> ChurnPredictionPage:
    """Lists customers with a stored risk score above 0.7 who are not in the last risk stage.

    Chances and dates are computed now. The order by `expected_loss` is that of the stored chances, which events and the
    nightly run update. `GET /customers` in the order `-expected_loss` lists all customers, before their risk is high.
    """
    page = risk_page("churn_predictions", sort, limit, cursor, filter_)
    found = await risk_list.list_churning(app_state.database, caller.company_id, page)
    following = next_cursor("churn_predictions", found.customers, limit, lambda row: [sort, *row.found.key])
    return ChurnPredictionPage.of(found, limit, following, is_named=caller.sees_names)


@get_with_csv(router, "/cohorts", CohortMonth, summary="Get retention cohorts", responses=problems())
async def get_cohorts(caller: AnalyticsReader, app_state: AppStateDep, days: RangeDep) -> Cohorts:
    """Returns, by month of the first appointment, how many customers had an appointment in each later month."""
    return Cohorts.of(await cohorts.get_cohorts(app_state.database, caller.company_id, days))


@get_with_csv(
    router, "/automation", ActionOutcomes, summary="Get the outcomes of actions", responses=problems()
)
async def get_automation(caller: AnalyticsReader, app_state: AppStateDep, days: RangeDep) -> Automation:
    """Returns, by name, the outcomes of the actions that were planned in the range."""
    return Automation.of(await automation.get_automation(app_state.database, caller.company_id, days))
