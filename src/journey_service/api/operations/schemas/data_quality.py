"""Schemas of data quality and repairs."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

from pydantic import Field

from journey_service.api.schema_fields import Id, RequestModel, ResponseModel
from journey_service.services.operations.data_quality import REPAIRABLE, DataIssue

RepairableIssue = Literal[
    "orphans", "unknown_stages", "wrong_facts", "stale_scores", "wrong_sums", "stuck_actions"
]
assert get_args(RepairableIssue) == REPAIRABLE  # noqa: S101  # the contract offers what the service can repair


class DataQualityIssue(ResponseModel):
    """A kind of inconsistency, and how often it occurs."""

    name: str = Field(description="Name of the kind", examples=["wrong_facts"])
    description: str = Field(
        description="What is inconsistent",
        examples=["Stored facts that differ from those of the event ledger"],
    )
    count: int = Field(ge=0, description="How often it occurs; 0: nowhere", examples=[1])
    examples: list[dict[str, Any]] = Field(
        description="The first ten occurrences", examples=[[{"customer_id": 4711}]]
    )
    repair: str | None = Field(
        description="What the repair does; null: it cannot be repaired automatically",
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
    """All kinds of inconsistencies that are checked, those that do not occur included."""

    issues: list[DataQualityIssue] = Field(description="The kinds, in the order of their repair")

    @classmethod
    def of(cls, issues: Sequence[DataIssue]) -> "DataQualityReport":
        """Returns the schema of an inspection."""
        return cls(issues=[DataQualityIssue.of(issue) for issue in issues])


class DataRepairRequest(RequestModel):
    """What to repair."""

    issues: list[RepairableIssue] | None = Field(
        default=None,
        min_length=1,
        max_length=len(REPAIRABLE),
        description="Names of the kinds to repair; null or omitted: all",
        examples=[["wrong_facts", "stale_scores"]],
    )


class DataRepair(ResponseModel):
    """A queued repair, or the result of a dry run."""

    dry_run: bool = Field(description="Whether nothing is changed")
    job_id: Id | None = Field(
        description="Id of the job: follow it with `GET /admin/jobs/{job_id}`; null in a dry run"
    )
    issues: list[DataQualityIssue] = Field(
        description="In a dry run: what each repair would change; else empty"
    )
