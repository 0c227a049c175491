"""Response schemas of a customer's events and bookings."""

from pydantic import Field

from journey_service.api.schema_fields import NextCursor, ResponseModel, Timestamp
from journey_service.domain.companies.currencies import Currency
from journey_service.domain.events import bookings
from journey_service.domain.events.bookings import BookingState
from journey_service.domain.events.event import MAX_CALL_SECONDS, EventType
from journey_service.domain.events.records import EventRecord


class RetractedKey(ResponseModel):
    """Source and id of a retracted event; of an erased customer, keyed hashes of them."""

    source: str = Field(description="System that reported the event", examples=["booking"])
    id: str = Field(description="Id of the event within its source", examples=["appt-1000-completed"])

    @classmethod
    def of(cls, source: str, event_id: str) -> "RetractedKey":
        """Builds the response from the key of an event."""
        return cls(source=source, id=event_id)


class CustomerEvent(ResponseModel):
    """A stored event of a customer."""

    id: str = Field(
        description="Id of the event, unique within its source; of an erased customer, a keyed hash of it",
        examples=["appt-1001-completed"],
    )
    source: str = Field(
        description="System that reported the event; `import` for lines of a file without a source",
        examples=["booking"],
    )
    type: EventType = Field(description="Type of the event", examples=["appointment_completed"])
    occurred_at: Timestamp = Field(
        description="When the event occurred, as reported", examples=["2026-03-01T09:30:00Z"]
    )
    recorded_at: Timestamp = Field(
        description="When the event was stored, in real time; later than `occurred_at` for imports and late events",
        examples=["2026-03-01T09:30:01Z"],
    )
    amount: float = Field(
        ge=0,
        description="Amount in the company's currency; 0 if the event has none",
        examples=[49.9],
    )
    call_duration: int | None = Field(
        ge=0,
        le=MAX_CALL_SECONDS,
        description="Duration of the call in seconds; null if it is unknown, and for events that are no calls",
        examples=[None],
    )
    booking_id: str | None = Field(
        description="Id of the booking in the sending system; null if the event names none; of an erased customer, a"
        " keyed hash of it",
        examples=["b-1001"],
    )
    scheduled_for: Timestamp | None = Field(
        description="When the appointment takes place; null if it is unknown", examples=[None]
    )
    reported_at: Timestamp | None = Field(
        description="When the sender recorded the event; null if it was not given", examples=[None]
    )
    retracts: RetractedKey | None = Field(
        description="The event that an `event_retracted` retracts; null for other types", examples=[None]
    )
    counts: bool = Field(
        description="Whether the event counts for facts, scores and revenue. A retracted event does not, nor does an"
        " outcome of a booking that another outcome has replaced",
        examples=[True],
    )
    late: bool = Field(
        description="Whether a later event or move of the customer was known when the event was applied. A late event"
        " corrects the facts; earlier moves stay as they are",
        examples=[False],
    )

    @classmethod
    def of(cls, record: EventRecord, currency: Currency) -> "CustomerEvent":
        """Builds the response from a stored event, whose amount is in the currency."""
        return cls(
            id=record.event_id,
            source=record.source,
            type=EventType(record.type),
            occurred_at=record.occurred_at,
            recorded_at=record.recorded_at,
            amount=record.amount_cents / currency.units,
            call_duration=record.call_duration,
            booking_id=record.booking_id,
            scheduled_for=record.scheduled_for,
            reported_at=record.reported_at,
            retracts=None if record.retracts is None else RetractedKey.of(*record.retracts),
            counts=record.is_counted,
            late=record.is_late,
        )


class Booking(ResponseModel):
    """A booking that the events of a customer name."""

    booking_id: str = Field(
        description="Id of the booking in the sending system; of an erased customer, a keyed hash of it",
        examples=["b-1002"],
    )
    scheduled_for: Timestamp | None = Field(
        description="When the appointment takes place; null if no event names it",
        examples=["2026-03-08T09:30:00Z"],
    )
    state: BookingState = Field(
        description="State as of now. `open`: booked, without an outcome, and at most 24 hours past; `completed`,"
        " `missed`, `cancelled`: the latest outcome; `expired`: without an outcome 24 hours after `scheduled_for`",
        examples=["open"],
    )

    @classmethod
    def of(cls, booking: bookings.Booking) -> "Booking":
        """Builds the response from a booking of the domain."""
        return cls(booking_id=booking.booking_id, scheduled_for=booking.scheduled_for, state=booking.state)


class CustomerEventPage(ResponseModel):
    """A page of a customer's events, newest first, with the customer's bookings."""

    items: list[CustomerEvent] = Field(description="The events of this page, newest first")
    bookings: list[Booking] = Field(
        description="All bookings of the customer, on every page and for any `types`: open ones"
        " first, by the time of the appointment, then the others, latest first"
    )
    next_cursor: NextCursor
