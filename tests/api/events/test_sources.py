"""Sources: webhooks of other systems, signed as these sign them, become events once."""

import base64
import hmac
import json
import time

import pytest

from api.calls import (
    API,
    JSON,
    audit_entries,
    every_page,
    fetch,
    journey,
    problem,
    save_customer,
)
from server_versions import newest_only

SECRET = "a-secret-of-the-source"
ADA = "ada1@reader.example"
GENERIC = {"name": "Front desk", "secret": SECRET, "template": "generic"}
VISIT = {
    "type": "appointment_completed",
    "id": "v-1",
    "occurred_at": "2026-03-01T11:00:00Z",
    "customer_id": 1,
    "booking_id": "b-1",
    "total_amount": 49.9,
}
MAPPING = {
    "type": "kind",
    "types": {"done": "appointment_completed", "moved": None},
    "id": "id",
    "occurred_at": "at",
    "customer_email": "client.email",
}
DONE = {"kind": "done", "id": 7, "at": "2026-03-01T11:00:00Z", "client": {"email": ADA}}


def digest(content):
    return hmac.digest(SECRET.encode(), content, "sha256")


def signed(body):
    return {"X-Signature": f"sha256={digest(body).hex()}"}


@pytest.fixture
def create(http, salon):
    """Create a source."""

    async def call(**values):
        answer = await http.post(f"{API}/sources", headers=salon.headers, json={**GENERIC, **values})
        assert answer.status_code == 201, answer.text
        return answer.json()

    return call


@pytest.fixture
def receive(http):
    """Send a webhook, which has no credential but its signature."""

    async def call(source, body, sign=signed, **headers):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {"content-type": JSON, **sign(content), **headers}
        return await http.post(source["webhook_path"], headers=named, content=content)

    return call


def status(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()["status"]


# ---- registration


async def test_a_source_is_created_read_changed_listed_and_deleted(http, salon, create):
    source = await create(event_source="desk")
    path = f"{API}/sources/{source['id']}"

    assert source["webhook_path"] == f"{path}/events"
    assert source["signature"] == {
        "scheme": "hmac_sha256",
        "header": "X-Signature",
        "encoding": "hex",
        "prefix": "sha256=",
        "url": None,
        "tolerance_seconds": 300,
    }
    assert source["mapping"]["booking_id"] == "booking_id"
    assert (source["event_source"], source["failures"], source["failed_at"]) == ("desk", 0, None)
    assert (await create())["event_source"] == "Front desk"
    assert (await fetch(http, salon, f"/sources/{source['id']}")) == source
    changed = await http.patch(path, headers=salon.headers, json={"name": "Desk", "mapping": MAPPING})
    assert changed.json()["mapping"].items() >= MAPPING.items()
    assert (changed.json()["name"], changed.json()["signature"]) == ("Desk", source["signature"])
    pages = await every_page(http, salon.headers, "/sources", limit=1)
    assert [[item["name"] for item in page] for page in pages] == [["Desk"], ["Front desk"]]
    assert SECRET not in json.dumps([source, changed.json(), pages])
    assert (await http.delete(path, headers=salon.headers)).status_code == 204
    problem(await http.get(path, headers=salon.headers), 404, "source-not-found")
    actions = [entry["action"] for entry in (await fetch(http, salon, "/admin/audit"))["items"]]
    assert actions[:4] == ["source.delete", "source.update", "source.create", "source.create"]
    assert (await audit_entries(http, salon, "source.update"))[0]["detail"] == {"fields": ["mapping", "name"]}


async def test_a_secret_is_stored_encrypted(salon, create, database_owner):
    await create()

    stored = await database_owner.connection.fetchval(
        "SELECT secret FROM event_sources WHERE company_id = $1", salon.id
    )
    assert SECRET.encode() not in stored


async def test_templates_are_offered(http, salon, create):
    items = (await fetch(http, salon, "/sources/templates"))["items"]

    assert {"cal_com", "calendly", "generic"} <= {item["key"] for item in items}
    for item in items:
        if item["signature"]["scheme"] != "url_hmac_sha256":
            source = await create(template=item["key"])
            assert (source["signature"], source["mapping"]) == (item["signature"], item["mapping"])


REFUSED = {
    "neither template nor definitions": ({"template": None}, ["/signature", "/mapping"]),
    "an unknown template": ({"template": "acme"}, ["/template"]),
    "a short secret": ({"secret": "short"}, ["/secret"]),
    "a mapping that does not compile": (
        {"mapping": {**MAPPING, "id": "a..b", "booking_id": "map(&a, b)"}},
        ["/mapping/id", "/mapping/booking_id"],
    ),
    "no customer": ({"mapping": {**MAPPING, "customer_email": None}}, ["/mapping/customer_id"]),
    "an unknown type": ({"mapping": {**MAPPING, "types": {"done": "visit"}}}, ["/mapping/types/done"]),
    "a long expression": ({"mapping": {**MAPPING, "id": "a" * 501}}, ["/mapping/id"]),
    "no signature": ({"signature": {"scheme": "none", "header": "X"}}, ["/signature/scheme"]),
    "a URL that is missing": (
        {"signature": {"scheme": "url_hmac_sha256", "header": "X"}},
        ["/signature/url"],
    ),
    "a URL that is not signed": (
        {"signature": {"scheme": "token", "header": "X", "url": "https://a.example"}},
        ["/signature/url"],
    ),
    "no name of a header": ({"signature": {"scheme": "token", "header": "X: Y"}}, ["/signature/header"]),
}


@newest_only
@pytest.mark.parametrize(("values", "pointers"), REFUSED.values(), ids=REFUSED)
async def test_a_source_that_cannot_work_is_refused(http, salon, values, pointers):
    answer = await http.post(f"{API}/sources", headers=salon.headers, json={**GENERIC, **values})

    problem(answer, 422, "invalid-input", *pointers)


async def test_a_change_is_checked_with_what_it_leaves(http, salon, create):
    source = await create()
    signature = {"scheme": "url_hmac_sha256", "header": "X"}

    answer = await http.patch(
        f"{API}/sources/{source['id']}", headers=salon.headers, json={"signature": signature}
    )

    problem(answer, 422, "invalid-input", "/signature/url")
    assert (await fetch(http, salon, f"/sources/{source['id']}")) == source


# ---- webhooks


async def test_a_webhook_becomes_an_event_once_however_often_it_is_sent(http, salon, create, receive):
    source = await create(event_source="desk")

    answer = await receive(source, VISIT)

    assert answer.json() == {"status": "applied", "event_id": "v-1"}
    assert status(await receive(source, VISIT)) == "duplicate"
    assert status(await receive(source, json.dumps(VISIT, indent=1).encode())) == "duplicate"
    found = await journey(http, salon)
    assert (found["total_appointments"], found["lifetime_value"]) == (1, 49.9)
    [event] = (await fetch(http, salon, "/customers/1/events"))["items"]
    assert (event["source"], event["id"], event["booking_id"]) == ("desk", "v-1", "b-1")
    problem(await receive(source, {**VISIT, "total_amount": 60}), 409, "event-id-reused")


def stripe(body):
    seconds = int(time.time())
    return {"X-Signed": f"t={seconds},v1={digest(f'{seconds}.'.encode() + body).hex()}"}


def old(body):
    seconds = int(time.time()) - 3_700
    return {"X-Signed": f"t={seconds},v1={digest(f'{seconds}.'.encode() + body).hex()}"}


URL = "https://journeys.example/hooks"
SCHEMES = {
    "HMAC": (
        {"scheme": "hmac_sha256", "header": "X-Signed", "encoding": "base64"},
        lambda body: {"x-signed": base64.b64encode(digest(body)).decode()},
    ),
    "HMAC with a time": ({"scheme": "timestamped_hmac_sha256", "header": "X-Signed"}, stripe),
    "HMAC with the URL": (
        {"scheme": "url_hmac_sha256", "header": "X-Signed", "encoding": "base64", "url": URL},
        lambda body: {"X-Signed": base64.b64encode(digest(URL.encode() + body)).decode()},
    ),
    "a token": (
        {"scheme": "token", "header": "Authorization", "prefix": "Bearer "},
        lambda _: {"Authorization": f"Bearer {SECRET}"},
    ),
}


@pytest.mark.parametrize(("signature", "sign"), SCHEMES.values(), ids=SCHEMES)
async def test_a_webhook_is_accepted_by_the_scheme_of_its_source(create, receive, signature, sign):
    source = await create(signature=signature)

    assert status(await receive(source, VISIT, sign)) == "applied"
    for wrong in (signed, old, lambda _: {}, lambda _: {signature["header"]: SECRET[:-1]}):
        problem(await receive(source, VISIT, wrong), 401, "unauthenticated")


async def test_wrong_signatures_are_counted_and_named_in_health(http, salon, create, receive):
    source = await create()

    async def checked():
        checks = (await fetch(http, salon, "/admin/health"))["checks"]
        [check] = [check for check in checks if check["name"] == "sources"]
        return check["status"], source["id"] in check["message"]

    for _ in range(9):
        problem(await receive(source, VISIT, lambda _: {}), 401, "unauthenticated")
    assert await checked() == ("ok", False)
    await receive(source, VISIT, lambda _: {})
    assert await checked() == ("warning", True)
    stored = await fetch(http, salon, f"/sources/{source['id']}")
    assert stored["failures"] == 10
    assert stored["failed_at"] is not None
    assert status(await receive(source, VISIT)) == "applied"
    assert await checked() == ("ok", False)
    assert (await fetch(http, salon, f"/sources/{source['id']}"))["failed_at"] is None


async def test_a_new_secret_takes_effect_at_once(http, salon, create, receive):
    source = await create(secret="another-secret")
    problem(await receive(source, VISIT), 401, "unauthenticated")

    path = f"{API}/sources/{source['id']}"
    changed = await http.patch(path, headers=salon.headers, json={"secret": SECRET})

    assert changed.json()["failures"] == 0
    assert status(await receive(source, VISIT)) == "applied"


async def test_an_unknown_source_is_answered_like_a_wrong_signature(salon, create, receive):
    source = await create()
    wrong = await receive(source, VISIT, lambda _: {})
    key = source["id"].partition("-")[2]
    for unknown in (f"{salon.id}-{'0' * 16}", f"{salon.id + 10**9}-{key}", f"{10**15}-{key}", "x", key):
        answer = await receive({"webhook_path": f"{API}/sources/{unknown}/events"}, VISIT)
        assert (answer.status_code, answer.text) == (401, wrong.text)


async def test_a_source_of_another_company_is_not_found(http, create, create_test_company):
    source, neighbour = await create(), await create_test_company()

    problem(
        await http.get(f"{API}/sources/{source['id']}", headers=neighbour.headers), 404, "source-not-found"
    )


async def test_a_body_is_read_after_its_signature(create, receive):
    source = await create()

    problem(await receive(source, b"{", lambda _: {}), 401, "unauthenticated")
    problem(await receive(source, b"{"), 422, "malformed")
    problem(
        await receive(source, b"a=1", **{"content-type": "application/x-www-form-urlencoded"}),
        415,
        "unsupported-media-type",
    )


# ---- mappings


async def test_a_customer_is_found_by_the_only_one_with_the_email_address(http, salon, create, receive):
    source = await create(mapping=MAPPING)
    missing = problem(await receive(source, DONE), 422, "invalid-input", "/mapping/customer_email")
    assert ADA not in json.dumps(missing)
    await save_customer(http, salon, email="Ada1@Reader.example")

    answer = await receive(source, DONE)

    assert answer.json() == {"status": "applied", "event_id": "7"}
    assert (await journey(http, salon))["total_appointments"] == 1
    await save_customer(http, salon, 2, email=ADA.upper())
    again = await receive(source, {**DONE, "id": 8})
    assert "several" in problem(again, 422, "invalid-input", "/mapping/customer_email")["errors"][0]["detail"]


async def test_a_test_shows_the_event_and_stores_nothing(http, salon, create, database_owner):
    source = await create(mapping=MAPPING)
    await save_customer(http, salon)
    before = await database_owner.rows(salon.id)

    async def test(body):
        return await http.post(f"{API}/sources/{source['id']}/test", headers=salon.headers, json=body)

    answer = await test(DONE)
    assert answer.status_code == 200, answer.text
    event = answer.json()["event"]
    assert (event["id"], event["source"], event["type"]) == ("7", "Front desk", "appointment_completed")
    assert (event["customer_id"], event["occurred_at"]) == (1, "2026-03-01T11:00:00Z")
    problem(await test({**DONE, "kind": "moved"}), 422, "invalid-input", "/mapping/types")
    problem(await test({**DONE, "kind": "new"}), 422, "invalid-input", "/mapping/types/new")
    problem(await test({**DONE, "at": "soon"}), 422, "invalid-input", "/mapping/occurred_at")
    problem(await test({**DONE, "id": None}), 422, "invalid-input", "/mapping/id")
    assert await database_owner.rows(salon.id) == before


async def test_a_webhook_that_is_ignored_is_accepted_and_one_that_is_unknown_is_not(create, receive):
    source = await create(mapping=MAPPING)

    answer = await receive(source, {**DONE, "kind": "moved"})

    assert answer.json() == {"status": "ignored", "event_id": None}
    problem(await receive(source, {**DONE, "kind": "new"}), 422, "invalid-input", "/mapping/types/new")
    problem(await receive(source, [1]), 422, "invalid-input", "/mapping/type")


async def test_an_amount_or_a_time_that_is_wrong_is_named_by_its_expression(create, receive):
    source = await create()

    answer = await receive(source, {**VISIT, "total_amount": -1, "booking_id": "", "customer_id": "A7"})

    pointers = ("/mapping/total_amount", "/mapping/booking_id", "/mapping/customer_id")
    problem(answer, 422, "invalid-input", *pointers)
    future = await receive(source, {**VISIT, "occurred_at": "2027-03-01T11:00:00Z"})
    problem(future, 422, "invalid-input", "/occurred_at")
