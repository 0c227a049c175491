"""Schemas of the reconciliation of metrics."""

from typing import Any, Literal

from pydantic import Field

from journey_service.api.schema_fields import ResponseModel, Timestamp
from journey_service.services.operations import reconciliation
from journey_service.services.operations.checks import CheckReport


class ReconciliationCheck(ResponseModel):
    """A comparison of a metric that is computed in several ways."""

    name: str = Field(description="Name of the check", examples=["stages"])
    description: str = Field(
        description="The sources that are compared",
        examples=["Customers by stage: ledger, stored stages, open stage visits, distribution"],
    )
    checked: int = Field(ge=0, description="Number of values that were compared", examples=[7])
    differing: int = Field(ge=0, description="Number of values that differ", examples=[1])
    status: Literal["ok", "failed", "pending"] = Field(
        description="`ok`: no value differs. `failed`: at least one value differs. `pending`: one of the sources is"
        " still being computed",
        examples=["failed"],
    )


class ReconciliationDifference(ResponseModel):
    """A value that differs between two ways to compute it."""

    check: str = Field(description="Name of the check", examples=["stages"])
    subject: str = Field(description="Kind of value", examples=["stage"])
    details: dict[str, Any] = Field(
        description="The keys of what is compared, such as `stage`, and the value in each source, by the name of the"
        " source",
        examples=[{"stage": "regular", "ledger": 3, "stored": 4, "open_visits": 3, "distribution": 4}],
    )


class Reconciliation(ResponseModel):
    """Whether all metrics of a company agree."""

    checked_at: Timestamp | None = Field(
        description="When the stored result was computed, in real time; null if no result was stored, so that it was"
        " computed for this response",
        examples=["2026-03-01T01:00:05Z"],
    )
    is_outdated: bool = Field(
        description="Whether the stored result is more than 26 hours old, or data were repaired, recomputed or migrated"
        " after it",
        examples=[False],
    )
    checks: list[ReconciliationCheck] = Field(description="All checks")
    differences: list[ReconciliationDifference] = Field(
        description="The differences, at most one hundred of each check"
    )

    @classmethod
    def of(cls, report: CheckReport[reconciliation.ReconciliationReport]) -> "Reconciliation":
        """Returns the schema of a reconciliation."""
        found = report.found
        return cls(
            checked_at=report.checked_at,
            is_outdated=report.is_outdated,
            checks=[
                ReconciliationCheck(
                    name=check.name,
                    description=check.description,
                    checked=check.checked,
                    differing=check.differing,
                    status=check.status.value,
                )
                for check in found.checks
            ],
            differences=[
                ReconciliationDifference(check=one.check, subject=one.subject, details=dict(one.details))
                for one in found.differences
            ],
        )
