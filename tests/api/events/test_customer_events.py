"""The route of a customer's events."""

from api.calls import API, every_page, fetch, ingest, problem, save_customer

EARLIER, LATER = "2026-02-01T10:00:00Z", "2026-03-08T09:30:00Z"
FIELDS = {
    *("id", "source", "type", "occurred_at", "recorded_at", "amount", "call_duration"),
    *("booking_id", "scheduled_for", "reported_at", "retracts", "counts", "late"),
}


async def events(http, tenant, customer_id=1, **params):
    return await fetch(http, tenant, f"/customers/{customer_id}/events", **params)


async def test_events_are_listed_newest_first_with_all_that_is_stored(http, salon):
    await ingest(http, salon, "v-1", occurred_at="2026-02-02T10:00:00Z", total_amount=49.9, booking_id="b-1")
    await ingest(http, salon, "c-1", "call_received", source="phone", call_duration=90)
    await ingest(http, salon, "other", customer_id=2)

    page = await events(http, salon)

    assert [item["id"] for item in page["items"]] == ["c-1", "v-1"]
    call, visit = page["items"]
    assert call.keys() == visit.keys() == FIELDS
    assert (call["source"], call["type"], call["call_duration"]) == ("phone", "call_received", 90)
    assert (call["amount"], call["booking_id"], call["scheduled_for"]) == (0, None, None)
    assert (visit["amount"], visit["call_duration"], visit["booking_id"]) == (49.9, None, "b-1")
    assert visit["occurred_at"] == "2026-02-02T10:00:00Z" < visit["recorded_at"]
    assert page["next_cursor"] is None


async def test_a_customer_without_events_has_none(http, salon):
    await save_customer(http, salon)

    assert await events(http, salon) == {"items": [], "bookings": [], "next_cursor": None}


async def test_events_are_filtered_by_type(http, salon):
    await ingest(http, salon, "v-1", occurred_at=EARLIER)
    await ingest(http, salon, "c-1", "call_received")
    await ingest(http, salon, "t-1", "ticket_opened")

    one = await events(http, salon, types="call_received")
    two = await events(http, salon, types=["ticket_opened", "appointment_completed"])

    assert [item["id"] for item in one["items"]] == ["c-1"]
    assert [item["id"] for item in two["items"]] == ["t-1", "v-1"]
    path = f"{API}/customers/1/events?types=no_such_type"
    problem(await http.get(path, headers=salon.headers), 422, "invalid-input", "query/types")


async def test_pages_hold_each_event_once_also_those_of_one_instant(http, salon):
    expected = []
    for number in range(7):
        await ingest(http, salon, f"v-{number}", source=f"s-{number % 2}", booking_id="b")
        expected.append((f"s-{number % 2}", f"v-{number}"))

    pages = await every_page(http, salon.headers, "/customers/1/events", limit=2)

    found = [(item["source"], item["id"]) for page in pages for item in page]
    assert [len(page) for page in pages] == [2, 2, 2, 1]
    assert found == sorted(expected, reverse=True)


async def test_a_late_event_is_marked(http, salon):
    await ingest(http, salon, "first", "ticket_opened", occurred_at="2026-02-20T10:00:00Z")
    await ingest(http, salon, "before-it", "ticket_opened", occurred_at=EARLIER)
    await ingest(http, salon, "in-time", "ticket_resolved", occurred_at="2026-03-01T12:00:00Z")

    late = {item["id"]: item["late"] for item in (await events(http, salon))["items"]}

    assert late == {"first": False, "before-it": True, "in-time": False}


async def test_bookings_are_on_every_page_open_ones_first(http, salon):
    for booking, type_, scheduled_for in (
        ("past", "appointment_booked", EARLIER),
        ("done", "appointment_booked", "2026-02-20T09:00:00Z"),
        ("open", "appointment_booked", LATER),
    ):
        await ingest(http, salon, booking, type_, booking_id=booking, scheduled_for=scheduled_for)
    await ingest(http, salon, "done-2", booking_id="done", occurred_at="2026-02-20T09:00:00Z")

    first = await events(http, salon, limit=1, types="appointment_completed")
    second = await events(http, salon, limit=2)

    assert [item["id"] for item in first["items"]] == ["done-2"]
    assert first["bookings"] == second["bookings"]
    assert first["bookings"] == [
        {"booking_id": "open", "scheduled_for": LATER, "state": "open"},
        {"booking_id": "done", "scheduled_for": "2026-02-20T09:00:00Z", "state": "completed"},
        {"booking_id": "past", "scheduled_for": EARLIER, "state": "expired"},
    ]


async def test_an_erased_customer_has_events_under_the_new_id_only(http, salon):
    await ingest(http, salon, "v-1", booking_id="b-1", total_amount=49.9)
    await http.post(f"{API}/customers/1/anonymize", headers=salon.headers)
    [customer] = (await fetch(http, salon, "/customers"))["items"]
    surrogate = customer["customer_id"]
    assert surrogate < 0

    problem(await http.get(f"{API}/customers/1/events", headers=salon.headers), 404, "customer-not-found")
    page = await events(http, salon, surrogate)

    [item] = page["items"]
    assert (item["type"], item["amount"]) == ("appointment_completed", 49.9)
    assert {"v-1", "b-1"}.isdisjoint(item.values())
    assert page["bookings"][0]["booking_id"] == item["booking_id"]


async def test_an_unknown_customer_has_no_events(http, salon):
    problem(await http.get(f"{API}/customers/9/events", headers=salon.headers), 404, "customer-not-found")


async def test_events_that_do_not_count_are_marked(http, salon):
    await ingest(http, salon, "missed", "appointment_missed", occurred_at=EARLIER, booking_id="b")
    await ingest(http, salon, "done", occurred_at=EARLIER, booking_id="b", reported_at="2026-02-02T10:00:00Z")
    await ingest(http, salon, "call", "call_received", occurred_at=EARLIER)
    retracted = {"source": "tests", "id": "call"}
    await ingest(http, salon, "no-call", "event_retracted", retracts=retracted)

    items = {item["id"]: item for item in (await events(http, salon))["items"]}

    assert {id_: item["counts"] for id_, item in items.items()} == {
        "missed": False,
        "done": True,
        "call": False,
        "no-call": True,
    }
    assert (items["done"]["reported_at"], items["done"]["retracts"]) == ("2026-02-02T10:00:00Z", None)
    assert items["no-call"]["retracts"] == retracted


async def test_the_next_booking_is_shown(http, salon):
    await ingest(http, salon, "b-1", "appointment_booked", booking_id="b", scheduled_for=LATER)

    assert (await fetch(http, salon, "/customers/1/journey"))["next_booking_at"] == LATER
    explanation = await fetch(http, salon, "/customers/1/explanation")
    assert explanation["risk_pause"] == {
        "booking_at": LATER,
        "until": "2026-03-09T09:30:00Z",
        "sentence": "paused by the booking of 8 March",
    }
    [listed] = (await fetch(http, salon, "/customers"))["items"]
    assert listed["journey"]["next_booking_at"] == LATER

    await ingest(http, salon, "b-2", "appointment_cancelled", booking_id="b")
    assert (await fetch(http, salon, "/customers/1/journey"))["next_booking_at"] is None
