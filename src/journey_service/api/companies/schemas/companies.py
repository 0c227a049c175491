"""Companies and their keys over the wire."""

from datetime import datetime
from typing import Any

from pydantic import Field, model_validator

from journey_service.api.schema_fields import Instant, RequestModel, ResponseModel, Text
from journey_service.api.stages.schemas.stage_maps import StageMap
from journey_service.domain.access.actors import EVERYTHING, Role
from journey_service.domain.access.records import StoredKey
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.events.event import MAX_ID
from journey_service.services.access.credentials import MAX_OVERLAP_SECONDS, KeyRequest, NewKey, allowed
from journey_service.services.stages.stage_maps import MapView


class CompanyIn(RequestModel):
    """A company to be founded."""

    id: int | None = Field(default=None, ge=1, le=MAX_ID, description="left out, one is given")
    name: Text = Field(min_length=1, max_length=255, examples=["Salon Lumière"])
    timezone: Text = Field(default="UTC", max_length=64, examples=["Europe/Berlin"])
    currency: str = Field(default="EUR", pattern="^[A-Z]{3}$", examples=["EUR"])
    test_clock: Instant | None = Field(
        default=None, description="the company's time stands still there until it is advanced"
    )
    deliver: bool = Field(
        default=False,
        description="whether what falls due by the test clock leaves the house; else it is only written down",
    )
    policy: dict[str, Any] = Field(default_factory=dict, description="what differs from the default policy")
    stages: list[dict[str, Any]] | None = Field(
        default=None, description="the stage map; left out, the seven defaults"
    )


class KeyIn(RequestModel):
    """An API key to be made."""

    name: Text = Field(min_length=1, max_length=255, examples=["booking system"])
    scopes: list[str] | None = Field(
        default=None,
        min_length=1,
        max_length=20,
        description="what it may do; left out, what its role may",
        examples=[["events:write"]],
    )
    role: Role | None = Field(
        default=None, description="left out: `admin` with the scope `*`, else `service`"
    )
    expires_at: Instant | None = None

    @model_validator(mode="after")
    def _says_what_it_may(self) -> "KeyIn":
        if self.scopes is None and self.role is None:
            raise ValueError("must name scopes, or a role")
        return self

    def as_wish(self) -> KeyRequest:
        """What is asked for."""
        scopes = self.scopes or ()
        role = self.role or (Role.ADMIN if EVERYTHING in scopes else Role.SERVICE)
        return KeyRequest(self.name, scopes, role, self.expires_at)


class RotationIn(RequestModel):
    """How a key's successor takes its place."""

    overlap_seconds: int = Field(
        default=7 * 86_400,
        ge=0,
        le=MAX_OVERLAP_SECONDS,
        description="for how long the old key is still alive",
    )


class CompanyOut(ResponseModel):
    """A company."""

    id: int
    name: str
    timezone: str
    currency: str
    test_clock: datetime | None
    map_version: int
    created_at: datetime


class FoundedOut(CompanyOut):
    """A company just founded, with its stage map."""

    stages: StageMap

    @classmethod
    def of(cls, context: CompanyContext, view: MapView) -> "FoundedOut":
        """Show a new company."""
        company = context.company
        return cls(
            id=company.id,
            name=company.name,
            timezone=company.timezone,
            currency=company.currency,
            test_clock=company.clock_at,
            map_version=company.map_version,
            created_at=company.created_at,
            stages=StageMap.of_view(view),
        )


class CompaniesOut(ResponseModel):
    """A page of companies."""

    items: list[CompanyOut]
    next_cursor: str | None


class KeyOut(ResponseModel):
    """An API key, without its secret."""

    id: str
    name: str
    role: Role
    scopes: list[str] = Field(description="what it may do")
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="right to the minute")
    rotated_from: str | None = Field(description="the key whose place it takes")

    @classmethod
    def of(cls, key: StoredKey) -> "KeyOut":
        """Show a key."""
        return cls(
            id=key.key_id,
            name=key.name,
            role=Role(key.role),
            scopes=sorted(allowed(key.role, key.scopes)),
            created_at=key.created_at,
            expires_at=key.expires_at,
            revoked_at=key.revoked_at,
            last_used_at=key.last_used_at,
            rotated_from=key.rotated_from,
        )


class NewKeyOut(KeyOut):
    """An API key just made: `secret` is shown this once."""

    secret: str

    @classmethod
    def of_new(cls, new: NewKey) -> "NewKeyOut":
        """Show a new key."""
        return cls(**KeyOut.of(new.key).model_dump(), secret=new.token)


class KeysOut(ResponseModel):
    """A page of API keys."""

    items: list[KeyOut]
    next_cursor: str | None
