"""Schema of the lines of the customer list as CSV, and the columns of attributes."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import orjson
from pydantic import Field

from journey_service.api.csv_responses import FurtherColumns
from journey_service.api.customers.schemas.consents import CREATED_AT
from journey_service.api.customers.schemas.customers import Customer
from journey_service.api.journeys.schemas.contact import CONSENT_CHANNELS, ConsentStatus
from journey_service.api.journeys.schemas.journeys import Journey
from journey_service.api.schema_fields import (
    AnyCustomerId,
    AttributeValue,
    CustomerRef,
    ResponseModel,
    Timestamp,
)
from journey_service.domain.customers.attributes import COLUMN_PREFIX

MAX_ATTRIBUTE_COLUMNS: Final = 100
"""Maximum number of columns of attributes; those of further names are in one column, as a JSON object."""


class CustomerLine(ResponseModel):
    """A line of the customer list as CSV."""

    customer_id: AnyCustomerId = Field(description="Id of the customer; negative for an erased customer")
    customer_ref: CustomerRef
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
    churn_probability: float | None = Field(
        ge=0,
        le=1,
        description="Stored chance to churn, of the last event or nightly run; null if it is not known",
        examples=[0.34],
    )
    scored_at: Timestamp = Field(
        description="Time as of which the scores were computed", examples=["2026-03-01T12:00:00Z"]
    )
    consent_email: ConsentStatus = Field(description="Consent to emails", examples=["granted"])
    consent_sms: ConsentStatus = Field(description="Consent to text messages", examples=["withdrawn"])
    consent_call: ConsentStatus = Field(description="Consent to calls", examples=["unknown"])
    consent_offer: ConsentStatus = Field(description="Consent to special offers", examples=["unknown"])
    created_at: Timestamp = Field(
        description="When the customer was created, in real time", examples=[CREATED_AT]
    )

    attributes: dict[str, AttributeValue] = Field(
        description="Attributes by name", examples=[{"plan": "gold"}]
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


def attribute_columns(names: Sequence[str]) -> FurtherColumns:
    """Returns the columns of attributes of these names, in the form in which an import of customers reads them."""
    own, others = names[:MAX_ATTRIBUTE_COLUMNS], names[MAX_ATTRIBUTE_COLUMNS:]
    columns = [f"{COLUMN_PREFIX}{name}" for name in own]

    def values_of(line: CustomerLine) -> Sequence[object]:
        values = [_to_cell(line.attributes.get(name)) for name in own]
        return [*values, _to_json(line.attributes, own)] if others else values

    return FurtherColumns([*columns, "attributes"] if others else columns, values_of)


def _to_cell(value: object) -> object:
    # Without an exponent, which an import would not read as a number.
    return Decimal(f"{value:f}".rstrip("0").rstrip(".")) if isinstance(value, float) else value


def _to_json(attributes: Mapping[str, AttributeValue], without: Sequence[str]) -> str | None:
    others = {name: value for name, value in attributes.items() if name not in without}
    return orjson.dumps(others, option=orjson.OPT_SORT_KEYS).decode() if others else None
