"""Schemas of sessions."""

from pydantic import Field

from journey_service.api.schema_fields import Id, RequestModel, ResponseModel, SingleLineText, Timestamp
from journey_service.domain.access.actors import Role, assignee_of
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.services.access.credentials import Principal
from journey_service.services.access.sessions import SessionDetails


class CompanyChoice(RequestModel):
    """The company that an operator's session is to act for."""

    company_id: Id = Field(description="Id of the company", examples=[42])
    reason: SingleLineText = Field(
        description="Why the operator acts for the company; recorded in the company's audit log with each request of"
        " the session",
        examples=["Ticket 4711"],
    )


class SessionCompany(ResponseModel):
    """What a client needs to know about the company to show its data."""

    id: Id = Field(description="Id of the company", examples=[42])
    name: str = Field(description="Name of the company", examples=["Salon Lumière"])
    timezone: str = Field(description="IANA time zone of all local days", examples=["Europe/Berlin"])
    currency: str = Field(description="ISO 4217 code of all amounts", examples=["EUR"])
    language: str = Field(
        description="Language of messages to customers whose language is unknown", examples=["en"]
    )
    map_version: int = Field(ge=1, description="Version of the active stage map", examples=[1])
    test_clock: Timestamp | None = Field(
        description="Time of the test clock; null if the company has none and runs in real time",
        examples=[None],
    )
    now: Timestamp = Field(description="Present time of the company", examples=["2026-03-01T12:00:00Z"])

    @classmethod
    def of(cls, context: CompanyContext) -> "SessionCompany":
        """Returns the schema of a company."""
        company = context.company
        return cls(
            id=company.id,
            name=company.name,
            timezone=company.timezone,
            currency=company.currency,
            language=context.rulebook.policy.language,
            map_version=company.map_version,
            test_clock=company.clock_at,
            now=context.now,
        )


class Session(ResponseModel):
    """The caller, as its credential identifies it, and its company."""

    name: str = Field(
        description="Name of the caller in transitions and in the audit log: `key:<id>` or `user:<subject>`",
        examples=["key:console"],
    )
    assignee: str = Field(
        description="How tasks name the caller as their assignee: `me` in `GET /people`",
        examples=["0123456789abcdef"],
    )
    company_id: Id | None = Field(
        description="Id of the company. For an operator, the company that the session has chosen with"
        " `PUT /session/company`; null if it has chosen none, then X-Company-Id names the company of each request",
        examples=[42],
    )
    company: SessionCompany | None = Field(
        description="The company; null for an operator who has chosen none, and for a company that this service does"
        " not have"
    )
    role: Role = Field(description="Role of the caller", examples=["manager"])
    scopes: list[str] = Field(
        description="Scopes of the caller. `*` includes everything within the company",
        examples=[["analytics:read", "customers:read"]],
    )
    expires_at: Timestamp | None = Field(
        description="When the browser session ends at the latest; null if the caller has no browser session",
        examples=["2026-03-02T00:00:00Z"],
    )
    idle_until: Timestamp | None = Field(
        description="When the browser session ends without another request; null if the caller has no browser session",
        examples=["2026-03-01T14:00:00Z"],
    )

    @classmethod
    def of(cls, principal: Principal, details: SessionDetails) -> "Session":
        """Returns the schema of a principal."""
        return cls(
            name=principal.name,
            assignee=assignee_of(principal.name),
            company_id=principal.own_or_chosen_company_id,
            company=None if details.company is None else SessionCompany.of(details.company),
            role=principal.role,
            scopes=sorted(principal.scopes),
            expires_at=details.expires_at,
            idle_until=details.idle_until,
        )
