"""Outgoing messages: each is sent as the contract describes it."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from journey_service.api.actions.webhook_messages import MESSAGES
from journey_service.services.actions import webhook_endpoints
from journey_service.services.actions.webhook_endpoints import ACTION_TYPES, OUTBOUND_EVENT_TYPES
from services.local_servers import BY, company_opener

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
TYPES = {*OUTBOUND_EVENT_TYPES, *ACTION_TYPES, "webhook.test"}
PAYLOADS = {message.event_type: message.payload for message in MESSAGES}


def as_described(payload, message):
    """The message as the model writes it: equal to the message if the model describes all of it."""
    return json.loads(payload.model_validate(message).model_dump_json(exclude_unset=True))


@pytest.fixture
async def salon(database, create_test_company):
    """A company whose endpoint received every type of message."""
    policy = {"quiet_from": None, "quiet_until": None, "frequency_cap": 1_000}
    async with company_opener(
        database, create_test_company, test_clock=T0, deliver=True, policy=policy
    ) as open_company:
        salon = await open_company()
        await salon.register(*OUTBOUND_EVENT_TYPES, *ACTION_TYPES)
        await salon.put_customer(4711, name=None)
        await salon.complete_appointment(T0, 4711)
        await salon.advance(T0 + 91 * DAY)
        for days in (94, 98, 105):
            await salon.advance(T0 + days * DAY)
        await webhook_endpoints.test_endpoint(
            database, salon.id, salon.endpoint_id, messenger=salon.senders.messenger, by=BY
        )
        await disable_another_endpoint(salon)
        yield salon


async def disable_another_endpoint(salon):
    """Reports that the service has disabled another endpoint."""
    gone = await salon.register("stage.changed")

    async def unit(uow):
        await uow.webhook_endpoints.record_failure(gone, days=5, is_gone=True)
        await uow.outbound_events.add_disabled_endpoint(gone)

    await salon.database.run(salon.id, unit)
    await salon.deliver()


def test_every_type_of_message_is_described():
    assert len(MESSAGES) == len(TYPES)
    assert PAYLOADS.keys() == TYPES


async def test_every_message_is_sent_as_it_is_described(salon):
    messages = [received.json for received in salon.receiver.received]

    assert {message["type"] for message in messages} == TYPES
    for message in messages:
        assert as_described(PAYLOADS[message["type"]], message) == message
        assert message["data"]["company_id"] == salon.id
        assert message["data"].get("customer_id", 4711) == 4711


@pytest.mark.parametrize("change", [{"customer_id": None}, {"seq": "4"}, {"surprise": 1}], ids=str)
async def test_a_message_that_is_not_described_is_noticed(salon, change):
    [message, *_] = [received.json for received in salon.receiver.of_type("stage.changed")]
    message["data"] |= change

    with pytest.raises((AssertionError, ValueError)):
        assert as_described(PAYLOADS["stage.changed"], message) == message


@pytest.mark.parametrize("type_", sorted(TYPES))
def test_the_example_of_a_message_is_such_a_message(api, type_):
    content = api.openapi()["webhooks"][type_]["post"]["requestBody"]["content"]["application/json"]

    [example] = content["examples"].values()

    assert as_described(PAYLOADS[type_], example["value"]) == example["value"]
    assert example["value"]["type"] == type_
