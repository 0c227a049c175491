"""What is amiss in a company's data, over the wire."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

from pydantic import Field

from journey_service.api.schema_fields import RequestModel, ResponseModel
from journey_service.services.operations.data_quality import REPAIRABLE, Issue

Repairable = Literal[
    "orphans", "unknown_stages", "wrong_facts", "stale_scores", "wrong_sums", "stuck_actions"
]
assert get_args(Repairable) == REPAIRABLE  # noqa: S101  # what is offered is what there is


class IssueOut(ResponseModel):
    """One kind of thing that may be amiss."""

    name: str = Field(examples=["wrong_facts"])
    description: str
    count: int
    examples: list[dict[str, Any]] = Field(description="the first ten")
    repair: str | None = Field(description="what a repair does; null: there is none")

    @classmethod
    def of(cls, issue: Issue) -> "IssueOut":
        """Show an issue."""
        return cls(
            name=issue.name,
            description=issue.description,
            count=issue.count,
            examples=[dict(example) for example in issue.examples],
            repair=issue.repair,
        )


class QualityOut(ResponseModel):
    """Everything that may be amiss; what is not has count 0."""

    issues: list[IssueOut]

    @classmethod
    def of(cls, issues: Sequence[Issue]) -> "QualityOut":
        """Show what was found."""
        return cls(issues=[IssueOut.of(issue) for issue in issues])


class RepairsIn(RequestModel):
    """What to repair."""

    issues: list[Repairable] | None = Field(
        default=None, min_length=1, max_length=len(REPAIRABLE), description="left out: everything"
    )


class RepairsOut(ResponseModel):
    """What is being repaired, or, in a dry run, what would be."""

    dry_run: bool
    job_id: int | None = Field(description="see `GET /admin/jobs/{job_id}`; null in a dry run")
    issues: list[IssueOut] = Field(description="in a dry run: what each repair would be about")
