"""A company that floods the service takes its share and no more: shown by counts of connections and slots."""

import asyncio
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

import asyncpg
import httpx
import pytest
from prometheus_client import REGISTRY

from api.calls import API, event, problem
from journey_service.domain.stages.default_stages import DEFAULT_STAGES
from journey_service.main import create_app
from journey_service.services.access.credential_cache import CredentialCache
from journey_service.services.actions import event_stream

WAITING = 12
"""Requests of the noisy company; its share is five connections of ten."""


@asynccontextmanager
async def serving(settings, **changes):
    """The application with a pool of ten connections, and a client of it."""
    values = {"bootstrap_key": None, "pool_size": 10, "pool_timeout": 0.1, **changes}
    app = create_app(settings.model_copy(update=values))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://journey.test") as client:
            client.state = app.state.app_state
            yield client


@asynccontextmanager
async def blocked(settings, tenant):
    """Holds the lock of a company: each of its transactions occupies a connection and waits."""
    owner = await asyncpg.connect(settings.database_url.get_secret_value())
    try:
        await owner.execute("SELECT pg_advisory_lock($1)", tenant.id)
        yield
    finally:
        await owner.close()


async def reach(read, value):
    """Waits until a count has a value."""
    async with asyncio.timeout(240):
        while read() != value:
            await asyncio.sleep(0.005)


def count_refusals(resource):
    return REGISTRY.get_sample_value("journey_unavailable_total", {"resource": resource}) or 0.0


async def know(client, *tenants):
    """Lets the process know the keys for longer than a test, so that requests need no lookup."""
    client.state.credential_cache._valid._seconds = 600
    for tenant in tenants:
        assert (await client.get(f"{API}/session", headers=tenant.headers)).status_code == 200


async def read_one(client, tenant):
    return await client.get(f"{API}/settings", headers=tenant.headers)


async def report(client, tenant):
    return await client.get(f"{API}/analytics/distribution", headers=tenant.headers)


async def send_batch(client, tenant):
    return await client.post(f"{API}/events/batch", headers=tenant.headers, json=[event("1")])


async def preview(client, tenant):
    return await client.post(f"{API}/stages/preview", headers=tenant.headers, json=MAP)


MAP = {"version": 1, "stages": DEFAULT_STAGES}
KINDS = {"single": (read_one, 5), "report": (report, 4), "batch": (send_batch, 2), "simulation": (preview, 1)}
"""Kinds of work, with the number of connections that a company holds for them at most."""


@pytest.mark.parametrize("kind", KINDS)
async def test_a_company_holds_its_share_only_and_another_one_is_not_refused(
    settings, create_test_company, kind, caplog
):
    send, connections = KINDS[kind]
    noisy, quiet = await create_test_company(), await create_test_company()
    before = count_refusals("company_share")
    async with serving(settings) as client:
        await know(client, noisy, quiet)
        shares = client.state.database._shares
        async with blocked(settings, noisy):
            flood = [asyncio.create_task(send(client, noisy)) for _ in range(WAITING)]
            await reach(lambda: shares.held_by(noisy.id), connections)
            found = [await read_one(client, quiet) for _ in range(5)] + [await report(client, quiet)]
            await asyncio.wait(flood, return_when=asyncio.FIRST_COMPLETED)
            assert shares.held_by(noisy.id) <= connections
        answers = await asyncio.gather(*flood)
        assert shares.in_use == 0
        assert client.state.database._slots.in_use == 0

    assert [answer.status_code for answer in found] == [200] * 6
    refused = [answer for answer in answers if answer.status_code == 503]
    problem(refused[0], 503, "unavailable")
    assert {answer.headers["retry-after"] for answer in refused} <= {"1", "2", "3"}
    assert count_refusals("company_share") > before
    assert f"Unavailable: resource=company_share company_id={noisy.id}" in caplog.messages


@pytest.mark.parametrize(("share", "expected"), [(0.5, 200), (1.0, 503)])
async def test_without_a_share_one_company_occupies_the_pool_which_is_detected(
    settings, create_test_company, share, expected
):
    noisy, quiet = await create_test_company(), await create_test_company()
    async with serving(settings, company_share=share) as client:
        await know(client, quiet)
        before = count_refusals("pool")
        async with AsyncExitStack() as stack:
            for _ in range(round(10 * share)):
                await stack.enter_async_context(client.state.database._shares.hold(noisy.id))
            answer = await read_one(client, quiet)
    assert answer.status_code == expected
    assert count_refusals("pool") - before == (expected == 503)
    if expected == 503:
        print("\nguard removed: detected (company share)")


def invalid_key(number):
    return {"Authorization": f"Bearer jrn_{number:016x}_{'x' * 43}"}


@pytest.mark.parametrize("is_guarded", [True, False])
async def test_invalid_keys_occupy_no_connection_of_requests_and_delay_no_known_key(
    settings, create_test_company, monkeypatch, is_guarded
):
    quiet = await create_test_company()
    if not is_guarded:
        monkeypatch.setattr(CredentialCache, "is_known", lambda *_: False)
    async with serving(settings) as client:
        await know(client, quiet)
        database = client.state.database
        async with AsyncExitStack() as stack:
            for _ in range(2):
                await stack.enter_async_context(database._lookups.hold(0))
            refused = await client.get(f"{API}/session", headers=invalid_key(1))
            assert database.pool_in_use == 0
            client.state.credential_cache.clear()
            answer = await read_one(client, quiet)
    problem(refused, 503, "unavailable")
    assert answer.status_code == (200 if is_guarded else 503)
    if not is_guarded:
        print("\nguard removed: detected (connections of known keys)")


@pytest.mark.parametrize("is_guarded", [True, False])
async def test_a_stream_over_the_limit_is_refused_before_its_response_begins(
    settings, create_test_company, monkeypatch, is_guarded
):
    tenant = await create_test_company()
    before = count_refusals("stream")
    async with serving(settings) as client:
        stream = client.state.event_stream
        stream.max_stream_seconds = 0
        monkeypatch.setattr(event_stream, "MAX_READERS", 1 if is_guarded else 100)
        assert (await client.get(f"{API}/stream", headers=tenant.headers)).status_code == 200
        async with aclosing(stream.follow(tenant.id, 0)) as pages:
            await anext(pages)
            refused = await client.get(f"{API}/stream", headers=tenant.headers)
        assert stream._watched == {}
    if not is_guarded:
        assert refused.status_code == 200
        print("\nguard removed: detected (streams of a company)")
        return
    problem(refused, 503, "unavailable")
    assert refused.headers["retry-after"] in {"1", "2", "3"}
    assert count_refusals("stream") - before == 1
