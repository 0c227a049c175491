"""Response schemas of today's counts."""

from datetime import date
from typing import Literal

from pydantic import Field

from journey_service.api.schema_fields import ResponseModel, Timestamp
from journey_service.services.operations import today as service


class TodayTasks(ResponseModel):
    """Numbers of open tasks, as in `GET /tasks`. A task may count in several of them."""

    overdue: int = Field(ge=0, description="Tasks that were due before `as_of`", examples=[2])
    today: int = Field(ge=0, description="Tasks that are due from `as_of` until `day_end`", examples=[5])
    unassigned: int = Field(ge=0, description="Tasks without an assignee", examples=[3])
    mine: int = Field(ge=0, description="Tasks of the caller, as with `assignee=me`", examples=[4])


class Agreement(ResponseModel):
    """Summary of the stored reconciliation of the metrics: `GET /analytics/reconciliation`."""

    status: Literal["ok", "failed", "pending"] = Field(
        description="`ok`: no check found a difference. `failed`: at least one check found a difference. `pending`: no"
        " check found a difference, and for at least one of them a source was still being computed",
        examples=["ok"],
    )
    at: Timestamp = Field(
        description="When the reconciliation was computed, in real time: its `checked_at`",
        examples=["2026-03-01T01:00:05Z"],
    )
    is_outdated: bool = Field(
        description="Whether the reconciliation is more than 26 hours old, or data were repaired, recomputed or"
        " migrated after it",
        examples=[False],
    )


class Today(ResponseModel):
    """What is to be done now. Each number is the length of the list that its description names."""

    as_of: Timestamp = Field(description="Time of the counts", examples=["2026-03-01T12:00:00Z"])
    day: date = Field(description="Local day of `as_of`", examples=["2026-03-01"])
    day_end: Timestamp = Field(description="End of the local day", examples=["2026-03-01T23:00:00Z"])
    since: date = Field(description="The local day before `day`", examples=["2026-02-28"])
    tasks: TodayTasks = Field(description="Numbers of open tasks")
    at_risk: int = Field(
        ge=0, description="Customers at risk: `GET /portal/customers/at-risk`", examples=[85]
    )
    lapsed: int = Field(
        ge=0,
        description="Customers who moved into a risk stage on the days from `since` to `day`:"
        " `GET /analytics/overview/customers?motion=lapse`",
        examples=[3],
    )
    returned: int = Field(
        ge=0,
        description="Customers who returned from a risk stage on the days from `since` to `day`:"
        " `GET /analytics/overview/customers?motion=return`",
        examples=[1],
    )
    running_campaigns: int = Field(
        ge=0, description="Campaigns that have not ended: `GET /campaigns?status=running`", examples=[12]
    )
    dead_actions: int = Field(
        ge=0,
        description="Actions whose delivery has failed permanently: `GET /actions?state=dead`",
        examples=[1],
    )
    failed_jobs: int = Field(
        ge=0, description="Jobs that have failed: `GET /admin/jobs?status=failed`", examples=[0]
    )
    agreement: Agreement | None = Field(
        description="Summary of the stored reconciliation of the metrics; null if none is stored"
    )

    @classmethod
    def of(cls, counts: service.TodayCounts) -> "Today":
        """Builds the response from the counts."""
        same = {
            name: getattr(counts, name) for name in cls.model_fields if name not in ("tasks", "agreement")
        }
        agreement = counts.agreement
        return cls(
            **same,
            tasks=TodayTasks.model_validate(counts.tasks, from_attributes=True),
            agreement=None
            if agreement is None
            else Agreement(status=agreement.status.value, at=agreement.at, is_outdated=agreement.is_outdated),
        )
