"""The audit log over the wire."""

from datetime import datetime
from typing import Any

from pydantic import Field

from journey_service.api.schema_fields import ResponseModel
from journey_service.domain.access.records import AuditRecord


class AuditedOut(ResponseModel):
    """One privileged act."""

    id: int
    at: datetime = Field(description="by the database's clock")
    actor: str = Field(examples=["key:0123456789abcdef"])
    is_operator: bool = Field(description="an operator of the service, acting for the company")
    reason: str | None = Field(description="why, as the operator said it")
    action: str = Field(examples=["customer.move"])
    customer_id: int | None
    target: str | None = Field(description="what it was done to, if not to a customer", examples=["job:12"])
    detail: dict[str, Any] | None
    before_hash: str | None = Field(description="SHA-256 of what a setting was, in hexadecimal")
    after_hash: str | None = Field(description="SHA-256 of what it became")
    request_id: str | None
    address: str | None

    @classmethod
    def of(cls, row: AuditRecord) -> "AuditedOut":
        """Show a row."""
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


class AuditOut(ResponseModel):
    """A page of the log, newest first."""

    items: list[AuditedOut]
    next_cursor: str | None
