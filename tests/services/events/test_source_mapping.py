"""Mappings: what the templates read from documented webhooks, and the bounds of expressions."""

from zoneinfo import ZoneInfo

import pytest

from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events.sources.records import SourceMapping
from journey_service.domain.events.sources.templates import CAL_COM, CALENDLY, GENERIC, SQUARE, TEMPLATES
from journey_service.services.events.source_mapping import check_mapping, read_fields

UTC = ZoneInfo("UTC")
ADA = "ada@example.com"
INVITEE = "https://api.calendly.com/scheduled_events/E1/invitees/I1"


def cal(trigger, **payload):
    attendees = [{"email": ADA, "name": "Ada Lovelace", "timeZone": "Europe/London"}]
    return {
        "triggerEvent": trigger,
        "createdAt": "2026-03-01T09:30:00.538Z",
        "payload": {
            "uid": "u-1",
            "bookingId": 91,
            "startTime": "2026-03-08T09:30:00Z",
            "endTime": "2026-03-08T10:30:00Z",
            "attendees": attendees,
            **payload,
        },
    }


def calendly(event, **payload):
    return {
        "event": event,
        "created_at": "2026-03-01T09:30:01.000000Z",
        "created_by": "https://api.calendly.com/users/U1",
        "payload": {
            "uri": INVITEE,
            "email": ADA,
            "created_at": "2026-03-01T09:30:00.327602Z",
            "updated_at": "2026-03-01T10:00:00.327602Z",
            "no_show": None,
            "rescheduled": False,
            "scheduled_event": {"start_time": "2026-03-08T09:30:00.000000Z"},
            **payload,
        },
    }


def square(type_, status):
    return {
        "merchant_id": "M1",
        "type": type_,
        "event_id": "d954ea4e",
        "created_at": "2026-03-01T09:30:01Z",
        "data": {
            "type": "booking",
            "id": "b-1:1",
            "object": {
                "booking": {
                    "id": "b-1",
                    "status": status,
                    "start_at": "2026-03-08T09:30:00Z",
                    "updated_at": "2026-03-01T09:30:00Z",
                    "customer_id": "C1",
                }
            },
        },
    }


START = "2026-03-08T09:30:00Z"
BOOKED = {"booking_id": "u-1", "scheduled_for": START, "customer_email": ADA}
INVITED = {"booking_id": INVITEE, "scheduled_for": START, "customer_email": ADA}
ENDED = {  # flat: the fields of the booking are not in a payload
    "triggerEvent": "MEETING_ENDED",
    "uid": "u-1",
    "createdAt": "2026-02-20T09:45:00Z",
    "startTime": START,
    "endTime": "2026-03-08T10:30:00Z",
    "attendees": [{"email": ADA, "noShow": False}],
}
NO_SHOW = {
    "triggerEvent": "BOOKING_NO_SHOW_UPDATED",
    "createdAt": "2026-03-08T11:00:00Z",
    "payload": {"bookingUid": "u-1", "bookingId": 91, "attendees": [{"email": ADA, "noShow": True}]},
}
PRESENT = {**NO_SHOW, "payload": {**NO_SHOW["payload"], "attendees": [{"email": ADA, "noShow": False}]}}

DOCUMENTED = {
    "Cal.com, booked": (CAL_COM, cal("BOOKING_CREATED"), "appointment_booked", BOOKED),
    "Cal.com, cancelled": (CAL_COM, cal("BOOKING_CANCELLED"), "appointment_cancelled", BOOKED),
    "Cal.com, ended": (
        CAL_COM,
        ENDED,
        "appointment_completed",
        {**BOOKED, "occurred_at": "2026-03-08T10:30:00Z", "id": "MEETING_ENDED:u-1:2026-02-20T09:45:00Z"},
    ),
    "Cal.com, ended, nested": (
        CAL_COM,
        cal("MEETING_ENDED"),
        "appointment_completed",
        {"occurred_at": "2026-03-08T10:30:00Z"},
    ),
    "Cal.com, not there": (
        CAL_COM,
        NO_SHOW,
        "appointment_missed",
        {"booking_id": "u-1", "occurred_at": "2026-03-08T11:00:00Z"},
    ),
    "Cal.com, there after all": (CAL_COM, PRESENT, "appointment_completed", {"customer_email": ADA}),
    "Calendly, booked": (
        CALENDLY,
        calendly("invitee.created"),
        "appointment_booked",
        {**INVITED, "occurred_at": "2026-03-01T09:30:00.327602Z", "id": f"invitee.created:{INVITEE}"},
    ),
    "Calendly, cancelled": (
        CALENDLY,
        calendly("invitee.canceled", cancellation={"created_at": "2026-03-02T09:30:00Z"}),
        "appointment_cancelled",
        {**INVITED, "occurred_at": "2026-03-02T09:30:00Z"},
    ),
    "Calendly, not there": (
        CALENDLY,
        calendly("invitee_no_show.created", no_show={"uri": "n-1", "created_at": "2026-03-08T11:00:00Z"}),
        "appointment_missed",
        {**INVITED, "occurred_at": "2026-03-08T11:00:00Z", "id": "invitee_no_show.created:n-1"},
    ),
    "Square, booked": (
        SQUARE,
        square("booking.created", "ACCEPTED"),
        "appointment_booked",
        {"id": "d954ea4e", "customer_ref": "C1", "booking_id": "b-1", "scheduled_for": START},
    ),
    "Square, cancelled": (
        SQUARE,
        square("booking.updated", "CANCELLED_BY_CUSTOMER"),
        "appointment_cancelled",
        {"occurred_at": "2026-03-01T09:30:00Z"},
    ),
    "Square, not there": (SQUARE, square("booking.updated", "NO_SHOW"), "appointment_missed", {}),
    "generic": (
        GENERIC,
        {
            "type": "appointment_completed",
            "id": 7,
            "occurred_at": "2026-03-01T09:30:00+01:00",
            "customer_id": 4711,
            "customer_email": ADA,
            "total_amount": "49.90",
        },
        "appointment_completed",
        {"id": "7", "occurred_at": "2026-03-01T08:30:00Z", "customer_id": 4711, "total_amount": "49.90"},
    ),
}


@pytest.mark.parametrize(("template", "body", "type_", "fields"), DOCUMENTED.values(), ids=DOCUMENTED)
def test_a_documented_webhook_becomes_an_event(template, body, type_, fields):
    found = read_fields(template.mapping, body, UTC)

    assert found["type"] == type_
    assert found.items() >= fields.items()
    assert {"id", "occurred_at"} <= found.keys()
    assert len(found.keys() & {"customer_id", "customer_ref", "customer_email"}) == 1


def test_other_webhooks_of_a_booking_system_are_ignored():
    for template, body in (
        (CAL_COM, {"triggerEvent": "PING", "createdAt": "2026-03-01T09:30:00Z"}),
        (CALENDLY, calendly("routing_form_submission.created")),
        (SQUARE, {"type": "payment.created", "data": {}}),
    ):
        assert read_fields(template.mapping, body, UTC) is None


def test_every_template_that_is_offered_can_be_used():
    assert {"cal_com", "calendly", "generic"} <= TEMPLATES.keys()
    assert [check_mapping(template.mapping) for template in TEMPLATES.values()] == [[]] * len(TEMPLATES)


# ---- values


PLAIN = SourceMapping(
    type="kind", types={"done": "appointment_completed"}, id="id", occurred_at="at", customer_id="who"
)
BODY = {"kind": "done", "id": "e-1", "at": "2026-03-01T09:30:00Z", "who": 1}


def pointers(error):
    return [each.pointer for each in error.value.errors]


def test_a_time_without_an_offset_is_local():
    berlin = ZoneInfo("Europe/Berlin")

    assert (
        read_fields(PLAIN, {**BODY, "at": "2026-07-01 09:30"}, berlin)["occurred_at"]
        == "2026-07-01T07:30:00Z"
    )
    with pytest.raises(InvalidInputError) as error:
        read_fields(PLAIN, {**BODY, "at": "yesterday"}, berlin)
    assert pointers(error) == ["/mapping/occurred_at"]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"kind": "moved"}, "/mapping/types/moved"),
        ({"kind": "a/b"}, "/mapping/types/a~1b"),
        ({"kind": 7}, "/mapping/type"),
        ({"kind": None}, "/mapping/type"),
        ({"who": None}, "/mapping/customer_id"),
    ],
)
def test_a_body_without_an_event_is_refused_with_the_part_of_the_mapping(changes, pointer):
    with pytest.raises(InvalidInputError) as error:
        read_fields(PLAIN, {**BODY, **changes}, UTC)
    assert pointers(error) == [pointer]


def test_an_error_does_not_show_the_value():
    mapping = PLAIN._replace(id="join('-', [id, secret])")
    with pytest.raises(InvalidInputError) as error:
        read_fields(mapping, {**BODY, "secret": {"name": "Ada"}}, UTC)
    assert pointers(error) == ["/mapping/id"]
    assert "Ada" not in str(error.value.errors)


# ---- expressions


@pytest.mark.parametrize(
    "expression",
    [
        *("a.", "a..b", "'", "[", "a b"),
        *("sort_by(a, &b)", "map(&a, b)", "to_array(a)", "no_such_function(a)"),
    ],
)
def test_an_expression_that_does_not_compile_is_named(expression):
    found = check_mapping(PLAIN._replace(booking_id=expression))

    assert [error.pointer for error in found] == ["/mapping/booking_id"]


def test_a_mapping_needs_a_customer():
    found = check_mapping(PLAIN._replace(customer_id=None))

    assert [error.pointer for error in found] == ["/mapping/customer_id"]


DOUBLED = "|".join(["[@,@][]"] * 60)
COSTLY = {
    "a list that doubles": f"items|{DOUBLED}",
    "text that doubles": "text|" + "|".join(["join('',[@,@])"] * 30),
    "shared values as text": "items|" + "|".join(["[@,@]"] * 60) + "|to_string(@)",
    "one step for each of many": "items[*].[@,@,@]",
    "many searches of a long list": "items[?contains(`[1,2,3]`, @)]",
}


@pytest.mark.parametrize("expression", COSTLY.values(), ids=COSTLY)
def test_an_expression_of_too_many_steps_is_stopped(expression):
    body = {**BODY, "items": list(range(20_000)), "text": "x" * 100_000}
    assert len(expression) <= 500
    assert check_mapping(PLAIN._replace(booking_id=expression)) == []

    with pytest.raises(InvalidInputError) as error:
        read_fields(PLAIN._replace(booking_id=expression), body, UTC)

    assert pointers(error) == ["/mapping/booking_id"]
