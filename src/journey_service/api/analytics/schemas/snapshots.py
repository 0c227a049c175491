"""Snapshots of days and reconciliations over the wire."""

import re
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from journey_service.api.schema_fields import RequestModel, ResponseModel
from journey_service.domain.events.event import EARLIEST, LATEST
from journey_service.services.analytics.snapshots import SnapshotPage
from journey_service.services.operations.reconciliation import Reconciliation

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def _to_day(value: object) -> object:
    if not isinstance(value, str) or _DAY.fullmatch(value) is None:
        raise ValueError("must be a day such as 2026-03-01")
    day = date.fromisoformat(value)
    if not EARLIEST.date() <= day < LATEST.date():
        raise ValueError(f"must lie between {EARLIEST.year} and {LATEST.year}")
    return day


Day = Annotated[date, BeforeValidator(_to_day), WithJsonSchema({"type": "string", "format": "date"})]


class MetricOut(ResponseModel):
    """A stage at the end of a local day."""

    metric_date: date
    stage_key: str
    stage_name: str = Field(description="by the map in force now")
    customer_count: int = Field(description="customers in the stage when the day ended")
    avg_time_in_stage: float | None = Field(
        description="days that the visits which ended that day had lasted on average; null if none ended"
    )
    conversion_rate: float | None = Field(
        description="percent of these that ended by an entry (from a risk stage: by a return); null if none ended"
    )
    revenue: float = Field(description="of what occurred that day, credited to the stage held then")
    revision: int = Field(description="1, and one more whenever something that came late has changed the row")
    computed_at: datetime


class MetricsOut(ResponseModel):
    """Snapshots of local days, both included, in the order of days and stages."""

    first: date = Field(alias="from")
    last: date = Field(alias="to")
    currency: str
    items: list[MetricOut]

    @classmethod
    def of(cls, shown: SnapshotPage) -> "MetricsOut":
        """Show snapshots."""
        items = [
            MetricOut(
                metric_date=one.day,
                stage_key=one.stage,
                stage_name=one.stage if stage is None else stage.name,
                customer_count=one.metrics.customers,
                avg_time_in_stage=None if one.metrics.avg_time is None else float(one.metrics.avg_time),
                conversion_rate=None if one.metrics.conversion is None else float(one.metrics.conversion),
                revenue=float(one.metrics.revenue),
                revision=one.revision,
                computed_at=one.computed_at,
            )
            for one, stage in shown.snapshots
        ]
        return cls.model_validate(
            {"from": shown.first, "to": shown.last, "currency": shown.currency, "items": items}
        )


class RebuildIn(RequestModel):
    """Which days to rebuild, both included."""

    first: Day = Field(alias="from", examples=["2026-03-01"])
    last: Day = Field(alias="to", description="a day that has ended", examples=["2026-03-31"])


class FigureCheckOut(ResponseModel):
    """Figures that are told two ways, compared."""

    name: str = Field(examples=["chains"])
    description: str
    checked: int = Field(description="how many things were compared")
    differing: int = Field(description="how many of them differ")
    status: Literal["ok", "failed", "pending"] = Field(
        description="pending: what is compared is still being counted"
    )


class DifferenceOut(ResponseModel):
    """A place where two figures differ."""

    check: str = Field(examples=["stages"])
    subject: str = Field(examples=["stage"])
    details: dict[str, Any] = Field(
        description="what it is about and what each figure says, by name",
        examples=[{"stage": "vip", "ledger": 3, "standing": 4, "open_visits": 3, "distribution": 4}],
    )


class ReconciliationOut(ResponseModel):
    """Whether all figures agree; of each check up to a hundred differences are named."""

    checks: list[FigureCheckOut]
    differences: list[DifferenceOut]

    @classmethod
    def of(cls, found: Reconciliation) -> "ReconciliationOut":
        """Show a reconciliation."""
        return cls(
            checks=[
                FigureCheckOut(
                    name=check.name,
                    description=check.description,
                    checked=check.checked,
                    differing=check.differing,
                    status=check.status.value,
                )
                for check in found.checks
            ],
            differences=[
                DifferenceOut(check=one.check, subject=one.subject, details=dict(one.told))
                for one in found.differences
            ],
        )
