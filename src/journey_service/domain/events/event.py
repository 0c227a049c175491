"""Inbound events of customers: types, limits and the content hash."""

import json
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import blake2b
from typing import Final, NamedTuple

from journey_service.domain.companies.currencies import Currency
from journey_service.domain.customers.references import CustomerName
from journey_service.domain.customers.updates import ProfileUpdate
from journey_service.domain.json_values import JsonValue

FUTURE_TOLERANCE: Final = timedelta(minutes=5)
"""How far `occurred_at` may be ahead of the service's clock; a later event is refused."""
EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
"""Earliest instant that is accepted in an input."""
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
"""End of the accepted range of instants, exclusive."""
MAX_ID: Final = 2**53 - 1
"""Largest id, which every JSON parser reads exactly. Erased customers have ids from -MAX_ID to -1."""
MAX_CUSTOMER_ID: Final = 2**52 - 1
"""Largest customer id that a caller may choose; larger ids are numbers that the service gives to refs."""
NO_CUSTOMER_ID: Final = -MAX_ID - 1
"""Placeholder for the id of a customer that an event identifies only by `customer_ref`, until it is resolved."""
MAX_AMOUNT_CENTS: Final = 99_999_999_999
"""Largest amount of an event, in smallest units of the currency; a larger one is refused."""
MAX_SUM_CENTS: Final = 99_999_999_999_999
"""Largest sum of a customer's amounts, in smallest units of the currency; an event that would exceed it is refused."""
_MAX_SUM: Final = 10**12
"""Sums of whole units must be below: the columns have twelve digits before the point."""
MAX_CALL_SECONDS: Final = 2**31 - 1
"""Longest call, in seconds; a longer one is refused."""
_HALF: Final = 8
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class EventType(StrEnum):
    """Types of inbound events."""

    CALL_RECEIVED = "call_received"
    APPOINTMENT_REQUESTED = "appointment_requested"
    APPOINTMENT_BOOKED = "appointment_booked"
    APPOINTMENT_COMPLETED = "appointment_completed"
    APPOINTMENT_MISSED = "appointment_missed"
    APPOINTMENT_CANCELLED = "appointment_cancelled"
    PAYMENT_RECEIVED = "payment_received"
    PAYMENT_REFUNDED = "payment_refunded"
    TICKET_OPENED = "ticket_opened"
    TICKET_RESOLVED = "ticket_resolved"
    EVENT_RETRACTED = "event_retracted"


EVENT_TYPES: Final[tuple[str, ...]] = tuple(EventType)


class Event(NamedTuple):
    """An inbound event.

    Times are UTC, durations are in seconds. Money is in the smallest unit of the company's currency, such as cents.
    `reported_at` is when the sender recorded the event, `retracts` the source and id of the event that it retracts.
    `tie_break` orders the events of an erased customer, whose sources and ids are hashed.
    """

    source: str
    event_id: str
    customer_id: int
    type: str
    occurred_at: datetime
    amount_cents: int = 0
    call_duration: int | None = None
    booking_id: str | None = None
    scheduled_for: datetime | None = None
    metadata: "dict[str, JsonValue] | None" = None
    reported_at: datetime | None = None
    retracts: tuple[str, str] | None = None
    tie_break: int = 0
    customer_ref: str | None = None
    """Id of the customer as text, if the input has one; `customer_id` is its number once it is resolved."""
    profile: ProfileUpdate | None = None
    """What the event says of the customer."""
    is_in_thousandths: bool = False
    """Whether `amount_cents` is in thousandths, as received: `in_currency` of `parsing` converts it."""

    @property
    def customer(self) -> CustomerName:
        """How the input names the customer."""
        return CustomerName(
            None if self.customer_id == NO_CUSTOMER_ID else self.customer_id, self.customer_ref
        )

    @property
    def key(self) -> tuple[str, str]:
        """Source and id, which identify the event within its company."""
        return self.source, self.event_id


def max_sum(currency: Currency) -> int:
    """Returns the largest sum of a customer's amounts in smallest units of a currency."""
    return min(MAX_SUM_CENTS, _MAX_SUM * currency.units - 1)


def content_hash(event: Event) -> bytes:
    """Returns a digest of 16 bytes that is equal for events with equal content.

    The JSON notation has no influence. Source and id are not part of it: they are the key under which contents are
    compared. The first half does not depend on the profile.
    """
    digest = _digest(event._replace(profile=None))
    return digest if event.profile is None else digest[:_HALF] + _digest(event)[:_HALF]


def has_same_content(event: Event, digest: bytes, *, ignores_profile: bool = False) -> bool:
    """Returns whether an event has a content hash; `ignores_profile` compares without the profiles."""
    own = content_hash(event)
    return own[:_HALF] == digest[:_HALF] if ignores_profile else own == digest


def _digest(event: Event) -> bytes:
    content = (
        event.type,
        event.customer_id,
        _microseconds(event.occurred_at),
        event.amount_cents,
        event.call_duration,
        event.booking_id,
        None if event.scheduled_for is None else _microseconds(event.scheduled_for),
        None if not event.metadata else _canonical(event.metadata),
        None if event.reported_at is None else _microseconds(event.reported_at),
        event.retracts,
        event.profile,
    )
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=2 * _HALF).digest()


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND


def _canonical(value: JsonValue) -> JsonValue:
    # 1 and 1.0 are the same number in JSON.
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _canonical(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_canonical(inner) for inner in value]
    return value
