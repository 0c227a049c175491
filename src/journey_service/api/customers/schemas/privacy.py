"""What is held on one person, and its erasure, over the wire."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from journey_service.api.journeys.schemas.scores import ScoresOut
from journey_service.api.schema_fields import ResponseModel
from journey_service.services.customers.privacy import CustomerExport, ErasureResult


class ExportOut(ResponseModel):
    """Everything held on a customer. Rows are as they are kept, by the names of their columns."""

    customer_id: int
    exported_at: datetime = Field(description="in the company's time")
    profile: dict[str, Any]
    consent_changes: list[dict[str, Any]]
    relationship: dict[str, Any] = Field(description="where the customer stands, and what is known of them")
    scores: ScoresOut
    transitions: list[dict[str, Any]] = Field(description="every move with its reasons, the first one first")
    events: list[dict[str, Any]] = Field(description="everything that was told, by when it occurred")
    campaigns: list[dict[str, Any]] = Field(description="campaigns for the customer, running and ended")
    actions: list[dict[str, Any]] = Field(description="what was done or sent, or not, and why")
    attempts: list[dict[str, Any]] = Field(description="every attempt of that, and what the other side said")
    tasks: list[dict[str, Any]] = Field(description="what people were to do about the customer")
    outbound_events: list[dict[str, Any]] = Field(description="what the company's own systems were told of")
    import_lines: list[dict[str, Any]] = Field(description="lines of histories that wait to be decided")
    audit: list[dict[str, Any]] = Field(description="who did what to the customer, this export included")

    @classmethod
    def of(cls, export: CustomerExport) -> "ExportOut":
        """Show an export."""
        tables = {name: [dict(row) for row in rows] for name, rows in export.tables.items()}
        [profile], [relationship] = tables.pop("customers"), tables.pop("customer_relationships")
        return cls(
            customer_id=export.customer_id,
            exported_at=export.at,
            profile=profile,
            relationship=relationship,
            scores=ScoresOut.of(export.scores),
            **{_SECTIONS[name]: rows for name, rows in tables.items()},
        )


_SECTIONS = {
    "consent_changes": "consent_changes",
    "journey_transitions": "transitions",
    "journey_events": "events",
    "retention_campaigns": "campaigns",
    "journey_actions": "actions",
    "action_attempts": "attempts",
    "journey_tasks": "tasks",
    "outbound_events": "outbound_events",
    "import_lines": "import_lines",
    "audit_log": "audit",
}


class ErasureOut(ResponseModel):
    """A customer who was erased."""

    status: Literal["anonymized", "already_anonymized"]
    at: datetime

    @classmethod
    def of(cls, erasure: ErasureResult) -> "ErasureOut":
        """Show an erasure."""
        return cls(status="already_anonymized" if erasure.is_repeat else "anonymized", at=erasure.at)
