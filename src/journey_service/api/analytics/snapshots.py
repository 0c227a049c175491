"""Routes of daily snapshots."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from journey_service.api.analytics.schemas.snapshots import (
    Day,
    MetricOut,
    MetricsOut,
    RebuildIn,
)
from journey_service.api.authentication import Admin, AnalyticsReader
from journey_service.api.csv_responses import Format, answer, tabular
from journey_service.api.dependencies import AppStateDep
from journey_service.api.operations.schemas.jobs import JobAccepted
from journey_service.api.problems import JSON_BODY, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, StrictRoute
from journey_service.api.schema_fields import ResponseModel
from journey_service.domain.analytics.date_ranges import Period, RequestedRange
from journey_service.services.analytics import snapshots

router = APIRouter(route_class=StrictRoute)

_JOBS = "jobs"
First = Annotated[Day | None, Query(alias="from", description="the first day", examples=["2026-03-01"])]
Last = Annotated[
    Day | None,
    Query(alias="to", description="the last day; left out: the last that has ended", examples=["2026-03-31"]),
]
OfStage = Annotated[
    str | None, Query(max_length=50, pattern="^[a-z][a-z0-9_]*$", description="of one stage only")
]


@router.get(
    "/analytics/metrics",
    tags=["analytics"],
    summary="List daily snapshots",
    response_model=MetricsOut,
    responses=tabular(problems()),
)
async def list_metrics(
    caller: AnalyticsReader,
    app_state: AppStateDep,
    period: Annotated[Period | None, Query(description="up to the last day that has ended")] = None,
    first: First = None,
    last: Last = None,
    stage: OfStage = None,
    form: Format = "json",
) -> ResponseModel | Response:
    """What each stage looked like at the end of each local day; without `from`, on thirty days.

    At most 400 days are shown at once. A day is there once the night after it has come; what comes late rewrites its
    day in the next night, with the next `revision`.
    """
    out = MetricsOut.of(
        await snapshots.get_metrics(
            app_state.database, caller.company_id, RequestedRange(period, first, last), stage
        )
    )
    return answer(out, out.items, MetricOut, form, "metrics")


@router.post(
    "/admin/metrics/rebuild",
    tags=["operations"],
    summary="Rebuild daily snapshots",
    status_code=202,
    responses=problems(*JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def post_rebuild(body: RebuildIn, caller: Admin, app_state: AppStateDep) -> JobAccepted:
    """Take the snapshots of past days anew, from the ledgers themselves; one that is the same keeps its revision."""
    job_id = await snapshots.enqueue_snapshot_rebuild(
        app_state.database, caller.company_id, body.first, body.last, actor=caller.actor
    )
    app_state.wake(_JOBS)
    return JobAccepted(job_id=job_id)
