"""Stage maps over the wire: read, told, their versions."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import Field, WithJsonSchema

from journey_service.api.operations.schemas.jobs import JobOut
from journey_service.api.schema_fields import RequestModel, ResponseModel, Text
from journey_service.domain.journeys.records import MapVersion
from journey_service.domain.journeys.relationship import Activation
from journey_service.domain.simulation.linter import Finding
from journey_service.domain.stages.changes import MapDiff
from journey_service.domain.stages.rules import TRIGGERS, rules_to_json
from journey_service.domain.stages.stage_map import Stage
from journey_service.services.stages.stage_maps import MapChangeResult, MapView

_RULE: Final = {
    "type": "object",
    "required": ["trigger"],
    "properties": {
        "trigger": {"enum": list(TRIGGERS)},
        "conditions": {
            "type": "object",
            "additionalProperties": {"type": "string", "examples": [">=3"]},
            "description": "an operator (> >= < <= == !=) and a number for each field of the trigger",
        },
    },
}
_STAGE_FIELDS: Final[dict[str, Any]] = {
    "key": {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,49}$"},
    "name": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": {"type": ["string", "null"], "maxLength": 2000},
    "color": {"type": ["string", "null"], "examples": ["#94A3B8"]},
    "icon": {"type": ["string", "null"], "examples": ["user-plus"]},
    "order": {"type": "integer", "minimum": 1, "maximum": 1000},
    "kind": {"enum": ["progress", "risk", None], "description": "left out: told by the rules"},
    "auto_rules": {
        "anyOf": [
            _RULE,
            {"type": "object", "required": ["any"], "properties": {"any": {"type": "array", "items": _RULE}}},
            {"type": "null"},
        ]
    },
    "retention_days": {"type": ["integer", "null"], "minimum": 1, "maximum": 3650},
    "is_active": {"type": "boolean", "default": True},
    "remapped_to": {
        "type": ["string", "null"],
        "description": "for an archived stage: where its customers go",
    },
}
_EXAMPLE: Final = {
    "key": "vip",
    "name": "VIP Customer",
    "order": 5,
    "kind": "progress",
    "auto_rules": {"trigger": "lifetime_value", "conditions": {"value": ">=1000"}},
}

# Read by the domain, which knows the place of every fault; what is said here is for those who write them.
StageIn = Annotated[
    Any,
    WithJsonSchema(
        {
            "type": "object",
            "required": ["key", "name", "order"],
            "properties": _STAGE_FIELDS,
            "additionalProperties": False,
            "examples": [_EXAMPLE],
        }
    ),
]
StageFieldsIn = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "minProperties": 1,
            "properties": {
                name: schema
                for name, schema in _STAGE_FIELDS.items()
                if name not in ("key", "kind", "is_active", "remapped_to")
            },
            "additionalProperties": False,
            "examples": [{"auto_rules": {"trigger": "lifetime_value", "conditions": {"value": ">=1500"}}}],
        }
    ),
]


class DraftIn(RequestModel):
    """A draft of the whole map. Stages of the present map that it leaves out are archived."""

    version: int | None = Field(
        default=None,
        strict=True,
        ge=1,
        description="the version the draft is based on, if not told by If-Match",
    )
    stages: list[StageIn] = Field(max_length=200)
    remap: dict[str, str] = Field(
        default_factory=dict,
        max_length=200,
        description="where the customers of archived stages go, by key",
        examples=[{"lead": "prospect"}],
    )


class MapIn(DraftIn):
    """A map to be put in force."""

    activation: Activation = Field(
        default=Activation.FUTURE_ONLY, description="for whom it counts from the moment it is in force"
    )
    notes: Text | None = Field(default=None, max_length=10_000, description="kept with the version")


class FindingOut(ResponseModel):
    """What the linter has to say: errors refuse a map, warnings do not."""

    severity: Literal["error", "warning"]
    code: str = Field(examples=["shadowed_rule"])
    pointer: str
    stages: list[str]
    message: str

    @classmethod
    def of(cls, finding: Mapping[str, Any]) -> "FindingOut":
        """Show a finding as it was kept."""
        return cls(**{name: finding[name] for name in cls.model_fields})

    @classmethod
    def of_finding(cls, finding: Finding) -> "FindingOut":
        """Show a finding."""
        return cls(
            severity=finding.severity.value,
            code=finding.code,
            pointer=finding.pointer,
            stages=list(finding.stages),
            message=finding.message,
        )


class FindingsOut(ResponseModel):
    """All that the linter has to say of a draft; with an error it would be refused."""

    is_sound: bool
    findings: list[FindingOut]

    @classmethod
    def of(cls, findings: Sequence[Finding]) -> "FindingsOut":
        """Show findings."""
        shown = [FindingOut.of_finding(finding) for finding in findings]
        return cls(is_sound=all(finding.severity != "error" for finding in shown), findings=shown)


class StageOut(ResponseModel):
    """A stage of the company's map."""

    key: str
    name: str
    description: str | None
    color: str | None
    icon: str | None
    order: int
    kind: Literal["progress", "risk"]
    auto_rules: dict[str, Any] | None
    retention_days: int | None
    is_active: bool
    remapped_to: str | None

    @classmethod
    def of(cls, stage: Stage) -> "StageOut":
        """Show a stage."""
        return cls(
            key=stage.key,
            name=stage.name,
            description=stage.description,
            color=stage.color,
            icon=stage.icon,
            order=stage.order,
            kind=stage.kind.value,
            auto_rules=rules_to_json(stage.rules),
            retention_days=stage.retention_days,
            is_active=stage.is_active,
            remapped_to=stage.remapped_to,
        )


class VersionOut(ResponseModel):
    """A version of the map: who put it in force, when, and for whom."""

    version: int
    author: str = Field(examples=["key:console"])
    created_at: datetime
    activated_at: datetime | None = Field(
        description="in the company's own time; null: the company was founded with it"
    )
    activation: Activation
    notes: str | None

    @classmethod
    def of(cls, version: MapVersion) -> "VersionOut":
        """Show a version."""
        return cls(
            version=version.version,
            author=version.author,
            created_at=version.created_at,
            activated_at=version.activated_at,
            activation=version.activation,
            notes=version.notes,
        )


class VersionsOut(ResponseModel):
    """A page of versions, newest first."""

    items: list[VersionOut]
    next_cursor: str | None


class MapOut(VersionOut):
    """A version of the map with its stages, in order, and what the linter had to say of it."""

    is_current: bool
    stages: list[StageOut]
    warnings: list[str]
    findings: list[FindingOut]

    @classmethod
    def of_view(cls, view: MapView) -> "MapOut":
        """Show a version with its stages."""
        findings = [FindingOut.of(finding) for finding in view.version.findings]
        return cls(
            **VersionOut.of(view.version).model_dump(),
            is_current=view.is_current,
            stages=[StageOut.of(stage) for stage in view.stage_map.stages],
            warnings=[finding.message for finding in findings],
            findings=findings,
        )


class ChangedOut(MapOut):
    """A map just put in force. With 202, customers it concerns are still being taken over to it."""

    job: JobOut | None = Field(description="what takes customers over; null: nobody was concerned")

    @classmethod
    def of_changed(cls, changed: MapChangeResult) -> "ChangedOut":
        """Show a map just put in force."""
        job = None if changed.job is None else JobOut.of(changed.job)
        return cls(**MapOut.of_view(changed.view).model_dump(), job=job)


class FieldChangeOut(ResponseModel):
    """A field of a stage that two versions have differently."""

    stage: str
    field: str
    before: Any
    after: Any


class DiffOut(ResponseModel):
    """What leads from one version of the map to another."""

    since: int
    version: int
    added: list[str]
    archived: list[str]
    changed: list[FieldChangeOut]

    @classmethod
    def of(cls, since: int, version: int, diff: MapDiff) -> "DiffOut":
        """Show a diff."""
        return cls(
            since=since,
            version=version,
            added=list(diff.added),
            archived=list(diff.archived),
            changed=[FieldChangeOut(**change._asdict()) for change in diff.changed],
        )
