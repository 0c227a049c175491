"""Who is behind each figure: exactly the customers, or the visits, that it counts."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from journey_service.api.analytics.date_ranges import Month, RangeDep, StageKey, page_of
from journey_service.api.analytics.reports import Mode, WindowDays
from journey_service.api.analytics.schemas.drilldown import CountedOut, CountedPageOut, VisitOut, VisitPageOut
from journey_service.api.authentication import AnalyticsReader
from journey_service.api.csv_responses import Format, answer, tabular
from journey_service.api.dependencies import AppStateDep, AsOf, Cursor, Limit, from_cursor, is_id, next_cursor
from journey_service.api.problems import problems
from journey_service.api.request_bodies import StrictRoute
from journey_service.api.schema_fields import ResponseModel
from journey_service.domain.analytics.risk_bands import BANDS
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.journeys.relationship import Motion
from journey_service.services.analytics import drilldown
from journey_service.services.analytics.drilldown import Became, CohortStepAsked, DrilldownPage, Outcome

router = APIRouter(prefix="/analytics", tags=["analytics"], route_class=StrictRoute)


@router.get(
    "/distribution/customers",
    summary="List the customers of a stage",
    response_model=CountedPageOut,
    responses=tabular(problems()),
)
async def list_in_stage(
    caller: AnalyticsReader,
    app_state: AppStateDep,
    stage: StageKey,
    as_of: AsOf = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    form: Format = "json",
) -> ResponseModel | Response:
    """Who is in a stage now, or was at a past instant."""
    page = page_of("in_stage", limit, cursor)
    found = await drilldown.list_in_stage(app_state.database, caller.company_id, stage, as_of, page)
    return _paged("in_stage", found, limit, form)


@router.get(
    "/funnel/customers",
    summary="List the customers of a step of the funnel",
    response_model=CountedPageOut,
    responses=tabular(problems()),
)
async def list_reached(  # noqa: PLR0913, PLR0917  # one parameter a filter
    caller: AnalyticsReader,
    app_state: AppStateDep,
    asked: RangeDep,
    stage: StageKey,
    mode: Mode = "reached",
    window_days: WindowDays = 90,
    outcome: Annotated[
        Outcome | None, Query(description="with mode=cohort: only those of whom this became")
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    form: Format = "json",
) -> ResponseModel | Response:
    """Who has reached a stage or a later one in the range; of a cohort, within their window."""
    page = page_of("reached", limit, cursor)
    if mode == "cohort":
        step = CohortStepAsked(stage, window_days, outcome)
        found = await drilldown.list_of_cohort(app_state.database, caller.company_id, asked, step, page)
    elif outcome is not None:
        raise InvalidInputError.at("query/outcome", "is told of mode=cohort only")
    else:
        found = await drilldown.list_reached(app_state.database, caller.company_id, asked, stage, page)
    return _paged("reached", found, limit, form)


@router.get(
    "/transitions/customers",
    summary="List the customers who went a way",
    response_model=CountedPageOut,
    responses=tabular(problems()),
)
async def list_went(  # noqa: PLR0913, PLR0917
    caller: AnalyticsReader,
    app_state: AppStateDep,
    asked: RangeDep,
    to_stage: StageKey,
    from_stage: Annotated[
        str | None,
        Query(max_length=50, pattern="^[a-z][a-z0-9_]*$", description="left out: whose journey opened"),
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    form: Format = "json",
) -> ResponseModel | Response:
    """Who has moved from one stage to another in the range, and how often."""
    page = page_of("went", limit, cursor)
    found = await drilldown.list_went(
        app_state.database, caller.company_id, asked, (from_stage, to_stage), page
    )
    return _paged("went", found, limit, form)


@router.get(
    "/overview/customers",
    summary="List the customers who moved",
    response_model=CountedPageOut,
    responses=tabular(problems()),
)
async def list_moved(  # noqa: PLR0913, PLR0917
    caller: AnalyticsReader,
    app_state: AppStateDep,
    asked: RangeDep,
    motion: Annotated[
        Motion | None, Query(description="in which manner; left out: in any but the opening")
    ] = None,
    to_stage: Annotated[
        str | None,
        Query(max_length=50, pattern="^[a-z][a-z0-9_]*$", description="left out: to any stage"),
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    form: Format = "json",
) -> ResponseModel | Response:
    """Who has moved in the range, and how often: `lapse` into risk, `return` out of it, `opening`, `entry`, ..."""
    page = page_of("moved", limit, cursor)
    found = await drilldown.list_moved(app_state.database, caller.company_id, asked, motion, to_stage, page)
    return _paged("moved", found, limit, form)


@router.get(
    "/automation/customers",
    summary="List the customers of actions",
    response_model=CountedPageOut,
    responses=tabular(problems()),
)
async def list_acted_on(  # noqa: PLR0913, PLR0917
    caller: AnalyticsReader,
    app_state: AppStateDep,
    asked: RangeDep,
    name: Annotated[
        str,
        Query(
            max_length=64,
            pattern="^[a-z][a-z0-9_]*$",
            description="of the action",
            examples=["send_welcome_email"],
        ),
    ],
    became: Annotated[Became, Query(description="what has become of it")],
    limit: Limit = 50,
    cursor: Cursor = None,
    form: Format = "json",
) -> ResponseModel | Response:
    """For whom actions of a name were planned in the range of which this became, and how many."""
    page = page_of("acted_on", limit, cursor)
    found = await drilldown.list_acted_on(app_state.database, caller.company_id, asked, name, became, page)
    return _paged("acted_on", found, limit, form)


@router.get(
    "/time-in-stage/visits",
    summary="List the visits of a stage",
    response_model=VisitPageOut,
    responses=tabular(problems()),
)
async def list_visits(  # noqa: PLR0913, PLR0917
    caller: AnalyticsReader,
    app_state: AppStateDep,
    asked: RangeDep,
    stage: StageKey,
    is_open: Annotated[  # noqa: FBT002  # a query
        bool, Query(alias="open", description="those that go on now, whatever the range")
    ] = False,
    converted: Annotated[
        bool | None,
        Query(description="only those that ended, or did not, by an entry (of a risk stage: by a return)"),
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    form: Format = "json",
) -> ResponseModel | Response:
    """The visits of a stage that ended in the range, or, with open=true, those that go on."""
    told = from_cursor("visits", cursor, is_id, is_id)
    after = None if told is None else (told[0], told[1])
    if is_open:
        if converted is not None:
            raise InvalidInputError.at("query/converted", "is told of visits that ended only")
        found = await drilldown.list_going_on(
            app_state.database, caller.company_id, stage, after=after, limit=limit + 1
        )
    else:
        found = await drilldown.list_ended(
            app_state.database,
            caller.company_id,
            asked,
            stage,
            is_converted=converted,
            after=after,
            limit=limit + 1,
        )
    cursor = next_cursor("visits", found.visits, limit, lambda row: [row.customer_id, row.seq])
    out = VisitPageOut.of(found, limit, cursor)
    return answer(out, out.items, VisitOut, form, "visits")


@router.get(
    "/risk-distribution/customers",
    summary="List the customers of a band of risk",
    response_model=CountedPageOut,
    responses=tabular(problems()),
)
async def list_in_band(
    caller: AnalyticsReader,
    app_state: AppStateDep,
    band: Literal["low", "medium", "high", "critical"],
    limit: Limit = 50,
    cursor: Cursor = None,
    form: Format = "json",
) -> ResponseModel | Response:
    """Whose stored risk lies in a band."""
    chosen = next(each for each in BANDS if each.name == band)
    found = await drilldown.list_in_band(
        app_state.database, caller.company_id, chosen, page_of("in_band", limit, cursor)
    )
    return _paged("in_band", found, limit, form)


@router.get(
    "/cohorts/customers",
    summary="List who came again",
    response_model=CountedPageOut,
    responses=tabular(problems()),
)
async def list_came_again(
    caller: AnalyticsReader,
    app_state: AppStateDep,
    cohort: Annotated[Month, Query(description="the local month of the first visit", examples=["2026-01"])],
    month: Annotated[int, Query(ge=0, le=3_600, description="how many months later")],
    limit: Limit = 50,
    cursor: Cursor = None,
    form: Format = "json",
) -> ResponseModel | Response:
    """Who first came in a month, and again so many months later."""
    page = page_of("came_again", limit, cursor)
    found = await drilldown.list_came_again(app_state.database, caller.company_id, cohort, month, page)
    return _paged("came_again", found, limit, form)


def _paged(name: str, found: DrilldownPage, limit: int, form: str) -> ResponseModel | Response:
    cursor = next_cursor(name, found.customers, limit, lambda row: [row.customer_id])
    out = CountedPageOut.of(found, limit, cursor)
    return answer(out, out.items, CountedOut, form, "customers")
