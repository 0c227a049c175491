"""POST /events/batch: many events in their order, each with a result of its own."""

import orjson
import pytest

from api.calls import API, JSON, event, every_page, fetch, ingest, journey, problem, without_updated_at

NDJSON = "application/x-ndjson"
FUTURE = "2026-03-01T12:05:01Z"


async def post(http, tenant, content, media=JSON):
    content = content if isinstance(content, bytes) else orjson.dumps(content)
    headers = {**tenant.headers, "content-type": media}
    return await http.post(f"{API}/events/batch", headers=headers, content=content)


async def results(http, tenant, content, media=JSON):
    answer = await post(http, tenant, content, media)
    assert answer.status_code == 200, answer.text
    body = answer.json()["results"]
    assert [result["index"] for result in body] == list(range(len(body)))
    return body


def lines(*items):
    return b"\n".join(item if isinstance(item, bytes) else orjson.dumps(item) for item in items)


def cloud_event(id_, customer_id, **changes):
    return {
        "specversion": "1.0",
        "id": id_,
        "source": "tests",
        "type": "appointment_completed",
        "subject": str(customer_id),
        "time": "2026-03-01T11:00:00Z",
        **changes,
    }


async def test_every_item_of_a_list_is_answered_in_its_place(http, salon):
    values = await results(http, salon, [event(f"e-{n}", customer_id=n) for n in (3, 1, 2)])

    assert [result["status"] for result in values] == ["applied"] * 3
    assert [result["journey"]["customer_id"] for result in values] == [3, 1, 2]
    assert [result["problem"] for result in values] == [None] * 3
    for result in values:
        customer_id = result["journey"]["customer_id"]
        assert without_updated_at(result["journey"]) == without_updated_at(
            await journey(http, salon, customer_id)
        )
        history = await fetch(http, salon, f"/customers/{customer_id}/transitions")
        assert result["transition"] == history["items"][0]


async def test_ndjson_is_read_line_by_line(http, salon):
    content = lines(event("e-1"), b"", event("e-2", customer_id=2), b"   ", cloud_event("e-3", 3)) + b"\r\n"

    values = await results(http, salon, content, NDJSON)

    assert [result["journey"]["customer_id"] for result in values] == [1, 2, 3]
    assert {result["status"] for result in values} == {"applied"}


@pytest.mark.parametrize("media", [JSON, "application/cloudevents-batch+json"])
async def test_cloud_events_come_in_batches_too(http, salon, media):
    values = await results(http, salon, [cloud_event("e-1", 1), cloud_event("e-2", 2)], media)

    assert [result["journey"]["customer_id"] for result in values] == [1, 2]


async def test_in_a_batch_of_cloud_events_every_item_has_to_be_one(http, salon):
    values = await results(
        http, salon, [event("e-1"), cloud_event("e-2", 2)], "application/cloudevents-batch+json"
    )

    assert [result["status"] for result in values] == ["refused", "applied"]
    assert [error["pointer"] for error in values[0]["problem"]["errors"]] == [
        "/specversion",
        "/subject",
        "/time",
    ]


BAD = {
    "an unknown type": (event("bad", "appointment_dreamt"), 422, "invalid-input", ["/type"]),
    "the future": (event("bad", occurred_at=FUTURE), 422, "invalid-input", ["/occurred_at"]),
    "a conflict": (event("known", total_amount=2), 409, "event-id-reused", None),
    "no object": (["e"], 422, "invalid-input", [""]),
    "nothing": (None, 422, "invalid-input", [""]),
    "a bad amount": (event("bad", total_amount=0.001), 422, "invalid-input", ["/data/total_amount"]),
}


@pytest.mark.parametrize(("bad", "status", "code", "pointers"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("media", [JSON, NDJSON])
async def test_an_invalid_item_does_not_affect_the_others(http, salon, media, bad, status, code, pointers):
    await ingest(http, salon, "known", total_amount=1)
    items = [event("e-1"), bad, event("e-2")]

    values = await results(http, salon, items if media == JSON else lines(*items), media)

    assert [result["status"] for result in values] == ["applied", "refused", "applied"]
    refused = values[1]["problem"]
    assert (refused["status"], refused["type"]) == (status, f"/problems/{code}")
    assert refused["detail"]
    if pointers is not None:
        assert [error["pointer"] for error in refused["errors"]] == pointers
    assert values[1]["journey"] is values[1]["transition"] is None
    assert (await journey(http, salon))["total_appointments"] == 3
    assert [one["customer_id"] for one in (await fetch(http, salon, "/customers"))["items"]] == [1]


async def test_an_event_that_takes_a_total_out_of_range_does_not_sink_the_others(http, salon):
    items = [event(f"e-{n}", total_amount=999_999_999.99) for n in range(1_001)] + [event("last")]

    values = await results(http, salon, items)

    assert [result["index"] for result in values if result["status"] != "applied"] == [1_000]
    assert [error["pointer"] for error in values[1_000]["problem"]["errors"]] == ["/data/total_amount"]
    assert (await journey(http, salon))["lifetime_value"] == 999_999_999_990.00
    assert (await journey(http, salon))["total_appointments"] == 1_001


@pytest.mark.parametrize(
    "line", [b"{", b"nonsense", b"[1", b'{"id": NaN}', b'{"id": "\\ud800"}', b"\xff", b"[" * 10_000]
)
async def test_a_line_that_is_no_json_does_not_sink_the_others(http, salon, line):
    values = await results(http, salon, lines(event("e-1"), line, event("e-2")), NDJSON)

    assert [result["status"] for result in values] == ["applied", "refused", "applied"]
    assert values[1]["problem"]["type"] == "/problems/malformed"
    assert isinstance(values[1]["problem"]["offset"], int)
    assert (await journey(http, salon))["total_appointments"] == 2


async def test_the_same_event_twice_in_a_batch_counts_once(http, salon):
    values = await results(
        http,
        salon,
        [event("e-1", total_amount=5), event("e-1", total_amount=5.0), event("e-1", total_amount=6)],
    )

    assert [result["status"] for result in values] == ["applied", "duplicate", "refused"]
    assert values[1]["transition"] == values[0]["transition"] is not None
    assert values[1]["journey"] == values[0]["journey"]
    assert values[2]["problem"]["type"] == "/problems/event-id-reused"
    assert (await journey(http, salon))["lifetime_value"] == 5


async def test_a_repeated_batch_is_all_duplicates_and_changes_nothing(http, salon, database_owner):
    batch = [event(f"e-{n}", customer_id=n % 3) for n in range(9)]
    first = await results(http, salon, batch)
    before = await database_owner.rows(salon.id)

    again = await results(http, salon, batch)

    assert [result["status"] for result in again] == ["duplicate"] * 9
    assert [result["transition"] for result in again] == [result["transition"] for result in first]
    assert await database_owner.rows(salon.id) == before


CALL = event("call", "call_received", call_duration=61)
VISIT = event("visit")


@pytest.mark.parametrize(
    ("batch", "moves"),
    [
        ([CALL, VISIT], ["qualified_call_received", "appointment_completed"]),
        ([VISIT, CALL], ["appointment_completed"]),
    ],
    ids=["a call, then a visit", "a visit, then a call"],
)
async def test_the_order_within_a_batch_decides(http, salon, batch, moves):
    values = await results(http, salon, batch)

    caused = [result["transition"] for result in values if result["transition"] is not None]
    assert [move["trigger_event"] for move in caused] == moves
    [history] = await every_page(http, salon.headers, "/customers/1/transitions")
    assert [move["trigger_event"] for move in reversed(history)] == ["journey_started", *moves]


async def test_of_two_contents_under_one_id_the_first_of_the_batch_counts(http, salon):
    values = await results(http, salon, [event("e-1", total_amount=2), event("e-1", total_amount=1)])

    assert [result["status"] for result in values] == ["applied", "refused"]
    assert (await journey(http, salon))["lifetime_value"] == 2


async def test_five_thousand_events_are_a_batch(http, salon):
    values = await results(http, salon, [event(f"e-{n}", customer_id=n % 50) for n in range(5_000)])

    assert len(values) == 5_000
    assert {result["status"] for result in values} == {"applied"}


@pytest.mark.parametrize("media", [JSON, NDJSON])
async def test_one_event_more_is_too_many_and_none_is_applied(http, salon, database_owner, media):
    before = await database_owner.rows(salon.id)
    items = [event(f"e-{n}") for n in range(5_001)]

    answer = await post(http, salon, items if media == JSON else lines(*items), media)

    problem(answer, 422, "invalid-input", "")
    assert await database_owner.rows(salon.id) == before


@pytest.mark.parametrize(("content", "media"), [(b"[]", JSON), (b"", NDJSON), (b"\n \n", NDJSON)])
async def test_an_empty_batch_has_no_results(http, salon, database_owner, content, media):
    before = await database_owner.rows(salon.id)

    assert await results(http, salon, content, media) == []

    assert await database_owner.rows(salon.id) == before


@pytest.mark.parametrize("content", [{}, event("e-1"), "e", 1, None])
async def test_a_batch_that_is_no_list_is_refused(http, salon, database_owner, content):
    before = await database_owner.rows(salon.id)

    problem(await post(http, salon, content), 422, "invalid-input", "")

    assert await database_owner.rows(salon.id) == before
