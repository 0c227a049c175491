"""Stage maps over the wire."""

from typing import Any

from journey_service.api.shapes.fields import Out
from journey_service.domain.rules import rules_to_json
from journey_service.domain.stages import Stage, StageMap


class StageOut(Out):
    """A stage of the company's map."""

    key: str
    name: str
    description: str | None
    color: str | None
    icon: str | None
    order: int
    kind: str
    auto_rules: dict[str, Any] | None
    retention_days: int | None
    is_active: bool

    @classmethod
    def of(cls, stage: Stage, rules: dict[str, object] | None) -> "StageOut":
        """Show a stage."""
        return cls(
            key=stage.key,
            name=stage.name,
            description=stage.description,
            color=stage.color,
            icon=stage.icon,
            order=stage.order,
            kind=stage.kind.value,
            auto_rules=rules,
            retention_days=stage.retention_days,
            is_active=stage.is_active,
        )


class StagesOut(Out):
    """The company's stage map, in order."""

    version: int
    stages: list[StageOut]
    warnings: list[str]

    @classmethod
    def of(cls, stage_map: StageMap) -> "StagesOut":
        """Show a stage map."""
        return cls(
            version=stage_map.version,
            stages=[StageOut.of(stage, rules_to_json(stage.rules)) for stage in stage_map.stages],
            warnings=list(stage_map.warnings),
        )
