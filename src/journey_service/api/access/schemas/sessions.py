"""Schemas of sessions."""

from pydantic import Field

from journey_service.api.schema_fields import Id, ResponseModel
from journey_service.domain.access.actors import Role
from journey_service.services.access.credentials import Principal


class Session(ResponseModel):
    """The caller, as its credential identifies it."""

    name: str = Field(
        description="Name of the caller in transitions and in the audit log: `key:<id>` or `user:<subject>`",
        examples=["key:console"],
    )
    company_id: Id | None = Field(
        description="Id of the company; null for an operator, who chooses a company with X-Company-Id",
        examples=[42],
    )
    role: Role = Field(description="Role of the caller", examples=["manager"])
    scopes: list[str] = Field(
        description="Scopes of the caller. `*` includes everything within the company",
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
