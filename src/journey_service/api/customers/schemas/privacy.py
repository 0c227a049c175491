"""Response schemas of exports and erasures."""

from typing import Any, Final, Literal

from pydantic import Field

from journey_service.api.journeys.schemas.scores import CustomerScores
from journey_service.api.schema_fields import CustomerRef, ResponseModel, Timestamp
from journey_service.domain.events.event import MAX_ID
from journey_service.services.customers import privacy

_AT: Final = "2026-03-01T12:00:00Z"
_BEGAN_AT: Final = "2025-08-20T08:12:00Z"
_ROW: Final = [[{"id": 12, "customer_id": 4711, "created_at": _AT}]]


class CustomerExport(ResponseModel):
    """Everything stored about a customer, and about those merged into it.

    A row is an object with the columns of its table as keys. Rows of merged customers follow those of the customer.
    """

    customer_id: int = Field(ge=0, le=MAX_ID, description="Id of the customer", examples=[4711])
    customer_ref: CustomerRef
    exported_at: Timestamp = Field(description="Time of the export", examples=[_AT])
    profile: dict[str, Any] = Field(
        description="Row of the customer: profile and consents",
        examples=[{"customer_id": 4711, "name": "Ada Lovelace"}],
    )
    consent_changes: list[dict[str, Any]] = Field(
        description="Rows of the changes of consents, oldest first",
        examples=[[{"channel": "email", "previous_status": "unknown", "status": "granted", "at": _BEGAN_AT}]],
    )
    relationship: dict[str, Any] = Field(
        description="Row of the journey: current stage and facts",
        examples=[{"id": 12, "current_stage": "regular", "version": 4}],
    )
    scores: CustomerScores = Field(description="Scores of the customer with their factors")
    transitions: list[dict[str, Any]] = Field(
        description="Rows of the transitions with their reasons, oldest first",
        examples=[[{"seq": 1, "from_stage": None, "to_stage": "prospect", "transitioned_at": _BEGAN_AT}]],
    )
    events: list[dict[str, Any]] = Field(
        description="Rows of the events, by `occurred_at`",
        examples=[
            [{"source": "booking", "type": "appointment_completed", "occurred_at": "2026-03-01T09:30:00Z"}]
        ],
    )
    campaigns: list[dict[str, Any]] = Field(
        description="Rows of the campaigns, running and ended", examples=_ROW
    )
    actions: list[dict[str, Any]] = Field(
        description="Rows of the actions, including those that were not delivered", examples=_ROW
    )
    attempts: list[dict[str, Any]] = Field(
        description="Rows of the delivery attempts with the responses",
        examples=[[{"number": 1, "outcome": "done"}]],
    )
    tasks: list[dict[str, Any]] = Field(description="Rows of the tasks", examples=_ROW)
    outbound_events: list[dict[str, Any]] = Field(
        description="Rows of the outbound events, which webhook endpoints and event streams receive",
        examples=_ROW,
    )
    predictions: list[dict[str, Any]] = Field(
        description="Rows of the predictions that are kept until it is known whether the customer returned",
        examples=[[{"month": "2026-02-01", "probability": 0.41}]],
    )
    merged_profiles: list[dict[str, Any]] = Field(
        description="Rows of the customers that were merged into this one: profile and consents at the merge",
        examples=[[]],
    )
    merged_relationships: list[dict[str, Any]] = Field(
        description="Rows of the closed journeys of the customers that were merged into this one",
        examples=[[]],
    )
    import_lines: list[dict[str, Any]] = Field(
        description="Rows of the lines of import files that are not replayed yet", examples=[[]]
    )
    import_errors: list[dict[str, Any]] = Field(
        description="Rows of the errors of import files in lines that name the customer, with the cells of the line",
        examples=[[]],
    )
    audit: list[dict[str, Any]] = Field(
        description="Rows of the audit entries about the customer, including this export",
        examples=[[{"action": "customer.export", "actor": "key:console", "at": _AT}]],
    )

    @classmethod
    def of(cls, export: privacy.ExportedCustomer) -> "CustomerExport":
        """Builds the response from exported tables."""
        tables = {name: [dict(row) for row in rows] for name, rows in export.tables.items()}
        profile, *merged_profiles = tables.pop("customers")
        relationship, *merged_relationships = tables.pop("customer_relationships")
        return cls(
            customer_id=export.customer_id,
            customer_ref=profile["customer_ref"],
            exported_at=export.at,
            profile=profile,
            relationship=relationship,
            merged_profiles=merged_profiles,
            merged_relationships=merged_relationships,
            scores=CustomerScores.of(export.scores),
            **{_FIELDS[name]: rows for name, rows in tables.items()},
        )


_FIELDS: Final = {
    "consent_changes": "consent_changes",
    "journey_transitions": "transitions",
    "journey_events": "events",
    "retention_campaigns": "campaigns",
    "journey_actions": "actions",
    "action_attempts": "attempts",
    "journey_tasks": "tasks",
    "outbound_events": "outbound_events",
    "churn_samples": "predictions",
    "import_lines": "import_lines",
    "import_errors": "import_errors",
    "audit_log": "audit",
}
"""Field of each exported table."""


class CustomerErasure(ResponseModel):
    """The outcome of an anonymization."""

    status: Literal["anonymized", "already_anonymized"] = Field(
        description="`anonymized`: this request erased the customer; `already_anonymized`: an earlier request did",
        examples=["anonymized"],
    )
    at: Timestamp = Field(description="When the customer was anonymized", examples=[_AT])

    @classmethod
    def of(cls, erasure: privacy.ErasureResult) -> "CustomerErasure":
        """Builds the response from an erasure."""
        return cls(status="already_anonymized" if erasure.is_repeat else "anonymized", at=erasure.at)
