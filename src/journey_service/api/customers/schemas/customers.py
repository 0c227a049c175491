"""Request and response schemas of customers."""

from decimal import Decimal
from typing import Final

from pydantic import Field

from journey_service.api.customers.schemas.consents import CREATED_AT, ConsentInput, CustomerConsents
from journey_service.api.journeys.schemas.contact import (
    CONSENT_CHANNELS,
    ConsentChannel,
    CustomerCampaign,
    CustomerReach,
    CustomerTask,
    contact_fields,
)
from journey_service.api.journeys.schemas.journeys import Journey
from journey_service.api.journeys.schemas.predictions import ChurnOutlook
from journey_service.api.schema_fields import (
    AnyCustomerId,
    AttributeChange,
    AttributeName,
    AttributeValue,
    Currency,
    CustomerRef,
    NextCursor,
    PatchModel,
    RequestModel,
    ResponseModel,
    Text,
    Timestamp,
    Total,
    TotalEstimate,
)
from journey_service.domain.customers.attributes import (
    MAX_ATTRIBUTES,
    MAX_DECIMALS,
    MAX_DIGITS,
    MAX_TEXT_LENGTH,
)
from journey_service.services.customers import profiles

_CONSENTS: Final = (
    "Consent by channel, as a status or as an object that says how and when the customer gave it. Each change is"
    " recorded with its time and source. `unknown` does not replace a withdrawal. A withdrawal by the customer, with"
    " the link of an email, is lifted only by `granted` with `method` and a `granted_at` after it; other requests leave"
    " it as it is, and `warnings` of the response say so"
)
_ATTRIBUTES: Final = (
    f"Attributes of the customer by name, at most {MAX_ATTRIBUTES}: text of 1 to {MAX_TEXT_LENGTH} characters, numbers"
    f" of at most {MAX_DIGITS} digits with at most {MAX_DECIMALS} decimals, true and false. A text such as `2026-01-31`"
    " is a date. A name has 1 to 64 lower-case letters, digits and underscores, and starts with a letter"
)
_ATTRIBUTE_EXAMPLE: Final = {
    "plan": "gold",
    "visits_planned": 12,
    "newsletter": True,
    "renewed_on": "2026-01-31",
}


class CustomerProfile(RequestModel):
    """A customer's profile. Omitted fields and attributes become unknown; omitted consents do not change."""

    name: Text | None = Field(
        default=None,
        max_length=255,
        description="Full name; null or omitted: unknown",
        examples=["Ada Lovelace"],
    )
    first_name: Text | None = Field(
        default=None,
        max_length=255,
        description="Name by which messages greet the customer; null or omitted: they greet by the full name",
        examples=["Ada"],
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
    language: Text | None = Field(
        default=None,
        description="Language of messages: a tag of BCP 47, in any case, with `-` or `_`. Messages fall back from"
        " `de-DE` to `de`. Null or omitted, and text that is no tag: the language of the company",
        examples=["de"],
    )
    attributes: dict[AttributeName, AttributeChange] = Field(
        default_factory=dict,
        max_length=MAX_ATTRIBUTES,
        description=f"{_ATTRIBUTES}. They replace all attributes of the customer; null stands for an omitted one",
        examples=[_ATTRIBUTE_EXAMPLE],
    )
    consents: dict[ConsentChannel, ConsentInput] = Field(
        default_factory=dict,
        description=_CONSENTS,
        examples=[{"email": "granted", "sms": "withdrawn"}],
    )


class CustomerUpdate(PatchModel):
    """Changes of a customer's profile. Omitted fields, attributes and consents do not change."""

    name: Text | None = Field(
        default=None,
        max_length=255,
        description="Full name; null if it is unknown",
        examples=["Ada Lovelace"],
    )
    first_name: Text | None = Field(
        default=None,
        max_length=255,
        description="Name by which messages greet the customer; null if they greet by the full name",
        examples=["Ada"],
    )
    email: Text | None = Field(
        default=None,
        max_length=320,
        description="Email address; null if it is unknown",
        examples=["ada@customers.example"],
    )
    phone: Text | None = Field(
        default=None,
        max_length=64,
        description="Phone number; null if it is unknown",
        examples=["+49 30 1234567"],
    )
    language: Text | None = Field(
        default=None,
        description="Language of messages: a tag of BCP 47, in any case, with `-` or `_`; null, or text that is no"
        " tag, stands for the language of the company",
        examples=["de"],
    )
    attributes: dict[AttributeName, AttributeChange] = Field(
        default_factory=dict,
        max_length=2 * MAX_ATTRIBUTES,
        description=f"{_ATTRIBUTES}. Null removes one; omitted ones do not change",
        examples=[{"plan": "gold", "newsletter": None}],
    )
    consents: dict[ConsentChannel, ConsentInput] = Field(
        default_factory=dict, description=_CONSENTS, examples=[{"email": "granted"}]
    )


class Customer(ResponseModel):
    """A customer's profile, consents and journey."""

    customer_id: AnyCustomerId = Field(description="Id of the customer; negative for an erased customer")
    customer_ref: CustomerRef
    name: str | None = Field(description="Full name; null if it is unknown", examples=["Ada Lovelace"])
    first_name: str | None = Field(
        description="Name by which messages greet the customer; null if they greet by the full name",
        examples=["Ada"],
    )
    email: str | None = Field(
        description="Email address; null if it is unknown", examples=["ada@customers.example"]
    )
    phone: str | None = Field(description="Phone number; null if it is unknown", examples=["+49 30 1234567"])
    language: str | None = Field(
        description="Language of messages; null if it is the language of the company", examples=["de"]
    )
    attributes: dict[str, AttributeValue] = Field(
        description="Attributes of the customer, sorted by name. A text such as `2026-01-31` is a date",
        examples=[_ATTRIBUTE_EXAMPLE],
    )
    consents: CustomerConsents = Field(description="Consent on each channel")
    churn_probability: float | None = Field(
        ge=0,
        le=1,
        description="Stored chance to churn, of the last event or nightly run; null if it is not known",
        examples=[0.34],
    )
    created_at: Timestamp = Field(
        description="When the customer was created, in real time", examples=[CREATED_AT]
    )
    updated_at: Timestamp = Field(
        description="When the profile was last changed, in real time", examples=["2025-08-20T08:12:00Z"]
    )
    journey: Journey = Field(description="Current stage, facts and scores")

    @classmethod
    def of(cls, customer: profiles.CustomerView) -> "Customer":
        """Builds the response from a profile and its journey."""
        profile = customer.profile
        return cls(
            customer_id=profile.customer_id,
            customer_ref=profile.customer_ref,
            name=profile.name,
            first_name=profile.first_name,
            email=profile.email,
            phone=profile.phone,
            language=profile.language,
            attributes=dict(sorted(profile.attributes.items())),
            consents=CustomerConsents.model_validate(
                {
                    channel: profile.consents.get(channel, {"status": "unknown"})
                    for channel in CONSENT_CHANNELS
                }
            ),
            churn_probability=_to_number(customer.view.stored.churn_probability),
            created_at=profile.created_at,
            updated_at=profile.updated_at,
            journey=Journey.of(customer.view),
        )


class CustomerWritten(Customer):
    """A customer after a change of the profile, with what was left as it was."""

    warnings: list[str] = Field(
        description="What was not done, and why, in words: consents that were left as they are, a language that is no"
        " tag; empty if all was done",
        examples=[[]],
    )

    @classmethod
    def of_change(cls, written: profiles.WrittenCustomer) -> "CustomerWritten":
        """Builds the response from a written customer."""
        return cls(**dict(Customer.of(written.customer)), warnings=list(written.warnings))


class CustomerDetail(Customer):
    """A customer's profile, consents and journey, whether the customer can be contacted, and what is open."""

    reach: CustomerReach
    open_task: CustomerTask
    running_campaign: CustomerCampaign
    prediction: ChurnOutlook = Field(description="What is predicted for the customer now")

    @classmethod
    def with_contact(cls, detail: profiles.CustomerDetailView) -> "CustomerDetail":
        """Builds the response from a customer and what is open for them."""
        reach, task, campaign = contact_fields(detail.actions, detail.reach)
        customer = Customer.of(detail.customer)
        return cls(
            **dict(customer),
            reach=reach,
            open_task=task,
            running_campaign=campaign,
            prediction=ChurnOutlook.of(detail.prediction),
        )


class CustomerPage(ResponseModel):
    """A page of customers. Their scores are the stored ones, as of `scored_at`."""

    items: list[Customer] = Field(description="The customers of this page")
    next_cursor: NextCursor
    currency: Currency
    total: Total
    total_estimate: TotalEstimate


def _to_number(probability: Decimal | None) -> float | None:
    return None if probability is None else float(probability)
