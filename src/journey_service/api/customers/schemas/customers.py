"""Customers over the wire."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from journey_service.api.journeys.schemas.journeys import JourneyOut
from journey_service.api.schema_fields import RequestModel, ResponseModel, Text
from journey_service.domain.companies.policy import LANGUAGE
from journey_service.domain.customers.records import ConsentChange
from journey_service.services.customers.profiles import Customer

CHANNELS = ("email", "sms", "call", "offer")
Consent = Literal["granted", "withdrawn", "unknown"]
Channel = Literal["email", "sms", "call", "offer"]


class CustomerIn(RequestModel):
    """A profile. What is left out is unknown; a channel left out of `consents` stays as it is."""

    name: Text | None = Field(default=None, max_length=255, examples=["Ada Lovelace"])
    email: Text | None = Field(default=None, max_length=320, examples=["ada@example.com"])
    phone: Text | None = Field(default=None, max_length=64, examples=["+49 30 1234567"])
    language: str | None = Field(
        default=None, pattern=rf"^{LANGUAGE.pattern}$", description="to be written to in", examples=["de"]
    )
    consents: dict[Channel, Consent] = Field(default_factory=dict, examples=[{"email": "granted"}])


class ConsentOut(ResponseModel):
    """Whether a customer may be contacted over a channel, since when, and who said so."""

    status: Consent
    at: datetime | None = None
    source: str | None = None


class ConsentChangeOut(ResponseModel):
    """One change of one consent."""

    channel: str
    was: Consent
    status: Consent
    at: datetime
    source: str

    @classmethod
    def of(cls, change: ConsentChange) -> "ConsentChangeOut":
        """Show a change."""
        return cls.model_validate(change, from_attributes=True)


class ConsentChangesOut(ResponseModel):
    """Changes of a customer's consents, the oldest first."""

    items: list[ConsentChangeOut]


class CustomerOut(ResponseModel):
    """A customer and the journey."""

    customer_id: int
    name: str | None
    email: str | None
    phone: str | None
    language: str | None
    consents: dict[str, ConsentOut]
    created_at: datetime
    updated_at: datetime
    journey: JourneyOut

    @classmethod
    def of(cls, customer: Customer) -> "CustomerOut":
        """Show a customer."""
        profile = customer.profile
        return cls(
            customer_id=profile.customer_id,
            name=profile.name,
            email=profile.email,
            phone=profile.phone,
            language=profile.language,
            consents={
                channel: ConsentOut.model_validate(profile.consents.get(channel, {"status": "unknown"}))
                for channel in CHANNELS
            },
            created_at=profile.created_at,
            updated_at=profile.updated_at,
            journey=JourneyOut.of(customer.view),
        )


class CustomersOut(ResponseModel):
    """A page of customers. Their scores are the stored ones."""

    items: list[CustomerOut]
    next_cursor: str | None
