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
    """The next version of the stage map. Stages of the current version that it omits are archived.

    The same draft can be linted, previewed, back-tested and activated.
    """

    version: int | None = Field(
        default=None,
        strict=True,
        ge=1,
        description="Version that the draft is based on. It may be stated here, in If-Match, or in both, if they are"
        " equal. `PUT /stages` requires it; elsewhere the default is the current version. Null is like omitted",
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
        description="Stages that the customers of archived stages move to: by the key of the archived stage, the key"
        " of an active stage",
        examples=[{}],
    )
    activation: Annotated[
        Activation,
        Field(
            description="Customers that the version applies to. `future_only`: each customer from the next event or"
            " due evaluation on. `current_silent`: all customers at once, without actions. `current_with_actions`:"
            " all customers at once, with the actions of the stages that they enter. Default: `future_only` in `PUT"
            " /stages`, `current_with_actions` in a preview. Linting and back-testing ignore it",
            examples=["current_silent"],
        ),
    ] = omittable()
    notes: Text | None = Field(
        default=None,
        max_length=10_000,
        description="Notes that are stored with the version; null or omitted: none",
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
    code: str = Field(
        description="Kind of the finding: `stage_count`, `no_risk_stage`, `manual_only`, `unreachable_stage`,"
        " `shadowed_rule`, `oscillation`, `no_return_path`, `permanent_rule` or `gap`; `message` explains it",
        examples=["manual_only"],
    )
    pointer: str = Field(
        description="JSON pointer (RFC 6901) of the stage or rule in the draft; `/stages` for the map as a whole",
        examples=["/stages/4"],
    )
    stages: list[str] = Field(
        description="Keys of the stages that the finding is about, the main one first; empty for the map as a whole",
        examples=[["vip"]],
    )
    message: str = Field(
        description="The finding in one English sentence",
        examples=[
            "Stage 'vip' has no rules, so customers only enter it by manual moves. Add a rule if this is not intended."
        ],
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
        description="Whether the draft has no errors, so that it can be activated", examples=[True]
    )
    findings: list[LintFinding] = Field(description="Errors and warnings, errors first")

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
        ge=1,
        description="Number of the version, from 1. That of the current version is the ETag of the stage map",
        examples=[3],
    )
    author: str = Field(
        description="Who created the version: `key:<id>`, `user:<subject>`, or the name of a command",
        examples=["key:console"],
    )
    created_at: Timestamp = Field(description="When the version was created, in real time")
    activated_at: Timestamp | None = Field(
        description="When the version was activated; null if the company was created with it",
        examples=["2026-03-01T09:30:00Z"],
    )
    activation: Activation = Field(
        description="Customers that the version applied to when it was activated. `future_only`: each customer from"
        " the next event or due evaluation on; `current_silent`: all customers at once, without actions;"
        " `current_with_actions`: all customers at once, with actions",
        examples=["current_silent"],
    )
    notes: str | None = Field(
        description="Notes of the author; null if there are none", examples=["VIP from EUR 1,000"]
    )

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

    is_current: bool = Field(description="Whether the version is the current one", examples=[True])
    stages: list[Stage] = Field(
        description="All stages by `order`, including archived ones",
        examples=[
            [
                {**stage, "retention_days": None, "is_active": True, "remapped_to": None}
                for stage in DEFAULT_STAGES
            ]
        ],
    )
    warnings: list[str] = Field(description="The `message` of each of `findings`", examples=[[]])
    findings: list[LintFinding] = Field(
        description="Warnings of the linter when the version was activated", examples=[[]]
    )

    @classmethod
    def of_view(cls, view: MapView) -> "StageMap":
        """Builds the response from a version and its stages."""
        return cls(**_map_fields(view))


class StageMapChange(StageMap):
    """The stage map after a change. With 202, a job continues to apply it to customers."""

    job: Job | None = Field(
        description="Job that applies the version to customers; null if it applies to none at once"
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
        description="Value before, of any JSON type",
        examples=[{"trigger": "lifetime_value", "conditions": {"value": ">=1500"}}],
    )
    after: Any = Field(
        description="Value after, of any JSON type",
        examples=[{"trigger": "lifetime_value", "conditions": {"value": ">=1000"}}],
    )


class StageMapDiff(ResponseModel):
    """The differences between two versions of the stage map."""

    since: int = Field(
        ge=1, description="Number of the version that `version` is compared with", examples=[2]
    )
    version: int = Field(ge=1, description="Number of the version that is compared", examples=[3])
    added: list[str] = Field(
        description="Keys of stages that are active in `version` and not in `since`", examples=[["gold"]]
    )
    archived: list[str] = Field(
        description="Keys of stages that are active in `since` and not in `version`", examples=[[]]
    )
    changed: list[StageFieldChange] = Field(
        description="Fields with different values, of stages that both versions have"
    )

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
