"""Events over the wire."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from journey_service.api.journeys.schemas.journeys import Journey, Transition
from journey_service.api.schema_fields import Instant, JsonObject, RequestModel, ResponseModel, Text
from journey_service.domain.events.event import MAX_ID, EventType
from journey_service.services.events.ingest import IngestOutcome


class EventDataIn(RequestModel):
    """What an event says beyond that it happened."""

    call_duration: int | None = Field(default=None, ge=0, le=2**31 - 1, description="seconds")
    total_amount: float | None = Field(
        default=None,
        ge=0,
        le=999_999_999.99,
        description="money, at most two decimals; missing is 0",
        examples=[49.9],
    )
    booking_id: Text | None = Field(default=None, min_length=1, max_length=255)
    scheduled_for: Instant | None = None
    metadata: JsonObject = Field(default=None, description="anything, up to 8 KiB and 20 levels")


class EventIn(RequestModel):
    """Something that happened to a customer, told once under the sender's own id."""

    id: Text = Field(min_length=1, max_length=255, examples=["appt-1001-completed"])
    source: Text = Field(min_length=1, max_length=255, examples=["booking"])
    type: EventType = Field(examples=["appointment_completed"])
    customer_id: int = Field(ge=0, le=MAX_ID, examples=[4711])
    occurred_at: Instant = Field(examples=["2026-03-01T09:30:00Z"])
    data: EventDataIn | None = None


class CloudEventIn(BaseModel):
    """A CloudEvents 1.0 message in structured mode. Extension attributes are allowed."""

    model_config = ConfigDict(extra="allow", frozen=True)

    specversion: Literal["1.0"]
    id: Text = Field(min_length=1, max_length=255)
    source: Text = Field(min_length=1, max_length=255)
    type: EventType
    subject: str = Field(description="the customer's id", pattern=r"^\d{1,19}$", examples=["4711"])
    time: Instant
    datacontenttype: str = "application/json"
    data: EventDataIn | None = None


class EventOut(ResponseModel):
    """What became of an event: the move it caused, if any, and the journey now."""

    status: Literal["applied", "duplicate", "ignored_erased"]
    journey: Journey | None
    transition: Transition | None

    @classmethod
    def of(cls, outcome: IngestOutcome) -> "EventOut":
        """Show an outcome."""
        return cls.model_construct(
            status=outcome.status.value,
            journey=None if outcome.view is None else Journey.of(outcome.view),
            transition=None if outcome.entry is None else Transition.of(outcome.entry),
        )


class ResultOut(ResponseModel):
    """What became of one event of a batch; `problem` when it could not be applied."""

    index: int
    status: Literal["applied", "duplicate", "ignored_erased", "refused"]
    journey: Journey | None = None
    transition: Transition | None = None
    problem: dict[str, Any] | None = None


class BatchOut(ResponseModel):
    """One result per event, in the order they were sent."""

    results: list[ResultOut]
