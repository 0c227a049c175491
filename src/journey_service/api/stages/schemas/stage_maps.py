"""Request and response schemas of stage maps: drafts, lint findings, versions, differences."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import Field

from journey_service.api.operations.schemas.jobs import Job
from journey_service.api.schema_fields import (
    NextCursor,
    RequestModel,
    ResponseModel,
    Text,
    Timestamp,
    omittable,
)
from journey_service.api.stages.schemas.stages import Stage, StageInput
from journey_service.domain.journeys.records import MapVersion
from journey_service.domain.journeys.relationship import Activation
from journey_service.domain.simulation.linter import FindingSeverity, LinterFinding
from journey_service.domain.stages.changes import MapDiff
from journey_service.domain.stages.default_stages import DEFAULT_STAGES
from journey_service.services.stages.stage_maps import MapChangeResult, MapView

MAX_DRAFT_STAGES: Final = 200
"""Stages of one draft, archived ones included; longer drafts are refused."""


class StageMapDraft(RequestModel):
    """The next version of the stage map. Stages of the current version that it leaves out are archived.

    The same draft can be linted, previewed, back-tested and put in force.
    """

    version: int | None = Field(
        default=None,
        strict=True,
        ge=1,
        description="Version that the draft is based on, as an alternative to If-Match; null: not stated",
        examples=[3],
    )
    stages: list[StageInput] = Field(
        max_length=MAX_DRAFT_STAGES,
        description="All stages of the new version, in any order",
        examples=[[dict(stage) for stage in DEFAULT_STAGES]],
    )
    remap: dict[str, str] = Field(
        default_factory=dict,
        max_length=MAX_DRAFT_STAGES,
        description="Where the customers of archived stages go: key of the archived stage to key of an active one",
        examples=[{}],
    )
    activation: Annotated[
        Activation,
        Field(
            description="Customers that the version applies to. `future_only`: each customer from the next event or due"
            " evaluation on. `current_silent`: all customers at once, without actions. `current_with_actions`: all"
            " customers at once, with the actions of the stages that they enter. Omitted: `future_only` when the draft"
            " is put in force, `current_with_actions` in a preview. Linting and back-testing ignore it",
            examples=["future_only"],
        ),
    ] = omittable()
    notes: Text | None = Field(
        default=None,
        max_length=10_000,
        description="Notes that are kept with the version; null: none",
        examples=["VIP from EUR 1,000"],
    )

    def activation_or(self, default: Activation) -> Activation:
        """Returns the activation, or `default` if the draft omits it."""
        return self.activation if "activation" in self.model_fields_set else default


class LintFinding(ResponseModel):
    """A finding of the linter."""

    severity: FindingSeverity = Field(
        description="`error`: the map is refused; `warning`: the map is accepted", examples=["warning"]
    )
    code: str = Field(description="Kind of the finding", examples=["shadowed_rule"])
    pointer: str = Field(
        description="JSON pointer of the stage or rule in the draft; empty: the whole map",
        examples=["/stages/4/auto_rules"],
    )
    stages: list[str] = Field(
        description="Keys of the stages concerned, the main one first", examples=[["vip", "regular"]]
    )
    message: str = Field(
        description="The finding in one English sentence",
        examples=["No rule leads to this stage: customers enter it by manual moves only"],
    )

    @classmethod
    def from_json(cls, finding: Mapping[str, Any]) -> "LintFinding":
        """Builds the response from a stored finding."""
        return cls(**{name: finding[name] for name in cls.model_fields})

    @classmethod
    def of(cls, finding: LinterFinding) -> "LintFinding":
        """Builds the response from a finding of the linter."""
        return cls(
            severity=finding.severity,
            code=finding.code,
            pointer=finding.pointer,
            stages=list(finding.stages),
            message=finding.message,
        )


class LintReport(ResponseModel):
    """All findings of the linter about a draft."""

    is_valid: bool = Field(
        description="Whether the draft has no errors and could be put in force", examples=[True]
    )
    findings: list[LintFinding] = Field(description="Errors and warnings")

    @classmethod
    def of(cls, findings: Sequence[LinterFinding]) -> "LintReport":
        """Builds the response from the linter's findings."""
        return cls(
            is_valid=all(finding.severity is not FindingSeverity.ERROR for finding in findings),
            findings=[LintFinding.of(finding) for finding in findings],
        )


class StageMapVersion(ResponseModel):
    """A version of the stage map, without its stages."""

    version: int = Field(
        description="Number of the version, from 1. The ETag of the current version", examples=[3]
    )
    author: str = Field(
        description="Who put the version in force: `key:`, `user:` or `link:` and a name, or a system process",
        examples=["key:console"],
    )
    created_at: Timestamp = Field(description="When the version was stored")
    activated_at: Timestamp | None = Field(
        description="When the version was put in force, by the company's clock; null: the company was created with it",
        examples=["2026-03-01T12:00:00Z"],
    )
    activation: Activation = Field(
        description="Customers that the version applied to from then on", examples=["future_only"]
    )
    notes: str | None = Field(description="Notes of the author; null: none", examples=["VIP from EUR 1,000"])

    @classmethod
    def of(cls, version: MapVersion) -> "StageMapVersion":
        """Builds the response from a stored version."""
        return cls(
            version=version.version,
            author=version.author,
            created_at=version.created_at,
            activated_at=version.activated_at,
            activation=version.activation,
            notes=version.notes,
        )


class StageMapVersionPage(ResponseModel):
    """A page of versions of the stage map, newest first."""

    items: list[StageMapVersion] = Field(description="The versions of this page")
    next_cursor: NextCursor


class StageMap(StageMapVersion):
    """A version of the stage map with its stages."""

    is_current: bool = Field(description="Whether the version is in force", examples=[True])
    stages: list[Stage] = Field(description="All stages by `order`, archived ones included")
    warnings: list[str] = Field(description="Messages of `findings`", examples=[[]])
    findings: list[LintFinding] = Field(
        description="Warnings of the linter when the version was put in force"
    )

    @classmethod
    def of_view(cls, view: MapView) -> "StageMap":
        """Builds the response from a version and its stages."""
        return cls(**_map_fields(view))


class StageMapChange(StageMap):
    """The stage map after a change. With 202, customers are still being migrated to it."""

    job: Job | None = Field(
        description="The job that migrates customers to the version; null: no customer had to be migrated"
    )

    @classmethod
    def of_changed(cls, changed: MapChangeResult) -> "StageMapChange":
        """Builds the response from the outcome of a change."""
        job = None if changed.job is None else Job.of(changed.job)
        return cls(**_map_fields(changed.view), job=job)


class StageFieldChange(ResponseModel):
    """A field of a stage that differs between two versions."""

    stage: str = Field(description="Key of the stage", examples=["vip"])
    field: str = Field(description="Name of the field", examples=["auto_rules"])
    before: Any = Field(
        description="Value in the earlier version, as JSON",
        examples=[{"trigger": "lifetime_value", "conditions": {"value": ">=1000"}}],
    )
    after: Any = Field(
        description="Value in the later version, as JSON",
        examples=[{"trigger": "lifetime_value", "conditions": {"value": ">=1500"}}],
    )


class StageMapDiff(ResponseModel):
    """The differences between two versions of the stage map."""

    since: int = Field(description="Version that the comparison starts from", examples=[2])
    version: int = Field(description="Version that the comparison leads to", examples=[3])
    added: list[str] = Field(
        description="Keys of stages that are active only in `version`", examples=[["gold"]]
    )
    archived: list[str] = Field(description="Keys of stages that are active only in `since`", examples=[[]])
    changed: list[StageFieldChange] = Field(description="Fields that differ, of stages in both versions")

    @classmethod
    def of(cls, since: int, version: int, diff: MapDiff) -> "StageMapDiff":
        """Builds the response from a difference."""
        return cls(
            since=since,
            version=version,
            added=list(diff.added),
            archived=list(diff.archived),
            changed=[StageFieldChange(**change._asdict()) for change in diff.changed],
        )


def _map_fields(view: MapView) -> dict[str, Any]:
    findings = [LintFinding.from_json(finding) for finding in view.version.findings]
    version = StageMapVersion.of(view.version)
    return {
        **{name: getattr(version, name) for name in StageMapVersion.model_fields},
        "is_current": view.is_current,
        "stages": [Stage.of(stage) for stage in view.stage_map.stages],
        "warnings": [finding.message for finding in findings],
        "findings": findings,
    }
