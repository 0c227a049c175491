"""Events as others tell them: what is read, and the place and words of every fault."""

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.builders import INSTANT, T0, event
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events.event import EVENT_TYPES, Event, content_hash
from journey_service.domain.events.parsing import (
    find_json_error,
    future_error,
    line_id,
    parse_cloud_event,
    parse_event,
    parse_instant,
    parse_line,
)

UTC_ZONE = ZoneInfo("UTC")
AT = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
KNOWN_TYPES = (
    "call_received, appointment_requested, appointment_booked, appointment_completed, appointment_missed, "
    "appointment_cancelled, payment_received, payment_refunded, ticket_opened, ticket_resolved"
)
SOUND = {
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
A_TEXT = "must be a text of 1 to 255 characters"
AN_ID = "must be a whole number from 0 to 4503599627370495"
A_TIME = "must be a time such as 2026-03-01T09:30:00Z"
NO_ZONE = "needs a time zone, such as Z or +02:00"
NO_DAY = "is not a day and time of the calendar"
TOO_FAR = "must lie from 1900 to 2200"
AN_AMOUNT = "must be from 0 to 999999999.99"
DECIMALS = "must have at most two decimals"
SECONDS = "must be a whole number from 0 to 2147483647"


def put(form, name, value):
    """The form with a value, or (for MISSING) without one."""
    return {key: told for key, told in {**form, name: value}.items() if told is not MISSING}


def told(**data):
    """A sound event with this data."""
    return parse_event({**SOUND, "data": data})


def faults_of(read, *arguments, **keywords):
    with pytest.raises(InvalidInputError) as caught:
        read(*arguments, **keywords)
    return [(fault.pointer, fault.message) for fault in caught.value.errors]


def nested(depth):
    """A value that many objects deep."""
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
            ("unknown", "sms_received", f"'sms_received' is unknown; known: {KNOWN_TYPES}"),
            ("empty", "", f"'' is unknown; known: {KNOWN_TYPES}"),
            ("capital", "Call_Received", f"'Call_Received' is unknown; known: {KNOWN_TYPES}"),
            ("a list", ["call_received"], f"['call_received'] is unknown; known: {KNOWN_TYPES}"),
            ("long", "x" * 99, f"'{'x' * 59} is unknown; known: {KNOWN_TYPES}"),
        )
    ),
    *(
        pytest.param("customer_id", value, message, id=f"customer_id {label}")
        for label, value, message in (
            ("missing", MISSING, "is required"),
            ("null", None, "is required"),
            ("negative", -1, AN_ID),
            ("beyond 2^52 - 1", 2**52, AN_ID),
            ("far beyond", 10**400, AN_ID),
            ("a bool", True, AN_ID),
            ("a fraction", 7.5, AN_ID),
            ("a text", "7", AN_ID),
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
        ("2026-02-29T09:30:00Z", NO_DAY),
        ("2026-13-01T09:30:00Z", NO_DAY),
        ("2026-00-01T09:30:00Z", NO_DAY),
        ("2026-03-00T09:30:00Z", NO_DAY),
        ("2026-03-01T24:00:00Z", NO_DAY),
        ("2026-03-01T09:60:00Z", NO_DAY),
        ("2026-03-01T23:59:60Z", NO_DAY),
        ("2026-03-01T09:30:00+24:00", NO_DAY),
        ("2026-03-01T09:30:00+01:60", NO_DAY),
        ("0000-01-01T00:00:00Z", NO_DAY),
        ("0001-01-01T00:00:00+01:00", NO_DAY),
        ("9999-12-31T23:59:59-01:00", NO_DAY),
        ("0001-01-01T00:00:00Z", TOO_FAR),
        ("9999-12-31T23:59:59Z", TOO_FAR),
        ("1899-12-31T23:59:59.999999Z", TOO_FAR),
        ("1900-01-01T00:59:59+01:00", TOO_FAR),
        ("2200-01-01T00:00:00Z", TOO_FAR),
    )
]
DATA = [
    *(
        pytest.param("total_amount", value, message, id=f"total_amount {label}")
        for label, value, message in (
            ("with three decimals", 12.345, DECIMALS),
            ("with a float's drift", 0.1 + 0.2, DECIMALS),
            ("tiny", 1e-7, DECIMALS),
            ("negative", -0.01, AN_AMOUNT),
            ("too large by a cent", 1_000_000_000, AN_AMOUNT),
            ("far too large", 1e300, AN_AMOUNT),
            ("beyond all floats", 10**400, AN_AMOUNT),
            ("infinite", float("inf"), AN_AMOUNT),
            ("no number", float("nan"), "must be a number"),
            ("a bool", True, "must be a number"),
            ("a text", "12.50", "must be a number"),
            ("an object", {"amount": 5}, "must be a number"),
        )
    ),
    *(
        pytest.param("call_duration", value, SECONDS, id=f"call_duration {label}")
        for label, value in (
            ("negative", -1),
            ("a fraction", 60.5),
            ("a bool", False),
            ("a text", "60"),
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
    pytest.param("colour", "red", "is not known here", id="an unknown field"),
]


# ---- one event


def test_an_event_is_read_as_it_is_told():
    data = {
        "call_duration": 90,
        "total_amount": 25.5,
        "booking_id": "b-9",
        "scheduled_for": "2026-03-02T10:00:00+01:00",
        "metadata": {"room": 4},
    }
    assert told(**data) == Event(
        source="desk",
        event_id="e-1",
        customer_id=7,
        type="appointment_completed",
        occurred_at=AT,
        amount_cents=2_550,
        call_duration=90,
        booking_id="b-9",
        scheduled_for=datetime(2026, 3, 2, 9, tzinfo=UTC),
        metadata={"room": 4},
    )


@pytest.mark.parametrize("data", [MISSING, None, {}], ids=["no data", "null", "empty data"])
def test_data_may_be_left_out(data):
    assert parse_event(put(SOUND, "data", data)) == Event("desk", "e-1", 7, "appointment_completed", AT)


@pytest.mark.parametrize("type_", EVENT_TYPES)
def test_every_type_of_event_is_read(type_):
    assert parse_event({**SOUND, "type": type_}).type == type_


@pytest.mark.parametrize(("name", "value", "message"), ATTRIBUTES)
def test_a_faulty_attribute_is_refused_with_its_place(name, value, message):
    assert faults_of(parse_event, put(SOUND, name, value), "/3") == [(f"/3/{name}", message)]


@pytest.mark.parametrize(("value", "message"), INSTANTS)
def test_a_faulty_instant_is_refused_with_its_place(value, message):
    assert faults_of(parse_event, {**SOUND, "occurred_at": value}) == [("/occurred_at", message)]
    assert faults_of(parse_instant, value, "/until") == [("/until", message)]


@pytest.mark.parametrize("value", [MISSING, None], ids=["missing", "null"])
def test_an_instant_is_required(value):
    assert faults_of(parse_event, put(SOUND, "occurred_at", value)) == [("/occurred_at", "is required")]


@pytest.mark.parametrize(("name", "value", "message"), DATA)
def test_faulty_data_is_refused_with_its_place(name, value, message):
    assert faults_of(parse_event, {**SOUND, "data": {name: value}}, "/3") == [(f"/3/data/{name}", message)]


@pytest.mark.parametrize("data", [[], "x", 0, False, [{"total_amount": 1}]], ids=repr)
def test_data_is_an_object(data):
    assert faults_of(parse_event, {**SOUND, "data": data}) == [("/data", "must be an object")]


@pytest.mark.parametrize("raw", [None, [], "event", 7, [SOUND]], ids=lambda raw: type(raw).__name__)
@pytest.mark.parametrize("read", [parse_event, parse_cloud_event])
def test_an_event_is_an_object(read, raw):
    assert faults_of(read, raw, "/2") == [("/2", "must be an object")]


def test_unknown_fields_are_told_with_escaped_pointers():
    raw = {**SOUND, "a/b": 1, "total_amount": 5, "data": {"c~d": 1}}
    assert faults_of(parse_event, raw) == [
        ("/a~1b", "is not known here"),
        ("/total_amount", "is not known here"),
        ("/data/c~0d", "is not known here"),
    ]


def test_every_fault_of_an_event_is_told_at_once():
    raw = {"type": "x", "customer_id": True, "data": {"total_amount": -1, "metadata": 3}}
    assert [place for place, _ in faults_of(parse_event, raw)] == [
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
def test_an_attribute_at_the_edge_of_what_is_allowed_is_taken(name, value):
    assert isinstance(parse_event({**SOUND, name: value}), Event)


@pytest.mark.parametrize(
    ("data", "field", "value"),
    [
        ({"total_amount": 999_999_999.99}, "amount_cents", 99_999_999_999),
        ({"total_amount": 0.29}, "amount_cents", 29),
        ({"total_amount": 1.10}, "amount_cents", 110),
        ({"total_amount": 4.35}, "amount_cents", 435),
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
def test_data_at_the_edge_of_what_is_allowed_is_taken(data, field, value):
    assert getattr(told(**data), field) == value


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
def test_an_instant_may_be_written_in_many_ways(written):
    instant = parse_event({**SOUND, "occurred_at": written}).occurred_at
    assert (instant, instant.tzinfo) == (AT, UTC)


def test_an_instant_is_kept_to_the_microsecond():
    written = "2026-03-01T09:30:00.123456789Z"
    assert parse_instant(written, "").microsecond == 123_456


# ---- what cannot be kept

UNKEPT = [
    pytest.param("\ud800", id="half a pair"),
    pytest.param("a\udfffb", id="the other half"),
]


@pytest.mark.parametrize("text", UNKEPT)
@pytest.mark.parametrize("name", ["id", "source"])
def test_text_that_is_not_unicode_is_refused_with_its_place(name, text):
    assert [place for place, _ in faults_of(parse_event, {**SOUND, name: text})] == [f"/{name}"]


@pytest.mark.parametrize("text", UNKEPT)
def test_a_booking_id_that_is_not_unicode_is_refused_with_its_place(text):
    raw = {**SOUND, "data": {"booking_id": text}}
    assert [place for place, _ in faults_of(parse_event, raw)] == ["/data/booking_id"]


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({"a": "\ud800"}, id="half a pair in a value"),
        pytest.param({"a": [{"\ud800": 1}]}, id="half a pair in a key"),
        pytest.param({"a": float("nan")}, id="no number"),
        pytest.param({"a": [float("-inf")]}, id="an infinite number"),
        pytest.param({"a": 2**64}, id="a whole number beyond 64 bits"),
        pytest.param({"a": [-(2**63) - 1]}, id="a negative one"),
    ],
)
def test_metadata_that_cannot_be_kept_as_json_is_refused_with_its_place(metadata):
    raw = {**SOUND, "data": {"metadata": metadata}}
    assert [place for place, _ in faults_of(parse_event, raw)] == ["/data/metadata"]
    assert find_json_error(metadata) is not None


def test_metadata_of_every_json_kind_is_kept():
    metadata = {"a": [None, True, 2**63 - 1, -(2**63), 1.5, "☂", {"b": {}}], "": []}
    assert find_json_error(metadata) is None
    assert told(metadata=metadata).metadata == metadata


@pytest.mark.parametrize("name", ["a\x00b", "a\ud800b"], ids=["NUL", "half a pair"])
def test_the_place_of_a_fault_can_itself_be_kept(name):
    raw = {**SOUND, name: 1}
    [(place, message)] = faults_of(parse_line, raw, 1, UTC_ZONE, is_text=False)
    assert message == "is not known here"
    assert "\x00" not in place
    assert place.encode()


# ---- CloudEvents


def test_a_cloud_event_is_the_same_event():
    data = {"total_amount": 12.5, "metadata": {"room": 4}}
    assert parse_cloud_event({**CLOUD, "data": data}) == parse_event({**SOUND, "data": data})
    assert parse_cloud_event(CLOUD) == parse_event(SOUND)


def test_extension_attributes_of_a_cloud_event_are_allowed_and_not_kept():
    more = {"traceparent": "00-1", "dataschema": "https://example.com", "datacontenttype": "application/json"}
    assert parse_cloud_event({**CLOUD, **more}) == parse_event(SOUND)


@pytest.mark.parametrize(
    ("name", "value", "place", "message"),
    [
        ("specversion", MISSING, "/specversion", "must be '1.0'"),
        ("specversion", "0.3", "/specversion", "must be '1.0'"),
        ("specversion", 1.0, "/specversion", "must be '1.0'"),
        ("subject", MISSING, "/subject", "must be the customer's id, as a text of digits"),
        ("subject", 7, "/subject", "must be the customer's id, as a text of digits"),
        ("subject", "", "/subject", "must be the customer's id, as a text of digits"),
        ("subject", "customer/7", "/subject", "must be the customer's id, as a text of digits"),
        ("subject", "7 ", "/subject", "must be the customer's id, as a text of digits"),
        ("subject", "\u0667", "/subject", "must be the customer's id, as a text of digits"),
        ("subject", "-7", "/subject", AN_ID),
        ("subject", "4503599627370496", "/subject", AN_ID),
        ("time", MISSING, "/time", "is required"),
        ("time", "2026-03-01T09:30:00", "/time", NO_ZONE),
        ("time", "2026-02-30T09:30:00Z", "/time", NO_DAY),
        ("type", "com.example.sms", "/type", f"'com.example.sms' is unknown; known: {KNOWN_TYPES}"),
        ("type", MISSING, "/type", "is required"),
        ("id", MISSING, "/id", "is required"),
        ("id", "\x00", "/id", "must not contain NUL"),
        ("source", "", "/source", A_TEXT),
        ("datacontenttype", "text/xml", "/datacontenttype", "must be application/json"),
        ("datacontenttype", 3, "/datacontenttype", "must be application/json"),
        ("data_base64", "AA==", "/data_base64", "binary data is not understood; send data as JSON"),
        ("data", "AA==", "/data", "must be an object"),
        ("data", {"total_amount": -1}, "/data/total_amount", AN_AMOUNT),
        ("data", {"amount": 1}, "/data/amount", "is not known here"),
    ],
    ids=lambda value: "missing" if value is MISSING else None,
)
def test_a_faulty_cloud_event_is_refused_with_its_place(name, value, place, message):
    assert faults_of(parse_cloud_event, put(CLOUD, name, value), "/0") == [(f"/0{place}", message)]


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
def test_equal_content_is_equal_however_it_is_written(one, other):
    hashes = [content_hash(parse_event({**SOUND, **form})) for form in (one, other)]
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
        {"metadata": {"a": 1}},
    ],
    ids=lambda more: next(iter(more)),
)
def test_other_content_is_other(more):
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
def test_metadata_of_another_value_or_kind_is_other_content(one, other):
    assert content_hash(changed(metadata={"a": one})) != content_hash(changed(metadata={"a": other}))


def test_a_value_under_another_name_is_other_content():
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
def test_content_written_down_and_read_again_is_equal(metadata):
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


# ---- lines of a history


def line(raw, *, zone=UTC_ZONE, is_text=False):
    return parse_line(raw, 12, zone, is_text=is_text)


BARE = {"type": "appointment_completed", "customer_id": 7, "occurred_at": "2026-03-01T09:30:00Z"}
CELLS = {"event_type": "appointment_completed", "customer_id": "7", "occurred_at": "2026-03-01T09:30:00Z"}


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param({**BARE, "total_amount": 12.5}, id="flat"),
        pytest.param({**BARE, "amount": 12.5}, id="with the short name of the amount"),
        pytest.param({**BARE, "data": {"total_amount": 12.5}}, id="in the form of an event"),
        pytest.param({**BARE, "data": {"amount": 12.5}}, id="in that form with the short name"),
        pytest.param(
            {
                "event_type": BARE["type"],
                "customer_id": 7,
                "occurred_at": BARE["occurred_at"],
                "amount": 12.5,
            },
            id="with the long name of the type",
        ),
    ],
)
def test_a_line_may_be_flat_or_in_the_form_of_an_event(raw):
    assert line(raw) == (12, Event("import", "", 7, "appointment_completed", AT, amount_cents=1_250), False)


def test_a_line_of_texts_is_read_as_what_its_columns_mean():
    cells = {
        **CELLS,
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
    )  # fmt: skip


def test_an_empty_cell_means_nothing():
    names = ("id", "source", "amount", "call_duration", "booking_id", "scheduled_for", "metadata")
    assert line({**CELLS, **dict.fromkeys(names, "")}, is_text=True) == line(BARE)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("customer_id", "", "is required"),
        ("customer_id", "seven", AN_ID),
        ("customer_id", "-7", AN_ID),
        ("customer_id", "7.0", AN_ID),
        ("customer_id", " 7", AN_ID),
        ("customer_id", "\u0667", AN_ID),
        ("customer_id", "4503599627370496", AN_ID),
        ("customer_id", "1" * 4_500, AN_ID),
        ("occurred_at", "", "is required"),
        ("occurred_at", "01.03.2026", A_TIME),
        ("occurred_at", "2026-02-30", NO_DAY),
        ("occurred_at", "2026-03-01T09:30:00", NO_ZONE),
        ("occurred_at", "0001-01-01", TOO_FAR),
        ("occurred_at", "9999-12-31", TOO_FAR),
        ("id", "\x00", "must not contain NUL"),
        ("source", "s" * 256, A_TEXT),
        ("total_amount", "12,50", "must be a number"),
        ("total_amount", "€5", "must be a number"),
        ("total_amount", "1e3", "must be a number"),
        ("total_amount", "NaN", "must be a number"),
        ("total_amount", "12.505", DECIMALS),
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
def test_a_faulty_cell_is_refused_with_its_place(name, value, message):
    assert faults_of(line, {**CELLS, name: value}, is_text=True) == [(f"/{name}", message)]


@pytest.mark.parametrize(
    "metadata",
    ['{"a": 1e999}', '{"a": "\\ud800"}', '{"a": 100000000000000000000}'],
    ids=["an infinite number", "half a pair", "a whole number beyond 64 bits"],
)
def test_metadata_in_a_cell_that_cannot_be_kept_is_refused(metadata):
    errors = faults_of(line, {**CELLS, "metadata": metadata}, is_text=True)
    assert [place for place, _ in errors] == ["/metadata"]


@pytest.mark.parametrize(
    ("raw", "place", "message"),
    [
        pytest.param(put(BARE, "type", MISSING), "/type", "is required", id="no type"),
        pytest.param({**BARE, "customer_id": "7"}, "/customer_id", AN_ID, id="a text for an id"),
        pytest.param({**BARE, "customer_id": True}, "/customer_id", AN_ID, id="a bool for an id"),
        pytest.param(
            {**BARE, "total_amount": "5"}, "/total_amount", "must be a number", id="a text for money"
        ),
        pytest.param({**BARE, "total_amount": -1}, "/total_amount", AN_AMOUNT, id="a negative amount"),
        pytest.param({**BARE, "color": 1}, "/color", "is not known here", id="an unknown field"),
        pytest.param({**BARE, "data": []}, "/data", "must be an object", id="data that is a list"),
        pytest.param({**BARE, "data": None}, "/data", "must be an object", id="data that is null"),
        pytest.param({**BARE, "id": ""}, "/id", A_TEXT, id="an empty id"),
        pytest.param(
            {**BARE, "type": "x"},
            "/type",
            f"is unknown; known: {KNOWN_TYPES}",
            id="an unknown type",
        ),
        pytest.param(
            {**BARE, "data": {"total_amount": -1}}, "/data/total_amount", AN_AMOUNT, id="within its data"
        ),
        pytest.param({**BARE, "amount": -1}, "/amount", AN_AMOUNT, id="under the name it was given"),
        pytest.param(
            {**put(BARE, "type", MISSING), "event_type": "x"},
            "/event_type",
            f"is unknown; known: {KNOWN_TYPES}",
            id="a type under its long name",
        ),
    ],
)
def test_a_faulty_line_is_refused_with_its_place(raw, place, message):
    assert faults_of(line, raw) == [(place, message)]


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param({**BARE, "amount": 5, "total_amount": 7}, id="two amounts"),
        pytest.param({**BARE, "event_type": "ticket_opened"}, id="two types"),
        pytest.param({**BARE, "id": "1", "event_id": "2"}, id="two ids"),
        pytest.param(
            {**BARE, "amount": 5, "data": {"total_amount": 7}}, id="one amount within and one beside data"
        ),
    ],
)
def test_a_line_that_says_one_thing_twice_is_refused(raw):
    assert faults_of(line, raw)


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
        ("America/Havana", "2025-11-02", "2025-11-02T04:00:00+00:00"),  # 00:00 came twice: the first
    ],
)
def test_a_bare_date_is_the_beginning_of_the_companys_day(zone, written, instant):
    for is_text, form in ((False, BARE), (True, CELLS)):
        read = line({**form, "occurred_at": written}, zone=ZoneInfo(zone), is_text=is_text)
        assert read.event.occurred_at == datetime.fromisoformat(instant)


def test_the_zone_of_the_company_does_not_touch_an_instant():
    assert line(BARE, zone=ZoneInfo("Asia/Kolkata")).event.occurred_at == AT


def test_only_lines_know_bare_dates():
    assert faults_of(parse_event, {**SOUND, "occurred_at": "2026-03-01"}) == [("/occurred_at", A_TIME)]


@pytest.mark.parametrize(
    ("at", "ordinal", "id_"),
    [
        (AT, 1, "7:call_received:2026-03-01T09:30:00Z:1"),
        (AT, 12, "7:call_received:2026-03-01T09:30:00Z:12"),
        (AT + INSTANT, 1, "7:call_received:2026-03-01T09:30:00.000001Z:1"),
        (datetime(1900, 1, 1, tzinfo=UTC), 1, "7:call_received:1900-01-01T00:00:00Z:1"),
    ],
)
def test_a_line_without_an_id_gets_one_from_what_it_says(at, ordinal, id_):
    assert line_id(event("call_received", at), ordinal) == id_


# ---- the future


@pytest.mark.parametrize(
    ("ahead", "is_taken"),
    [
        (-timedelta(days=9_000), True),
        (timedelta(0), True),
        (timedelta(minutes=5), True),
        (timedelta(minutes=5) + INSTANT, False),
        (timedelta(days=1), False),
    ],
    ids=str,
)
def test_an_event_may_lie_five_minutes_ahead(ahead, is_taken):
    fault = future_error(event("call_received", T0 + ahead), T0, "/0/occurred_at")
    if is_taken:
        assert fault is None
    else:
        assert [(told.pointer, told.message) for told in fault.errors] == [
            ("/0/occurred_at", "lies more than 5 minutes in the future")
        ]
