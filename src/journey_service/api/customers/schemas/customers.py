"""Request and response schemas of customers and their consents."""

from enum import StrEnum
from typing import Final, Literal

from pydantic import Field

from journey_service.api.journeys.schemas.journeys import Journey
from journey_service.api.schema_fields import (
    AnyCustomerId,
    NextCursor,
    RequestModel,
    ResponseModel,
    Text,
    Timestamp,
)
from journey_service.domain.companies.policy import LANGUAGE
from journey_service.domain.customers import records
from journey_service.services.customers import profiles

CONSENT_CHANNELS: Final = ("email", "sms", "call", "offer")
ConsentChannel = Literal["email", "sms", "call", "offer"]

_CREATED_AT: Final = "2025-08-20T08:12:00Z"


class ConsentStatus(StrEnum):
    """Whether a customer may be contacted on a channel."""

    GRANTED = "granted"
    WITHDRAWN = "withdrawn"
    UNKNOWN = "unknown"


class CustomerProfile(RequestModel):
    """A customer's profile. Omitted fields are unknown; consents of omitted channels stay as they are."""

    name: Text | None = Field(
        default=None,
        max_length=255,
        description="Full name; null or omitted: unknown",
        examples=["Ada Lovelace"],
    )
    email: Text | None = Field(
        default=None,
        max_length=320,
        description="Email address; null or omitted: unknown",
        examples=["ada@customers.example"],
    )
    phone: Text | None = Field(
        default=None,
        max_length=64,
        description="Phone number; null or omitted: unknown",
        examples=["+49 30 1234567"],
    )
    language: str | None = Field(
        default=None,
        pattern=rf"^{LANGUAGE.pattern}$",
        description="Language of messages, with or without a region, in lower case; null or omitted: the company's",
        examples=["de"],
    )
    consents: dict[ConsentChannel, ConsentStatus] = Field(
        default_factory=dict,
        description="Consent by channel. A change is recorded with its time and source",
        examples=[{"email": "granted", "sms": "withdrawn"}],
    )


class Consent(ResponseModel):
    """The consent of a customer on one channel."""

    status: ConsentStatus = Field(description="`unknown`: the company's policy decides", examples=["granted"])
    at: Timestamp | None = Field(
        default=None,
        description="Last change, in the company's time; null: never changed",
        examples=[_CREATED_AT],
    )
    source: str | None = Field(
        default=None,
        description="Who or what made the last change; null: never changed",
        examples=["key:console"],
    )


class CustomerConsents(ResponseModel):
    """The consents of a customer, by channel."""

    email: Consent = Field(description="Emails")
    sms: Consent = Field(description="Text messages")
    call: Consent = Field(description="Calls")
    offer: Consent = Field(description="Special offers")


class ConsentChange(ResponseModel):
    """A change of a consent."""

    channel: ConsentChannel = Field(description="Channel of the consent", examples=["email"])
    previous_status: ConsentStatus = Field(description="Status before", examples=["unknown"])
    status: ConsentStatus = Field(description="Status after", examples=["granted"])
    at: Timestamp = Field(description="Time of the change, in the company's time", examples=[_CREATED_AT])
    source: str = Field(description="Who or what made the change", examples=["key:console"])

    @classmethod
    def of(cls, change: records.ConsentChange) -> "ConsentChange":
        """Builds the response from a stored change."""
        return cls.model_validate(change, from_attributes=True)


class ConsentChangeList(ResponseModel):
    """All changes of a customer's consents, oldest first."""

    items: list[ConsentChange] = Field(description="The changes")


class Customer(ResponseModel):
    """A customer's profile, consents and journey."""

    customer_id: AnyCustomerId = Field(description="Id of the customer; negative: erased")
    name: str | None = Field(description="Full name; null: unknown", examples=["Ada Lovelace"])
    email: str | None = Field(description="Email address; null: unknown", examples=["ada@customers.example"])
    phone: str | None = Field(description="Phone number; null: unknown", examples=["+49 30 1234567"])
    language: str | None = Field(description="Language of messages; null: the company's", examples=["de"])
    consents: CustomerConsents = Field(description="Consent on each channel")
    created_at: Timestamp = Field(
        description="When the customer was first known, in real time", examples=[_CREATED_AT]
    )
    updated_at: Timestamp = Field(
        description="Last change of the profile, in real time", examples=["2026-02-27T15:00:04Z"]
    )
    journey: Journey = Field(description="Current stage, facts and scores")

    @classmethod
    def of(cls, customer: profiles.Customer) -> "Customer":
        """Builds the response from a profile and its journey."""
        profile = customer.profile
        return cls(
            customer_id=profile.customer_id,
            name=profile.name,
            email=profile.email,
            phone=profile.phone,
            language=profile.language,
            consents=CustomerConsents.model_validate(
                {
                    channel: profile.consents.get(channel, {"status": "unknown"})
                    for channel in CONSENT_CHANNELS
                }
            ),
            created_at=profile.created_at,
            updated_at=profile.updated_at,
            journey=Journey.of(customer.view),
        )


class CustomerPage(ResponseModel):
    """A page of customers. Their scores are the stored ones, as of `scored_at`."""

    items: list[Customer] = Field(description="The customers of this page")
    next_cursor: NextCursor
