"""Outbox: actions are stored with their transition, claimed by one worker at a time, retried, and never stuck."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from journey_service.domain.actions.action import ManualActionRequest
from journey_service.domain.actions.delivery import JITTER, MAX_RETRY_AFTER, RETRY_AFTER
from journey_service.domain.actions.errors import ActionNotDeadError
from journey_service.domain.actions.stage_actions import ActionStep, Channel, StageAction
from journey_service.domain.actions.templates import Template
from journey_service.domain.analytics.date_ranges import Period, RequestedRange
from journey_service.domain.events.event import Event
from journey_service.gateways.http_client import HttpClient
from journey_service.gateways.webhooks import Webhooks
from journey_service.repositories.actions import outbox as outbox_rows
from journey_service.repositories.actions.outbox import AttemptOutcome, Outbox
from journey_service.services.actions.delivery import claims
from journey_service.services.actions.delivery.claims import ClaimRequest, Lease, claim_due
from journey_service.services.actions.delivery.dispatcher import MessageSenders
from journey_service.services.actions.delivery.lane_worker import CONCURRENT_CALLS_PER_COMPANY, LaneWorker
from journey_service.services.actions.delivery_log import get_action, retry_action
from journey_service.services.actions.manual_actions import request_action
from journey_service.services.actions.stage_actions import set_actions
from journey_service.services.actions.templates import add_template
from journey_service.services.actions.webhook_endpoints import get_endpoint
from journey_service.services.analytics.automation import get_automation
from journey_service.services.customers.privacy import anonymize_customer
from journey_service.services.journeys import transaction as context
from ledger import journeys, rows
from services.local_servers import BY, LINKS, TIMEOUT_SECONDS, Gate, accept, always, company_opener

CHANNELS = tuple(Channel)

NEVER_QUIET = {"quiet_from": None, "quiet_until": None}
SMS = ActionStep(Channel.SMS, template="retention_sms")
EMAIL = ActionStep(Channel.EMAIL, template="welcome")
OFFER = ActionStep(Channel.OFFER, template="retention_offer", offer=(("title", "Tea"),))
TASK = ActionStep(Channel.TASK, title="Look after them")


@pytest.fixture
async def open_salon(database, create_test_company):
    async with company_opener(database, create_test_company, policy=NEVER_QUIET) as opened:
        yield opened


async def now_of(salon):
    return (await rows(salon.database, salon.id, "SELECT clock_timestamp()"))[0][0]


async def enter_lead(salon, *steps, customers=1):
    """Moves customers into lead, each with these steps due at once."""
    actions = [StageAction(f"do_{index}", (step,)) for index, step in enumerate(steps)]
    await set_actions(salon.database, salon.id, "lead", actions, seen=None, by=BY)
    for customer in range(1, customers + 1):
        await salon.put_customer(customer)
        await salon.ingest_event("call_received", await now_of(salon), customer, call_duration=90)


async def claim_all(salon, token, *, seconds=60.0):
    """Claims all due actions as a worker does, commits, and returns their ids."""

    async def unit(uow):
        return await claim_due(
            uow,
            ClaimRequest(Lease(token, seconds)),
            channels=CHANNELS,
            limit=50,
            links=LINKS,
            has_mailer=True,
        )

    return sorted(
        outbound_message.id
        for outbound_message in (await salon.database.run(salon.id, unit)).outbound_messages
    )


async def finish(salon, token, *ids, state="done"):
    """Records outcomes; returns the ids for which they were accepted."""
    at = await now_of(salon)
    outcomes = {id_: AttemptOutcome(state, at, 0.0) for id_ in ids}
    return sorted(await salon.database.run(salon.id, lambda uow: uow.outbox.finish(token, outcomes)))


async def expire(salon):
    """Lets every lease expire."""
    await salon.update_rows(
        "UPDATE journey_actions SET ready_at = now() - interval '1 second' WHERE company_id = :company"
        " AND state = 'leased'"
    )


async def make_due(salon):
    """Ends the pauses after failed attempts."""
    await rows(
        salon.database,
        salon.id,
        "UPDATE journey_actions SET ready_at = now() WHERE company_id = :company AND state = 'pending' RETURNING 1",
    )


async def pause(salon):
    """Returns the remaining pause of the only pending action."""
    [(left,)] = await rows(
        salon.database,
        salon.id,
        "SELECT ready_at - updated_at FROM journey_actions WHERE company_id = :company AND state = 'pending'",
    )
    return left


async def states(salon):
    return await salon.log("state", "reason")


async def deliveries(salon):
    """Returns state and reason of the deliveries to endpoints, in order."""
    found = await rows(
        salon.database,
        salon.id,
        "SELECT state, reason FROM journey_actions WHERE company_id = :company AND channel = 'webhook'"
        " ORDER BY outbound_event_id",
    )
    return [tuple(row) for row in found]


async def id_of(salon, channel):
    [(id_,)] = await salon.log("id", where=f"channel = '{channel}'")
    return str(id_)


# ---- stored with the transition


async def _prepare_move(salon):
    actions = [StageAction("do", (SMS,))]
    await set_actions(salon.database, salon.id, "lead", actions, seen=None, by=BY)
    await salon.put_customer()


async def _move_and_fail(salon):
    """Moves a customer in a transaction that fails; returns the stored transitions, actions and outbound events."""
    now = await now_of(salon)

    async def unit(uow):
        transaction = await context.load(uow, [1])
        journey = transaction.find(1)
        journey.apply_event(
            Event("tests", "late", 1, "call_received", now, call_duration=90), transaction.now
        )
        await context.write(uow, transaction)
        planned = await uow._connection.execute(
            text("SELECT count(*) FROM journey_actions WHERE company_id = :id"), {"id": uow.company_id}
        )
        assert planned.scalar_one() == 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await salon.database.run(salon.id, unit)
    outbound_events = await rows(
        salon.database, salon.id, "SELECT type FROM outbound_events WHERE company_id = :company"
    )
    return len((await journeys(salon.database, salon.id))[1]) - 1, await salon.log(), len(outbound_events) - 1


async def test_a_failed_transaction_stores_neither_the_transition_nor_its_actions(open_salon):
    salon = await open_salon()
    await _prepare_move(salon)
    assert await _move_and_fail(salon) == (0, [], 0)

    await salon.ingest_event("call_received", await now_of(salon), call_duration=90)
    assert await salon.log() == [("do", 0, "pending", None)]


async def test_actions_planned_in_a_transaction_of_their_own_outlive_the_transition(open_salon, monkeypatch):
    salon = await open_salon()
    await _prepare_move(salon)
    plan_actions = context.plan_actions

    async def apart(uow, *args, **options):
        return await salon.database.run(uow.company_id, lambda other: plan_actions(other, *args, **options))

    monkeypatch.setattr(context, "plan_actions", apart)
    with pytest.raises(AssertionError):
        assert await _move_and_fail(salon) == (0, [], 0)
    print("guard removed: detected")


# ---- claimed by one worker at a time


async def test_two_concurrent_workers_run_every_action_once(open_salon):
    salon = await open_salon()
    await salon.register()
    await enter_lead(salon, SMS, EMAIL, OFFER, TASK, customers=40)
    dispatchers = [salon.outbox_dispatcher() for _ in range(2)]
    async with asyncio.timeout(TIMEOUT_SECONDS):
        await asyncio.gather(*(outbox_dispatcher.drain() for outbox_dispatcher in dispatchers))

    ids = [message.id for message in salon.receiver.received]
    mails = [email["Message-ID"] for email in salon.mail_server.emails]
    assert (len(ids), len(mails)) == (80, 40)
    assert (len(set(ids)), len(set(mails))) == (80, 40)
    assert set(await states(salon)) == {("done", None)}
    attempts = await rows(
        salon.database, salon.id, "SELECT count(*) FROM action_attempts WHERE company_id = :company"
    )
    assert attempts[0][0] == 120


async def _overtake(salon, monkeypatch):
    """Lets a second worker claim between the candidate query and the claim of the first."""
    list_candidates = Outbox.list_due
    first = []

    async def list_and_be_overtaken(outbox, *channels, **options):
        found = await list_candidates(outbox, *channels, **options)
        monkeypatch.setattr(Outbox, "list_due", list_candidates)
        first.extend(await claim_all(salon, "first"))
        return found

    monkeypatch.setattr(Outbox, "list_due", list_and_be_overtaken)
    second = await claim_all(salon, "second")
    assert len(first) == 6
    assert second == []


async def test_a_worker_that_is_overtaken_claims_nothing(open_salon, monkeypatch):
    salon = await open_salon()
    await salon.register()
    await enter_lead(salon, SMS, EMAIL, customers=3)
    await _overtake(salon, monkeypatch)


async def test_without_the_check_in_the_claim_both_workers_claim(open_salon, monkeypatch):
    salon = await open_salon()
    await salon.register()
    await enter_lead(salon, SMS, EMAIL, customers=3)
    unguarded = str(outbox_rows._CLAIM).replace(" AND ready_at <= now()", "")
    assert unguarded != str(outbox_rows._CLAIM)
    monkeypatch.setattr(outbox_rows, "_CLAIM", text(unguarded))
    with pytest.raises(AssertionError):
        await _overtake(salon, monkeypatch)
    print("guard removed: detected")


async def _slow_and_fast(salon):
    """A worker is suspended for longer than its lease, another takes over, and the first resumes."""
    await enter_lead(salon, EMAIL)
    [id_] = await claim_all(salon, "slow")
    assert await claim_all(salon, "fast") == []
    await expire(salon)
    assert await claim_all(salon, "fast") == [id_]

    renewed = await salon.database.run(salon.id, lambda uow: uow.outbox.renew([id_], "slow", 60.0))
    assert renewed == {}
    assert await finish(salon, "slow", id_) == []
    assert await finish(salon, "slow", id_, state="dead") == []
    await salon.database.run(salon.id, lambda uow: uow.outbox.release([id_], "slow"))
    at = await now_of(salon)
    await salon.database.run(salon.id, lambda uow: uow.outbox.cancel([id_], "slow", "erased", at))
    assert await states(salon) == [("leased", None)]

    assert await finish(salon, "fast", id_) == [id_]
    assert await finish(salon, "fast", id_) == []
    assert await states(salon) == [("done", None)]
    assert [one.number for one in (await get_action(salon.database, salon.id, id_)).attempts] == [1]


async def test_an_expired_lease_is_taken_over_and_its_former_holder_changes_nothing(open_salon):
    await _slow_and_fast(await open_salon())


@pytest.mark.parametrize("guard", ["_RENEW", "_FINISH", "_RELEASE", "_CANCEL"])
async def test_without_the_token_the_former_holder_changes_it(guard, open_salon, monkeypatch):
    fenced = str(getattr(outbox_rows, guard))
    alias = "a." if " a.lease_token = :token" in fenced else ""
    unguarded = fenced.replace(f" AND {alias}lease_token = :token", "")
    assert unguarded != fenced
    if guard != "_FINISH":
        condition = "company_id = :company_id"
        unguarded = unguarded.replace(condition, f"{condition} AND coalesce(:token, '') <> ''")
    else:
        unguarded = unguarded.replace("a.id = t.id", "a.id = t.id AND coalesce(:token, '') <> ''")
    monkeypatch.setattr(outbox_rows, guard, text(unguarded))
    with pytest.raises(AssertionError):
        await _slow_and_fast(await open_salon())
    print("guard removed: detected")


async def test_a_worker_that_has_lost_its_lease_does_not_send(open_salon):
    salon = await open_salon()
    await enter_lead(salon, EMAIL, customers=2)
    outbox_dispatcher = salon.outbox_dispatcher()
    renew = LaneWorker._renew

    async def suspended(lane_worker, ids):
        await expire(salon)
        assert len(await claim_all(salon, "another")) == 2
        return await renew(lane_worker, ids)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(LaneWorker, "_renew", suspended)
        await outbox_dispatcher.drain()
    assert salon.mail_server.emails == []
    assert await states(salon) == [("leased", None)] * 2
    await expire(salon)
    await salon.deliver()
    assert len(salon.mail_server.emails) == 2


# ---- released


@pytest.mark.parametrize("ends_in_time", [True, False])
async def test_a_dispatcher_that_stops_releases_unsent_messages_without_counting_an_attempt(
    ends_in_time, open_salon
):
    salon = await open_salon()
    await salon.register()
    await enter_lead(salon, SMS, customers=25)
    gate = salon.receiver.answer = Gate(CONCURRENT_CALLS_PER_COMPANY)
    outbox_dispatcher = salon.outbox_dispatcher(grace_seconds=TIMEOUT_SECONDS if ends_in_time else 0.0)
    await outbox_dispatcher.poll()
    await asyncio.wait_for(gate.is_full.wait(), TIMEOUT_SECONDS)
    closing = asyncio.create_task(outbox_dispatcher.close())
    if ends_in_time:
        while not outbox_dispatcher.is_stopping:
            await asyncio.sleep(0)
        gate.is_open.set()
    await asyncio.wait_for(closing, TIMEOUT_SECONDS)

    sent = CONCURRENT_CALLS_PER_COMPANY if ends_in_time else 0
    found = await salon.log("state", "attempts", "lease_token")
    assert sorted(found) == [("done", 1, None)] * sent + [("pending", 0, None)] * (25 - sent)
    gate.is_open.set()
    await salon.deliver()
    assert await states(salon) == [("done", None)] * 25
    assert len({message.id for message in salon.receiver.received}) == 25
    assert len(salon.receiver.received) == 25 if ends_in_time else 25 + CONCURRENT_CALLS_PER_COMPANY


# ---- retries


async def test_a_failed_delivery_is_retried_on_schedule_and_is_dead_in_the_end(open_salon):
    salon = await open_salon(policy={**NEVER_QUIET, "frequency_cap": 1})
    await salon.register()
    await enter_lead(salon, OFFER)
    salon.receiver.answer = always(500)
    for number, scheduled in enumerate(RETRY_AFTER, start=1):
        await salon.deliver()
        assert (
            scheduled <= await pause(salon) <= scheduled * (1 + JITTER) + timedelta(seconds=TIMEOUT_SECONDS)
        ), number
        await salon.deliver()
        assert len(salon.receiver.received) == number
        await make_due(salon)
    assert (
        await request_action(salon.database, salon.id, 1, ManualActionRequest(Channel.OFFER), by=BY)
    ).reason == "capped"
    await salon.deliver()

    id_ = await id_of(salon, "offer' AND name = 'do_0")
    dead = await get_action(salon.database, salon.id, id_)
    assert (dead.action.state, dead.action.attempts, dead.action.last_status) == ("dead", 8, 500)
    assert dead.action.last_error == "The receiver responded 500."
    assert [(one.number, one.outcome, one.status) for one in dead.attempts] == [
        (number, "failed", 500) for number in range(1, 9)
    ]
    assert (
        len(
            {
                (message.id, message.headers["idempotency-key"], message.body)
                for message in salon.receiver.received
            }
        )
        == 1
    )
    assert dead.action.finished_at is not None
    # A dead action does not count towards the frequency cap.
    assert (
        await request_action(salon.database, salon.id, 1, ManualActionRequest(Channel.OFFER), by=BY)
    ).state == "pending"


async def test_only_dead_actions_can_be_retried_manually(open_salon):
    salon = await open_salon()
    await salon.register()
    await enter_lead(salon, SMS)
    salon.receiver.answer = always(500)
    id_ = await id_of(salon, "sms")
    for _ in range(8):
        with pytest.raises(ActionNotDeadError):
            await retry_action(salon.database, salon.id, id_, by=BY)
        await make_due(salon)
        await salon.deliver()
    assert (await retry_action(salon.database, salon.id, id_, by=BY)).state == "pending"
    salon.receiver.answer = accept
    await salon.deliver()

    retried = await get_action(salon.database, salon.id, id_)
    assert (retried.action.state, retried.action.attempts) == ("done", 1)
    assert [one.outcome for one in retried.attempts] == ["failed"] * 8 + ["done"]
    with pytest.raises(ActionNotDeadError):
        await retry_action(salon.database, salon.id, id_, by=BY)


async def test_a_retried_action_of_an_erased_customer_is_cancelled(open_salon):
    salon = await open_salon()
    await salon.register("action.sms", "stage.changed")
    await enter_lead(salon, SMS)
    salon.receiver.answer = always(500)
    for _ in range(8):
        await salon.deliver()
        await make_due(salon)
    received = len(salon.receiver.received)
    await anonymize_customer(salon.database, salon.id, 1, by=BY)
    ids = await rows(
        salon.database,
        salon.id,
        "SELECT id FROM journey_actions WHERE company_id = :company AND state = 'dead'",
    )
    assert len(ids) == 3
    for (id_,) in ids:
        await retry_action(salon.database, salon.id, str(id_), by=BY)
    await salon.deliver()

    assert await states(salon) == [("cancelled", "erased")]
    assert await deliveries(salon) == [("cancelled", "erased")] * 2
    assert len(salon.receiver.received) == received


@pytest.mark.parametrize(
    ("retry_after", "least", "most"),
    [
        ("7200", timedelta(hours=2), timedelta(hours=2)),
        ("1", RETRY_AFTER[0], RETRY_AFTER[0] * (1 + JITTER)),
        ("999999", MAX_RETRY_AFTER, MAX_RETRY_AFTER),
    ],
)
async def test_retry_after_is_respected_within_limits(retry_after, least, most, open_salon):
    salon = await open_salon()
    await salon.register()
    await enter_lead(salon, SMS)
    salon.receiver.answer = always(429, Retry_After=retry_after)
    await salon.deliver()

    assert least - timedelta(seconds=1) <= await pause(salon) <= most + timedelta(seconds=TIMEOUT_SECONDS)


async def test_a_failed_action_is_not_retried_after_the_customer_has_left_the_stage(open_salon):
    salon = await open_salon()
    await salon.register()
    actions = [
        StageAction("do", (SMS, ActionStep(Channel.SMS, hours=1, template="retention_sms")), is_campaign=True)
    ]
    await set_actions(salon.database, salon.id, "lead", actions, seen=None, by=BY)
    await set_actions(salon.database, salon.id, "customer", [], seen=None, by=BY)
    await salon.put_customer()
    await salon.ingest_event("call_received", await now_of(salon), call_duration=90)
    salon.receiver.answer = always(500)
    await salon.deliver()
    await salon.complete_appointment(await now_of(salon))
    await salon.deliver()

    assert len(salon.receiver.received) == 1
    assert await states(salon) == [("cancelled", "left_stage")] * 2


# ---- disabled endpoints


async def test_an_endpoint_that_answers_410_receives_nothing_more(open_salon):
    salon = await open_salon()
    id_ = await salon.register("stage.changed", "action.sms")
    salon.receiver.answer = always(500)
    await enter_lead(salon, SMS, customers=2)
    await salon.deliver()
    assert (await deliveries(salon), await states(salon)) == (
        [("pending", None)] * 4,
        [("pending", None)] * 2,
    )
    salon.receiver.answer = always(410)
    await salon.update_rows(
        "UPDATE journey_actions SET ready_at = now() WHERE company_id = :company AND id ="
        " (SELECT id FROM journey_actions WHERE company_id = :company AND channel = 'webhook' LIMIT 1)"
    )
    await salon.deliver()

    endpoint = await get_endpoint(salon.database, salon.id, id_)
    assert (endpoint.is_enabled, endpoint.disabled_reason) == (False, "gone")
    assert sorted(await deliveries(salon), key=str) == [("cancelled", "endpoint_disabled")] * 3 + [
        ("dead", None)
    ]
    received = len(salon.receiver.received)
    await make_due(salon)
    await salon.complete_appointment(await now_of(salon))
    await salon.deliver()
    assert len(salon.receiver.received) == received
    assert [row[:2] for row in await salon.log("state", "reason", where="channel = 'sms'")] == [
        ("cancelled", "no_channel")
    ] * 2
    assert len(await deliveries(salon)) == 4


@pytest.mark.parametrize(("days", "is_enabled"), [(4, True), (6, False)])
async def test_an_endpoint_that_fails_for_more_than_five_days_is_disabled(days, is_enabled, open_salon):
    salon = await open_salon()
    id_ = await salon.register("stage.changed")
    salon.receiver.answer = always(500)
    await salon.put_customer()
    await salon.deliver()
    await salon.ingest_event("call_received", await now_of(salon), call_duration=90)
    await salon.update_rows(
        "UPDATE webhook_endpoints SET failing_since = failing_since - make_interval(days => :days)"
        " WHERE company_id = :company",
        days=days,
    )
    await salon.deliver()

    endpoint = await get_endpoint(salon.database, salon.id, id_)
    assert (endpoint.is_enabled, endpoint.disabled_reason) == (is_enabled, None if is_enabled else "failing")
    expected = ("pending", None) if is_enabled else ("cancelled", "endpoint_disabled")
    assert await deliveries(salon) == [expected] * 2


async def test_a_successful_delivery_resets_the_failures_of_an_endpoint(open_salon):
    salon = await open_salon()
    id_ = await salon.register("stage.changed")
    salon.receiver.answer = always(500)
    await salon.put_customer()
    await salon.deliver()
    assert (await get_endpoint(salon.database, salon.id, id_)).failing_since is not None
    salon.receiver.answer = accept
    await make_due(salon)
    await salon.deliver()

    assert (await get_endpoint(salon.database, salon.id, id_)).failing_since is None


# ---- refused deliveries


@pytest.mark.parametrize(
    ("reply", "expected"),
    [("550 no such user", ("dead", "completed")), ("451 come back later", ("pending", None))],
)
async def test_a_campaign_is_completed_when_its_last_step_has_failed_for_good(open_salon, reply, expected):
    salon = await open_salon()
    salon.mail_server.refusals["ada1@reader.example"] = reply
    actions = [StageAction("do", (EMAIL,), is_campaign=True)]
    await set_actions(salon.database, salon.id, "lead", actions, seen=None, by=BY)
    await salon.put_customer(1)
    await salon.ingest_event("call_received", await now_of(salon), 1, call_duration=90)
    await salon.deliver()

    [(state, finished_at)] = await salon.log("state", "finished_at")
    [(reason, ended_at)] = await rows(
        salon.database,
        salon.id,
        "SELECT end_reason, ended_at FROM retention_campaigns WHERE company_id = :company",
    )
    assert (state, reason) == expected
    assert ended_at == finished_at


async def test_a_refused_email_is_dead_at_once_and_a_deferred_one_is_retried(open_salon, caplog):
    salon = await open_salon()
    salon.mail_server.refusals["ada1@reader.example"] = "550 no such user"
    salon.mail_server.refusals["ada2@reader.example"] = "451 come back later"
    await enter_lead(salon, EMAIL, customers=3)
    await salon.deliver()

    assert await salon.log("state", "attempts", "last_status") == [
        ("dead", 1, 550),
        ("pending", 1, 451),
        ("done", 1, 250),
    ]
    ids = [id_ for (id_,) in await salon.log("id")]
    for id_, outcome in zip(ids, ("was refused: status 550", "failed: status 451"), strict=False):
        assert f"attempt 1 of action {id_} (email) of company {salon.id} {outcome}" in caplog.text
    assert "reader.example" not in caplog.text


async def test_a_message_to_a_forbidden_address_is_dead_at_once(open_salon):
    salon = await open_salon()
    await salon.register()
    await enter_lead(salon, SMS)
    salon.senders = MessageSenders(Webhooks(HttpClient()), salon.senders.mailer, LINKS)
    await salon.deliver()

    [(state, attempts, error)] = await salon.log("state", "attempts", "last_error")
    assert (state, attempts) == ("dead", 1)
    assert "may not be called" in error
    assert salon.receiver.received == []


async def test_an_action_without_an_endpoint_or_mail_server_is_cancelled_with_the_reason(open_salon):
    salon = await open_salon()
    await enter_lead(salon, SMS, EMAIL, OFFER, TASK)
    salon.senders = MessageSenders(salon.senders.messenger, None, LINKS)
    await salon.deliver()

    assert await states(salon) == [
        ("cancelled", "no_channel"),
        ("cancelled", "no_channel"),
        ("cancelled", "no_channel"),
        ("done", None),
    ]
    found = await get_automation(salon.database, salon.id, RequestedRange(Period.WEEK))
    assert (found.skipped, sum(each.cancelled for each in found.actions)) == (3, 0)
    assert found.rate == 100, "what was skipped has not failed"


# ---- actions that cannot be processed


async def test_a_template_that_cannot_be_rendered_does_not_affect_other_actions(open_salon):
    salon = await open_salon()
    id_ = await salon.register()
    await add_template(salon.database, salon.id, Template("ours", Channel.SMS, "en", "Hello"), by=BY)
    await enter_lead(salon, ActionStep(Channel.SMS, template="ours"), SMS, EMAIL, customers=2)
    await salon.update_rows("UPDATE message_templates SET body = '{% if %}' WHERE company_id = :company")
    await salon.deliver()

    assert await states(salon) == [("dead", None), ("done", None), ("done", None)] * 2
    errors = await salon.log("last_error", where="state = 'dead'")
    assert all("cannot be rendered" in error for (error,) in errors)
    # The receiver was not called, so it has not failed.
    assert (await get_endpoint(salon.database, salon.id, id_)).failing_since is None


async def _with_undecodable_action(salon):
    """Delivers to two customers; an action of one cannot be decoded."""
    await salon.register()
    await enter_lead(salon, SMS, EMAIL, customers=2)
    [(id_,)] = await rows(
        salon.database,
        salon.id,
        "SELECT a.id FROM journey_actions a JOIN customer_relationships r ON r.company_id = a.company_id"
        " AND r.id = a.relationship_id WHERE a.company_id = :company AND r.customer_id = 1 AND a.channel = 'sms'",
    )
    await salon.update_rows(
        "UPDATE journey_actions SET reason = 'unknown' WHERE company_id = :company AND id = :id", id=id_
    )
    for _ in range(8):
        await salon.deliver()
        await salon.update_rows(
            "UPDATE journey_actions SET ready_at = now() - CASE channel WHEN 'sms' THEN interval '2 seconds'"
            " ELSE interval '1 second' END WHERE company_id = :company AND state IN ('pending', 'dead')"
        )
    assert await states(salon) == [("dead", "unknown"), *[("done", None)] * 3]


async def test_an_action_that_cannot_be_claimed_fails_alone(open_salon):
    salon = await open_salon()
    await _with_undecodable_action(salon)
    errors = await salon.log("last_error", where="state = 'dead'")
    assert errors == [("The action could not be claimed: ActionDecodeError",)]


async def test_without_claiming_one_by_one_no_action_of_the_company_is_run(open_salon, monkeypatch):
    async def none(_uow, _channels, **_limit):
        return []

    monkeypatch.setattr(claims, "list_due", none)
    with pytest.raises(AssertionError):
        await _with_undecodable_action(await open_salon())
    print("guard removed: detected")


async def test_a_step_that_cannot_be_decoded_fails_alone(open_salon):
    salon = await open_salon()
    await salon.register()
    await enter_lead(salon, SMS, EMAIL)
    await salon.update_rows(
        """UPDATE journey_actions SET step = '{"channel": "sms", "pigeon": 1}' WHERE company_id = :company"""
        " AND channel = 'sms'"
    )
    await salon.deliver()

    assert await salon.log("channel", "state") == [("sms", "dead"), ("email", "done")]


# ---- locked customers


async def test_actions_of_a_locked_customer_are_run_later(open_salon):
    salon = await open_salon()
    await enter_lead(salon, EMAIL, customers=3)
    locked, may_end = asyncio.Event(), asyncio.Event()

    async def hold_lock(uow):
        await context.load(uow, [2])
        locked.set()
        await may_end.wait()

    lock_holder = asyncio.create_task(salon.database.run(salon.id, hold_lock))
    await locked.wait()
    await salon.deliver()
    assert [row[0] for row in await states(salon)] == ["done", "pending", "done"]
    may_end.set()
    await lock_holder
    await salon.deliver()
    assert [row[0] for row in await states(salon)] == ["done"] * 3


# ---- order of steps


async def _in_order(salon):
    await salon.register()
    actions = [StageAction("steps", (EMAIL, SMS, TASK))]
    await set_actions(salon.database, salon.id, "lead", actions, seen=None, by=BY)
    salon.mail_server.refusals["ada1@reader.example"] = "451 come back later"
    await salon.put_customer()
    await salon.ingest_event("call_received", await now_of(salon), call_duration=90)
    await salon.deliver()
    assert await states(salon) == [("pending", None)] * 3
    assert salon.receiver.received == []
    salon.mail_server.refusals.clear()
    await salon.update_rows(
        "UPDATE journey_actions SET ready_at = now() WHERE company_id = :company AND channel = 'email'"
    )
    await salon.deliver()
    assert await states(salon) == [("done", None)] * 3


async def test_a_step_waits_for_the_one_before_it(open_salon):
    await _in_order(await open_salon())


async def test_without_the_check_of_earlier_steps_a_step_overtakes_them(open_salon, monkeypatch):
    unguarded = str(outbox_rows._LIST_DUE).replace("AND p.number < a.number", "AND false")
    assert unguarded != str(outbox_rows._LIST_DUE)
    monkeypatch.setattr(outbox_rows, "_LIST_DUE", text(unguarded))
    with pytest.raises(AssertionError):
        await _in_order(await open_salon())
    print("guard removed: detected")
