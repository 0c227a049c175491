"""Response schemas of today's counts."""

from datetime import date
from typing import Literal

from pydantic import Field

from journey_service.api.schema_fields import ResponseModel, Timestamp
from journey_service.services.actions import today as service


class TodayTasks(ResponseModel):
    """Numbers of open tasks, as in `GET /tasks`. A task may count in several of them."""

    overdue: int = Field(ge=0, description="Tasks that were due before `as_of`", examples=[2])
    today: int = Field(ge=0, description="Tasks that are due from `as_of` until `day_end`", examples=[5])
    unassigned: int = Field(ge=0, description="Tasks without an assignee", examples=[3])
    mine: int = Field(ge=0, description="Tasks of the caller, as with `assignee=me`", examples=[4])


class Agreement(ResponseModel):
    """Result of the latest check of the daily metrics against the ledgers that has ended."""

    status: Literal["ok", "failed"] = Field(
        description="`ok`: the metrics agree; `failed`: they differ, see `GET /analytics/reconciliation`",
        examples=["ok"],
    )
    at: Timestamp = Field(description="When the check ended, in real time", examples=["2026-03-01T01:00:04Z"])


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
        description="Latest check of the daily metrics that has ended; null if there was none"
    )

    @classmethod
    def of(cls, counts: service.Today) -> "Today":
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
            else Agreement(status="ok" if agreement.is_ok else "failed", at=agreement.at),
        )
