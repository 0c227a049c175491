"""Schemas of sessions."""

from pydantic import Field

from journey_service.api.schema_fields import Id, ResponseModel
from journey_service.domain.access.actors import Role
from journey_service.services.access.credentials import Principal


class Session(ResponseModel):
    """The caller, as its credential identifies it."""

    name: str = Field(
        description="How transitions and the audit log name the caller", examples=["key:0123456789abcdef"]
    )
    company_id: Id | None = Field(
        description="Id of the company; null: an operator, who chooses one with X-Company-Id", examples=[42]
    )
    role: Role = Field(description="Role of the caller", examples=["manager"])
    scopes: list[str] = Field(
        description="Scopes of the caller; `*`: everything within the company",
        examples=[["analytics:read", "customers:read"]],
    )

    @classmethod
    def of(cls, principal: Principal) -> "Session":
        """Returns the schema of a principal."""
        return cls(
            name=principal.name,
            company_id=None if principal.is_operator else principal.company_id,
            role=principal.role,
            scopes=sorted(principal.scopes),
        )
