"""Disabled webhook endpoints are reported, and later receive what they have missed."""

from datetime import UTC, datetime, timedelta

import pytest

from journey_service.domain.actions.errors import EndpointDisabledError, EndpointNotFoundError
from journey_service.domain.errors import IdempotencyKeyReusedError
from journey_service.services.actions import webhook_endpoints as endpoints
from journey_service.services.actions.delivery import replay as replays
from journey_service.services.actions.delivery.replay import replay_events
from journey_service.services.customers.privacy import anonymize_customer
from journey_service.services.operations.health import get_backlog
from ledger import rows
from services.local_servers import BY, company_opener

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
CHANGED, DISABLED = "stage.changed", "endpoint.disabled"


@pytest.fixture
async def open_salon(database, create_test_company):
    async with company_opener(database, create_test_company, test_clock=None) as opened:
        yield opened


def answering(status, *types):
    """Answers messages of some types with a status, and accepts the others."""

    async def answer(message):
        return (status if message.type in types else 200), {}

    return answer


async def enable(salon, endpoint_id, *, is_enabled=True):
    return await endpoints.change_endpoint(
        salon.database, salon.id, endpoint_id, {"is_enabled": is_enabled}, by=BY
    )


async def replay(salon, endpoint_id, since=LONG_AGO, key=None, **options):
    options = {"includes_delivered": False, **options}
    return await replay_events(salon.database, salon.id, endpoint_id, since=since, key=key, by=BY, **options)


async def audited(salon, action):
    found = await rows(
        salon.database,
        salon.id,
        "SELECT actor, target, detail FROM audit_log WHERE company_id = :company AND action = :action ORDER BY id",
        action=action,
    )
    return [tuple(row) for row in found]


async def disabled_endpoints(salon):
    return (await get_backlog(salon.database)).disabled_endpoints


async def test_an_endpoint_that_answers_410_is_reported_and_later_receives_what_it_missed(open_salon):
    salon = await open_salon()
    others = await salon.register(DISABLED)
    crm = await salon.register(CHANGED, DISABLED)
    before = await disabled_endpoints(salon)
    salon.receiver.answer = answering(410, CHANGED)
    await salon.put_customer(1)
    await salon.deliver()
    await salon.put_customer(2)
    await salon.deliver()

    assert await audited(salon, "endpoint.disable") == [("delivery", f"endpoint:{crm}", {"reason": "gone"})]
    assert await disabled_endpoints(salon) == before + 1
    disabled = await endpoints.get_endpoint(salon.database, salon.id, crm)
    [report] = salon.receiver.of_type(DISABLED)
    assert report.data == {
        "company_id": salon.id,
        "endpoint_id": crm,
        "description": None,
        "reason": "gone",
        "failing_since": disabled.failing_since.isoformat().replace("+00:00", "Z"),
        "disabled_at": disabled.last_disabled_at.isoformat().replace("+00:00", "Z"),
    }
    with pytest.raises(EndpointDisabledError):
        await replay(salon, crm)

    salon.receiver.answer = answering(200)
    [refused] = salon.receiver.of_type(CHANGED)
    enabled = await enable(salon, crm)
    assert (enabled.disabled_reason, enabled.failing_since) == (None, None)
    assert enabled.last_disabled_at == disabled.last_disabled_at
    assert await disabled_endpoints(salon) == before
    sent = await replay(salon, crm, refused_at(disabled))
    await salon.deliver()

    again = salon.receiver.of_type(CHANGED)[1:]
    assert (sent.count, sent.next_since) == (2, None)
    assert {message.data["customer_id"] for message in again} == {1, 2}
    assert refused.id in {message.id for message in again}, "a repeated message has the same id"
    assert len(salon.receiver.of_type(DISABLED)) == 1, "an endpoint gets no report about itself"
    assert (await replay(salon, crm)).count == 0, "everything is delivered"
    assert (await replay(salon, others, includes_delivered=True)).count == 1


def refused_at(endpoint):
    """A time just before the first failure of an endpoint."""
    return endpoint.failing_since - timedelta(seconds=60)


async def test_an_endpoint_that_fails_for_days_is_reported_once_until_a_person_confirms_it(open_salon):
    salon = await open_salon()
    await salon.register(DISABLED)
    crm = await salon.register(CHANGED)
    salon.receiver.answer = answering(500, CHANGED)
    await salon.put_customer(1)
    await salon.deliver()
    assert await audited(salon, "endpoint.disable") == []
    await salon.update_rows(
        "UPDATE webhook_endpoints SET failing_since = now() - interval '6 days'"
        " WHERE company_id = :company AND id = :id",
        id=crm,
    )
    await salon.put_customer(2)
    await salon.put_customer(3)
    await salon.deliver()
    await salon.deliver()

    entry = ("delivery", f"endpoint:{crm}", {"reason": "failing"})
    assert await audited(salon, "endpoint.disable") == [entry]
    assert [message.data["reason"] for message in salon.receiver.of_type(DISABLED)] == ["failing"]
    before = await disabled_endpoints(salon)
    disabled = await endpoints.get_endpoint(salon.database, salon.id, crm)
    confirmed = await enable(salon, crm, is_enabled=False)
    assert (confirmed.is_enabled, confirmed.disabled_reason) == (False, None)
    assert confirmed.last_disabled_at == disabled.last_disabled_at
    assert await disabled_endpoints(salon) == before - 1


async def test_a_replay_is_repeated_by_its_key_only_and_continues_where_it_ended(open_salon, monkeypatch):
    salon = await open_salon()
    crm = await salon.register(CHANGED)
    for customer in (1, 2, 3, 4):
        await salon.put_customer(customer)
    await salon.deliver()
    await anonymize_customer(salon.database, salon.id, 4, by=BY)
    first = next(message.id for message in salon.receiver.received if message.data["customer_id"] == 1)
    monkeypatch.setattr(replays, "MAX_REPLAYED_EVENTS", 2)

    sent = await replay(salon, crm, key="a", includes_delivered=True)
    assert (sent.count, sent.job.status) == (2, "done")
    assert (await replay(salon, crm, key="a", includes_delivered=True)).job.id == sent.job.id
    with pytest.raises(IdempotencyKeyReusedError):
        await replay(salon, crm, key="a")
    await salon.deliver()
    rest = await replay(salon, crm, datetime.fromisoformat(sent.next_since), includes_delivered=True)
    await salon.deliver()

    assert rest.count == 2, "the last one of the first request, and the third, without the erased one"
    assert [message.id for message in salon.receiver.received].count(first) == 2
    assert len(await audited(salon, "endpoint.replay")) == 2
    with pytest.raises(EndpointNotFoundError):
        await replay(salon, 2**60)
