"""Routes of daily metrics."""

from typing import Annotated

from fastapi import APIRouter, Query

from journey_service.api.analytics.schemas.snapshots import DailyMetric, DailyMetrics, MetricsRebuild
from journey_service.api.authentication import Admin, AnalyticsReader
from journey_service.api.csv_responses import get_with_csv
from journey_service.api.dependencies import AppStateDep, repeatable
from journey_service.api.middleware.idempotent_requests import ONCE_PER_KEY
from journey_service.api.operations.schemas.jobs import JobAccepted
from journey_service.api.problems import JSON_BODY, KEY_ERRORS, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, StrictRoute
from journey_service.api.schema_fields import Day, StageKey
from journey_service.domain.analytics.date_ranges import Period, RequestedRange
from journey_service.domain.analytics.snapshots import Interval
from journey_service.services.analytics import snapshots

router = APIRouter(route_class=StrictRoute)

_JOBS = "jobs"


PeriodParam = Annotated[
    Period | None,
    Query(
        description="Range of local days that ends with the last ended day. `week`: 7 days; `month`: 30;"
        " `quarter`: 90; `year`: 365; `all`: all days. Not together with `from` or `to`",
        examples=["month"],
    ),
]
FirstParam = Annotated[
    Day | None,
    Query(
        alias="from",
        description="First local day, included, less than 400 days, weeks or months before the last; default: 29"
        " days before the last",
        examples=["2026-02-01"],
    ),
]
LastParam = Annotated[
    Day | None,
    Query(
        alias="to",
        description="Last local day, included; default: the last ended day",
        examples=["2026-02-28"],
    ),
]
IntervalParam = Annotated[
    Interval | None,
    Query(
        description="Interval of the items: `day`; `week`, from Monday; `month`. The first and the last one contain"
        " only the days of the range. Default: `month` if `period` is `all`, otherwise `day`",
        examples=["day"],
    ),
]
StageParam = Annotated[
    list[StageKey] | None, repeatable("Only metrics of the stage with this key", examples=[["regular"]])
]


@get_with_csv(
    router,
    "/analytics/metrics",
    DailyMetric,
    tags=["analytics"],
    summary="List daily metrics",
    responses=problems(),
)
async def list_daily_metrics(
    caller: AnalyticsReader,
    app_state: AppStateDep,
    period: PeriodParam = None,
    first: FirstParam = None,
    last: LastParam = None,
    interval: IntervalParam = None,
    stage: StageParam = None,
) -> DailyMetrics:
    """Lists the metrics of each stage for each local day, week or month; by default for the last 30 ended days.

    At most 400 days, weeks or months are returned at once. The nightly run writes the metrics of the day that has
    ended, and rewrites those of earlier days that late events have changed, with the next `revision`.
    """
    requested = RequestedRange(period, first, last)
    return DailyMetrics.of(
        await snapshots.get_metrics(app_state.database, caller.company_id, requested, stage or (), interval)
    )


@router.post(
    "/admin/metrics/rebuild",
    tags=["operations"],
    summary="Rebuild daily metrics",
    status_code=202,
    dependencies=[ONCE_PER_KEY],
    responses=problems(*KEY_ERRORS, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def rebuild_daily_metrics(body: MetricsRebuild, caller: Admin, app_state: AppStateDep) -> JobAccepted:
    """Queues a job that recomputes the metrics of ended days from the ledgers. Unchanged rows keep their revision."""
    job_id = await snapshots.enqueue_snapshot_rebuild(
        app_state.database, caller.company_id, body.first, body.last, actor=caller.actor
    )
    app_state.wake(_JOBS)
    return JobAccepted(job_id=job_id)
