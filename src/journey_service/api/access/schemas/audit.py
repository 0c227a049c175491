"""Schemas of the audit log."""

from typing import Any

from pydantic import Field

from journey_service.api.schema_fields import AnyCustomerId, Id, NextCursor, ResponseModel, Timestamp
from journey_service.domain.access.records import AuditRecord


class AuditEntry(ResponseModel):
    """One privileged operation, or one access of an operator."""

    id: Id = Field(description="Id of the entry")
    at: Timestamp = Field(description="When the operation was performed, in real time")
    actor: str = Field(
        description="Who performed the operation: `key:<id>`, `user:<subject>`, `schedule`, or the name of a command",
        examples=["key:operations"],
    )
    is_operator: bool = Field(
        description="Whether an operator of the service acted for the company", examples=[True]
    )
    reason: str | None = Field(
        description="Reason that the operator gave in X-Reason; null if none was given",
        examples=["ticket 4711"],
    )
    action: str = Field(
        description="Name of the operation, as `<resource>.<verb>`; for other accesses of an operator, the operation"
        " id",
        examples=["customer.move"],
    )
    customer_id: AnyCustomerId | None = Field(
        description="Id of the customer that the operation is about; null if there is none"
    )
    target: str | None = Field(
        description="Another resource that the operation is about, as `<kind>:<id>`, such as `job:12`; null if there"
        " is none",
        examples=[None],
    )
    detail: dict[str, Any] | None = Field(
        description="Details by name, such as `to_stage`, without personal data; null if there are none",
        examples=[{"to_stage": "vip"}],
    )
    before_hash: str | None = Field(
        description="SHA-256 in hexadecimal of the settings or the stage map before the change; null if neither"
        " changed",
        examples=[None],
    )
    after_hash: str | None = Field(
        description="SHA-256 in hexadecimal of the settings or the stage map after the change; null if neither changed",
        examples=[None],
    )
    request_id: str | None = Field(
        description="X-Request-Id of the request; null if it was not an HTTP request",
        examples=["5f1c9b1e7a3d4c0f9a2b6d8e0c4f7a13"],
    )
    address: str | None = Field(
        description="IP address of the client; null if it is unknown", examples=["203.0.113.7"]
    )

    @classmethod
    def of(cls, row: AuditRecord) -> "AuditEntry":
        """Returns the schema of a row."""
        return cls(
            id=row.id,
            at=row.at,
            actor=row.actor.name,
            is_operator=row.actor.is_operator,
            reason=row.actor.reason,
            action=row.action,
            customer_id=row.customer_id,
            target=row.target,
            detail=None if row.detail is None else dict(row.detail),
            before_hash=None if row.before_hash is None else row.before_hash.hex(),
            after_hash=None if row.after_hash is None else row.after_hash.hex(),
            request_id=row.actor.request_id,
            address=row.actor.address,
        )


class AuditPage(ResponseModel):
    """A page of the audit log, newest first."""

    items: list[AuditEntry] = Field(description="The entries of the page")
    next_cursor: NextCursor
