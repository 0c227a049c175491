"""Request and response schemas of sources."""

from typing import Annotated, Final, Literal

from pydantic import Field

from journey_service.api.events.schemas.events import Event, EventData
from journey_service.api.schema_fields import (
    NextCursor,
    PatchModel,
    RequestModel,
    ResponseModel,
    SingleLineText,
    Text,
    Timestamp,
    omittable,
)
from journey_service.domain.events import event as domain
from journey_service.domain.events.event import EventType
from journey_service.domain.events.sources import records, signatures, templates
from journey_service.domain.events.sources.signatures import DEFAULT_TOLERANCE_SECONDS, SignatureScheme
from journey_service.services.events.source_mapping import FUNCTIONS, MAX_EXPRESSION_LENGTH

HEADER_PATTERN: Final = "^[A-Za-z0-9-]{1,100}$"
_TEMPLATE_KEYS: Final = tuple(templates.TEMPLATES)
_TYPE_ENTRIES: Final = 100
"""Entries of `types`; more are refused."""

Expression = Annotated[Text, Field(min_length=1, max_length=MAX_EXPRESSION_LENGTH)]
_Name = Annotated[SingleLineText, Field(description="Name of the source", examples=["Cal.com"])]
_Secret = Annotated[
    str,
    Field(
        min_length=8,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Secret with which the source signs, as it is set there. It is stored encrypted and never shown",
        examples=["7f9c2ba4e88f827d61604550"],
    ),
]


class SourceSignature(RequestModel):
    """How a source signs its webhooks. A webhook without a valid signature is answered with 401."""

    scheme: SignatureScheme = Field(
        description="How the webhooks are signed",
        examples=["hmac_sha256"],
    )
    header: str = Field(
        pattern=HEADER_PATTERN,
        description="Name of the header that carries the signature",
        examples=["X-Cal-Signature-256"],
    )
    encoding: Literal["hex", "base64"] = Field(
        default="hex", description="How the HMAC is written: `hex` or `base64`", examples=["hex"]
    )
    prefix: str = Field(
        default="",
        max_length=50,
        pattern=r"^[\x20-\x7e]*$",
        description="Text before the HMAC or the token, such as `sha256=`",
        examples=[""],
    )
    url: Text | None = Field(
        default=None,
        min_length=1,
        max_length=2048,
        description="Address that is signed, exactly as the sender knows it; only for `url_hmac_sha256`, which requires"
        " it. Null or omitted: none",
        examples=[None],
    )
    tolerance_seconds: int = Field(
        default=DEFAULT_TOLERANCE_SECONDS,
        strict=True,
        ge=1,
        le=3_600,
        description="Largest difference between a signed time and the present, in seconds",
        examples=[DEFAULT_TOLERANCE_SECONDS],
    )

    def to_signature(self) -> signatures.Signature:
        """Returns the signature."""
        return signatures.Signature(**{name: getattr(self, name) for name in type(self).model_fields})

    @classmethod
    def of(cls, signature: signatures.Signature) -> "SourceSignature":
        """Returns the schema of a signature."""
        return cls.model_construct(**signature._asdict())


class SourceMapping(RequestModel):
    """How the body of a webhook becomes an event. Every field but `types` is a JMESPath expression."""

    type: Expression = Field(
        description=f"Yields the source's name of what happened. Functions: {', '.join(FUNCTIONS)}",
        examples=["triggerEvent"],
    )
    types: dict[Annotated[str, Field(max_length=255)], EventType | None] = Field(
        min_length=1,
        max_length=_TYPE_ENTRIES,
        description="Type of event for each name that `type` yields; null for webhooks that are accepted and ignored."
        " `*` stands for every other name. Without it, a webhook with another name is answered with 422",
        examples=[{"BOOKING_CREATED": "appointment_booked", "*": None}],
    )
    id: Expression = Field(
        description="Yields the id of the event: the same for every attempt of a webhook",
        examples=["payload.uid"],
    )
    occurred_at: Expression = Field(
        description="Yields the time of the event. Without an offset, it is one of the company's time zone",
        examples=["createdAt"],
    )
    customer_id: Expression | None = Field(
        default=None,
        description="Yields the id of the customer; null or omitted: none. Of the expressions that identify the"
        " customer, the first that yields a value is used: `customer_id`, `customer_ref`, `customer_email`. At least"
        " one is required",
        examples=[None],
    )
    customer_ref: Expression | None = Field(
        default=None,
        description="Yields the id of the customer as text, such as a UUID; null or omitted: none",
        examples=[None],
    )
    customer_email: Expression | None = Field(
        default=None,
        description="Yields an email address that exactly one customer of the company has, compared without case; null"
        " or omitted: none",
        examples=["payload.attendees[0].email"],
    )
    booking_id: Expression | None = Field(
        default=None,
        description="Yields the id of the booking; null or omitted: none",
        examples=["payload.uid"],
    )
    scheduled_for: Expression | None = Field(
        default=None,
        description="Yields when the appointment takes place; null or omitted: unknown",
        examples=["payload.startTime"],
    )
    total_amount: Expression | None = Field(
        default=None,
        description="Yields the amount in the company's currency; null or omitted: 0",
        examples=[None],
    )

    def to_mapping(self) -> records.SourceMapping:
        """Returns the mapping."""
        return records.SourceMapping(**{name: getattr(self, name) for name in type(self).model_fields})

    @classmethod
    def of(cls, mapping: records.SourceMapping) -> "SourceMapping":
        """Returns the schema of a mapping."""
        types = {name: None if type_ is None else EventType(type_) for name, type_ in mapping.types.items()}
        return cls.model_construct(**{**mapping._asdict(), "types": types})


class SourceCreate(RequestModel):
    """A source to be created, from a template or with its own signature and mapping."""

    name: _Name
    event_source: Text | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        description="`source` of the events, which never changes; null or omitted: the name",
        examples=["cal_com"],
    )
    secret: _Secret
    template: str | None = Field(
        default=None,
        description="Key of a template, whose signature and mapping apply unless they are given; null or omitted: none",
        examples=["cal_com"],
        json_schema_extra={"enum": [*_TEMPLATE_KEYS, None]},
    )
    signature: SourceSignature | None = Field(
        default=None, description="How the source signs; null or omitted: as in the template"
    )
    mapping: SourceMapping | None = Field(
        default=None, description="How webhooks become events; null or omitted: as in the template"
    )


class SourceUpdate(PatchModel):
    """A partial update of a source. A new secret takes effect at once."""

    name: _Name = omittable()
    secret: _Secret = omittable()
    signature: Annotated[SourceSignature, Field(description="How the source signs")] = omittable()
    mapping: Annotated[SourceMapping, Field(description="How webhooks become events")] = omittable()


class Source(ResponseModel):
    """A source, without its secret."""

    id: str = Field(description="Id of the source", examples=["42-0123456789abcdef"])
    name: str = Field(description="Name of the source", examples=["Cal.com"])
    event_source: str = Field(description="`source` of the events", examples=["cal_com"])
    webhook_path: str = Field(
        description="Path of this service to which the source sends its webhooks",
        examples=["/api/v1/sources/42-0123456789abcdef/events"],
    )
    signature: SourceSignature = Field(description="How the source signs")
    mapping: SourceMapping = Field(description="How webhooks become events")
    failures: int = Field(
        description="Webhooks with a wrong signature since the last valid one, at most 1,000", examples=[0]
    )
    failed_at: Timestamp | None = Field(
        description="Time of the last webhook with a wrong signature since the last valid one, in real time; null if"
        " there is none",
        examples=[None],
    )
    created_at: Timestamp = Field(
        description="When the source was created", examples=["2026-03-01T12:00:00Z"]
    )
    updated_at: Timestamp = Field(
        description="When the source was last changed", examples=["2026-03-01T12:00:00Z"]
    )

    @classmethod
    def of(cls, source: records.StoredSource) -> "Source":
        """Returns the schema of a source."""
        same = ("id", "name", "event_source", "failures", "failed_at", "created_at", "updated_at")
        return cls(
            **{name: getattr(source, name) for name in same},
            webhook_path=f"/api/v1/sources/{source.id}/events",
            signature=SourceSignature.of(source.signature),
            mapping=SourceMapping.of(source.mapping),
        )


class SourcePage(ResponseModel):
    """A page of sources, oldest first."""

    items: list[Source] = Field(description="The sources of this page")
    next_cursor: NextCursor


class SourceTemplate(ResponseModel):
    """A ready-made signature and mapping for the webhooks of a system."""

    key: str = Field(description="Key of the template", examples=["cal_com"])
    name: str = Field(description="Name of the system", examples=["Cal.com"])
    note: str = Field(description="What to set up in the system", examples=["Subscribe to Booking Created."])
    signature: SourceSignature = Field(description="How the system signs")
    mapping: SourceMapping = Field(description="How its webhooks become events")

    @classmethod
    def of(cls, template: templates.SourceTemplate) -> "SourceTemplate":
        """Returns the schema of a template."""
        return cls(
            key=template.key,
            name=template.name,
            note=template.note,
            signature=SourceSignature.of(template.signature),
            mapping=SourceMapping.of(template.mapping),
        )


class SourceTemplateList(ResponseModel):
    """All templates."""

    items: list[SourceTemplate] = Field(description="The templates")


class SourceTest(ResponseModel):
    """The result of a test."""

    event: Event = Field(description="The event that the body yields; it was not stored")

    @classmethod
    def of(cls, event: domain.Event) -> "SourceTest":
        """Returns the schema of an event that was not stored."""
        data = EventData.model_construct(
            total_amount=event.amount_cents / 100,
            booking_id=event.booking_id,
            scheduled_for=event.scheduled_for,
        )
        return cls.model_construct(
            event=Event.model_construct(
                id=event.event_id,
                source=event.source,
                type=EventType(event.type),
                customer_id=event.customer_id,
                occurred_at=event.occurred_at,
                data=data,
            )
        )


class WebhookResult(ResponseModel):
    """The result of a webhook."""

    status: Literal["applied", "duplicate", "ignored_erased", "ignored"] = Field(
        description="`applied`: its event was stored and evaluated. `duplicate`: the same event was stored before."
        " `ignored_erased`: the customer was erased, so the event was not stored. `ignored`: the mapping ignores such"
        " webhooks",
        examples=["applied"],
    )
    event_id: str | None = Field(
        description="Id of the event; null if `status` is `ignored`", examples=["BOOKING_CREATED:b-1001"]
    )
