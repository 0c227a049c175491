"""Parsing of events, CloudEvents and import lines: values, and pointers and messages of all errors."""

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.builders import INSTANT, T0, event
from journey_service.domain.companies.currencies import EUR
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events.cell_formats import CellFormat
from journey_service.domain.events.event import EVENT_TYPES, Event, content_hash
from journey_service.domain.events.parsing import (
    future_error,
    parse_cloud_event,
    parse_event,
    parse_line,
    reported_error,
)
from journey_service.domain.events.values import find_json_error, parse_instant

UTC_ZONE = ZoneInfo("UTC")
AT = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
KNOWN_TYPES = (
    "call_received, appointment_requested, appointment_booked, appointment_completed, appointment_missed, "
    "appointment_cancelled, payment_received, payment_refunded, ticket_opened, ticket_resolved, "
    "event_retracted"
)
VALID = {
    "id": "e-1",
    "source": "desk",
    "type": "appointment_completed",
    "customer_id": 7,
    "occurred_at": "2026-03-01T09:30:00Z",
}
CLOUD = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "desk",
    "type": "appointment_completed",
    "subject": "7",
    "time": "2026-03-01T09:30:00Z",
}
MISSING = object()
A_NUMBER = "must be a number such as 1240.50"
TWO_WAYS = "can be read in two ways: give the date format, DD/MM/YYYY or MM/DD/YYYY"
A_TEXT = "must be text of 1 to 255 characters"
AN_ID = "must be a whole number from 0 to 4503599627370495; use customer_ref for other ids"
A_TIME = "must be a time such as 2026-03-01T09:30:00Z"
NO_ZONE = "needs a time zone, such as Z or +02:00"
NO_DATE = "is not a valid date and time"
OUT_OF_RANGE = "must be from 1900 to 2200"
AN_AMOUNT = "must be from 0 to 999999999.99"
DECIMALS = "must have at most 3 decimals"
SECONDS = "must be a whole number from 0 to 2147483647"


def with_value(form, name, value):
    """Returns the form with a field set, or removed if the value is MISSING."""
    return {key: item for key, item in {**form, name: value}.items() if item is not MISSING}


def event_with(**data):
    """Parses a valid event with this data."""
    return parse_event({**VALID, "data": data})


def errors_of(read, *arguments, **keywords):
    with pytest.raises(InvalidInputError) as caught:
        read(*arguments, **keywords)
    return [(error.pointer, error.message) for error in caught.value.errors]


def nested(depth):
    """Returns nested objects of this depth."""
    value = 1
    for _ in range(depth):
        value = {"a": value}
    return value


ATTRIBUTES = [
    *(
        pytest.param("id", value, message, id=f"id {label}")
        for label, value, message in (
            ("missing", MISSING, "is required"),
            ("null", None, "is required"),
            ("empty", "", A_TEXT),
            ("a number", 7, A_TEXT),
            ("too long", "i" * 256, A_TEXT),
            ("with NUL", "a\x00b", "must not contain NUL"),
        )
    ),
    *(
        pytest.param("source", value, message, id=f"source {label}")
        for label, value, message in (
            ("missing", MISSING, "is required"),
            ("empty", "", A_TEXT),
            ("a list", ["desk"], A_TEXT),
            ("too long", "s" * 256, A_TEXT),
            ("NUL", "\x00", "must not contain NUL"),
        )
    ),
    *(
        pytest.param("type", value, message, id=f"type {label}")
        for label, value, message in (
            ("missing", MISSING, "is required"),
            ("unknown", "sms_received", f"must be one of {KNOWN_TYPES}; got 'sms_received'"),
            ("empty", "", f"must be one of {KNOWN_TYPES}; got ''"),
            ("capital", "Call_Received", f"must be one of {KNOWN_TYPES}; got 'Call_Received'"),
            ("a list", ["call_received"], f"must be one of {KNOWN_TYPES}; got ['call_received']"),
            ("long", "x" * 99, f"must be one of {KNOWN_TYPES}; got '{'x' * 59}"),
        )
    ),
    *(
        pytest.param("customer_id", value, message, id=f"customer_id {label}")
        for label, value, message in (
            ("missing", MISSING, "is required"),
            ("null", None, "is required"),
            ("negative", -1, AN_ID),
            ("beyond 2^53 - 1", 2**53, AN_ID),
            ("far beyond", 10**400, AN_ID),
            ("a bool", True, AN_ID),
            ("a fraction", 7.5, AN_ID),
            ("a text", "seven", AN_ID),
            ("with a leading zero", "07", AN_ID),
            ("infinite", float("inf"), AN_ID),
            ("no number", float("nan"), AN_ID),
            ("a float too large to be exact", 2.0**60, AN_ID),
        )
    ),
]
INSTANTS = [
    pytest.param(value, message, id=f"{value!r:.40}")
    for value, message in (
        ("", A_TIME),
        (1772357400, A_TIME),
        (["2026-03-01T09:30:00Z"], A_TIME),
        ("yesterday", A_TIME),
        ("2026-03-01", A_TIME),
        ("20260301T093000Z", A_TIME),
        ("2026-W09-7T09:30:00Z", A_TIME),
        ("2026-03-01T09Z", A_TIME),
        ("2026-03-01T09:30:00,5Z", A_TIME),
        ("2026-03-01T09:30:00.Z", A_TIME),
        ("2026-03-01T09:30:00.1234567890Z", A_TIME),
        ("2026-03-01T09:30:00+0200", A_TIME),
        ("2026-03-01T09:30:00 Europe/Berlin", A_TIME),
        ("\uff12026-03-01T09:30:00Z", A_TIME),
        ("2026-03-01T09:30:00Z\n", A_TIME),
        ("2026-03-01T09:30:00", NO_ZONE),
        ("2026-03-01 09:30", NO_ZONE),
        ("2026-02-29T09:30:00Z", NO_DATE),
        ("2026-13-01T09:30:00Z", NO_DATE),
        ("2026-00-01T09:30:00Z", NO_DATE),
        ("2026-03-00T09:30:00Z", NO_DATE),
        ("2026-03-01T24:00:00Z", NO_DATE),
        ("2026-03-01T09:60:00Z", NO_DATE),
        ("2026-03-01T23:59:60Z", NO_DATE),
        ("2026-03-01T09:30:00+24:00", NO_DATE),
        ("2026-03-01T09:30:00+01:60", NO_DATE),
        ("0000-01-01T00:00:00Z", NO_DATE),
        ("0001-01-01T00:00:00+01:00", NO_DATE),
        ("9999-12-31T23:59:59-01:00", NO_DATE),
        ("0001-01-01T00:00:00Z", OUT_OF_RANGE),
        ("9999-12-31T23:59:59Z", OUT_OF_RANGE),
        ("1899-12-31T23:59:59.999999Z", OUT_OF_RANGE),
        ("1900-01-01T00:59:59+01:00", OUT_OF_RANGE),
        ("2200-01-01T00:00:00Z", OUT_OF_RANGE),
    )
]
DATA = [
    *(
        pytest.param("total_amount", value, message, id=f"total_amount {label}")
        for label, value, message in (
            ("with four decimals", 12.3456, DECIMALS),
            ("with a float's drift", 0.1 + 0.2, DECIMALS),
            ("tiny", 1e-7, DECIMALS),
            ("negative", -0.01, AN_AMOUNT),
            ("too large by a cent", 1_000_000_000, AN_AMOUNT),
            ("far too large", 1e300, AN_AMOUNT),
            ("beyond all floats", 10**400, AN_AMOUNT),
            ("infinite", float("inf"), AN_AMOUNT),
            ("no number", float("nan"), "must be a number"),
            ("a bool", True, "must be a number"),
            ("a text", "12,50", "must be a number"),
            ("an object", {"amount": 5}, "must be a number"),
        )
    ),
    *(
        pytest.param("call_duration", value, SECONDS, id=f"call_duration {label}")
        for label, value in (
            ("negative", -1),
            ("a fraction", 60.5),
            ("a bool", False),
            ("a text", "60 s"),
            ("too long", 2**31),
        )
    ),
    pytest.param("booking_id", "", A_TEXT, id="booking_id empty"),
    pytest.param("booking_id", 12, A_TEXT, id="booking_id a number"),
    pytest.param("booking_id", "b" * 256, A_TEXT, id="booking_id too long"),
    pytest.param("booking_id", "\x00", "must not contain NUL", id="booking_id NUL"),
    pytest.param("scheduled_for", "tomorrow", A_TIME, id="scheduled_for no time"),
    pytest.param("scheduled_for", "2026-03-01T09:30:00", NO_ZONE, id="scheduled_for without a zone"),
    pytest.param("metadata", [], "must be an object", id="metadata a list"),
    pytest.param("metadata", "{}", "must be an object", id="metadata a text"),
    pytest.param("metadata", 0, "must be an object", id="metadata zero"),
    pytest.param("metadata", nested(21), "must not be nested deeper than 20 levels", id="metadata too deep"),
    pytest.param(
        "metadata",
        {"a": [nested(20)]},
        "must not be nested deeper than 20 levels",
        id="metadata deep in a list",
    ),
    pytest.param("metadata", {"a": "x" * 8184}, "must not be longer than 8192 bytes", id="metadata too long"),
    pytest.param(
        "metadata", {"a": "é" * 4092}, "must not be longer than 8192 bytes", id="metadata too long in UTF-8"
    ),
    pytest.param("metadata", {"a": "b\x00"}, "must not contain NUL", id="metadata with NUL in a value"),
    pytest.param("metadata", {"a": [{"b\x00": 1}]}, "must not contain NUL", id="metadata with NUL in a key"),
    pytest.param("colour", "red", "is not a known field", id="an unknown field"),
]


# ---- one event


def test_all_fields_of_an_event_are_read():
    data = {
        "call_duration": 90,
        "total_amount": 25.5,
        "booking_id": "b-9",
        "scheduled_for": "2026-03-02T10:00:00+01:00",
        "metadata": {"room": 4},
    }
    assert event_with(**data) == Event(
        source="desk",
        event_id="e-1",
        customer_id=7,
        type="appointment_completed",
        occurred_at=AT,
        amount_cents=25_500,
        call_duration=90,
        booking_id="b-9",
        scheduled_for=datetime(2026, 3, 2, 9, tzinfo=UTC),
        metadata={"room": 4},
        is_in_thousandths=True,
    )


@pytest.mark.parametrize("data", [MISSING, None, {}], ids=["no data", "null", "empty data"])
def test_data_may_be_left_out(data):
    assert parse_event(with_value(VALID, "data", data)) == Event(
        "desk", "e-1", 7, "appointment_completed", AT, is_in_thousandths=True
    )


@pytest.mark.parametrize("type_", EVENT_TYPES)
def test_every_type_of_event_is_read(type_):
    data = {"retracts": {"source": "desk", "id": "e-0"}} if type_ == "event_retracted" else {}
    event = parse_event({**VALID, "type": type_, "data": data})
    assert (event.type, event.retracts) == (type_, ("desk", "e-0") if data else None)


@pytest.mark.parametrize(
    ("type_", "value", "errors"),
    [
        ("event_retracted", None, [("/data/retracts", "is required with type event_retracted")]),
        ("event_retracted", "e-1", [("/data/retracts", "must be an object")]),
        (
            "event_retracted",
            {"source": "", "x": 1},
            [
                ("/data/retracts/x", "is not a known field"),
                ("/data/retracts/source", A_TEXT),
                ("/data/retracts/id", "is required"),
            ],
        ),
        (
            "call_received",
            {"source": "desk", "id": "e-0"},
            [("/data/retracts", "is only accepted with type event_retracted")],
        ),
    ],
)
def test_a_retraction_names_the_event_that_it_retracts(type_, value, errors):
    assert errors_of(parse_event, {**VALID, "type": type_, "data": {"retracts": value}}) == errors
    flat = {**VALID, "type": type_, "retracts": value}
    assert errors_of(line, flat) == [(pointer.removeprefix("/data"), message) for pointer, message in errors]


def test_a_cell_holds_the_retracted_event_as_json():
    raw = {**CSV_LINE, "event_type": "event_retracted", "retracts": '{"source": "desk", "id": "e-0"}'}
    assert line(raw, is_text=True).event.retracts == ("desk", "e-0")


def test_what_was_reported_in_the_future_is_rejected():
    reported = event("appointment_missed", T0)._replace(reported_at=T0 + timedelta(minutes=5))
    assert reported_error(reported, T0) is None
    error = reported_error(reported._replace(reported_at=T0 + timedelta(minutes=6)), T0)
    assert [each.pointer for each in error.errors] == ["/data/reported_at"]


@pytest.mark.parametrize(("name", "value", "message"), ATTRIBUTES)
def test_an_invalid_attribute_is_rejected_with_its_pointer(name, value, message):
    assert errors_of(parse_event, with_value(VALID, name, value), "/3") == [(f"/3/{name}", message)]


@pytest.mark.parametrize(("value", "message"), INSTANTS)
def test_an_invalid_instant_is_rejected_with_its_pointer(value, message):
    assert errors_of(parse_event, {**VALID, "occurred_at": value}) == [("/occurred_at", message)]
    assert errors_of(parse_instant, value, "/until") == [("/until", message)]


@pytest.mark.parametrize("value", [MISSING, None], ids=["missing", "null"])
def test_an_instant_is_required(value):
    assert errors_of(parse_event, with_value(VALID, "occurred_at", value)) == [
        ("/occurred_at", "is required")
    ]


@pytest.mark.parametrize(("name", "value", "message"), DATA)
def test_invalid_data_is_rejected_with_its_pointer(name, value, message):
    assert errors_of(parse_event, {**VALID, "data": {name: value}}, "/3") == [(f"/3/data/{name}", message)]


@pytest.mark.parametrize("data", [[], "x", 0, False, [{"total_amount": 1}]], ids=repr)
def test_data_must_be_an_object(data):
    assert errors_of(parse_event, {**VALID, "data": data}) == [("/data", "must be an object")]


@pytest.mark.parametrize("raw", [None, [], "event", 7, [VALID]], ids=lambda raw: type(raw).__name__)
@pytest.mark.parametrize("read", [parse_event, parse_cloud_event])
def test_an_event_must_be_an_object(read, raw):
    assert errors_of(read, raw, "/2") == [("/2", "must be an object")]


def test_unknown_fields_are_rejected_with_escaped_pointers():
    raw = {**VALID, "a/b": 1, "total_amount": 5, "data": {"c~d": 1}}
    assert errors_of(parse_event, raw) == [
        ("/a~1b", "is not a known field"),
        ("/total_amount", "is not a known field"),
        ("/data/c~0d", "is not a known field"),
    ]


def test_all_errors_of_an_event_are_reported_together():
    raw = {"type": "x", "customer_id": True, "data": {"total_amount": -1, "metadata": 3}}
    assert [pointer for pointer, _ in errors_of(parse_event, raw)] == [
        "/id", "/source", "/type", "/customer_id", "/occurred_at", "/data/total_amount", "/data/metadata",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", "i" * 255),
        ("id", "☂ a:b/c"),
        ("customer_id", 0),
        ("customer_id", 2**52 - 1),
        ("customer_id", 7.0),
        ("occurred_at", "1900-01-01T00:00:00Z"),
        ("occurred_at", "2199-12-31T23:59:59.999999Z"),
        ("occurred_at", "2024-02-29T00:00:00-12:00"),
    ],
)
def test_an_attribute_at_a_limit_is_accepted(name, value):
    assert isinstance(parse_event({**VALID, name: value}), Event)


@pytest.mark.parametrize(
    ("data", "field", "value"),
    [
        ({"total_amount": 999_999_999.99}, "amount_cents", 999_999_999_990),
        ({"total_amount": 0.29}, "amount_cents", 290),
        ({"total_amount": 1.10}, "amount_cents", 1_100),
        ({"total_amount": 4.35}, "amount_cents", 4_350),
        ({"total_amount": -0.0}, "amount_cents", 0),
        ({"total_amount": None}, "amount_cents", 0),
        ({"call_duration": 2**31 - 1}, "call_duration", 2**31 - 1),
        ({"call_duration": 60.0}, "call_duration", 60),
        ({"call_duration": 0}, "call_duration", 0),
        ({"metadata": {}}, "metadata", {}),
        ({"metadata": nested(20)}, "metadata", nested(20)),
        ({"metadata": {"a": "x" * 8183}}, "metadata", {"a": "x" * 8183}),
        ({"metadata": {"a": "\\u0000"}}, "metadata", {"a": "\\u0000"}),
    ],
    ids=lambda value: f"{value!r:.40}",
)
def test_data_at_a_limit_is_accepted(data, field, value):
    assert getattr(event_with(**data), field) == value


@pytest.mark.parametrize(
    "written",
    [
        "2026-03-01T09:30:00Z",
        "2026-03-01t09:30:00z",
        "2026-03-01 09:30Z",
        "2026-03-01T10:30:00+01:00",
        "2026-02-28T21:30:00-12:00",
        "2026-03-01T09:30:00.000000000Z",
        "2026-03-01T09:30:00-00:00",
    ],
)
def test_an_instant_has_several_notations(written):
    instant = parse_event({**VALID, "occurred_at": written}).occurred_at
    assert (instant, instant.tzinfo) == (AT, UTC)


def test_an_instant_has_a_resolution_of_microseconds():
    written = "2026-03-01T09:30:00.123456789Z"
    assert parse_instant(written, "").microsecond == 123_456


# ---- values that cannot be stored

NOT_STORABLE = [
    pytest.param("\ud800", id="a high surrogate"),
    pytest.param("a\udfffb", id="a low surrogate"),
]


@pytest.mark.parametrize("text", NOT_STORABLE)
@pytest.mark.parametrize("name", ["id", "source"])
def test_text_that_is_not_unicode_is_rejected_with_its_pointer(name, text):
    assert [pointer for pointer, _ in errors_of(parse_event, {**VALID, name: text})] == [f"/{name}"]


@pytest.mark.parametrize("text", NOT_STORABLE)
def test_a_booking_id_that_is_not_unicode_is_rejected_with_its_pointer(text):
    raw = {**VALID, "data": {"booking_id": text}}
    assert [pointer for pointer, _ in errors_of(parse_event, raw)] == ["/data/booking_id"]


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({"a": "\ud800"}, id="a surrogate in a value"),
        pytest.param({"a": [{"\ud800": 1}]}, id="a surrogate in a key"),
        pytest.param({"a": float("nan")}, id="no number"),
        pytest.param({"a": [float("-inf")]}, id="an infinite number"),
        pytest.param({"a": 2**64}, id="a whole number beyond 64 bits"),
        pytest.param({"a": [-(2**63) - 1]}, id="a negative one"),
    ],
)
def test_metadata_that_cannot_be_stored_is_rejected_with_its_pointer(metadata):
    raw = {**VALID, "data": {"metadata": metadata}}
    assert [pointer for pointer, _ in errors_of(parse_event, raw)] == ["/data/metadata"]
    assert find_json_error(metadata) is not None


def test_metadata_of_every_json_type_is_kept():
    metadata = {"a": [None, True, 2**63 - 1, -(2**63), 1.5, "☂", {"b": {}}], "": []}
    assert find_json_error(metadata) is None
    assert event_with(metadata=metadata).metadata == metadata


@pytest.mark.parametrize("name", ["a\x00b", "a\ud800b"], ids=["NUL", "a surrogate"])
def test_the_pointer_of_an_error_can_be_stored(name):
    raw = {**VALID, name: 1}
    [(pointer, message)] = errors_of(partial(parse_line, currency=EUR), raw, 1, UTC_ZONE)
    assert message == "is not a known field"
    assert "\x00" not in pointer
    assert pointer.encode()


@pytest.mark.parametrize(
    "read",
    [
        parse_event,
        lambda raw: parse_line({**raw, **raw["data"]} | {"data": {}}, 1, UTC_ZONE, currency=EUR).event,
    ],
)
def test_decimal_text_is_read_wherever_a_number_is(read):
    text = {**VALID, "customer_id": "116", "data": {"total_amount": "49.90", "call_duration": "60"}}
    numbers = {**VALID, "customer_id": 116, "data": {"total_amount": 49.9, "call_duration": 60}}
    assert read(text) == read(numbers)


# ---- CloudEvents


def test_a_cloud_event_is_parsed_to_the_same_event():
    data = {"total_amount": 12.5, "metadata": {"room": 4}}
    assert parse_cloud_event({**CLOUD, "data": data}) == parse_event({**VALID, "data": data})
    assert parse_cloud_event(CLOUD) == parse_event(VALID)


def test_extension_attributes_of_a_cloud_event_are_ignored():
    more = {"traceparent": "00-1", "dataschema": "https://example.com", "datacontenttype": "application/json"}
    assert parse_cloud_event({**CLOUD, **more}) == parse_event(VALID)


@pytest.mark.parametrize(
    ("name", "value", "pointer", "message"),
    [
        ("specversion", MISSING, "/specversion", "must be '1.0'"),
        ("specversion", "0.3", "/specversion", "must be '1.0'"),
        ("specversion", 1.0, "/specversion", "must be '1.0'"),
        (
            "subject",
            MISSING,
            "/subject",
            "must be the customer's id as a string of digits, or ref: and the customer_ref",
        ),
        (
            "subject",
            7,
            "/subject",
            "must be the customer's id as a string of digits, or ref: and the customer_ref",
        ),
        (
            "subject",
            "",
            "/subject",
            "must be the customer's id as a string of digits, or ref: and the customer_ref",
        ),
        (
            "subject",
            "customer/7",
            "/subject",
            "must be the customer's id as a string of digits, or ref: and the customer_ref",
        ),
        (
            "subject",
            "7 ",
            "/subject",
            "must be the customer's id as a string of digits, or ref: and the customer_ref",
        ),
        (
            "subject",
            "\u0667",
            "/subject",
            "must be the customer's id as a string of digits, or ref: and the customer_ref",
        ),
        ("subject", "-7", "/subject", AN_ID),
        ("subject", "9007199254740992", "/subject", AN_ID),
        ("time", MISSING, "/time", "is required"),
        ("time", "2026-03-01T09:30:00", "/time", NO_ZONE),
        ("time", "2026-02-30T09:30:00Z", "/time", NO_DATE),
        ("type", "com.example.sms", "/type", f"must be one of {KNOWN_TYPES}; got 'com.example.sms'"),
        ("type", MISSING, "/type", "is required"),
        ("id", MISSING, "/id", "is required"),
        ("id", "\x00", "/id", "must not contain NUL"),
        ("source", "", "/source", A_TEXT),
        ("datacontenttype", "text/xml", "/datacontenttype", "must be application/json"),
        ("datacontenttype", 3, "/datacontenttype", "must be application/json"),
        ("data", "AA==", "/data", "must be an object"),
        ("data", {"total_amount": -1}, "/data/total_amount", AN_AMOUNT),
        ("data", {"amount": 1}, "/data/amount", "is not a known field"),
    ],
    ids=lambda value: "missing" if value is MISSING else None,
)
def test_an_invalid_cloud_event_is_rejected_with_its_pointer(name, value, pointer, message):
    assert errors_of(parse_cloud_event, with_value(CLOUD, name, value), "/0") == [(f"/0{pointer}", message)]


# ---- equal content


def changed(**more):
    return event("payment_received", AT, id_="1")._replace(**more)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param({"data": {}}, {"data": {"total_amount": 0}}, id="no amount and 0"),
        pytest.param({"data": {"total_amount": 5}}, {"data": {"total_amount": 5.0}}, id="5 and 5.0"),
        pytest.param(
            {"occurred_at": "2026-03-01T09:30:00Z"},
            {"occurred_at": "2026-03-01T11:30:00+02:00"},
            id="time zones",
        ),
        pytest.param(
            {"occurred_at": "2026-03-01T09:30:00Z"},
            {"occurred_at": "2026-03-01T09:30:00.000Z"},
            id="fractions",
        ),
        pytest.param({"customer_id": 7}, {"customer_id": 7.0}, id="a customer's id as a float"),
        pytest.param({"data": {"call_duration": 60}}, {"data": {"call_duration": 60.0}}, id="whole seconds"),
        pytest.param(
            {"data": {"metadata": {"a": 1, "b": [{"c": 2, "d": 3}]}}},
            {"data": {"metadata": {"b": [{"d": 3.0, "c": 2.0}], "a": 1.0}}},
            id="the order of keys, and 1 and 1.0",
        ),
        pytest.param({"data": {}}, {"data": {"metadata": {}}}, id="no metadata and empty metadata"),
        pytest.param({"data": None}, {}, id="null and nothing"),
        pytest.param({"id": "e-1"}, {"id": "e-2"}, id="another id"),
        pytest.param({"source": "desk"}, {"source": "phone"}, id="another source"),
        pytest.param(
            {"data": {"scheduled_for": "2026-03-02T09:00:00Z"}},
            {"data": {"scheduled_for": "2026-03-02T10:00:00+01:00"}},
            id="time zones of an appointment",
        ),
    ],
)
def test_equal_content_in_another_notation_has_the_same_hash(one, other):
    hashes = [content_hash(parse_event({**VALID, **form})) for form in (one, other)]
    assert hashes[0] == hashes[1]
    assert len(hashes[0]) == 16


@pytest.mark.parametrize(
    "more",
    [
        {"type": "payment_refunded"},
        {"customer_id": 8},
        {"occurred_at": AT + INSTANT},
        {"amount_cents": 1},
        {"call_duration": 0},
        {"booking_id": "b"},
        {"scheduled_for": AT},
        {"reported_at": AT},
        {"retracts": ("desk", "e-0")},
        {"metadata": {"a": 1}},
    ],
    ids=lambda more: next(iter(more)),
)
def test_different_content_has_a_different_hash(more):
    assert content_hash(changed(**more)) != content_hash(changed())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 2),
        (1, "1"),
        (1, True),
        (0, False),
        (0, None),
        ([1, 2], [2, 1]),
        ({}, []),
        (1.5, 1),
        ("", None),
        ("a", "A"),
    ],
    ids=repr,
)
def test_metadata_of_another_value_or_type_is_different_content(one, other):
    assert content_hash(changed(metadata={"a": one})) != content_hash(changed(metadata={"a": other}))


def test_a_value_under_another_name_is_different_content():
    assert content_hash(changed(booking_id="x")) != content_hash(changed(metadata={"booking_id": "x"}))
    assert content_hash(changed(call_duration=5)) != content_hash(changed(amount_cents=5))


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), _json, max_size=4))
def test_content_has_the_same_hash_after_a_round_trip(metadata):
    def backwards(value):
        if isinstance(value, dict):
            return {key: backwards(inner) for key, inner in reversed(value.items())}
        if isinstance(value, list):
            return [backwards(inner) for inner in value]
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        return float(value) if is_whole else value

    again = json.loads(json.dumps(metadata))
    hashes = {content_hash(changed(metadata=form)) for form in (metadata, again, backwards(metadata))}
    assert len(hashes) == 1


# ---- lines of an import file


def line(raw, *, zone=UTC_ZONE, is_text=False):
    return parse_line(raw, 12, zone, currency=EUR, cells=CellFormat() if is_text else None)


JSON_LINE = {"type": "appointment_completed", "customer_id": 7, "occurred_at": "2026-03-01T09:30:00Z"}
CSV_LINE = {"event_type": "appointment_completed", "customer_id": "7", "occurred_at": "2026-03-01T09:30:00Z"}


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param({**JSON_LINE, "total_amount": 12.5}, id="flat"),
        pytest.param({**JSON_LINE, "amount": 12.5}, id="with the short name of the amount"),
        pytest.param({**JSON_LINE, "data": {"total_amount": 12.5}}, id="in the form of an event"),
        pytest.param({**JSON_LINE, "data": {"amount": 12.5}}, id="in that form with the short name"),
        pytest.param(
            {
                "event_type": JSON_LINE["type"],
                "customer_id": 7,
                "occurred_at": JSON_LINE["occurred_at"],
                "amount": 12.5,
            },
            id="with the long name of the type",
        ),
    ],
)
def test_a_line_may_be_flat_or_in_the_form_of_an_event(raw):
    key = "7:appointment_completed:2026-03-01T09:30:00Z:12.5"
    expected = Event("import", key, 7, "appointment_completed", AT, amount_cents=1_250)
    assert line(raw) == (12, expected, False, None)


def test_cells_of_a_csv_line_are_converted_to_the_types_of_their_columns():
    cells = {
        **CSV_LINE,
        "event_id": "e-1",
        "source": "desk",
        "amount": "12.50",
        "call_duration": "90",
        "booking_id": "b",
        "scheduled_for": "2026-03-02",
        "metadata": '{"room": 4}',
    }
    assert line(cells, is_text=True) == (
        12,
        Event(
            "desk", "e-1", 7, "appointment_completed", AT, 1_250, 90, "b",
            datetime(2026, 3, 2, tzinfo=UTC), {"room": 4},
        ),
        True,
        None,
    )  # fmt: skip


def test_an_empty_cell_means_null():
    names = ("id", "source", "amount", "call_duration", "booking_id", "scheduled_for", "metadata")
    assert line({**CSV_LINE, **dict.fromkeys(names, "")}, is_text=True) == line(JSON_LINE)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("customer_id", "", "is required"),
        ("customer_id", "seven", AN_ID),
        ("customer_id", "-7", AN_ID),
        ("customer_id", "7.5", AN_ID),
        ("customer_id", "007", AN_ID),
        ("customer_id", " 7", AN_ID),
        ("customer_id", "\u0667", AN_ID),
        ("customer_id", "9007199254740992", AN_ID),
        ("customer_id", "1" * 4_500, AN_ID),
        ("occurred_at", "", "is required"),
        ("occurred_at", "March 1st", A_TIME),
        ("occurred_at", "2026-02-30", NO_DATE),
        ("occurred_at", "01/03/2026", TWO_WAYS),
        ("occurred_at", "0001-01-01", OUT_OF_RANGE),
        ("occurred_at", "9999-12-31", OUT_OF_RANGE),
        ("id", "\x00", "must not contain NUL"),
        ("source", "s" * 256, A_TEXT),
        ("total_amount", "12,50", A_NUMBER),
        ("total_amount", "$5", "must be in the company's currency, EUR"),
        ("total_amount", "1e3", A_NUMBER),
        ("total_amount", "NaN", A_NUMBER),
        ("total_amount", "12.505", "must have at most two decimals, as amounts in EUR"),
        ("total_amount", "12.5055", DECIMALS),
        ("total_amount", "-5", AN_AMOUNT),
        ("total_amount", "1000000000", AN_AMOUNT),
        ("call_duration", "90.5", SECONDS),
        ("call_duration", "1:30", SECONDS),
        ("metadata", "room 4", "must be an object"),
        ("metadata", "[4]", "must be an object"),
        ("metadata", "[" * 5_000, "must be an object"),
        ("metadata", '{"a": NaN}', "must be an object"),
        ("metadata", '{"a": "\\u0000"}', "must not contain NUL"),
    ],
    ids=lambda value: f"{value!r:.30}",
)
def test_an_invalid_cell_is_rejected_with_its_pointer(name, value, message):
    assert errors_of(line, {**CSV_LINE, name: value}, is_text=True) == [(f"/{name}", message)]


@pytest.mark.parametrize(
    "metadata",
    ['{"a": 1e999}', '{"a": "\\ud800"}', '{"a": 100000000000000000000}'],
    ids=["an infinite number", "a surrogate", "a whole number beyond 64 bits"],
)
def test_metadata_in_a_cell_that_cannot_be_stored_is_rejected(metadata):
    errors = errors_of(line, {**CSV_LINE, "metadata": metadata}, is_text=True)
    assert [pointer for pointer, _ in errors] == ["/metadata"]


@pytest.mark.parametrize(
    ("raw", "pointer", "message"),
    [
        pytest.param(with_value(JSON_LINE, "type", MISSING), "/type", "is required", id="no type"),
        pytest.param({**JSON_LINE, "customer_id": "7.0"}, "/customer_id", AN_ID, id="a text for an id"),
        pytest.param(
            {**JSON_LINE, "customer_id": "07"}, "/customer_id", AN_ID, id="an id with a leading zero"
        ),
        pytest.param({**JSON_LINE, "customer_id": True}, "/customer_id", AN_ID, id="a bool for an id"),
        pytest.param(
            {**JSON_LINE, "total_amount": "5 EUR"}, "/total_amount", "must be a number", id="a text for money"
        ),
        pytest.param({**JSON_LINE, "total_amount": -1}, "/total_amount", AN_AMOUNT, id="a negative amount"),
        pytest.param({**JSON_LINE, "color": 1}, "/color", "is not a known field", id="an unknown field"),
        pytest.param({**JSON_LINE, "data": []}, "/data", "must be an object", id="data that is a list"),
        pytest.param({**JSON_LINE, "data": None}, "/data", "must be an object", id="data that is null"),
        pytest.param({**JSON_LINE, "id": ""}, "/id", A_TEXT, id="an empty id"),
        pytest.param(
            {**JSON_LINE, "type": "x"},
            "/type",
            f"must be one of {KNOWN_TYPES}",
            id="an unknown type",
        ),
        pytest.param(
            {**JSON_LINE, "data": {"total_amount": -1}}, "/data/total_amount", AN_AMOUNT, id="within its data"
        ),
        pytest.param({**JSON_LINE, "amount": -1}, "/amount", AN_AMOUNT, id="under the name it was given"),
        pytest.param(
            {**with_value(JSON_LINE, "type", MISSING), "event_type": "x"},
            "/event_type",
            f"must be one of {KNOWN_TYPES}",
            id="a type under its long name",
        ),
    ],
)
def test_an_invalid_line_is_rejected_with_its_pointer(raw, pointer, message):
    assert errors_of(line, raw) == [(pointer, message)]


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param({**JSON_LINE, "amount": 5, "total_amount": 7}, id="two amounts"),
        pytest.param({**JSON_LINE, "event_type": "ticket_opened"}, id="two types"),
        pytest.param({**JSON_LINE, "id": "1", "event_id": "2"}, id="two ids"),
        pytest.param(
            {**JSON_LINE, "amount": 5, "data": {"total_amount": 7}},
            id="one amount within and one next to data",
        ),
    ],
)
def test_a_field_given_twice_is_rejected(raw):
    assert errors_of(line, raw)


@pytest.mark.parametrize(
    ("zone", "written", "instant"),
    [
        ("UTC", "2026-03-01", "2026-03-01T00:00:00+00:00"),
        ("Europe/Berlin", "2026-01-15", "2026-01-14T23:00:00+00:00"),
        ("Europe/Berlin", "2026-07-15", "2026-07-14T22:00:00+00:00"),
        ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00:00+00:00"),
        ("Europe/Berlin", "2026-03-30", "2026-03-29T22:00:00+00:00"),
        ("Asia/Kolkata", "2026-03-01", "2026-02-28T18:30:00+00:00"),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00+00:00"),  # 00:00 was skipped: 01:00
        ("America/Havana", "2025-11-02", "2025-11-02T04:00:00+00:00"),  # 00:00 is ambiguous: the first
    ],
)
def test_a_date_is_the_start_of_the_companys_local_day(zone, written, instant):
    for is_text, form in ((False, JSON_LINE), (True, CSV_LINE)):
        read = line({**form, "occurred_at": written}, zone=ZoneInfo(zone), is_text=is_text)
        assert read.event.occurred_at == datetime.fromisoformat(instant)


def test_the_time_zone_of_the_company_does_not_change_an_instant():
    assert line(JSON_LINE, zone=ZoneInfo("Asia/Kolkata")).event.occurred_at == AT


def test_dates_are_accepted_in_import_lines_only():
    assert errors_of(parse_event, {**VALID, "occurred_at": "2026-03-01"}) == [("/occurred_at", A_TIME)]


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ({}, "7:call_received:2026-03-01T09:30:00Z:0"),
        ({"occurred_at": "2026-03-01 10:30"}, "7:call_received:2026-03-01T10:30:00:0"),
        ({"amount": "49.90"}, "7:call_received:2026-03-01T09:30:00Z:49.9"),
        ({"metadata": {"room": 4}}, "7:call_received:2026-03-01T09:30:00Z:0"),
    ],
    ids=["time with offset", "local time", "amount", "metadata"],
)
def test_the_id_of_a_line_without_one_is_its_content_key(more, key):
    raw = {"customer_id": 7, "type": "call_received", "occurred_at": "2026-03-01T09:30:00Z", **more}
    for zone in (UTC_ZONE, ZoneInfo("Asia/Kolkata")):
        parsed = parse_line(raw, 1, zone, currency=EUR)
        assert (parsed.event.event_id, parsed.has_id) == (key, False)


def test_duration_and_booking_are_part_of_a_content_key():
    raw = {"customer_id": 7, "type": "call_received", "occurred_at": "2026-03-01T09:30:00Z"}
    others = [raw, {**raw, "call_duration": 60}, {**raw, "booking_id": "60"}, {**raw, "booking_id": "61"}]
    assert len({parse_line(each, 1, UTC_ZONE, currency=EUR).event.event_id for each in others}) == len(others)


# ---- the future


@pytest.mark.parametrize(
    ("ahead", "is_accepted"),
    [
        (-timedelta(days=9_000), True),
        (timedelta(0), True),
        (timedelta(minutes=5), True),
        (timedelta(minutes=5) + INSTANT, False),
        (timedelta(days=1), False),
    ],
    ids=str,
)
def test_an_event_may_be_five_minutes_in_the_future(ahead, is_accepted):
    error = future_error(event("call_received", T0 + ahead), T0, "/0/occurred_at")
    if is_accepted:
        assert error is None
    else:
        assert [(each.pointer, each.message) for each in error.errors] == [
            ("/0/occurred_at", "must not be more than 5 minutes in the future")
        ]
