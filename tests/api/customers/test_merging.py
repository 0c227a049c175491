"""Merge over HTTP: the preview shows what the merge does, and the old id answers with the survivor."""

import json

from api.calls import API, event, every_page, fetch, ingest, journey, move, problem, save_customer
from journey_service.services.actions.delivery.publisher import publish

ADA, DOUBLE = 1, 2


async def merge(http, tenant, *, into=ADA, merged=DOUBLE, version=None):
    headers = tenant.headers if version is None else {**tenant.headers, "If-Match": version}
    return await http.post(f"{API}/customers/{into}/merge", headers=headers, json={"merge": merged})


async def preview(http, tenant, *, into=ADA, merged=DOUBLE):
    return await http.get(
        f"{API}/customers/{into}/merge-preview", headers=tenant.headers, params={"with": merged}
    )


async def streamed(http, tenant, **params):
    """The messages of the stream up to now."""
    answer = await http.get(f"{API}/stream", headers=tenant.headers, params={"last_event_id": 0, **params})
    assert answer.status_code == 200, answer.text
    lines = [line for line in answer.text.split("\n") if line.startswith("data: ")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


async def test_the_preview_shows_what_the_merge_does_and_the_old_id_leads_to_the_survivor(http, salon):
    await save_customer(http, salon, ADA, phone=None, consents={"email": "granted"})
    await save_customer(http, salon, DOUBLE, name="A. Keller", consents={"email": "withdrawn"})
    for number, customer_id in enumerate((ADA, DOUBLE, DOUBLE)):
        await ingest(http, salon, f"e{number}", customer_id=customer_id, total_amount=400)
    came_from = (await journey(http, salon, DOUBLE))["current_stage"]
    problem(await merge(http, salon), 428, "precondition-required")
    problem(await merge(http, salon, version='"99"'), 412, "stale-version")
    problem(await preview(http, salon, merged=ADA), 409, "merge-with-itself")
    problem(await preview(http, salon, merged=404), 404, "customer-not-found")

    shown = await preview(http, salon)
    assert shown.status_code == 200, shown.text
    answer = await merge(http, salon, version=shown.headers["ETag"])
    assert answer.status_code == 200, answer.text
    merged = answer.json()
    for each in (merged, expected := shown.json()):
        each["customer"].pop("updated_at")
        each["customer"]["journey"].pop("updated_at")
    assert merged == expected
    assert (merged["merged_id"], merged["events"], merged["filled_fields"]) == (DOUBLE, 2, ["phone"])
    assert [(each["channel"], each["status"]) for each in merged["consent_changes"]] == [
        ("email", "withdrawn")
    ]
    survivor = merged["customer"]["journey"]
    assert (survivor["lifetime_value"], survivor["current_stage"]) == (1200, "vip")
    problem(await merge(http, salon, version=answer.headers["ETag"]), 409, "customer-merged")

    for path in ("", "/journey", "/scores", "/transitions", "/events", "/explanation", "/consents"):
        ours, theirs = [
            await fetch(http, salon, f"/customers/{customer_id}{path}") for customer_id in (ADA, DOUBLE)
        ]
        ours.pop("as_of", None), theirs.pop("as_of", None)
        assert theirs == ours, path
    again = await ingest(http, salon, "e1", customer_id=DOUBLE, total_amount=400)
    assert (again["status"], again["journey"]["customer_id"]) == ("duplicate", ADA)
    told = await ingest(http, salon, "new", customer_id=DOUBLE)
    assert (told["journey"]["customer_id"], told["journey"]["total_appointments"]) == (ADA, 4)
    assert [each["customer_id"] for each in (await fetch(http, salon, "/customers"))["items"]] == [ADA]
    moved = await http.post(
        f"{API}/customers/{DOUBLE}/transitions",
        headers={**salon.headers, "If-Match": str(told["journey"]["version"])},
        json={"to_stage": "lead"},
    )
    assert moved.json()["journey"]["customer_id"] == ADA
    flow = {"from_stage": came_from, "to_stage": "merged", "period": "all"}
    flows = await fetch(http, salon, "/analytics/transitions/customers", **flow)
    assert [(each["customer_id"], each["merged_into"]) for each in flows["items"]] == [(DOUBLE, ADA)]
    erased = await http.post(f"{API}/customers/{DOUBLE}/anonymize", headers=salon.headers)
    assert erased.json()["status"] == "anonymized"
    ignored = await http.post(f"{API}/events", headers=salon.headers, json=event("later", customer_id=ADA))
    assert ignored.json()["status"] == "ignored_erased"


async def test_the_audit_log_and_the_stream_of_either_id_are_those_of_both_customers(http, salon, database):
    texts = {ADA: "K-1", DOUBLE: "K-2", 3: "K-3"}
    for customer_id, ref in texts.items():
        named = {**event(f"e{customer_id}", customer_id=customer_id), "customer_ref": ref}
        answer = await http.post(f"{API}/events", headers=salon.headers, json=named)
        assert answer.status_code == 200, answer.text
        await save_customer(http, salon, customer_id)
    version = (await preview(http, salon)).headers["ETag"]
    assert (await merge(http, salon, version=version)).status_code == 200
    await move(http, salon, "vip", DOUBLE)
    await publish(database, salon.id)

    entries = (await fetch(http, salon, "/admin/audit"))["items"]
    expected = [each["id"] for each in entries if each["customer_id"] in (ADA, DOUBLE)]
    actions = [each["action"] for each in entries if each["customer_id"] in (ADA, DOUBLE)]
    assert actions == ["customer.move", "customer.merge", "customer.update", "customer.update"]
    sent = await streamed(http, salon)
    ours = [each for each in sent if each["data"]["customer_id"] in (ADA, DOUBLE)]
    assert {each["data"]["customer_id"] for each in ours} == {ADA, DOUBLE}
    assert len(ours) < len(sent)
    for name in (ADA, DOUBLE, "ref:K-1", "ref:K-2"):
        found = await fetch(http, salon, "/admin/audit", customer_id=name)
        assert [each["id"] for each in found["items"]] == expected, name
        assert await streamed(http, salon, customer_id=name) == ours, name
    for name in (3, "ref:K-3"):
        found = await fetch(http, salon, "/admin/audit", customer_id=name)
        assert {each["customer_id"] for each in found["items"]} == {3}
        assert {each["data"]["customer_id"] for each in await streamed(http, salon, customer_id=name)} == {3}
    pages = await every_page(http, salon.headers, "/admin/audit", customer_id=DOUBLE, limit=1)
    assert [[each["id"] for each in page] for page in pages] == [[id_] for id_ in expected]
