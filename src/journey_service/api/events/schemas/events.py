"""Schemas of events."""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from journey_service.api.journeys.schemas.contact import ConsentChannel, ConsentStatus
from journey_service.api.journeys.schemas.journeys import Journey, journey_values
from journey_service.api.journeys.schemas.transitions import Transition, transition_values
from journey_service.api.problems import Problem
from journey_service.api.schema_fields import (
    GivenRef,
    Instant,
    JsonObject,
    RequestModel,
    ResponseModel,
    Text,
    described_by,
)
from journey_service.domain.events.event import MAX_CALL_SECONDS, MAX_ID, EventType
from journey_service.services.events.ingest import IngestOutcome


class RetractedEvent(RequestModel):
    """Source and id of an event that is retracted."""

    source: Text = Field(
        min_length=1, max_length=255, description="System that reported the event", examples=["booking"]
    )
    id: Text = Field(
        min_length=1,
        max_length=255,
        description="Id of the event within its source",
        examples=["appt-1000-completed"],
    )


class EventData(RequestModel):
    """Details of an event. Each is optional, except `retracts` for events of the type `event_retracted`."""

    call_duration: int | None = Field(
        default=None,
        ge=0,
        le=MAX_CALL_SECONDS,
        description="Duration of the call in seconds; null or omitted: unknown",
        examples=[180],
    )
    total_amount: float | None = Field(
        default=None,
        ge=0,
        le=999_999_999.99,
        description="Amount in the company's currency, with at most its decimals; null or omitted: 0",
        examples=[49.9],
    )
    booking_id: Text | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        description="Id of the booking in the sending system. Of the completed, missed and cancelled events of a"
        " customer's booking, from any source, one counts: the one reported last. Null or omitted: none",
        examples=["b-1001"],
    )
    scheduled_for: Instant | None = Field(
        default=None,
        description="When the appointment takes place; null or omitted: unknown. With `appointment_booked` and a"
        " `booking_id`, the booking is open until its outcome, or 24 hours after this time",
        examples=["2026-03-08T09:30:00Z"],
    )
    reported_at: Instant | None = Field(
        default=None,
        description="When the sender recorded the event, at most five minutes in the future. Of the outcomes of a"
        " booking, the one with the latest `reported_at` counts; null or omitted: `occurred_at` takes its place",
        examples=[None],
    )
    retracts: RetractedEvent | None = Field(
        default=None,
        description="The event that an `event_retracted` retracts: an event of the same customer, known or yet to come."
        " Required for this type, not accepted for others: null or omitted",
        examples=[None],
    )
    metadata: JsonObject = Field(
        default=None,
        description="JSON object with keys of your choice, at most 8 KiB and 20 levels; null or omitted: none",
        examples=[{"channel": "phone"}],
    )


class EventCustomer(RequestModel):
    """What an event says of its customer. Omitted and null fields, and consents of omitted channels, do not change."""

    name: Text | None = Field(
        default=None,
        max_length=255,
        description="Full name; null or omitted: it stays as it is",
        examples=["Ada Lovelace"],
    )
    first_name: Text | None = Field(
        default=None,
        max_length=255,
        description="Name by which messages greet the customer; null or omitted: it stays as it is",
        examples=["Ada"],
    )
    email: Text | None = Field(
        default=None,
        max_length=320,
        description="Email address; null or omitted: it stays as it is",
        examples=["ada@customers.example"],
    )
    phone: Text | None = Field(
        default=None,
        max_length=64,
        description="Phone number; null or omitted: it stays as it is",
        examples=["+49 30 1234567"],
    )
    language: Text | None = Field(
        default=None,
        max_length=64,
        description="Language of messages: a tag of BCP 47; null or omitted: it stays as it is",
        examples=["de"],
    )
    consents: dict[ConsentChannel, ConsentStatus] | None = Field(
        default=None,
        description="Consent by channel. An event lifts no withdrawal; null or omitted: no change",
        examples=[{"email": "granted"}],
    )


_CUSTOMER: Final = (
    "Fields of the customer's profile, as of `occurred_at`: fields that were changed later stay as they are. Null or"
    " omitted: none"
)


class CloudEventData(EventData):
    """Details of an event in a CloudEvents message."""

    customer: EventCustomer | None = Field(default=None, description=_CUSTOMER)


class Event(RequestModel):
    """An event of a customer. `source` and `id` identify it permanently."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "appt-1001-completed",
                    "source": "booking",
                    "type": "appointment_completed",
                    "customer_id": 4711,
                    "occurred_at": "2026-03-01T09:30:00Z",
                    "data": {"total_amount": 49.9, "booking_id": "b-1001"},
                }
            ]
        }
    )

    id: Text = Field(
        min_length=1,
        max_length=255,
        description="Id of the event, unique within its source",
        examples=["appt-1001-completed"],
    )
    source: Text = Field(
        min_length=1, max_length=255, description="System that reports the event", examples=["booking"]
    )
    type: EventType = Field(description="Type of the event", examples=["appointment_completed"])
    customer_id: int | None = Field(
        default=None,
        ge=0,
        le=MAX_ID,
        description="Id of the customer: a number up to 2^52 - 1 that the caller chooses, or the number that the"
        " service has given to a `customer_ref`; null or omitted: `customer_ref` names the customer",
        examples=[4711],
    )
    customer_ref: GivenRef = None
    occurred_at: Instant = Field(
        description="When the event occurred, at most five minutes in the future",
        examples=["2026-03-01T09:30:00Z"],
    )
    customer: EventCustomer | None = Field(default=None, description=_CUSTOMER)
    data: EventData | None = Field(default=None, description="Details; null or omitted: none")

    @model_validator(mode="after")
    def _names_a_customer(self) -> Self:
        if self.customer_id is None and self.customer_ref is None:
            raise ValueError("must contain customer_id or customer_ref")
        return self


class CloudEvent(BaseModel):
    """An event as a CloudEvents 1.0 message in structured mode. Extension attributes are allowed."""

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "specversion": "1.0",
                    "id": "appt-1001-completed",
                    "source": "booking",
                    "type": "appointment_completed",
                    "subject": "4711",
                    "time": "2026-03-01T09:30:00Z",
                    "data": {"total_amount": 49.9},
                }
            ]
        },
    )

    specversion: Literal["1.0"] = Field(description="Version of CloudEvents")
    id: Text = Field(min_length=1, max_length=255, description="Id of the event, unique within its source")
    source: Text = Field(min_length=1, max_length=255, description="System that reports the event")
    type: str = Field(
        description="Type of the event, also with a prefix that ends with a dot, such as `com.example.`",
        pattern=rf"^(.*\.)?({'|'.join(EventType)})$",
        examples=["com.example.appointment_completed"],
    )
    subject: str = Field(
        description="Id of the customer in decimal digits, or `ref:` and the percent-encoded `customer_ref`",
        pattern=r"^(\d{1,19}$|ref:.)",
        examples=["4711"],
    )
    time: Instant = Field(description="When the event occurred, at most five minutes in the future")
    datacontenttype: str = Field(
        default="application/json",
        description="Media type of `data`, which is JSON",
        examples=["application/json"],
    )
    data: CloudEventData | None = Field(default=None, description="Details; null or omitted: none")
    data_base64: str | None = Field(
        default=None,
        description="Details as JSON in base64, instead of `data`; null or omitted: none",
        examples=[None],
    )


class EventResult(ResponseModel):
    """The result of an event: the journey after it, and the transition that it caused."""

    status: Literal["applied", "duplicate", "ignored_erased"] = Field(
        description="`applied`: stored and evaluated. `duplicate`: the same event was stored before."
        " `ignored_erased`: the customer was erased, so the event was not stored",
        examples=["applied"],
    )
    journey: Journey | None = Field(
        description="Journey of the customer after the event; null if `status` is `ignored_erased`"
    )
    transition: Transition | None = Field(
        description="Transition that the event caused; null if it caused none"
    )


def result_values(outcome: IngestOutcome) -> dict[str, Any]:
    """Returns the fields of an EventResult as plain values, which are written without models."""
    return {
        "status": outcome.status.value,
        "journey": None if outcome.view is None else journey_values(outcome.view),
        "transition": None if outcome.entry is None else transition_values(outcome.entry),
    }


class BatchItemResult(ResponseModel):
    """The result of one event of a batch."""

    index: int = Field(ge=0, description="Position of the event in the batch, from 0", examples=[0])
    status: Literal["applied", "duplicate", "ignored_erased", "refused"] = Field(
        description="`applied`: stored and evaluated. `duplicate`: the same event was stored before. `ignored_erased`:"
        " the customer was erased, so the event was not stored. `refused`: not stored, see `problem`",
        examples=["applied"],
    )
    journey: Journey | None = Field(
        default=None,
        description="Journey of the customer after the event; null if `status` is `ignored_erased` or `refused`",
    )
    transition: Transition | None = Field(
        default=None, description="Transition that the event caused; null if it caused none", examples=[None]
    )
    problem: Annotated[dict[str, Any], described_by(Problem)] | None = Field(
        default=None,
        description="Problem details of a refused event; null unless `status` is `refused`",
        examples=[None],
    )


class BatchResult(ResponseModel):
    """The results of a batch of events."""

    results: list[BatchItemResult] = Field(description="One result for each event, in the order of the batch")
