"""Request and response schemas of customers and their consents."""

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticKnownError

from journey_service.api.journeys.schemas.contact import (
    CustomerCampaign,
    CustomerReach,
    CustomerTask,
    contact_fields,
)
from journey_service.api.journeys.schemas.journeys import Journey
from journey_service.api.schema_fields import (
    AnyCustomerId,
    Currency,
    Instant,
    NextCursor,
    PatchModel,
    RequestModel,
    ResponseModel,
    Text,
    Timestamp,
    Total,
    TotalEstimate,
)
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


class ConsentGrantMethod(StrEnum):
    """How a customer gave a consent."""

    FORM = "form"
    IN_PERSON = "in_person"
    PHONE = "phone"
    DOUBLE_OPT_IN = "double_opt_in"


class ConsentUpdate(RequestModel):
    """A consent with how and when the customer gave it. Only this form lifts a withdrawal by the customer."""

    status: ConsentStatus = Field(
        description="Whether the customer may be contacted. `granted`: yes; `withdrawn`: no; `unknown`: the setting"
        " `consent` of the company decides",
        examples=["granted"],
    )
    method: ConsentGrantMethod | None = Field(
        default=None,
        description="How the customer granted the consent. `form`: a form; `in_person`: in person; `phone`: a call;"
        " `double_opt_in`: a confirmed email. Null or omitted: it is not known",
        examples=["form"],
    )
    granted_at: Instant | None = Field(
        default=None,
        description="When the customer granted the consent, not in the future; null or omitted: it is not known",
        examples=["2026-02-27T10:15:00Z"],
    )


def _to_update(value: object) -> object:
    """Returns the object that a plain status stands for."""
    if not isinstance(value, str):
        return value
    if value not in tuple(ConsentStatus):
        raise PydanticKnownError("enum", {"expected": ", ".join(ConsentStatus)})
    return {"status": value}


ConsentInput = Annotated[
    ConsentUpdate, BeforeValidator(_to_update, json_schema_input_type=ConsentStatus | ConsentUpdate)
]
_CONSENTS: Final = (
    "Consent by channel, as a status or as an object that says how and when the customer gave it. Each change is"
    " recorded with its time and source. `unknown` does not replace a withdrawal. A withdrawal by the customer, with"
    " the link of an email, is lifted only by `granted` with `method` and a `granted_at` after it; other requests leave"
    " it as it is, and `warnings` of the response say so"
)


class CustomerProfile(RequestModel):
    """A customer's profile. Omitted fields become unknown; consents of omitted channels do not change."""

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
    consents: dict[ConsentChannel, ConsentInput] = Field(
        default_factory=dict,
        description=_CONSENTS,
        examples=[{"email": "granted", "sms": "withdrawn"}],
    )


class CustomerUpdate(PatchModel):
    """Changes of a customer's profile. Omitted fields and consents of omitted channels do not change."""

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
    consents: dict[ConsentChannel, ConsentInput] = Field(
        default_factory=dict, description=_CONSENTS, examples=[{"email": "granted"}]
    )


class Consent(ResponseModel):
    """The consent of a customer on one channel."""

    status: ConsentStatus = Field(
        description="Whether the customer may be contacted. `granted`: yes; `withdrawn`: no; `unknown`: the setting"
        " `consent` of the company decides",
        examples=["granted"],
    )
    at: Timestamp | None = Field(
        default=None,
        description="When the consent was last changed; null if it never was",
        examples=[_CREATED_AT],
    )
    source: str | None = Field(
        default=None,
        description="Credential or system that made the last change; null if there was none",
        examples=["key:console"],
    )
    method: ConsentGrantMethod | None = Field(
        default=None,
        description="How the customer last granted the consent. `form`: a form; `in_person`: in person; `phone`: a"
        " call; `double_opt_in`: a confirmed email. Null if it is not known",
        examples=[None],
    )
    granted_at: Timestamp | None = Field(
        default=None,
        description="When the customer last granted the consent; null if it is not known",
        examples=[None],
    )


class CustomerConsents(ResponseModel):
    """The consents of a customer, by channel."""

    email: Consent = Field(description="Consent to emails")
    sms: Consent = Field(
        description="Consent to text messages",
        examples=[{"status": "withdrawn", "at": _CREATED_AT, "source": "key:console"}],
    )
    call: Consent = Field(description="Consent to calls", examples=[{"status": "unknown"}])
    offer: Consent = Field(description="Consent to special offers", examples=[{"status": "unknown"}])


class ConsentChange(ResponseModel):
    """A change of a consent."""

    channel: ConsentChannel = Field(
        description="Channel of the consent. `email`: emails; `sms`: text messages; `call`: calls; `offer`: special"
        " offers",
        examples=["email"],
    )
    previous_status: ConsentStatus = Field(description="Status before the change", examples=["unknown"])
    status: ConsentStatus = Field(description="Status after the change", examples=["granted"])
    at: Timestamp = Field(description="When the consent was changed", examples=[_CREATED_AT])
    source: str = Field(description="Credential or system that made the change", examples=["key:console"])
    method: ConsentGrantMethod | None = Field(
        description="How the customer granted the consent. `form`: a form; `in_person`: in person; `phone`: a call;"
        " `double_opt_in`: a confirmed email. Null if it is not known",
        examples=[None],
    )
    granted_at: Timestamp | None = Field(
        description="When the customer granted the consent; null if it is not known", examples=[None]
    )

    @classmethod
    def of(cls, change: records.ConsentChange) -> "ConsentChange":
        """Builds the response from a stored change."""
        return cls.model_validate(change, from_attributes=True)


class ConsentChangeList(ResponseModel):
    """All changes of a customer's consents, oldest first."""

    items: list[ConsentChange] = Field(description="All changes of the customer's consents")


class Customer(ResponseModel):
    """A customer's profile, consents and journey."""

    customer_id: AnyCustomerId = Field(description="Id of the customer; negative for an erased customer")
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
    consents: CustomerConsents = Field(description="Consent on each channel")
    created_at: Timestamp = Field(
        description="When the customer was created, in real time", examples=[_CREATED_AT]
    )
    updated_at: Timestamp = Field(
        description="When the profile was last changed, in real time", examples=["2025-08-20T08:12:00Z"]
    )
    journey: Journey = Field(description="Current stage, facts and scores")

    @classmethod
    def of(cls, customer: profiles.Customer) -> "Customer":
        """Builds the response from a profile and its journey."""
        profile = customer.profile
        return cls(
            customer_id=profile.customer_id,
            name=profile.name,
            first_name=profile.first_name,
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

    @classmethod
    def with_contact(cls, detail: profiles.CustomerDetail) -> "CustomerDetail":
        """Builds the response from a customer and what is open for them."""
        reach, task, campaign = contact_fields(detail.actions, detail.reach)
        customer = Customer.of(detail.customer)
        return cls(**dict(customer), reach=reach, open_task=task, running_campaign=campaign)


class CustomerPage(ResponseModel):
    """A page of customers. Their scores are the stored ones, as of `scored_at`."""

    items: list[Customer] = Field(description="The customers of this page")
    next_cursor: NextCursor
    currency: Currency
    total: Total
    total_estimate: TotalEstimate


class CustomerLine(ResponseModel):
    """A line of the customer list as CSV."""

    customer_id: AnyCustomerId = Field(description="Id of the customer; negative for an erased customer")
    name: str | None = Field(description="Full name; null if it is unknown", examples=["Ada Lovelace"])
    email: str | None = Field(
        description="Email address; null if it is unknown", examples=["ada@customers.example"]
    )
    phone: str | None = Field(description="Phone number; null if it is unknown", examples=["+49 30 1234567"])
    language: str | None = Field(
        description="Language of messages; null if it is the language of the company", examples=["de"]
    )
    current_stage: str = Field(description="Key of the current stage", examples=["regular"])
    stage_name: str = Field(description="Name of the current stage", examples=["Regular Customer"])
    stage_entered_at: Timestamp = Field(
        description="When the customer entered `current_stage`", examples=["2026-01-15T10:00:00Z"]
    )
    pin_until: Timestamp | None = Field(
        description="Time until which a pin keeps the customer in `current_stage`; null if there is no pin",
        examples=[None],
    )
    owner: str | None = Field(
        description="Employee who is responsible for the customer; null if there is none", examples=["ben"]
    )
    lifetime_value: float = Field(description="Lifetime value, in `currency`", examples=[349.9])
    total_appointments: int = Field(ge=0, description="Number of completed appointments", examples=[5])
    last_appointment_at: Timestamp | None = Field(
        description="Time of the last completed appointment; null if there is none",
        examples=["2026-03-01T09:30:00Z"],
    )
    next_booking_at: Timestamp | None = Field(
        description="Time of the earliest appointment that is booked and has no outcome; null if there is none",
        examples=[None],
    )
    risk_score: float = Field(
        ge=0, le=1, description="Stored risk of losing the customer, 0 (none) to 1", examples=[0.2]
    )
    engagement_score: float = Field(
        ge=0, le=1, description="Stored engagement of the customer, 0 (none) to 1", examples=[0.79]
    )
    scored_at: Timestamp = Field(
        description="Time as of which the scores were computed", examples=["2026-03-01T12:00:00Z"]
    )
    consent_email: ConsentStatus = Field(description="Consent to emails", examples=["granted"])
    consent_sms: ConsentStatus = Field(description="Consent to text messages", examples=["withdrawn"])
    consent_call: ConsentStatus = Field(description="Consent to calls", examples=["unknown"])
    consent_offer: ConsentStatus = Field(description="Consent to special offers", examples=["unknown"])
    created_at: Timestamp = Field(
        description="When the customer was created, in real time", examples=[_CREATED_AT]
    )

    @classmethod
    def of(cls, customer: Customer) -> "CustomerLine":
        """Builds the line of a customer."""
        own = {name: getattr(customer, name) for name in cls.model_fields if name in Customer.model_fields}
        journey = {
            name: getattr(customer.journey, name)
            for name in cls.model_fields
            if name in Journey.model_fields and name not in own
        }
        consents = {
            f"consent_{channel}": getattr(customer.consents, channel).status for channel in CONSENT_CHANNELS
        }
        return cls.model_validate({**own, **journey, **consents})
