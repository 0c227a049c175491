"""Rate limits over HTTP: which caller is refused, what the response contains, and who is not affected."""

from contextlib import asynccontextmanager

import httpx
import pytest

from api.calls import API, event, problem
from journey_service.domain.access.actors import Actor
from journey_service.main import create_app
from journey_service.services.access import credentials
from journey_service.services.access.credentials import KeyRequest

LIMITS = {
    "key_request_limit": 1,
    "key_event_limit": 10,
    "company_request_limit": 2,
    "company_event_limit": 100,
    "failure_limit": 3,
    "sign_in_failure_limit": 3,
}
"""Small limits. The clock of the limits stands still, so that nothing is restored."""


@asynccontextmanager
async def limited(settings, **changes):
    """The application with small limits that it counts alone, and a client of it."""
    values = {"bootstrap_key": None, "redis_url": None, **LIMITS, **changes}
    app = create_app(settings.model_copy(update=values))
    async with app.router.lifespan_context(app):
        app.state.app_state.rate_limiter._clock = lambda: 0.0
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://journey.test") as client:
            yield client


@pytest.fixture
async def client(settings):
    async with limited(settings) as opened:
        yield opened


@pytest.fixture
async def second_key(database, tenant):
    new = await credentials.create_key(
        database, tenant.id, KeyRequest("second", ("*",)), pepper=PEPPER, by=Actor("tests")
    )
    return {"Authorization": f"Bearer {new.token}"}


PEPPER = "Zr7nQ2vK9xW4mB8tYcL3eHs6"


def invalid_key(number):
    return {"Authorization": f"Bearer jrn_{number:016x}_{'x' * 43}"}


async def statuses(count, send):
    return [(await send(number)).status_code for number in range(count)]


async def test_a_key_gets_four_seconds_of_its_limit_at_once_and_then_429(client, tenant):
    async def read(_):
        return await client.get(f"{API}/session", headers=tenant.headers)

    assert await statuses(6, read) == [200] * 4 + [429] * 2

    refused = await read(0)
    body = problem(refused, 429, "rate-limited")
    assert "'key'" in body["detail"]
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["ratelimit"] == '"key";r=0;t=1'
    assert refused.headers["ratelimit-policy"] == '"key";q=4;w=4, "company";q=8;w=4'


async def test_an_admitted_request_shows_what_is_left(client, tenant):
    answer = await client.get(f"{API}/session", headers=tenant.headers)

    assert answer.headers["ratelimit"] == '"key";r=3;t=1, "company";r=7;t=1'
    assert answer.headers["ratelimit-policy"] == '"key";q=4;w=4, "company";q=8;w=4'


async def test_the_company_s_limit_holds_for_all_of_its_keys_and_for_no_other_company(
    client, tenant, second_key, database, create_test_company
):
    other = await create_test_company()
    third = await credentials.create_key(
        database, tenant.id, KeyRequest("third", ("*",)), pepper=PEPPER, by=Actor("tests")
    )

    def reading(headers):
        return lambda _: client.get(f"{API}/session", headers=headers)

    assert await statuses(4, reading(tenant.headers)) == [200] * 4
    assert await statuses(4, reading(second_key)) == [200] * 4
    refused = await client.get(f"{API}/session", headers={"Authorization": f"Bearer {third.token}"})
    assert "'company'" in problem(refused, 429, "rate-limited")["detail"]
    assert await statuses(4, reading(other.headers)) == [200] * 4


async def test_a_key_may_have_limits_of_its_own(client, tenant, second_key):
    key_id = second_key["Authorization"].split("_")[1]
    change = {"rate_limit": {"events_per_second": 5}}
    path = f"{API}/admin/keys/{key_id}"

    changed = await client.patch(path, headers=tenant.headers, json=change)
    batch = await client.post(
        f"{API}/events/batch", headers=second_key, json=[event(str(number)) for number in range(3)]
    )
    over = await client.patch(path, headers=tenant.headers, json={"rate_limit": {"events_per_second": 11}})
    reset = await client.patch(path, headers=tenant.headers, json={"rate_limit": None})

    limits = {"requests_per_second": None, "events_per_second": 5}
    assert changed.json()["rate_limit"] == limits
    assert batch.headers["ratelimit-policy"].startswith('"key-events";q=10;w=2')
    (error,) = problem(over, 422, "invalid-input", "/rate_limit/events_per_second")["errors"]
    assert error["detail"] == "must be at most 10; operators may set more"
    assert reset.json()["rate_limit"] is None


async def test_the_successor_of_a_key_has_its_limits_and_operators_may_raise_them(http, operator, tenant):
    path = f"{API}/admin/companies/{tenant.id}/keys"
    body = {"name": "busy", "role": "service", "rate_limit": {"requests_per_second": 900_000}}

    created = await http.post(path, headers=operator, json=body)
    successor = await http.post(f"{path}/{created.json()['id']}/rotate", headers=operator)
    raised = await http.patch(
        f"{path}/{created.json()['id']}",
        headers=operator,
        json={"rate_limit": {"requests_per_second": 1_000_000, "events_per_second": 1_000_000}},
    )

    assert created.json()["rate_limit"] == {"requests_per_second": 900_000, "events_per_second": None}
    assert successor.json()["rate_limit"] == created.json()["rate_limit"]
    assert raised.json()["rate_limit"]["events_per_second"] == 1_000_000


async def test_a_batch_takes_a_token_for_each_event_from_a_limit_of_its_own(client, tenant):
    events = [event(str(number), customer_id=number) for number in range(25)]

    first = await client.post(f"{API}/events/batch", headers=tenant.headers, json=events)
    second = await client.post(f"{API}/events/batch", headers=tenant.headers, json=events[:1])
    third = await client.post(f"{API}/events", headers=tenant.headers, json=events[0])
    reading = await client.get(f"{API}/session", headers=tenant.headers)

    assert first.status_code == 200
    assert "'key-events'" in problem(second, 429, "rate-limited")["detail"]
    assert third.status_code == 429
    assert reading.status_code == 200


async def test_an_address_with_many_invalid_keys_is_refused_and_known_keys_are_not(client, tenant):
    assert (await client.get(f"{API}/session", headers=tenant.headers)).status_code == 200

    async def guess(number):
        return await client.get(f"{API}/session", headers=invalid_key(number))

    assert await statuses(8, guess) == [401] * 4 + [429] * 4
    assert "'address'" in problem(await guess(9), 429, "rate-limited")["detail"]
    client._transport.app.state.app_state.credential_cache.clear()
    assert (await client.get(f"{API}/session", headers=tenant.headers)).status_code == 200


async def test_the_same_invalid_key_is_looked_up_and_counted_once(client):
    async def guess(_):
        return await client.get(f"{API}/session", headers=invalid_key(1))

    assert await statuses(20, guess) == [401] * 20


async def test_without_the_limit_every_invalid_key_is_looked_up_which_is_detected(settings):
    async with limited(settings, failure_limit=1_000) as client:
        found = await statuses(8, lambda number: client.get(f"{API}/session", headers=invalid_key(number)))
    assert found == [401] * 8
    print("\nguard removed: detected (limit of an address)")


async def test_a_trusted_proxy_is_no_client(settings):
    async with limited(settings, trusted_proxies=("127.0.0.0/8",)) as client:
        found = await statuses(8, lambda number: client.get(f"{API}/session", headers=invalid_key(number)))
    assert found == [401] * 8


SIGN_INS = {
    "form": lambda client, number: client.post(
        "/sign-in", data={"key": f"jrn_{number:016x}_{'x' * 43}"}, headers={"Origin": "http://journey.test"}
    ),
    "session": lambda client, number: client.post(f"{API}/session", headers=invalid_key(number)),
    "link": lambda client, number: client.get(f"/sign-in/link/7.{number:043d}"),
    "unsubscribe": lambda client, number: client.post(f"{API}/unsubscribe/7.{number}.email.{'x' * 22}"),
}


@pytest.mark.parametrize("means", SIGN_INS)
async def test_sign_ins_and_unsubscribe_links_cannot_be_guessed(settings, tenant, means):
    async with limited(settings, failure_limit=1_000) as client:
        answers = [await SIGN_INS[means](client, number) for number in range(8)]
        reading = await client.get(f"{API}/session", headers=tenant.headers)

    refused = 404 if means == "unsubscribe" else 401
    assert [answer.status_code for answer in answers] == [refused] * 4 + [429] * 4
    assert answers[-1].headers["retry-after"] == "20"
    assert reading.status_code == 200


async def test_metrics_count_refusals_by_limit(client, tenant):
    for _ in range(6):
        await client.get(f"{API}/session", headers=tenant.headers)
    text = (await client.get("/metrics")).text
    (line,) = [
        line for line in text.splitlines() if line.startswith('journey_rate_limited_total{limit="key"}')
    ]
    assert float(line.rpartition(" ")[2]) >= 2
    assert "journey_rate_limits_shared 0.0" in text


async def test_two_processes_count_together_over_redis(settings, tenant):
    """The rate is small enough to restore nothing that matters; the portions are single tokens."""
    async with (
        limited(settings, redis_url=settings.redis_url) as one,
        limited(settings, redis_url=settings.redis_url) as two,
    ):
        for client in (one, two):
            client._transport.app.state.app_state.rate_limiter._store._timeout_seconds = 30
        answers = [
            (await client.get(f"{API}/session", headers=tenant.headers)).status_code
            for _ in range(50)
            for client in (one, two)
        ]
    assert answers[:4] == [200] * 4
    assert 429 in answers
