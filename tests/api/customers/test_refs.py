"""Customers whose id is text: a ref finds them wherever an id does, in every way that tells of them."""

import asyncio
from urllib.parse import quote

from api.calls import API, NOON, advance, audit_entries, event, fetch, problem, wait_until_done
from journey_service.domain.customers.references import written_ref

FIRST_NUMBER = 2**52
UUID = "0f6c1f7e-3b55-4f0e-9a57-5f3f6a3f2c11"


def told(id_, ref=UUID, **rest):
    """An event of a customer who is named by a ref."""
    values = event(id_, **rest)
    del values["customer_id"]
    return values | {"customer_ref": ref}


async def send(http, tenant, *events):
    answer = await http.post(f"{API}/events/batch", headers=tenant.headers, json=list(events))
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


async def test_a_ref_gets_one_number_and_both_find_the_customer(http, salon):
    one, two, other = await send(http, salon, told("e-1"), told("e-2"), told("e-3", "other"))
    number = one["journey"]["customer_id"]

    assert number >= FIRST_NUMBER
    assert two["journey"]["customer_id"] == number != other["journey"]["customer_id"]
    assert two["journey"]["customer_ref"] == UUID
    assert two["journey"]["total_appointments"] == 2
    by_ref = await fetch(http, salon, f"/customers/ref:{UUID}/journey")
    assert by_ref == await fetch(http, salon, f"/customers/{number}/journey")
    # A later event by the number, and the first one again by the number: the same customer, the same content.
    (later, again) = await send(
        http, salon, event("e-4", customer_id=number), event("e-1", customer_id=number)
    )
    assert later["journey"]["total_appointments"] == 3
    assert again["status"] == "duplicate"
    for answer in ("/customers", "/customers/ref:other", "/customers/ref:other/explanation"):
        assert "other" in str(await fetch(http, salon, answer))
    found = await fetch(http, salon, "/customers", q=UUID[:13])
    assert [row["customer_ref"] for row in found["items"]] == [UUID]


async def test_refs_are_opaque_texts(http, salon):
    strange = ["00123", "a/b c%25?d#é", "ref:x", "Ü 1", "7" * 200]
    results = await send(http, salon, *(told(f"e-{at}", ref) for at, ref in enumerate(strange)))
    assert len({row["journey"]["customer_id"] for row in results}) == len(strange)
    for ref in strange:
        found = await fetch(http, salon, f"/customers/{written_ref(ref)}")
        assert found["customer_ref"] == ref
    # The colon may be encoded too.
    encoded = f"/customers/{quote('ref:', safe='')}{quote(strange[1], safe='')}/transitions"
    assert len((await fetch(http, salon, encoded))["items"]) == 2


async def test_what_is_no_ref_is_refused_at_its_place(http, salon):
    bad = ["", " a", "a ", "x" * 201, "a\x00b", True, 1.5, ["a"]]
    for result in await send(http, salon, *(told(f"e-{at}", ref) for at, ref in enumerate(bad))):
        assert result["status"] == "refused"
        assert [error["pointer"] for error in result["problem"]["errors"]] == ["/customer_ref"], result
    neither = await http.post(f"{API}/events", headers=salon.headers, json=told("e", None))
    problem(neither, 422, "invalid-input", "/customer_id")
    for text in ("00123", UUID, "12a"):
        answer = await http.post(f"{API}/events", headers=salon.headers, json=event("e", customer_id=text))
        detail = problem(answer, 422, "invalid-input", "/customer_id")["errors"][0]["detail"]
        assert "customer_ref" in detail
    problem(
        await http.get(f"{API}/customers/ref:%20", headers=salon.headers),
        422,
        "invalid-input",
        "path/customer_id",
    )
    problem(await http.get(f"{API}/customers/ref:nobody", headers=salon.headers), 404, "customer-not-found")


async def test_numbers_of_refs_are_nobodys_own_ids(http, salon):
    answer = await http.post(
        f"{API}/events", headers=salon.headers, json=event("e", customer_id=FIRST_NUMBER)
    )
    problem(answer, 422, "invalid-input", "/customer_id")
    put = await http.put(f"{API}/customers/{2**53 - 1}", headers=salon.headers, json={"name": "Ada"})
    problem(put, 422, "invalid-input", "path/customer_id")
    assert (await fetch(http, salon, "/customers"))["items"] == []


async def test_an_id_and_a_ref_together_must_agree(http, salon):
    await send(http, salon, event("e-1", customer_id=7), told("e-2", "seven"), told("e-3", "eight"))
    results = await send(
        http,
        salon,
        event("e-4", customer_id=7) | {"customer_ref": "eight"},  # another customer's
        event("e-5", customer_id=9) | {"customer_ref": "nine"},  # a new customer with both
        event("e-6", customer_id=7) | {"customer_ref": "7-b"},  # a known customer gets a ref
        event("e-7", customer_id=7) | {"customer_ref": "7-c"},  # and keeps it
        told("e-8", "7-b"),
    )
    assert [row["status"] for row in results] == ["refused", "applied", "applied", "refused", "applied"]
    assert [row["problem"]["errors"][0]["pointer"] for row in (results[0], results[3])] == [
        "/customer_ref"
    ] * 2
    assert [results[at]["journey"]["customer_id"] for at in (1, 2, 4)] == [9, 7, 7]
    (late,) = await send(http, salon, event("e-9", customer_id=7) | {"customer_ref": "7-d"})
    assert late["status"] == "refused"
    assert (await fetch(http, salon, "/customers/ref:7-b"))["journey"]["total_appointments"] == 3


async def test_a_profile_is_written_under_a_ref(http, salon):
    path = f"{API}/customers/ref:crm%2F12"
    first = await http.put(path, headers=salon.headers, json={"name": "Ada", "email": "ada@reader.example"})
    again = await http.put(path, headers=salon.headers, json={"name": "Ada", "email": "ada@reader.example"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["customer_ref"] == "crm/12"
    assert first.json()["customer_id"] == again.json()["customer_id"] >= FIRST_NUMBER
    assert (await http.patch(path, headers=salon.headers, json={"name": "Eve"})).json()["name"] == "Eve"
    unknown = await http.patch(f"{API}/customers/ref:x", headers=salon.headers, json={"name": "Eve"})
    problem(unknown, 404, "customer-not-found")


async def test_cloud_events_tasks_and_filters_take_refs(http, salon):
    message = {
        "specversion": "1.0",
        "id": "c-1",
        "source": "tests",
        "type": "call_received",
        "subject": "ref:a%20b",
        "time": "2026-03-01T11:00:00Z",
    }
    await http.post(f"{API}/events", headers=salon.headers, json=message)
    task = {"title": "Call", "customer_id": "ref:a%20b", "due_at": NOON}
    created = await http.post(f"{API}/tasks", headers=salon.headers, json=task)
    assert created.json()["customer_ref"] == "a b"
    number = str(created.json()["customer_id"])
    by_text = await http.post(f"{API}/tasks", headers=salon.headers, json=task | {"customer_id": number})
    assert by_text.json()["customer_ref"] == "a b"
    for wrong in ("007", "a b", "9" * 16, True, -1):
        refused = await http.post(f"{API}/tasks", headers=salon.headers, json=task | {"customer_id": wrong})
        problem(refused, 422, "invalid-input", "/customer_id")
    unknown = await http.post(f"{API}/tasks", headers=salon.headers, json=task | {"customer_id": "ref:b"})
    problem(unknown, 404, "customer-not-found")
    await send(http, salon, told("e-1", "other"))
    for path in ("/tasks", "/actions", "/campaigns", "/admin/audit"):
        shown = await fetch(http, salon, path, customer_id="ref:a%20b")
        assert len(shown["items"]) == 2 * (path in ("/tasks", "/admin/audit")), path
        assert (await fetch(http, salon, path, customer_id="ref:nobody"))["items"] == []
    wrong = await http.get(f"{API}/tasks", headers=salon.headers, params={"customer_id": "a b"})
    problem(wrong, 422, "invalid-input", "query/customer_id")
    jobs = {"customer_ids": ["ref:a%20b", "ref:x"]}
    refused = await http.post(f"{API}/admin/rescore", headers=salon.headers, json=jobs)
    problem(refused, 422, "invalid-input", "/customer_ids/1")
    stream = await http.get(f"{API}/stream?customer_id=ref:a%2520b&last_event_id=0", headers=salon.headers)
    assert stream.status_code == 200


async def test_an_erased_ref_stays_erased(http, salon, database_owner):
    (first,) = await send(http, salon, told("e-1", "patient-9"))
    number = first["journey"]["customer_id"]
    path = f"{API}/customers/ref:patient-9"
    for status in ("anonymized", "already_anonymized"):
        erased = await http.post(f"{path}/anonymize", headers=salon.headers)
        assert erased.json()["status"] == status
    for again in (told("e-2", "patient-9"), event("e-3", customer_id=number)):
        assert [row["status"] for row in await send(http, salon, again)] == ["ignored_erased"]
    problem(await http.put(path, headers=salon.headers, json={"name": "Ada"}), 409, "customer-erased")
    problem(await http.get(path, headers=salon.headers), 404, "customer-not-found")
    assert "patient-9" not in str(await fetch(http, salon, "/customers"))
    assert "patient-9" not in str(await audit_entries(http, salon, "customer.anonymize"))


async def test_files_name_customers_by_text(http, salon):
    await send(http, salon, told("live", "known"))
    lines = [
        "customer_ref,type,occurred_at,amount",
        *(
            f"{ref},appointment_completed,2026-02-0{day}T10:00:00Z,10"
            for ref in ("new", "known")
            for day in (1, 2)
        ),
        ",appointment_completed,2026-02-01T10:00:00Z,10",
    ]
    file = "\n".join(lines)
    checked = await http.post(f"{API}/imports?dry_run=true", headers=salon.headers, content=file)
    assert (checked.json()["customers_new"], checked.json()["customers_known"]) == (1, 1)
    for applied, duplicates in ((4, 0), (0, 4)):
        done = await finished(
            http, salon, await http.post(f"{API}/imports", headers=salon.headers, content=file)
        )
        assert (done["applied"], done["duplicates"], done["failed"]) == (applied, duplicates, 1), done
    for ref, count in (("new", 2), ("known", 3)):
        assert (await fetch(http, salon, f"/customers/ref:{ref}/journey"))["total_appointments"] == count
    people = "customer_ref,name\nnew,Ada\nthird,Eve\n"
    await finished(
        http, salon, await http.post(f"{API}/imports?kind=customers", headers=salon.headers, content=people)
    )
    assert (await fetch(http, salon, "/customers/ref:new"))["name"] == "Ada"
    assert (await fetch(http, salon, "/customers/ref:third"))["name"] == "Eve"
    await advance(http, salon, "2026-03-02T12:00:00Z")


async def finished(http, tenant, answer):
    assert answer.status_code == 202, answer.text
    return await wait_until_done(http, tenant, f"/imports/{answer.json()['id']}")


async def test_concurrent_senders_give_a_new_ref_one_number(http, salon):
    answers = await asyncio.gather(*(send(http, salon, told(f"e-{at}", "shared")) for at in range(8)))
    assert len({row["journey"]["customer_id"] for (row,) in answers}) == 1
    assert (await fetch(http, salon, "/customers/ref:shared/journey"))["total_appointments"] == 8
