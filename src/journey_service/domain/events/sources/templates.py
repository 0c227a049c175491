"""Ready-made signatures and mappings of booking systems, written after their public documentation."""

from types import MappingProxyType
from typing import Final, NamedTuple

from journey_service.domain.events.event import EventType
from journey_service.domain.events.sources.records import ANY_TYPE, SourceMapping
from journey_service.domain.events.sources.signatures import Signature, SignatureScheme


class SourceTemplate(NamedTuple):
    """A template: the system that it is for, what to know about it, its signature and its mapping."""

    key: str
    name: str
    note: str
    signature: Signature
    mapping: SourceMapping


CAL_COM: Final = SourceTemplate(
    "cal_com",
    "Cal.com",
    "Subscribe to Booking Created, Booking Requested, Booking Rescheduled, Booking Cancelled, Booking Rejected, Meeting"
    " Ended and Booking No-show Updated. A rescheduled booking is a new booking; the former one expires a day after its"
    " time.",
    Signature(SignatureScheme.HMAC, "X-Cal-Signature-256"),
    SourceMapping(
        type="join('', [triggerEvent, not_null(payload.attendees, attendees)[0].noShow && ':no_show' || ''])",
        types=MappingProxyType(
            {
                "BOOKING_REQUESTED": EventType.APPOINTMENT_REQUESTED,
                "BOOKING_CREATED": EventType.APPOINTMENT_BOOKED,
                "BOOKING_RESCHEDULED": EventType.APPOINTMENT_BOOKED,
                "BOOKING_CANCELLED": EventType.APPOINTMENT_CANCELLED,
                "BOOKING_REJECTED": EventType.APPOINTMENT_CANCELLED,
                "MEETING_ENDED": EventType.APPOINTMENT_COMPLETED,
                "MEETING_ENDED:no_show": EventType.APPOINTMENT_MISSED,
                "BOOKING_NO_SHOW_UPDATED": EventType.APPOINTMENT_COMPLETED,
                "BOOKING_NO_SHOW_UPDATED:no_show": EventType.APPOINTMENT_MISSED,
                ANY_TYPE: None,
            }
        ),
        id="join(':', [triggerEvent, not_null(payload.uid, payload.bookingUid, uid), createdAt])",
        occurred_at="triggerEvent == 'MEETING_ENDED' && not_null(payload.endTime, endTime) || createdAt",
        customer_email="not_null(payload.attendees, attendees)[0].email",
        booking_id="not_null(payload.uid, payload.bookingUid, uid)",
        scheduled_for="not_null(payload.startTime, startTime)",
    ),
)
CALENDLY: Final = SourceTemplate(
    "calendly",
    "Calendly",
    "Subscribe to invitee.created, invitee.canceled and invitee_no_show.created. Calendly does not report that an"
    " appointment took place: report completed appointments from another system.",
    Signature(SignatureScheme.TIMESTAMPED_HMAC, "Calendly-Webhook-Signature"),
    SourceMapping(
        type="event",
        types=MappingProxyType(
            {
                "invitee.created": EventType.APPOINTMENT_BOOKED,
                "invitee.canceled": EventType.APPOINTMENT_CANCELLED,
                "invitee_no_show.created": EventType.APPOINTMENT_MISSED,
                ANY_TYPE: None,
            }
        ),
        id="join(':', [event, not_null(payload.no_show.uri, payload.uri)])",
        occurred_at="event == 'invitee.created' && payload.created_at"
        " || not_null(payload.no_show.created_at, payload.cancellation.created_at, payload.updated_at)",
        customer_email="payload.email",
        booking_id="payload.uri",
        scheduled_for="payload.scheduled_event.start_time",
    ),
)
SQUARE: Final = SourceTemplate(
    "square_appointments",
    "Square Appointments",
    "Subscribe to booking.created and booking.updated. `url` of the signature is the notification URL, exactly as it is"
    " registered. Square does not report that an appointment took place: report completed appointments from another"
    " system.",
    Signature(SignatureScheme.URL_HMAC, "x-square-hmacsha256-signature", "base64"),
    SourceMapping(
        type="join(':', [type, not_null(data.object.booking.status, '')])",
        types=MappingProxyType(
            {
                **{
                    f"booking.{change}:{status}": type_
                    for change in ("created", "updated")
                    for status, type_ in (
                        ("PENDING", EventType.APPOINTMENT_REQUESTED),
                        ("ACCEPTED", EventType.APPOINTMENT_BOOKED),
                        ("CANCELLED_BY_CUSTOMER", EventType.APPOINTMENT_CANCELLED),
                        ("CANCELLED_BY_SELLER", EventType.APPOINTMENT_CANCELLED),
                        ("DECLINED", EventType.APPOINTMENT_CANCELLED),
                        ("NO_SHOW", EventType.APPOINTMENT_MISSED),
                    )
                },
                ANY_TYPE: None,
            }
        ),
        id="event_id",
        occurred_at="not_null(data.object.booking.updated_at, created_at)",
        customer_ref="data.object.booking.customer_id",
        booking_id="data.object.booking.id",
        scheduled_for="data.object.booking.start_at",
    ),
)
GENERIC: Final = SourceTemplate(
    "generic",
    "Any other system",
    "For a system whose webhooks can be written freely: a JSON object with the fields of an event. Adapt it to a system"
    " with fields of its own.",
    Signature(SignatureScheme.HMAC, "X-Signature", prefix="sha256="),
    SourceMapping(
        type="type",
        types=MappingProxyType({type_.value: type_ for type_ in EventType}),
        id="id",
        occurred_at="occurred_at",
        customer_id="customer_id",
        customer_ref="customer_ref",
        customer_email="customer_email",
        booking_id="booking_id",
        scheduled_for="scheduled_for",
        total_amount="total_amount",
    ),
)
TEMPLATES: Final = MappingProxyType(
    {template.key: template for template in (CAL_COM, CALENDLY, SQUARE, GENERIC)}
)
"""The templates that can be used, by key."""
