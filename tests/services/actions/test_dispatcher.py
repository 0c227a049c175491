"""Whoever delivers: to every company its turn and its share, under the same key and with the same words each time."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from journey_service.domain.actions.stage_actions import ActionStep, Channel, StageAction
from journey_service.domain.actions.templates import Template
from journey_service.gateways.http_client import HttpClient
from journey_service.gateways.webhooks import Webhooks
from journey_service.services.actions import webhook_endpoints as endpoints
from journey_service.services.actions.delivery import lane_worker, outbound_messages
from journey_service.services.actions.delivery.dispatcher import MessageSenders
from journey_service.services.actions.delivery.lane_worker import CONCURRENT_CALLS_PER_COMPANY
from journey_service.services.actions.delivery.publisher import publish
from journey_service.services.actions.stage_actions import set_actions
from journey_service.services.actions.templates import add_template
from journey_service.services.actions.webhook_endpoints import list_endpoints, rotate_secret
from journey_service.services.operations.test_clock import advance
from ledger import rows
from services.local_servers import (
    BY,
    LINKS,
    LONG,
    Gate,
    always,
    body_of,
    dispatcher_for,
    opening,
    unsubscribe_token,
)

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
FREE = {"quiet_from": None, "quiet_until": None, "frequency_cap": 1_000}
SMS = ActionStep(Channel.SMS, template="retention_sms")
EMAIL = ActionStep(Channel.EMAIL, template="welcome")
OFFER = ActionStep(Channel.OFFER, template="retention_offer", offer=(("title", "Tea"), ("valid_days", 10)))
COPIES = (
    "INSERT INTO journey_actions (company_id, relationship_id, stage, name, number, channel, step, is_stage_bound,"
    " planned_at, due_at, ready_at)"
    " SELECT company_id, relationship_id, stage, name, 0, channel, step, false, planned_at, due_at,"
    " now() FROM journey_actions, generate_series(2, :copies) WHERE company_id = :company"
)


@pytest.fixture
async def open_salon(database, found_tenant):
    async with opening(database, found_tenant, policy=FREE) as opened:
        yield opened


async def now_of(salon):
    return (
        await rows(
            salon.database, salon.id, "SELECT coalesce(clock_at, now()) FROM companies WHERE id = :company"
        )
    )[0][0]


async def entered(salon, *steps, customers=1, copies=1):
    """Customers of each of whom all of these steps are to be done at once, so many times."""
    asked = [StageAction(f"do_{place}", (step,)) for place, step in enumerate(steps)]
    await set_actions(salon.database, salon.id, "lead", asked, seen=None, by=BY)
    for customer in range(1, customers + 1):
        await salon.meet(customer)
        await salon.tell("call_received", await now_of(salon), customer, call_duration=90)
    if copies > 1:
        await salon.change(COPIES, copies=copies)


def post_among(*salons, deadline_seconds=20.0):
    """One post for several companies."""
    outgoing = HttpClient(trusted=[salon.system.url for salon in salons], deadline_seconds=deadline_seconds)
    return MessageSenders(Webhooks(outgoing, deadline_seconds), salons[0].post.mailer, LINKS)


async def wait_for(holds, outbox_dispatcher):
    """Have the courier look until something holds."""
    async with asyncio.timeout(LONG):
        while not holds():
            await outbox_dispatcher.poll()
            await asyncio.sleep(0.005)


# ---- fairness


async def test_a_company_with_thousands_to_send_to_nobody_who_answers_delays_no_other(open_salon):
    noisy, quiet = [await open_salon() for _ in range(2)]
    for salon in (noisy, quiet):
        await salon.register()
    await entered(noisy, SMS, customers=40, copies=60)
    gate = noisy.system.answer = Gate(CONCURRENT_CALLS_PER_COMPANY)
    outbox_dispatcher = dispatcher_for(
        noisy.database, post_among(noisy, quiet), noisy.id, quiet.id, grace_seconds=0.0
    )
    await outbox_dispatcher.poll()
    await asyncio.wait_for(gate.is_full.wait(), LONG)
    for turn in range(1, 4):
        await quiet.meet(turn)
        await entered(quiet, SMS, EMAIL, customers=turn)
        expected = len(quiet.system.told)
        await wait_for(lambda expected=expected: len(quiet.system.told) > expected, outbox_dispatcher)

    assert [len({told.data["customer_id"] for told in quiet.system.told}), noisy.system.under_way] == [
        3,
        CONCURRENT_CALLS_PER_COMPANY,
    ]
    assert len(noisy.system.told) == CONCURRENT_CALLS_PER_COMPANY, (
        "nobody was answered, and yet others were called"
    )
    await asyncio.wait_for(outbox_dispatcher.close(), LONG)
    left = await noisy.log("state", "attempts")
    assert left == [("pending", 0)] * 2_400
    await rows(
        noisy.database,
        noisy.id,
        "UPDATE journey_actions SET state = 'cancelled', ready_at = NULL WHERE company_id = :company RETURNING 1",
    )


async def test_a_company_that_cannot_be_seen_to_ends_nobody_else_s_turn(open_salon):
    ill, well = [await open_salon() for _ in range(2)]
    for salon in (ill, well):
        await salon.register()
        await entered(salon, SMS, customers=3)
    await ill.change("UPDATE webhook_endpoints SET secret = 'no secret of ours' WHERE company_id = :company")
    async with asyncio.timeout(LONG):
        await dispatcher_for(ill.database, post_among(ill, well), ill.id, well.id).drain()

    assert (len(ill.system.told), len(well.system.told)) == (0, 3)
    # With the right key another try does better; and it is not the endpoint's fault.
    assert await ill.log("state", "attempts") == [("pending", 1)] * 3
    assert {error for (error,) in await ill.log("last_error")} == {
        "The endpoint's secret cannot be decrypted: check JOURNEY_VAULT_KEY."
    }
    [endpoint] = await list_endpoints(ill.database, ill.id)
    assert endpoint.failing_since is None


async def _most_at_once(salon):
    await salon.register()
    await entered(salon, SMS, customers=10, copies=20)

    async def slowly(_told):
        for _ in range(50):
            await asyncio.sleep(0)
        return 200, {}

    salon.system.answer = slowly
    outbox_dispatcher = salon.outbox_dispatcher()
    for _ in range(3):
        await outbox_dispatcher.poll()
    await outbox_dispatcher.drain()
    assert len(salon.system.told) == len({told.id for told in salon.system.told}) == 200
    return salon.system.most_under_way


async def test_no_company_has_more_than_its_share_of_calls_under_way(open_salon):
    assert await _most_at_once(await open_salon()) == CONCURRENT_CALLS_PER_COMPANY


async def test_without_a_share_a_company_would_call_as_often_as_it_has_anything_to_say(
    open_salon, monkeypatch
):
    monkeypatch.setattr(lane_worker, "CONCURRENT_CALLS_PER_COMPANY", 1_000)
    assert await _most_at_once(await open_salon()) > CONCURRENT_CALLS_PER_COMPANY
    print("guard removed: detected")


# ---- the same each time


async def come_due(salon):
    await rows(
        salon.database,
        salon.id,
        "UPDATE journey_actions SET ready_at = now() WHERE company_id = :company AND state = 'pending'"
        " AND ready_at IS NOT NULL RETURNING 1",
    )


async def test_every_attempt_has_the_same_key_and_the_same_words(open_salon):
    salon = await open_salon()
    await salon.register("action.sms", "action.special_offer", "action.crm_update", "stage.changed")
    salon.system.answer = always(503)
    salon.mailbox.verdict = "451 come back later"
    await entered(salon, SMS, OFFER, EMAIL, ActionStep(Channel.CRM))
    for _ in range(4):
        await salon.deliver()
        await come_due(salon)

    kinds = {}
    for told in salon.system.told:
        assert told.headers["webhook-id"] == told.headers["idempotency-key"] == told.id
        kinds.setdefault((told.type, told.id), []).append(told.body)
    assert sorted(type_ for type_, _ in kinds) == [
        *("action.crm_update", "action.sms", "action.special_offer", "stage.changed", "stage.changed"),
    ]
    for bodies in kinds.values():
        assert (len(bodies), len(set(bodies))) == (4, 1)
    emails = {(email["Message-ID"], email["Subject"], body_of(email)) for email in salon.mailbox.emails}
    assert (len(salon.mailbox.emails), len(emails)) == (4, 1)
    ids = {str(id_) for (id_,) in await salon.log("id")}
    assert {told.id for told in salon.system.of_type("action.sms", "action.special_offer")} <= ids
    assert {email["Message-ID"] for email in salon.mailbox.emails} <= {
        f"<{id_}@salon.example>" for id_ in ids
    }


async def _offered_twice(salon):
    """An offer that fails, and is made once more two days later."""
    await salon.register()
    await entered(salon, OFFER)
    salon.system.answer = always(503)
    await salon.deliver()
    await advance(salon.database, salon.id, T0 + 2 * DAY, actor=BY, timeout_seconds=None)
    await come_due(salon)
    await salon.deliver()
    first, second = salon.system.told
    assert first.data["offer"]["valid_until"] == f"{T0 + 10 * DAY:%Y-%m-%d}"
    assert first.body == second.body


async def test_an_offer_does_not_become_another_one_because_it_is_made_later(open_salon):
    await _offered_twice(await open_salon(test_clock=T0, deliver=True))


async def test_counted_from_the_attempt_an_offer_would_become_another_one(open_salon, monkeypatch):
    offer = outbound_messages._offer
    monkeypatch.setattr(
        outbound_messages, "_offer", lambda action, context, _since: offer(action, context, context.now)
    )
    with pytest.raises(AssertionError):
        await _offered_twice(await open_salon(test_clock=T0, deliver=True))
    print("guard removed: detected")


def verifies(secret, told):
    try:
        Webhook(secret).verify(told.body, dict(told.headers))
    except WebhookVerificationError:
        return False
    return True


async def test_while_a_secret_is_replaced_both_verify_and_then_the_new_one_alone(open_salon):
    salon = await open_salon()
    id_ = await salon.register("stage.changed")
    [old] = salon.system.secrets
    await salon.meet(1)
    await salon.deliver()
    new = (await rotate_secret(salon.database, salon.id, id_, overlap=DAY, by=BY)).secret
    await salon.meet(2)
    await salon.deliver()
    await salon.change(
        "UPDATE webhook_endpoints SET former_until = clock_timestamp() - interval '1 second'"
        " WHERE company_id = :company"
    )
    salon.system.secrets = [new]
    await salon.meet(3)
    await salon.deliver()

    before, during, after = salon.system.told
    assert [(verifies(old, told), verifies(new, told)) for told in (before, during, after)] == [
        *((True, False), (True, True), (False, True)),
    ]
    assert salon.system.unverified == []


async def test_news_of_a_company_reach_each_endpoint_that_wants_them_even_if_another_fails(open_salon):
    failing, well = [await open_salon() for _ in range(2)]
    well.id = failing.id
    for salon in (failing, well):
        await salon.register("stage.changed")
    failing.system.answer = always(500)
    await failing.meet()
    await publish(failing.database, failing.id)
    await dispatcher_for(failing.database, post_among(failing, well), failing.id).drain()

    assert (len(failing.system.told), len(well.system.told)) == (1, 1)
    assert failing.system.told[0].id != well.system.told[0].id
    states = await rows(
        failing.database,
        failing.id,
        "SELECT state FROM journey_actions WHERE company_id = :company AND channel = 'webhook' ORDER BY endpoint_id",
    )
    assert [state for (state,) in states] == ["pending", "done"]


async def test_a_slow_system_of_a_company_holds_up_neither_its_mails_nor_its_other_endpoints(open_salon):
    salon = await open_salon()
    await salon.register()
    await entered(salon, SMS, EMAIL, customers=2 * CONCURRENT_CALLS_PER_COMPANY)
    gate = salon.system.answer = Gate(CONCURRENT_CALLS_PER_COMPANY)
    post = post_among(salon, deadline_seconds=10 * LONG)
    outbox_dispatcher = dispatcher_for(salon.database, post, salon.id, grace_seconds=0.0)
    await wait_for(gate.is_full.is_set, outbox_dispatcher)
    await wait_for(lambda: len(salon.mailbox.emails) == 2 * CONCURRENT_CALLS_PER_COMPANY, outbox_dispatcher)

    # More that becomes ready meanwhile is taken, though the first calls have not come to an end.
    await entered(salon, EMAIL, customers=3 * CONCURRENT_CALLS_PER_COMPANY)
    await wait_for(lambda: len(salon.mailbox.emails) == 3 * CONCURRENT_CALLS_PER_COMPANY, outbox_dispatcher)
    assert len(salon.system.told) == CONCURRENT_CALLS_PER_COMPANY
    await asyncio.wait_for(outbox_dispatcher.close(), LONG)


async def test_news_for_a_slow_endpoint_leave_room_for_another(open_salon):
    slow, fast = [await open_salon() for _ in range(2)]
    await slow.register("stage.changed")
    added = await endpoints.add_endpoint(
        slow.database,
        slow.id,
        url=f"{fast.system.url}/hooks",
        events=["stage.changed"],
        description=None,
        by=BY,
    )
    fast.system.secrets.append(added.secret)
    for customer in range(1, 31):
        await slow.meet(customer)
    await publish(slow.database, slow.id)
    gate = slow.system.answer = Gate(CONCURRENT_CALLS_PER_COMPANY // 2)
    post = post_among(slow, fast, deadline_seconds=10 * LONG)
    outbox_dispatcher = dispatcher_for(slow.database, post, slow.id, grace_seconds=0.0)
    await wait_for(gate.is_full.is_set, outbox_dispatcher)
    await wait_for(lambda: len(fast.system.told) == 30, outbox_dispatcher)

    assert len(slow.system.told) == CONCURRENT_CALLS_PER_COMPANY // 2
    await asyncio.wait_for(outbox_dispatcher.close(), LONG)


async def test_a_mail_is_from_the_company_and_answers_go_where_it_says(open_salon):
    salon = await open_salon(name="Salon Lumi\u00e8re", policy={**FREE, "reply_to": "hello@salon.example"})
    await entered(salon, EMAIL)
    await salon.deliver()

    [email] = salon.mailbox.emails
    assert str(email["From"]).startswith("Salon Lumi\u00e8re <")
    assert email["Reply-To"] == "hello@salon.example"


async def test_a_template_that_hides_the_link_does_not_get_away_with_it(open_salon):
    salon = await open_salon()
    hiding = Template(
        key="welcome",
        channel=Channel.EMAIL,
        language="en",
        subject="Hello",
        text='{% unless customer.name == "Bob" %}{{ unsubscribe_url }}{% endunless %} Hi',
    )
    await add_template(salon.database, salon.id, hiding, by=BY)
    await entered(salon, EMAIL)
    await salon.change("UPDATE customers SET name = 'Bob' WHERE company_id = :company")
    await salon.deliver()

    [email] = salon.mailbox.emails
    assert unsubscribe_token(email)


async def test_a_customer_whose_address_is_none_has_no_address(open_salon):
    salon = await open_salon()
    await salon.register()
    await entered(salon, SMS, EMAIL)
    await salon.change("UPDATE customers SET email = ' ', phone = '' WHERE company_id = :company")
    await salon.deliver()

    assert {(state, reason) for state, reason in await salon.log("state", "reason")} == {
        ("cancelled", "no_address")
    }


async def test_what_a_test_clock_has_let_go_is_not_sent_again_after_consent_was_withdrawn(open_salon):
    salon = await open_salon(test_clock=T0, deliver=True)
    await salon.register()
    await entered(salon, OFFER)
    salon.system.answer = always(500)
    await salon.deliver()
    assert len(salon.system.told) == 1
    await salon.meet(consents={"offer": "withdrawn"})
    await salon.change("UPDATE journey_actions SET ready_at = now() WHERE company_id = :company")
    await salon.deliver()

    assert len(salon.system.told) == 1
    assert await salon.log("state", "reason") == [("cancelled", "no_consent")]
