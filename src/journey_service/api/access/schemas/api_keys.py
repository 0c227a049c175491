"""Schemas of API keys."""

from typing import Self

from pydantic import ConfigDict, Field, model_validator

from journey_service.api.schema_fields import (
    Instant,
    NextCursor,
    RequestModel,
    ResponseModel,
    Text,
    Timestamp,
)
from journey_service.domain.access.actors import EVERYTHING, Role
from journey_service.domain.access.records import StoredKey
from journey_service.services.access.credentials import MAX_OVERLAP_SECONDS, KeyRequest, NewKey, allowed


class ApiKeyCreate(RequestModel):
    """An API key to be created."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "booking system", "scopes": ["events:write"]}]}
    )

    name: Text = Field(
        min_length=1, max_length=255, description="Name of the key", examples=["booking system"]
    )
    scopes: list[str] | None = Field(
        default=None,
        min_length=1,
        max_length=20,
        description="Scopes of the key; null or omitted: the scopes of its role, including those that later versions"
        " add",
        examples=[["events:write"]],
    )
    role: Role | None = Field(
        default=None,
        description="Role of the key; null or omitted: `admin` if `scopes` contains `*`, otherwise `service`",
        examples=["service"],
    )
    expires_at: Instant | None = Field(
        default=None,
        description="When the key expires; null or omitted: it does not expire",
        examples=["2027-03-01T00:00:00Z"],
    )

    @model_validator(mode="after")
    def _has_scopes_or_role(self) -> Self:
        if self.scopes is None and self.role is None:
            raise ValueError("must contain at least one of scopes, role")
        return self

    def to_request(self) -> KeyRequest:
        """Returns the request for the service."""
        scopes = self.scopes or ()
        role = self.role or (Role.ADMIN if EVERYTHING in scopes else Role.SERVICE)
        return KeyRequest(self.name, scopes, role, self.expires_at)


class ApiKeyRotation(RequestModel):
    """Options for the rotation of an API key."""

    overlap_seconds: int = Field(
        default=7 * 86_400,
        ge=0,
        le=MAX_OVERLAP_SECONDS,
        description="Seconds for which the previous key remains valid",
        examples=[604_800],
    )


class ApiKey(ResponseModel):
    """An API key, without its secret."""

    id: str = Field(description="Id of the key, part of its token", examples=["0123456789abcdef"])
    name: str = Field(description="Name of the key", examples=["booking system"])
    role: Role = Field(description="Role of the key", examples=["service"])
    scopes: list[str] = Field(
        description="Scopes of the key. `*` includes everything within the company",
        examples=[["events:write"]],
    )
    created_at: Timestamp = Field(description="When the key was created, in real time")
    expires_at: Timestamp | None = Field(
        description="When the key expires, in real time; null if it does not expire",
        examples=["2027-03-01T00:00:00Z"],
    )
    revoked_at: Timestamp | None = Field(
        description="When the key was revoked, in real time; null if it was not", examples=[None]
    )
    last_used_at: Timestamp | None = Field(
        description="When the key was last used, in real time, exact to the minute; null if it never was"
    )
    rotated_from: str | None = Field(
        description="Id of the previous key that this key replaces; null if there is none", examples=[None]
    )

    @classmethod
    def of(cls, key: StoredKey) -> "ApiKey":
        """Returns the schema of a key."""
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


class ApiKeyCreated(ApiKey):
    """A new API key. `secret` cannot be read again."""

    secret: str = Field(
        description="Token to send as `Authorization: Bearer`. It is shown only once, because only its hash is stored",
        examples=["jrn_0123456789abcdef_Zk3T9xQ2mV7bN4cR8wL1yH6pD5sF0gJa"],
    )

    @classmethod
    def of_new(cls, new: NewKey) -> "ApiKeyCreated":
        """Returns the schema of a new key."""
        return cls(**ApiKey.of(new.key).model_dump(), secret=new.token)


class ApiKeyPage(ResponseModel):
    """A page of API keys, by id."""

    items: list[ApiKey] = Field(description="The keys of the page")
    next_cursor: NextCursor
