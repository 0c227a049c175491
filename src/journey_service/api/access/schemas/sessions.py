"""Who somebody is here, over the wire."""

from pydantic import Field

from journey_service.api.schema_fields import ResponseModel
from journey_service.domain.access.actors import Role
from journey_service.services.access.credentials import Principal


class SessionOut(ResponseModel):
    """Who is calling."""

    name: str = Field(description="how histories name the caller", examples=["user:ada"])
    company_id: int | None = Field(description="null for an operator, who names one by X-Company-Id")
    role: Role
    scopes: list[str] = Field(description="what the caller may do; `*` is everything of the own company")

    @classmethod
    def of(cls, principal: Principal) -> "SessionOut":
        """Show a principal."""
        return cls(
            name=principal.name,
            company_id=None if principal.is_operator else principal.company_id,
            role=principal.role,
            scopes=sorted(principal.scopes),
        )
