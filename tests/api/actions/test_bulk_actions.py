"""Route of bulk actions: dry runs, jobs, repeated requests, limits."""

import pytest

from api.calls import (
    API,
    NOON,
    audit_entries,
    fetch,
    key_of,
    move,
    problem,
    request_action,
    save_customer,
    wait_until_ended,
)
from journey_service.domain.events.values import parse_instant

FATES = {"ok", "no_consent", "no_address", "capped", "has_booking", "already_open", "erased"}
PATH = f"{API}/actions/bulk"


@pytest.fixture
async def shop(http, create_test_company):
    """A company with customers of every fate; all are at risk."""
    tenant = await create_test_company(test_clock=parse_instant(NOON, ""), policy={"frequency_cap": 1})
    answer = await http.put(f"{API}/stages/at_risk/actions", headers=tenant.headers, json={"actions": []})
    assert answer.status_code == 200, answer.text
    profiles = {
        1: {},
        2: {"consents": {"call": "withdrawn", "email": "withdrawn"}},
        3: {"phone": None, "email": None},
        4: {},
        5: {},
        6: {},
    }
    for customer, profile in profiles.items():
        await save_customer(http, tenant, customer, **profile)
        await move(http, tenant, "at_risk", customer)
    await request_action(http, tenant, "call", 4)
    await request_action(http, tenant, "email", 5)
    assert (await http.post(f"{API}/customers/6/anonymize", headers=tenant.headers)).status_code == 200
    return tenant


async def post(http, tenant, body, key="k-1"):
    headers = tenant.headers if key is None else {**tenant.headers, "Idempotency-Key": key}
    return await http.post(PATH, headers=headers, json=body)


async def ended(http, tenant, job_id):
    return await wait_until_ended(http, tenant, f"/actions/bulk/{job_id}")


ALL = {"customer_ids": [1, 2, 3, 4, 5, 6]}
CALLS = {"ok": 2, "no_consent": 1, "no_address": 1, "already_open": 1, "erased": 1}
EMAILS = {"ok": 2, "no_consent": 1, "no_address": 1, "capped": 1, "erased": 1}


@pytest.mark.parametrize(
    ("type_", "target", "counts"),
    [
        ("call", ALL, CALLS),
        ("call", {"filter": {}}, CALLS),
        ("email", ALL, EMAILS),
        ("offer", {"filter": {"q": "ada1@"}}, {"ok": 1}),
    ],
)
async def test_the_job_has_the_counts_of_the_dry_run(http, shop, database_owner, type_, target, counts):
    before = await database_owner.rows(shop.id)
    body = {"type": type_, **target}

    dry = await post(http, shop, {**body, "dry_run": True})

    assert dry.status_code == 200, dry.text
    assert dry.json() == {"dry_run": True, "counts": {**dict.fromkeys(FATES, 0), **counts}, "job": None}
    assert await database_owner.rows(shop.id) == before

    real = await post(http, shop, body)
    assert real.status_code == 202, real.text
    assert (real.json()["dry_run"], real.json()["counts"]) == (False, None)
    job = await ended(http, shop, real.json()["job"]["id"])

    assert (job["status"], job["kind"], job["actor"]) == ("done", "bulk_actions", key_of(shop))
    assert job["counts"] == dry.json()["counts"]
    assert job["done"] == job["total"] == sum(counts.values())
    actions = (await fetch(http, shop, "/actions", customer_id=1))["items"]
    assert [(action["channel"], action["state"]) for action in actions] == [(type_, "done")]


async def test_a_repeated_request_returns_the_job_of_the_first_one(http, shop):
    body = {"type": "call", "customer_ids": [1], "title": "Call her"}
    first = await post(http, shop, body)
    job = await ended(http, shop, first.json()["job"]["id"])

    again = await post(http, shop, body)

    assert (again.status_code, again.json()["job"]) == (200, job)
    problem(await post(http, shop, {**body, "title": "Call him"}), 422, "idempotency-key-reused")
    problem(await post(http, shop, {**body, "customer_ids": [1, 2]}), 422, "idempotency-key-reused")
    assert len((await fetch(http, shop, "/actions", customer_id=1))["items"]) == 1


async def test_a_bulk_action_and_each_of_its_actions_is_audited(http, shop):
    answer = await post(http, shop, {"type": "call", "customer_ids": [1, 2, 5], "note": "Private"})
    job = await ended(http, shop, answer.json()["job"]["id"])

    [entry] = await audit_entries(http, shop, "action.bulk")
    assert (entry["actor"], entry["target"]) == (key_of(shop), f"job:{job['id']}")
    assert entry["detail"] == {"channel": "call", "customers": 3}
    requested = (await audit_entries(http, shop, "action.request"))[:3]
    assert {each["customer_id"] for each in requested} == {1, 2, 5}
    assert {each["actor"] for each in requested} == {key_of(shop)}
    assert "Private" not in str([entry, *requested])


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"type": "call"}, [""]),
        ({"type": "call", "customer_ids": [1], "filter": {}}, [""]),
        ({"type": "sms", "customer_ids": [1]}, ["/type"]),
        ({"type": "call", "customer_ids": []}, ["/customer_ids"]),
        ({"type": "call", "customer_ids": list(range(10_001))}, ["/customer_ids"]),
        ({"type": "call", "customer_ids": [-1]}, ["/customer_ids/0"]),
        ({"type": "call", "customer_ids": [1, 99, 98]}, ["/customer_ids/1", "/customer_ids/2"]),
        ({"type": "call", "customer_ids": [1], "template": "welcome"}, ["/template"]),
        ({"type": "email", "customer_ids": [1], "template": "unknown"}, ["/template"]),
        ({"type": "email", "customer_ids": [1], "dry_run": "yes"}, ["/dry_run"]),
        ({"type": "email", "filter": {"stage": ["No such"]}}, ["/filter/stage/0"]),
        ({"type": "email", "filter": {"stage": ["vip"] * 51}}, ["/filter/stage"]),
        ({"type": "email", "filter": {"days_min": -1}}, ["/filter/days_min"]),
        ({"type": "email", "filter": {"value_min": 1e300}}, ["/filter/value_min"]),
        ({"type": "email", "filter": {"sort": "name"}}, ["/filter/sort"]),
    ],
)
async def test_an_invalid_request_is_refused(http, shop, database_owner, body, pointers):
    before = await database_owner.rows(shop.id)

    problem(await post(http, shop, body), 422, "invalid-input", *pointers)
    assert await database_owner.rows(shop.id) == before


async def test_requests_without_a_key_are_jobs_of_their_own(http, shop):
    body = {"type": "call", "customer_ids": [1]}

    first, second = [(await post(http, shop, body, key=None)).json() for _ in range(2)]

    assert first["job"]["id"] != second["job"]["id"]
    problem(await post(http, shop, body, key="a b"), 422, "invalid-input", "header/Idempotency-Key")


async def test_a_dry_run_does_not_use_up_the_key(http, shop):
    assert (await post(http, shop, {"type": "call", "filter": {}, "dry_run": True})).status_code == 200
    assert (await post(http, shop, {"type": "call", "customer_ids": [1]})).status_code == 202


async def test_only_jobs_of_bulk_actions_are_found(http, shop, tenant):
    rescore = await http.post(f"{API}/admin/rescore", headers=shop.headers)
    bulk = await post(http, shop, {"type": "call", "customer_ids": [1]})

    for headers, job_id in (
        (shop.headers, rescore.json()["job_id"]),
        (tenant.headers, bulk.json()["job"]["id"]),
        (shop.headers, 10**15),
    ):
        problem(await http.get(f"{PATH}/{job_id}", headers=headers), 404, "job-not-found")
