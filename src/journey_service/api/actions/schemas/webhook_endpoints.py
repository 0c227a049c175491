"""Request and response schemas of webhook endpoints."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from journey_service.api.operations.schemas.jobs import JobStatus
from journey_service.api.schema_fields import (
    Id,
    Instant,
    NextCursor,
    PatchModel,
    RequestModel,
    ResponseModel,
    SingleLineText,
    Text,
    Timestamp,
    omittable,
)
from journey_service.domain.actions.records import StoredEndpoint
from journey_service.services.actions.delivery.replay import Replay
from journey_service.services.actions.webhook_endpoints import (
    ACTION_TYPES,
    MAX_OVERLAP,
    OUTBOUND_EVENT_TYPES,
    NewEndpoint,
    TestOutcome,
)

_DAY: Final = 86_400
_EXAMPLE: Final = ["stage.changed", "customer.at_risk"]
_EVENTS: Final[dict[str, Any]] = {
    "minItems": 1,
    "items": {"type": "string", "enum": [*OUTBOUND_EVENT_TYPES, *ACTION_TYPES]},
}

_Url = Annotated[
    Text,
    Field(
        min_length=1,
        max_length=2048,
        description="HTTPS URL with a public address, port 443 or 8443",
        examples=["https://hooks.company.example/journey"],
    ),
]
# The service checks the types, because it reports the pointer of every error.
_Events = Annotated[
    list[Text],
    Field(
        max_length=100,
        description="Message types that the endpoint receives, each explained under webhooks. Messages of a type"
        " `action...` must be carried out once, so only one enabled endpoint can receive each of these types",
        examples=[_EXAMPLE],
        json_schema_extra=_EVENTS,
    ),
]
_Description = Annotated[
    SingleLineText | None,
    Field(description="Description of the endpoint in words; null or omitted: none", examples=["CRM"]),
]


class WebhookEndpointCreate(RequestModel):
    """A webhook endpoint to create."""

    url: _Url
    events: _Events
    description: _Description = None


class WebhookEndpointUpdate(PatchModel):
    """Fields of a webhook endpoint to change; omitted fields keep their values."""

    url: _Url = omittable()
    events: _Events = omittable()
    description: _Description = None
    is_enabled: Annotated[
        bool,
        Field(
            strict=True,
            description="Whether messages are sent. false also cancels the messages that are not sent yet",
            examples=[True],
        ),
    ] = omittable()


class SecretRotation(RequestModel):
    """Options for the rotation of the secret of a webhook endpoint."""

    overlap_seconds: int = Field(
        default=_DAY,
        strict=True,
        ge=0,
        le=int(MAX_OVERLAP.total_seconds()),
        description="Seconds for which messages are also signed with the previous secret",
        examples=[_DAY],
    )


class WebhookEndpoint(ResponseModel):
    """A webhook endpoint, without its secret."""

    id: Id = Field(description="Id of the endpoint")
    url: str = Field(
        description="URL that messages are sent to", examples=["https://hooks.company.example/journey"]
    )
    description: _Description
    events: list[str] = Field(
        description="Message types that the endpoint receives", examples=[_EXAMPLE], json_schema_extra=_EVENTS
    )
    is_enabled: bool = Field(description="Whether messages are sent", examples=[True])
    disabled_reason: Literal["failing", "gone"] | None = Field(
        description="Why the service disabled the endpoint. `failing`: it accepted no message for days; `gone`: it"
        " answered 410. Null if the endpoint is enabled, or a person disabled it",
        examples=[None],
    )
    failing_since: Timestamp | None = Field(
        description="Time since which the endpoint has accepted no message, in real time; null if it accepted the last"
        " one",
        examples=[None],
    )
    last_disabled_at: Timestamp | None = Field(
        description="When the endpoint was last disabled, in real time; null if it never was", examples=[None]
    )
    previous_secret_expires_at: Timestamp | None = Field(
        description="Time until which messages are also signed with the previous secret, in real time; null if there"
        " is none",
        examples=[None],
    )
    created_at: Timestamp = Field(
        description="When the endpoint was created", examples=["2026-03-01T12:00:00Z"]
    )
    updated_at: Timestamp = Field(
        description="When the endpoint was last changed", examples=["2026-03-01T12:00:00Z"]
    )

    @classmethod
    def of(cls, endpoint: StoredEndpoint) -> "WebhookEndpoint":
        """Builds the response from a stored endpoint."""
        return cls.model_validate(_to_values(endpoint))


class WebhookEndpointCreated(WebhookEndpoint):
    """A webhook endpoint with its secret. The secret is shown only once."""

    secret: str = Field(
        description="Secret that signs the messages, as Standard Webhooks 1.0 writes it",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )

    @classmethod
    def of_new(cls, new: NewEndpoint) -> "WebhookEndpointCreated":
        """Builds the response from an endpoint and its new secret."""
        return cls.model_validate({**_to_values(new.endpoint), "secret": new.secret})


class WebhookEndpointPage(ResponseModel):
    """A page of webhook endpoints, by id."""

    items: list[WebhookEndpoint] = Field(description="The endpoints of this page")
    next_cursor: NextCursor


class WebhookTest(ResponseModel):
    """The endpoint's response to a test message."""

    is_delivered: bool = Field(description="Whether the endpoint accepted the message", examples=[True])
    status: int | None = Field(
        description="HTTP status of the response; null if there was none", examples=[200]
    )
    response: str = Field(
        description="Beginning of the response, or the error if there was no response", examples=["ok"]
    )

    @classmethod
    def of(cls, outcome: TestOutcome) -> "WebhookTest":
        """Builds the response from the outcome of a test."""
        return cls.model_validate(outcome, from_attributes=True)


class WebhookReplayRequest(RequestModel):
    """The events to send to a webhook endpoint again."""

    since: Instant = Field(
        description="Time since which the events occurred, in real time, such as `last_disabled_at` or `failing_since`"
        " of the endpoint",
        examples=["2026-03-01T09:30:00Z"],
    )
    include_delivered: bool = Field(
        default=False,
        strict=True,
        description="Whether to send events again that the endpoint has accepted, for a receiver that has lost them",
        examples=[False],
    )


class WebhookReplay(ResponseModel):
    """Events that are sent to a webhook endpoint again."""

    job_id: Id = Field(description="Id of the job of the replay, for `GET /admin/jobs/{job_id}`")
    status: JobStatus = Field(
        description="`done`: the events are queued for delivery; otherwise a worker queues them",
        examples=["done"],
    )
    replayed: int = Field(ge=0, description="Number of events that are sent again", examples=[31])
    next_since: Timestamp | None = Field(
        description="The `since` of the next request, if there were more events than one request sends again; else"
        " null",
        examples=[None],
    )

    @classmethod
    def of(cls, replay: Replay) -> "WebhookReplay":
        """Builds the response from a replay."""
        return cls.model_validate(
            {
                "job_id": replay.job.id,
                "status": replay.job.status,
                "replayed": replay.count,
                "next_since": replay.next_since,
            }
        )


def _to_values(endpoint: StoredEndpoint) -> dict[str, object]:
    same = (name for name in WebhookEndpoint.model_fields if name != "previous_secret_expires_at")
    return {
        **{name: getattr(endpoint, name) for name in same},
        "previous_secret_expires_at": endpoint.previous_expires_at,
    }
