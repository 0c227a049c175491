"""Schemas of daily metrics."""

from datetime import date

from pydantic import Field

from journey_service.api.schema_fields import Currency, Day, RequestModel, ResponseModel, Timestamp
from journey_service.domain.analytics.snapshots import Interval
from journey_service.services.analytics.snapshots import IntervalMetrics, SnapshotPage


class DailyMetric(ResponseModel):
    """The metrics of a stage on one local day, or in one week or month."""

    metric_date: date = Field(
        description="Local day; for a week or month, its first day in the range", examples=["2026-02-28"]
    )
    last_date: date = Field(
        description="Last local day of the interval in the range; equal to `metric_date` if `interval` is `day`",
        examples=["2026-02-28"],
    )
    stage_key: str = Field(description="Key of the stage", examples=["regular"])
    stage_name: str = Field(
        description="Name of the stage in the current stage map; its key if the current stage map does not have it",
        examples=["Regular Customer"],
    )
    customer_count: int = Field(
        ge=0,
        description="Customers in the stage at the end of the day; for a week or month, of its last day with metrics",
        examples=[120],
    )
    ended_visits: int = Field(
        ge=0,
        description="Number of visits of the stage that ended on the day; for a week or month, the sum of the days",
        examples=[47],
    )
    avg_time_in_stage: float | None = Field(
        ge=0,
        description="Mean days of the visits of the stage that ended on the day; for a week or month, the mean of the"
        " daily values, weighted by `ended_visits`. Null if none ended",
        examples=[21.4],
    )
    conversion_rate: float | None = Field(
        ge=0,
        le=100,
        description="Percentage of the visits that ended on the day with a conversion, 0 to 100: a move to a progress"
        " stage with a higher `order`; for a risk stage, to any progress stage. For a week or month, the mean of the"
        " daily values, weighted by `ended_visits`. Null if none ended",
        examples=[59.6],
    )
    revenue: float = Field(
        description="Revenue of the day, in `currency`, from customers who were in the stage at that time; for a week"
        " or month, the sum of the days",
        examples=[640.5],
    )
    revision: int = Field(
        ge=1,
        description="Number of the revision: 1, and one more after each change by late events or a rebuild; for a week"
        " or month, the largest of its days",
        examples=[1],
    )
    computed_at: Timestamp = Field(
        description="When the revision was computed, in real time; for a week or month, the latest of its days",
        examples=["2026-03-01T01:00:00Z"],
    )


class DailyMetrics(ResponseModel):
    """The metrics of a range of local days that have ended, by day, week or month."""

    first: date = Field(alias="from", description="First local day, included", examples=["2026-02-01"])
    last: date = Field(alias="to", description="Last local day, included", examples=["2026-02-28"])
    interval: Interval = Field(
        description="Interval of the items: `day`; `week`, from Monday; or `month`", examples=["day"]
    )
    currency: Currency
    items: list[DailyMetric] = Field(
        description="The metrics by day, week or month, then by the `order` of the stages"
    )

    @classmethod
    def of(cls, page: SnapshotPage) -> "DailyMetrics":
        """Returns the schema of snapshots."""
        items = [_metric(each) for each in page.items]
        return cls.model_validate(
            {
                "from": page.first,
                "to": page.last,
                "interval": page.interval,
                "currency": page.currency,
                "items": items,
            }
        )


class MetricsRebuild(RequestModel):
    """The range of days whose metrics are rebuilt."""

    first: Day = Field(alias="from", description="First local day, included", examples=["2026-02-01"])
    last: Day = Field(
        alias="to", description="Last local day, included; it must have ended", examples=["2026-02-28"]
    )


def _metric(found: IntervalMetrics) -> DailyMetric:
    metrics = found.metrics
    return DailyMetric(
        metric_date=found.first,
        last_date=found.last,
        stage_key=found.stage_key,
        stage_name=found.stage_key if found.stage is None else found.stage.name,
        customer_count=metrics.customers,
        ended_visits=metrics.ended,
        avg_time_in_stage=None if metrics.avg_time is None else float(metrics.avg_time),
        conversion_rate=None if metrics.conversion is None else float(metrics.conversion),
        revenue=float(metrics.revenue),
        revision=found.revision,
        computed_at=found.computed_at,
    )
