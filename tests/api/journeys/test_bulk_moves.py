"""Bulk moves: dry runs, jobs, repeated requests; each customer moves as by a single request."""

import pytest

from api.calls import (
    API,
    audit_entries,
    fetch,
    ingest,
    journey,
    key_of,
    move,
    problem,
    save_customer,
    wait_until_ended,
)
from ledger import find_violations

PIN = "2026-04-01T00:00:00Z"
SOME = {"customer_ids": [1, 2, "ref:K-3", 4, 5]}
COUNTS = {"moved": 3, "with_actions": 2, "in_stage": 1, "erased": 1}


@pytest.fixture
async def shop(http, salon):
    """A company with customers below, in and above the stage `regular`, a merged and an erased one."""
    for customer_id in (1, 2, 4, 5, 6):
        await save_customer(http, salon, customer_id)
    answer = await http.put(f"{API}/customers/ref:K-3", headers=salon.headers, json={"name": "Kim"})
    await move(http, salon, "regular", 2)
    await move(http, salon, "vip", answer.json()["customer_id"])
    version = (await journey(http, salon, 1))["version"]
    headers = {**salon.headers, "If-Match": f'"{version}"'}
    merged = await http.post(f"{API}/customers/1/merge", headers=headers, json={"merge": 6})
    assert merged.status_code == 200, merged.text
    assert (await http.post(f"{API}/customers/5/anonymize", headers=salon.headers)).status_code == 200
    return salon


async def post(http, tenant, body, key="k-1"):
    headers = {**tenant.headers, "Idempotency-Key": key}
    return await http.post(f"{API}/transitions/bulk", headers=headers, json=body)


async def ended(http, tenant, answer):
    return await wait_until_ended(http, tenant, f"/transitions/bulk/{answer.json()['job']['id']}")


async def moves_of(http, tenant, customer_id):
    """The transitions but for the first one, newest first."""
    return (await fetch(http, tenant, f"/customers/{customer_id}/transitions"))["items"][:-1]


async def test_a_job_moves_customers_as_single_requests_do_and_counts_what_the_dry_run_counts(
    http, shop, database, database_owner
):
    body = {"to_stage": "regular", "notes": "Agreed", "pin_until": PIN, **SOME}
    before = await database_owner.rows(shop.id)
    dry = await post(http, shop, {**body, "dry_run": True})
    assert dry.status_code == 200, dry.text
    assert dry.json() == {"dry_run": True, "counts": COUNTS, "job": None}
    assert await database_owner.rows(shop.id) == before

    real = await post(http, shop, body)
    assert real.status_code == 202, real.text
    job = await ended(http, shop, real)

    assert (job["status"], job["kind"], job["actor"]) == ("done", "bulk_moves", key_of(shop))
    assert (job["counts"], job["done"], job["total"]) == (COUNTS, 5, 5)
    shown = {}
    for customer_id in (1, "ref:K-3", 4):
        first, *_ = await moves_of(http, shop, customer_id)
        assert (first["to_stage"], first["trigger_type"], first["notes"]) == ("regular", "manual", "Agreed")
        assert (await journey(http, shop, customer_id))["pin_until"] == PIN
        shown[customer_id] = first["is_silent"]
    # Down from `vip` without actions, up with them.
    assert shown == {1: False, "ref:K-3": True, 4: False}
    assert len(await moves_of(http, shop, 2)) == 1
    assert await find_violations(database, shop.id) == []


async def test_a_bulk_move_and_each_of_its_moves_is_audited(http, shop):
    await ended(http, shop, await post(http, shop, {"to_stage": "regular", "notes": "Private", **SOME}))
    [entry] = await audit_entries(http, shop, "customer.bulk_move")
    assert entry["detail"] == {"to": "regular", "customers": 5}
    moved = (await audit_entries(http, shop, "customer.move"))[:3]
    assert {(each["actor"], each["detail"]["to"]) for each in moved} == {(key_of(shop), "regular")}
    assert len({each["customer_id"] for each in moved}) == 3
    assert "Private" not in str([entry, *moved])


async def test_actions_run_as_requested(http, shop):
    for number, (run_actions, counted) in enumerate([(True, 3), (False, 0)]):
        body = {
            "to_stage": ("regular", "lead")[number],
            "run_actions": run_actions,
            "customer_ids": [1, 4, "ref:K-3"],
        }
        dry = await post(http, shop, {**body, "dry_run": True})
        assert dry.json()["counts"]["with_actions"] == counted
        job = await ended(http, shop, await post(http, shop, body, f"k-{number}"))
        assert (job["counts"]["moved"], job["counts"]["with_actions"]) == (3, counted)
        silent = [(await moves_of(http, shop, each))[0]["is_silent"] for each in (1, 4, "ref:K-3")]
        assert silent == [not run_actions] * 3


async def test_a_move_that_the_rules_would_undo_is_pinned(http, shop):
    await ingest(http, shop, "e-1", customer_id=4, total_amount=5000)
    job = await ended(http, shop, await post(http, shop, {"to_stage": "prospect", "customer_ids": [4]}))
    assert job["counts"]["moved"] == 1
    shown = await journey(http, shop, 4)
    assert shown["current_stage"] == "prospect"
    assert shown["pin_until"] is not None


async def test_a_merged_id_moves_the_survivor_once(http, shop):
    job = await ended(http, shop, await post(http, shop, {"to_stage": "vip", "customer_ids": [6, 1]}))
    assert (job["counts"]["moved"], job["total"]) == (1, 1)
    assert [each["to_stage"] for each in await moves_of(http, shop, 1)] == ["vip"]


async def test_customers_at_risk_are_selected_by_a_filter(http, shop):
    await move(http, shop, "at_risk", 4)
    body = {"to_stage": "churned", "filter": {"stage": ["at_risk"]}}
    assert (await post(http, shop, {**body, "dry_run": True})).json()["counts"]["moved"] == 1
    job = await ended(http, shop, await post(http, shop, body))
    assert job["counts"] == {"moved": 1, "with_actions": 1, "in_stage": 0, "erased": 0}
    assert (await journey(http, shop, 4))["current_stage"] == "churned"


async def test_a_repeated_request_has_the_job_of_the_first_one(http, shop):
    body = {"to_stage": "regular", **SOME}
    job = await ended(http, shop, await post(http, shop, body))
    again = await post(http, shop, {**body, "customer_ids": [*reversed(SOME["customer_ids"]), 1]})
    assert (again.status_code, again.json()["job"]) == (200, job)
    for change in ({"to_stage": "lead"}, {"notes": "x"}, {"customer_ids": [1]}, {"run_actions": True}):
        problem(await post(http, shop, {**body, **change}), 422, "idempotency-key-reused")
    assert len(await moves_of(http, shop, 1)) == 1


async def test_what_cannot_be_done_is_refused(http, shop):
    assert (await http.delete(f"{API}/stages/lead", headers=shop.headers)).status_code in (200, 202)
    problem(await post(http, shop, {"to_stage": "lead", **SOME}), 409, "stage-inactive")
    refused = [
        ({"to_stage": "nowhere", **SOME}, "/to_stage"),
        ({"to_stage": "merged", **SOME}, "/to_stage"),
        ({"to_stage": "vip"}, ""),
        ({"to_stage": "vip", "filter": {}, **SOME}, ""),
        ({"to_stage": "vip", "customer_ids": [1, 99]}, "/customer_ids/1"),
        ({"to_stage": "vip", "pin_until": "2026-02-01T00:00:00Z", **SOME}, "/pin_until"),
        ({"to_stage": "vip", "if_match": 1, **SOME}, "/if_match"),
    ]
    for body, pointer in refused:
        for dry_run in (True, False):
            problem(await post(http, shop, {**body, "dry_run": dry_run}), 422, "invalid-input", pointer)
    other = await post_action(http, shop)
    problem(await http.get(f"{API}/transitions/bulk/{other}", headers=shop.headers), 404, "job-not-found")


async def post_action(http, tenant):
    """Requests a bulk action; returns its job."""
    headers = {**tenant.headers, "Idempotency-Key": "k-1"}
    body = {"type": "call", "customer_ids": [1]}
    answer = await http.post(f"{API}/actions/bulk", headers=headers, json=body)
    return answer.json()["job"]["id"]
