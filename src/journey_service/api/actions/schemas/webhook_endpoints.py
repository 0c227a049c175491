"""A company's own systems that take webhooks, over the wire."""

from datetime import datetime
from typing import Annotated, Final

from pydantic import Field

from journey_service.api.schema_fields import (
    PatchModel,
    RequestModel,
    ResponseModel,
    SingleLineText,
    Text,
    omittable,
)
from journey_service.domain.actions.records import Endpoint
from journey_service.services.actions.webhook_endpoints import (
    ACTION_TYPES,
    LONGEST_OVERLAP,
    OUTBOUND_EVENT_TYPES,
    NewEndpoint,
    TestOutcome,
)

_TYPES: Final = (*OUTBOUND_EVENT_TYPES, *ACTION_TYPES)
_DAY: Final = 86_400

Url = Annotated[
    Text,
    Field(
        min_length=1,
        max_length=2048,
        description="https, at a public address, port 443 or 8443",
        examples=["https://hooks.company.com/journey"],
    ),
]
# Read by the service, which knows the place of every fault; what is said here is for those who write them.
Events = Annotated[
    list[Text],
    Field(
        max_length=100,
        description="what it takes: news, and what it is to act on (`action...`), which one endpoint at most can take",
        examples=[["stage.changed", "customer.at_risk"]],
        json_schema_extra={"minItems": 1, "items": {"type": "string", "enum": [*_TYPES]}},
    ),
]


class EndpointIn(RequestModel):
    """An endpoint to be registered."""

    url: Url
    events: Events
    description: SingleLineText | None = None


class EndpointChangeIn(PatchModel):
    """What is to be otherwise about an endpoint; what is left out stays as it is."""

    url: Url = omittable()
    events: Events = omittable()
    description: SingleLineText | None = None
    is_enabled: Annotated[bool, Field(strict=True)] = omittable()


class SecretRotationIn(RequestModel):
    """How another secret takes the place of the present one."""

    overlap_seconds: int = Field(
        default=_DAY,
        strict=True,
        ge=0,
        le=int(LONGEST_OVERLAP.total_seconds()),
        description="for how long the former secret signs beside it",
    )


class EndpointOut(ResponseModel):
    """An endpoint, without its secret."""

    id: int
    url: str
    description: str | None
    events: list[str]
    is_enabled: bool = Field(description="whether it is told anything")
    disabled_reason: str | None = Field(
        description="`failing`: nothing reached it for days; `gone`: it said so itself; null: by hand"
    )
    failing_since: datetime | None
    former_secret_until: datetime | None = Field(description="until when the former secret signs too")
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, endpoint: Endpoint) -> "EndpointOut":
        """Show an endpoint."""
        same = (
            *("id", "url", "description", "events", "is_enabled", "disabled_reason", "failing_since"),
            *("created_at", "updated_at"),
        )
        return cls(
            former_secret_until=endpoint.former_until, **{name: getattr(endpoint, name) for name in same}
        )


class NewEndpointOut(EndpointOut):
    """An endpoint and what signs messages to it: `secret` is shown this once."""

    secret: str = Field(
        description="of Standard Webhooks", examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
    )

    @classmethod
    def of_new(cls, new: NewEndpoint) -> "NewEndpointOut":
        """Show an endpoint with its secret."""
        return cls(**EndpointOut.of(new.endpoint).model_dump(), secret=new.secret)


class EndpointsOut(ResponseModel):
    """A page of endpoints, by id."""

    items: list[EndpointOut]
    next_cursor: str | None


class TestOut(ResponseModel):
    """What an endpoint has answered to a message that means nothing."""

    is_delivered: bool
    status: int | None = Field(description="null: there was no answer")
    answer: str

    @classmethod
    def of(cls, outcome: TestOutcome) -> "TestOut":
        """Show an outcome."""
        return cls.model_validate(outcome, from_attributes=True)
