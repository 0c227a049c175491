"""Schemas of API keys."""

from typing import Final, Self

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
from journey_service.domain.access.records import DEFAULT_RATE_LIMIT, KeyRateLimit, StoredKey
from journey_service.services.access.credentials import MAX_OVERLAP_SECONDS, KeyRequest, NewKey, allowed

MAX_RATE: Final = 1_000_000
"""Largest rate limit of a key, per second."""


class ApiKeyRateLimit(RequestModel):
    """Rate limits of a key. Bursts are four seconds of requests and two seconds of events."""

    requests_per_second: int | None = Field(
        default=None,
        ge=1,
        le=MAX_RATE,
        description="Requests per second; null or omitted: the default of the service",
        examples=[20],
    )
    events_per_second: int | None = Field(
        default=None,
        ge=1,
        le=MAX_RATE,
        description="Events per second; null or omitted: the default of the service",
        examples=[500],
    )

    def to_limit(self) -> KeyRateLimit:
        """Returns the limits for the service."""
        return KeyRateLimit(self.requests_per_second, self.events_per_second)

    @classmethod
    def of(cls, limit: KeyRateLimit) -> "ApiKeyRateLimit | None":
        """Returns the schema of limits; None if all are those of the service."""
        if limit == DEFAULT_RATE_LIMIT:
            return None
        return cls(requests_per_second=limit.requests_per_second, events_per_second=limit.events_per_second)


class ApiKeyUpdate(RequestModel):
    """A change of an API key."""

    rate_limit: ApiKeyRateLimit | None = Field(
        description="Rate limits of the key; null if they shall be the defaults of the service. Only operators may set"
        " limits above the defaults"
    )


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
    rate_limit: ApiKeyRateLimit | None = Field(
        default=None,
        description="Rate limits of the key; null or omitted: the defaults of the service. Only operators may set"
        " limits above the defaults",
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
        limit = DEFAULT_RATE_LIMIT if self.rate_limit is None else self.rate_limit.to_limit()
        return KeyRequest(self.name, scopes, role, self.expires_at, limit)


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
    rate_limit: ApiKeyRateLimit | None = Field(
        description="Rate limits of the key; null if they are the defaults of the service", examples=[None]
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
            rate_limit=ApiKeyRateLimit.of(key.rate_limit),
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
