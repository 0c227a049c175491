"""Wake-ups: a request that creates work wakes the workers, and one that changes nothing does not."""

import asyncio

import pytest
from redis.asyncio import Redis

from api.calls import API, NOON, event, fetch, ingest, journey, move, request_action, save_customer
from journey_service.domain.events.values import parse_instant
from journey_service.gateways.worker_wakeup import QUEUE

RUNG = {"wake:outbound_events", "wake:actions"}


@pytest.fixture
async def shop(http, create_test_company):
    """A company with two customers who have had appointments."""
    tenant = await create_test_company(test_clock=parse_instant(NOON, ""))
    await ingest(http, tenant, "known")
    await save_customer(http, tenant)
    return tenant


@pytest.fixture
async def bell(api, servers):
    """Returns the polling tasks that were woken since the last call."""
    async with Redis.from_url(servers.redis_url) as redis:

        async def rung():
            await asyncio.gather(*api.state.app_state.worker_wakeup._pending.values())
            found = {name.decode() for name in await redis.zrange(QUEUE, 0, -1)}
            await redis.flushdb()
            return found

        await rung()
        yield rung


async def changed(http, tenant, method, path, body=None):
    version = (await journey(http, tenant))["version"]
    headers = {**tenant.headers, "If-Match": f'"{version}"'}
    answer = await http.request(method, f"{API}/customers/1{path}", headers=headers, json=body)
    assert answer.status_code < 300, answer.text


async def test_a_request_that_causes_a_move_wakes_the_workers(http, shop, bell, database_owner):
    async def rings(doing):
        assert await bell() == set()
        await doing
        return await bell() == RUNG

    async def tell_many(*events):
        answer = await http.post(f"{API}/events/batch", headers=shop.headers, json=[*events])
        assert answer.status_code == 200

    await bell()
    assert await rings(ingest(http, shop, "first", customer_id=2)), "an event that moves a customer"
    assert await rings(tell_many(event("again", customer_id=2), event("third", customer_id=3))), "one of many"
    assert await rings(save_customer(http, shop, 4)), "a customer whose journey begins"
    assert await rings(move(http, shop, "vip")), "a manual move"
    assert await rings(request_action(http, shop, "call")), "what a person asks for"
    dead = await request_action(http, shop, "email")
    await database_owner.connection.execute(
        "UPDATE journey_actions SET state = 'dead' WHERE id = $1", dead["id"]
    )
    await bell()
    assert await rings(http.post(f"{API}/actions/{dead['id']}/retry", headers=shop.headers)), "a second try"
    await move(http, shop, "at_risk")
    await bell()
    [campaign] = (await fetch(http, shop, "/campaigns"))["items"]
    assert await rings(http.post(f"{API}/campaigns/{campaign['id']}/cancel", headers=shop.headers)), (
        "the end of a campaign"
    )


async def test_lifting_a_pin_wakes_the_workers_if_it_moves_a_customer(http, shop, bell):
    for total, stage in ((1, "customer"), (2_000, "vip")):
        await changed(http, shop, "PUT", "/pin", {"pin_until": "2026-04-01T00:00:00Z"})
        await ingest(http, shop, f"visit {total}", total_amount=total)
        assert (await journey(http, shop))["current_stage"] == "customer"
        await bell()

        await changed(http, shop, "DELETE", "/pin")

        assert (await journey(http, shop))["current_stage"] == stage
        assert await bell() == (RUNG if stage == "vip" else set())


async def test_evaluating_wakes_the_workers_if_it_moves_a_customer(http, shop, bell, database_owner):
    await bell()
    path = f"{API}/customers/1/evaluate"
    await http.post(path, headers=shop.headers)
    assert await bell() == set()

    await database_owner.set_clock(shop.id, "2026-07-01T12:00:00+00:00")
    await http.post(path, headers=shop.headers, params={"dry_run": True})
    assert await bell() == set()
    moved = await http.post(path, headers=shop.headers)

    assert moved.json()["transitions"] != []
    assert await bell() == RUNG


async def test_a_request_that_changes_nothing_wakes_no_worker(http, shop, bell):
    await bell()

    await ingest(http, shop, "known")
    await ingest(http, shop, "one more")
    await save_customer(http, shop)
    await save_customer(http, shop, name="Another")
    for path in ("/customers/1/journey", "/tasks", "/actions", "/campaigns", "/templates"):
        await fetch(http, shop, path)
    answer = await http.post(f"{API}/customers/99/actions", headers=shop.headers, json={"type": "call"})
    assert answer.status_code == 404

    assert await bell() == set()
