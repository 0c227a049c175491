"""Schemas of data quality and repairs."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

from pydantic import Field

from journey_service.api.schema_fields import Id, RequestModel, ResponseModel, Timestamp
from journey_service.services.operations.checks import CheckReport
from journey_service.services.operations.data_quality import REPAIRABLE, DataIssue

RepairableIssue = Literal[
    "orphans", "unknown_stages", "wrong_facts", "stale_scores", "wrong_sums", "stuck_actions"
]
assert get_args(RepairableIssue) == REPAIRABLE  # the contract offers what the service can repair


class DataQualityIssue(ResponseModel):
    """A kind of inconsistency and its occurrences."""

    name: str = Field(description="Name of the kind of inconsistency", examples=["wrong_facts"])
    description: str = Field(
        description="What is inconsistent",
        examples=["Stored facts that differ from those of the event ledger"],
    )
    count: int = Field(ge=0, description="Number of occurrences", examples=[1])
    examples: list[dict[str, Any]] = Field(
        description="The first ten occurrences, each with the ids of its rows, such as `customer_id`",
        examples=[[{"customer_id": 4711}]],
    )
    repair: str | None = Field(
        description="What a repair does; null if there is no automatic repair",
        examples=["computes the facts from the event ledger"],
    )

    @classmethod
    def of(cls, issue: DataIssue) -> "DataQualityIssue":
        """Returns the schema of an issue."""
        return cls(
            name=issue.name,
            description=issue.description,
            count=issue.count,
            examples=[dict(example) for example in issue.examples],
            repair=issue.repair,
        )


class DataQualityReport(ResponseModel):
    """All kinds of inconsistencies that are checked, including those that do not occur."""

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
    issues: list[DataQualityIssue] = Field(description="The kinds, in the order of their repair")

    @classmethod
    def of(cls, report: CheckReport[Sequence[DataIssue]]) -> "DataQualityReport":
        """Returns the schema of an inspection."""
        return cls(
            checked_at=report.checked_at,
            is_outdated=report.is_outdated,
            issues=[DataQualityIssue.of(issue) for issue in report.found],
        )


class DataRepairRequest(RequestModel):
    """The kinds of inconsistencies to repair."""

    issues: list[RepairableIssue] | None = Field(
        default=None,
        min_length=1,
        max_length=len(REPAIRABLE),
        description="Names of the kinds to repair, which `GET /admin/data-quality` explains; null or omitted: all",
        examples=[["wrong_facts", "stale_scores"]],
    )


class DataRepair(ResponseModel):
    """A queued repair, or the result of a dry run."""

    dry_run: bool = Field(description="Whether this was a dry run, which changes nothing")
    job_id: Id | None = Field(
        description="Id of the job, for `GET /admin/jobs/{job_id}`; null if `dry_run` is true"
    )
    issues: list[DataQualityIssue] = Field(
        description="If `dry_run` is true, what a repair would change; otherwise empty"
    )
