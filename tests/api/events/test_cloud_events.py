"""CloudEvents in all modes: binary, structured and batches, and the handshake of webhooks."""

import base64
import gzip
import json
from pathlib import Path

import pytest

from api.calls import API, JSON, event, journey, problem

CASE = Path(__file__).parents[4] / "shared" / "cases" / "h15_cloudevents_binary.http"
CLOUD, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
MESSAGE = {
    "specversion": "1.0",
    "id": "c-1",
    "source": "/booking",
    "type": "appointment_completed",
    "subject": "1",
    "time": "2026-03-01T11:00:00Z",
}
DATA = {"total_amount": 49.9}


def attributes(**changes):
    """The headers of a message in binary mode."""
    values = {**MESSAGE, **changes}
    return {f"ce-{name}": value for name, value in values.items() if value is not None}


async def post(http, tenant, content, *, path="/events", media=JSON, **headers):
    named = {**tenant.headers, **({} if media is None else {"content-type": media}), **headers}
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    return await http.post(f"{API}{path}", headers=named, content=content)


async def binary(http, tenant, data=DATA, *, path="/events", media=JSON, **changes):
    return await post(http, tenant, data, path=path, media=media, **attributes(**changes))


def applied(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()["status"] == "applied"


# ---- binary mode


@pytest.mark.skipif(not CASE.exists(), reason="the shared cases are not here")
async def test_a_request_as_a_broker_sends_it_is_applied(http, salon):
    head, body = CASE.read_text(encoding="utf-8").split("\n\n", 1)
    (method, path, _), *lines = (line.split(" ") for line in head.splitlines())
    headers = {name.rstrip(":"): " ".join(value) for name, *value in lines}

    answer = await http.request(method, path, headers={**salon.headers, **headers}, content=body.encode())

    assert applied(answer)
    assert answer.json()["journey"]["customer_id"] == 118
    assert answer.json()["journey"]["lifetime_value"] == 10


async def test_a_message_in_binary_mode_is_the_event_of_its_headers(http, salon):
    assert applied(await binary(http, salon, traceparent="00-1", datacontenttype="text/xml"))

    plain = await post(http, salon, event("c-1", source="/booking", total_amount=49.9))
    assert plain.json()["status"] == "duplicate"


async def test_a_message_in_binary_mode_needs_no_body_and_may_be_compressed(http, salon):
    assert applied(await binary(http, salon, b"", media=None))
    packed = gzip.compress(json.dumps(DATA).encode())
    answer = await post(http, salon, packed, **attributes(id="c-2"), **{"content-encoding": "gzip"})
    assert applied(answer)


@pytest.mark.parametrize("value", ['"b \\"1\\" \\\\ caf%C3%A9"', "b%20%221%22%20%5C%20caf%C3%A9"])
async def test_the_values_of_headers_are_decoded(http, salon, value):
    assert applied(await binary(http, salon, source=value))

    plain = await post(http, salon, event("c-1", source='b "1" \\ caf\u00e9', total_amount=49.9))
    assert plain.json()["status"] == "duplicate"


async def test_a_media_type_of_cloud_events_takes_precedence_over_headers(http, salon):
    answer = await post(http, salon, {**MESSAGE, "id": "inner"}, media=CLOUD, **attributes(id="outer"))

    assert applied(answer)
    assert (await post(http, salon, event("inner", source="/booking"))).json()["status"] == "duplicate"


async def test_errors_of_binary_mode_are_named_by_attribute(http, salon):
    answer = await binary(
        http, salon, {"amount": 1}, subject="ada", time=None, type="visit", specversion="2.0"
    )
    problem(answer, 422, "invalid-input", "/subject", "/time", "/type", "/specversion", "/data/amount")
    problem(await binary(http, salon, [1]), 422, "invalid-input", "/data")
    problem(await binary(http, salon, b"{"), 422, "malformed")
    problem(await binary(http, salon, b"x=1", media="text/plain"), 415, "unsupported-media-type")


# ---- data and types


def encoded(value):
    return base64.b64encode(value if isinstance(value, bytes) else json.dumps(value).encode()).decode()


async def test_data_in_base64_is_read(http, salon):
    assert applied(await post(http, salon, {**MESSAGE, "data_base64": encoded(DATA)}, media=CLOUD))
    assert applied(await post(http, salon, {**MESSAGE, "id": "c-2", "data_base64": None}, media=CLOUD))
    assert (await journey(http, salon))["lifetime_value"] == 49.9


@pytest.mark.parametrize("data", ["%%%", 7, encoded(b"\xff"), encoded(b"x=1"), encoded(b"[" * 100_000)])
async def test_data_in_base64_that_is_not_json_is_refused_with_every_other_error(http, salon, data):
    answer = await post(http, salon, {**MESSAGE, "subject": "ada", "data_base64": data}, media=CLOUD)

    problem(answer, 422, "invalid-input", "/subject", "/data_base64")


async def test_data_is_given_once(http, salon):
    both = {**MESSAGE, "data": DATA, "data_base64": encoded(DATA)}
    problem(await post(http, salon, both), 422, "invalid-input", "/data_base64")
    problem(await post(http, salon, {**MESSAGE, "data_base64": encoded([1])}), 422, "invalid-input", "/data")


async def test_the_last_part_of_a_type_is_the_type(http, salon):
    prefixed = {**MESSAGE, "type": "com.example.booking.appointment_completed"}
    assert applied(await post(http, salon, prefixed, media=CLOUD))
    assert (await post(http, salon, MESSAGE)).json()["status"] == "duplicate"
    assert applied(await binary(http, salon, id="c-2", type="com.example.appointment_missed"))

    for type_ in ("com.example.visit", "com.example.appointment_completed.v1", "x-appointment_completed"):
        problem(await binary(http, salon, id="c-3", type=type_), 422, "invalid-input", "/type")
    plain = event("e-1", type_="com.example.appointment_completed")
    problem(await post(http, salon, plain), 422, "invalid-input", "/type")


# ---- batches


async def test_every_mode_can_be_sent_to_the_path_of_batches(http, salon):
    messages = [{**MESSAGE, "id": f"c-{n}", "data_base64": encoded(DATA)} for n in (1, 2)]
    answers = [
        await post(http, salon, messages, path="/events/batch", media=BATCH),
        await post(http, salon, {**MESSAGE, "id": "c-3"}, path="/events/batch", media=CLOUD),
        await binary(http, salon, path="/events/batch", id="c-4"),
        await binary(http, salon, path="/events/batch", id="c-5", subject="ada"),
    ]

    statuses = [[each["status"] for each in answer.json()["results"]] for answer in answers]
    assert statuses == [["applied", "applied"], ["applied"], ["applied"], ["refused"]]


async def test_a_batch_is_sent_to_the_path_of_batches(http, salon):
    answer = await post(http, salon, [MESSAGE], media=BATCH)

    assert "/events/batch" in problem(answer, 415, "unsupported-media-type")["detail"]


# ---- the handshake


@pytest.mark.parametrize("path", ["/events", "/events/batch", "/sources/12/events"])
async def test_a_sender_that_asks_for_permission_gets_it(http, path):
    asked = {"WebHook-Request-Origin": "events.example.com", "WebHook-Request-Rate": "120"}

    answer = await http.options(f"{API}{path}", headers=asked)

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["webhook-allowed-origin"] == "events.example.com"
    assert answer.headers["webhook-allowed-rate"] == "*"
    assert answer.headers["allow"] == "POST"


async def test_only_the_paths_of_events_take_part_in_the_handshake(http):
    asked = {"WebHook-Request-Origin": "events.example.com"}
    for path in (f"{API}/customers", f"{API}/sources/x/events", "/livez"):
        answer = await http.options(path, headers=asked)
        assert answer.status_code in (404, 405), path
        assert "webhook-allowed-origin" not in answer.headers
    for headers in ({}, {"WebHook-Request-Origin": "a b"}, {"WebHook-Request-Origin": ""}):
        assert (await http.options(f"{API}/events", headers=headers)).status_code == 405
