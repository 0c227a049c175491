"""Profiles in events: what an event says of its customer, as of its own time."""

import itertools

from api.calls import API, event, fetch, problem

PROFILE = {
    "name": "Ada Keller",
    "email": "ada@reader.example",
    "consents": {"email": "granted", "sms": "withdrawn"},
}


async def send(http, tenant, *events):
    answer = await http.post(f"{API}/events/batch", headers=tenant.headers, json=list(events))
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


async def test_an_event_brings_its_customers_profile(http, salon):
    (first,) = await send(http, salon, event("e-1") | {"customer": PROFILE})
    assert first["status"] == "applied"
    shown = await fetch(http, salon, "/customers/1")
    assert {name: shown[name] for name in ("name", "email", "phone")} == {
        "name": "Ada Keller",
        "email": "ada@reader.example",
        "phone": None,
    }
    consents = shown["consents"]
    assert [consents[channel]["status"] for channel in ("email", "sms")] == ["granted", "withdrawn"]
    assert (consents["email"]["at"], consents["email"]["source"]) == ("2026-03-01T11:00:00Z", "tests")
    # The same event again is a duplicate; with another profile it is another event.
    again = {**event("e-1"), "customer": {**PROFILE, "phone": None}}
    changed = {**event("e-1"), "customer": {**PROFILE, "name": "Eve"}}
    results = await send(http, salon, again, changed)
    assert [row["status"] for row in results] == ["duplicate", "refused"]
    assert results[1]["problem"]["type"] == "/problems/event-id-reused"
    # Null and missing fields name nothing, and an event lifts no withdrawal.
    later = {"name": None, "phone": "+49 30 1", "consents": {"sms": "granted"}}
    await send(http, salon, event("e-2", occurred_at="2026-03-01T11:30:00Z") | {"customer": later})
    shown = await fetch(http, salon, "/customers/1")
    assert (shown["name"], shown["phone"], shown["consents"]["sms"]["status"]) == (
        "Ada Keller",
        "+49 30 1",
        "withdrawn",
    )


async def test_the_latest_word_counts_in_any_order_of_arrival(http, salon):
    told = [
        ("10:00", {"name": "first", "email": "a@reader.example", "consents": {"email": "granted"}}),
        ("10:30", {"name": "second", "consents": {"email": "withdrawn"}}),
        ("10:45", {"email": "b@reader.example"}),
    ]
    for customer_id, order in enumerate(itertools.permutations(told), start=10):
        for at, profile in order:
            values = event(f"{customer_id}-{at}", customer_id=customer_id, occurred_at=f"2026-03-01T{at}:00Z")
            await send(http, salon, values | {"customer": profile})
        shown = await fetch(http, salon, f"/customers/{customer_id}")
        assert (shown["name"], shown["email"]) == ("second", "b@reader.example"), order
        assert shown["consents"]["email"]["status"] == "withdrawn", order


async def test_what_was_changed_later_by_a_request_stays(http, salon):
    await send(http, salon, event("e-1"))
    await http.patch(f"{API}/customers/1", headers=salon.headers, json={"name": "Eve"})
    old = {"name": "Ada", "phone": "+49 30 1"}
    await send(http, salon, event("e-2", occurred_at="2026-02-01T11:00:00Z") | {"customer": old})
    shown = await fetch(http, salon, "/customers/1")
    assert (shown["name"], shown["phone"]) == ("Eve", "+49 30 1")


async def test_a_cloud_event_carries_the_profile_in_its_data(http, salon):
    message = {
        "specversion": "1.0",
        "id": "c-1",
        "source": "tests",
        "type": "call_received",
        "subject": "5",
        "time": "2026-03-01T11:00:00Z",
        "data": {"call_duration": 61, "customer": {"name": "Ada"}},
    }
    answer = await http.post(f"{API}/events", headers=salon.headers, json=message)
    assert answer.status_code == 200, answer.text
    assert (await fetch(http, salon, "/customers/5"))["name"] == "Ada"


async def test_a_wrong_profile_changes_nothing(http, salon):
    for customer, pointer in (
        (["Ada"], "/customer"),
        ({"surname": "K"}, "/customer/surname"),
        ({"name": 7}, "/customer/name"),
        ({"email": "x" * 321}, "/customer/email"),
        ({"language": "!"}, "/customer/language"),
        ({"consents": {"fax": "granted"}}, "/customer/consents"),
        ({"consents": False}, "/customer/consents"),
        ({"consents": ""}, "/customer/consents"),
        ({"consents": {"email": "maybe"}}, "/customer/consents/email"),
    ):
        answer = await http.post(
            f"{API}/events", headers=salon.headers, json=event("e-1") | {"customer": customer}
        )
        problem(answer, 422, "invalid-input", pointer)
    assert (await fetch(http, salon, "/customers"))["items"] == []


async def test_an_unsubscribed_mailbox_stays_unsubscribed(http, salon, database):
    async def withdraw(uow):
        await uow.mailboxes.withdraw("ada@reader.example", (await uow.companies.get_context()).now)

    await database.run(salon.id, withdraw)
    await send(http, salon, event("e-1", occurred_at="2026-03-01T12:00:00Z") | {"customer": PROFILE})
    assert (await fetch(http, salon, "/customers/1"))["consents"]["email"]["status"] == "withdrawn"
