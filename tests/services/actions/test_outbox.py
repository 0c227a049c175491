"""The outbox: what a move calls for is kept with it, done by one worker at a time, tried again, and never stuck."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from journey_service.domain.actions.action import ManualActionRequest
from journey_service.domain.actions.delivery import JITTER, MAX_RETRY_AFTER, RETRY_AFTER
from journey_service.domain.actions.errors import ActionNotDeadError
from journey_service.domain.actions.stage_actions import ActionStep, Channel, StageAction
from journey_service.domain.actions.templates import Template
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
from journey_service.services.customers.privacy import anonymize_customer
from journey_service.services.journeys import transaction as context
from ledger import journeys, rows
from services.local_servers import BY, LINKS, LONG, Gate, accept, always, opening

CHANNELS = tuple(Channel)

NEVER_QUIET = {"quiet_from": None, "quiet_until": None}
SMS = ActionStep(Channel.SMS, template="retention_sms")
EMAIL = ActionStep(Channel.EMAIL, template="welcome")
OFFER = ActionStep(Channel.OFFER, template="retention_offer", offer=(("title", "Tea"),))
TASK = ActionStep(Channel.TASK, title="Look after them")


@pytest.fixture
async def open_salon(database, found_tenant):
    async with opening(database, found_tenant, policy=NEVER_QUIET) as opened:
        yield opened


async def now_of(salon):
    return (await rows(salon.database, salon.id, "SELECT clock_timestamp()"))[0][0]


async def entered(salon, *steps, customers=1):
    """Customers of each of whom all of these steps are to be done at once."""
    asked = [StageAction(f"do_{place}", (step,)) for place, step in enumerate(steps)]
    await set_actions(salon.database, salon.id, "lead", asked, seen=None, by=BY)
    for customer in range(1, customers + 1):
        await salon.meet(customer)
        await salon.tell("call_received", await now_of(salon), customer, call_duration=90)


async def take_all(salon, token, *, seconds=60.0):
    """What a worker takes; the ids, once that is committed."""

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
    """Whose outcomes are kept that somebody writes down."""
    at = await now_of(salon)
    outcomes = {id_: AttemptOutcome(state, at, 0.0) for id_ in ids}
    return sorted(await salon.database.run(salon.id, lambda uow: uow.outbox.finish(token, outcomes)))


async def expire(salon):
    """Let every lease run out."""
    await salon.change(
        "UPDATE journey_actions SET ready_at = now() - interval '1 second' WHERE company_id = :company"
        " AND state = 'leased'"
    )


async def come_due(salon):
    """As if the pauses after failed attempts were over."""
    await rows(
        salon.database,
        salon.id,
        "UPDATE journey_actions SET ready_at = now() WHERE company_id = :company AND state = 'pending' RETURNING 1",
    )


async def pause(salon):
    """How long the one action that waits has yet to."""
    [(left,)] = await rows(
        salon.database,
        salon.id,
        "SELECT ready_at - updated_at FROM journey_actions WHERE company_id = :company AND state = 'pending'",
    )
    return left


async def states(salon):
    return await salon.log("state", "reason")


async def deliveries(salon):
    """What has become of news for endpoints, the first one first."""
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


# ---- kept with the move, or not at all


async def _about_to_move(salon):
    asked = [StageAction("do", (SMS,))]
    await set_actions(salon.database, salon.id, "lead", asked, seen=None, by=BY)
    await salon.meet()


async def _moved_and_failed(salon):
    """A transaction that moves a customer, and then comes to nothing: the moves, actions and news that are left."""
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


async def test_of_a_transaction_that_fails_neither_the_move_nor_what_it_calls_for_is_kept(open_salon):
    salon = await open_salon()
    await _about_to_move(salon)
    assert await _moved_and_failed(salon) == (0, [], 0)

    await salon.tell("call_received", await now_of(salon), call_duration=90)
    assert await salon.log() == [("do", 0, "pending", None)]


async def test_planned_in_a_transaction_of_its_own_an_action_would_outlive_the_move(open_salon, monkeypatch):
    salon = await open_salon()
    await _about_to_move(salon)
    plan_actions = context.plan_actions

    async def apart(uow, *told, **options):
        return await salon.database.run(uow.company_id, lambda other: plan_actions(other, *told, **options))

    monkeypatch.setattr(context, "plan_actions", apart)
    with pytest.raises(AssertionError):
        assert await _moved_and_failed(salon) == (0, [], 0)
    print("guard removed: detected")


# ---- taken by one at a time


async def test_two_workers_looking_at_once_do_everything_once(open_salon):
    salon = await open_salon()
    await salon.register()
    await entered(salon, SMS, EMAIL, OFFER, TASK, customers=40)
    couriers = [salon.outbox_dispatcher() for _ in range(2)]
    async with asyncio.timeout(LONG):
        await asyncio.gather(*(outbox_dispatcher.drain() for outbox_dispatcher in couriers))

    ids = [told.id for told in salon.system.told]
    mails = [email["Message-ID"] for email in salon.mailbox.emails]
    assert (len(ids), len(mails)) == (80, 40)
    assert (len(set(ids)), len(set(mails))) == (80, 40)
    assert set(await states(salon)) == {("done", None)}
    attempts = await rows(
        salon.database, salon.id, "SELECT count(*) FROM action_attempts WHERE company_id = :company"
    )
    assert attempts[0][0] == 120


async def _overtaken(salon, monkeypatch):
    """Somebody has looked what is ready, and is overtaken before they take it: what each of the two has."""
    look = Outbox.list_due
    first = []

    async def look_and_be_overtaken(outbox, *channels, **options):
        found = await look(outbox, *channels, **options)
        monkeypatch.setattr(Outbox, "list_due", look)
        first.extend(await take_all(salon, "first"))
        return found

    monkeypatch.setattr(Outbox, "list_due", look_and_be_overtaken)
    second = await take_all(salon, "second")
    assert len(first) == 6
    assert second == []


async def test_whoever_is_overtaken_takes_nothing(open_salon, monkeypatch):
    salon = await open_salon()
    await salon.register()
    await entered(salon, SMS, EMAIL, customers=3)
    await _overtaken(salon, monkeypatch)


async def test_without_looking_again_the_one_overtaken_would_take_it_too(open_salon, monkeypatch):
    salon = await open_salon()
    await salon.register()
    await entered(salon, SMS, EMAIL, customers=3)
    careless = str(outbox_rows._CLAIM).replace(" AND ready_at <= now()", "")
    assert careless != str(outbox_rows._CLAIM)
    monkeypatch.setattr(outbox_rows, "_CLAIM", text(careless))
    with pytest.raises(AssertionError):
        await _overtaken(salon, monkeypatch)
    print("guard removed: detected")


async def _slow_and_fast(salon):
    """A worker falls silent for longer than its lease; another takes over, and then the first wakes up."""
    await entered(salon, EMAIL)
    [id_] = await take_all(salon, "slow")
    assert await take_all(salon, "fast") == []
    await expire(salon)
    assert await take_all(salon, "fast") == [id_]

    renewed = await salon.database.run(salon.id, lambda uow: uow.outbox.renew([id_], "slow", 60.0))
    assert renewed == set()
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


async def test_a_lease_that_has_run_out_is_taken_over_and_whoever_had_it_changes_nothing_more(open_salon):
    await _slow_and_fast(await open_salon())


@pytest.mark.parametrize("guard", ["_RENEW", "_FINISH", "_RELEASE", "_CANCEL"])
async def test_without_the_token_whoever_was_away_would_change_it(guard, open_salon, monkeypatch):
    fenced = str(getattr(outbox_rows, guard))
    alias = "a." if " a.lease_token = :token" in fenced else ""
    careless = fenced.replace(f" AND {alias}lease_token = :token", "")
    assert careless != fenced
    if guard != "_FINISH":
        careless = careless.replace(":company_id", ":company_id AND coalesce(:token, '') <> ''")
    else:
        careless = careless.replace("a.id = t.id", "a.id = t.id AND coalesce(:token, '') <> ''")
    monkeypatch.setattr(outbox_rows, guard, text(careless))
    with pytest.raises(AssertionError):
        await _slow_and_fast(await open_salon())
    print("guard removed: detected")


async def test_whoever_wakes_up_too_late_does_not_begin_to_send(open_salon):
    salon = await open_salon()
    await entered(salon, EMAIL, customers=2)
    outbox_dispatcher = salon.outbox_dispatcher()
    renew = LaneWorker._renew

    async def asleep(lane_worker, ids):
        await expire(salon)
        assert len(await take_all(salon, "another")) == 2
        return await renew(lane_worker, ids)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(LaneWorker, "_renew", asleep)
        await outbox_dispatcher.drain()
    assert salon.mailbox.emails == []
    assert await states(salon) == [("leased", None)] * 2
    await expire(salon)
    await salon.deliver()
    assert len(salon.mailbox.emails) == 2


# ---- given back


@pytest.mark.parametrize("ends_in_time", [True, False])
async def test_whoever_stops_gives_back_what_is_not_sent_without_counting_an_attempt(
    ends_in_time, open_salon
):
    salon = await open_salon()
    await salon.register()
    await entered(salon, SMS, customers=25)
    gate = salon.system.answer = Gate(CONCURRENT_CALLS_PER_COMPANY)
    outbox_dispatcher = salon.outbox_dispatcher(grace_seconds=LONG if ends_in_time else 0.0)
    await outbox_dispatcher.poll()
    await asyncio.wait_for(gate.is_full.wait(), LONG)
    closing = asyncio.create_task(outbox_dispatcher.close())
    if ends_in_time:
        while not outbox_dispatcher.is_stopping:
            await asyncio.sleep(0)
        gate.is_open.set()
    await asyncio.wait_for(closing, LONG)

    sent = CONCURRENT_CALLS_PER_COMPANY if ends_in_time else 0
    found = await salon.log("state", "attempts", "lease_token")
    assert sorted(found) == [("done", 1, None)] * sent + [("pending", 0, None)] * (25 - sent)
    gate.is_open.set()
    await salon.deliver()
    assert await states(salon) == [("done", None)] * 25
    assert len({told.id for told in salon.system.told}) == 25
    assert len(salon.system.told) == 25 if ends_in_time else 25 + CONCURRENT_CALLS_PER_COMPANY


# ---- tried again


async def test_what_fails_is_tried_again_on_schedule_and_is_dead_in_the_end(open_salon):
    salon = await open_salon(policy={**NEVER_QUIET, "frequency_cap": 1})
    await salon.register()
    await entered(salon, OFFER)
    salon.system.answer = always(500)
    for number, wanted in enumerate(RETRY_AFTER, start=1):
        await salon.deliver()
        assert wanted <= await pause(salon) <= wanted * (1 + JITTER) + timedelta(seconds=LONG), number
        await salon.deliver()
        assert len(salon.system.told) == number
        await come_due(salon)
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
    assert len({(told.id, told.headers["idempotency-key"], told.body) for told in salon.system.told}) == 1
    assert dead.action.finished_at is not None
    # What came to nothing takes nobody's place.
    assert (
        await request_action(salon.database, salon.id, 1, ManualActionRequest(Channel.OFFER), by=BY)
    ).state == "pending"


async def test_what_is_dead_is_tried_again_when_somebody_wishes_so_and_nothing_else_is(open_salon):
    salon = await open_salon()
    await salon.register()
    await entered(salon, SMS)
    salon.system.answer = always(500)
    id_ = await id_of(salon, "sms")
    for _ in range(8):
        with pytest.raises(ActionNotDeadError):
            await retry_action(salon.database, salon.id, id_, by=BY)
        await come_due(salon)
        await salon.deliver()
    assert (await retry_action(salon.database, salon.id, id_, by=BY)).state == "pending"
    salon.system.answer = accept
    await salon.deliver()

    revived = await get_action(salon.database, salon.id, id_)
    assert (revived.action.state, revived.action.attempts) == ("done", 1)
    assert [one.outcome for one in revived.attempts] == ["failed"] * 8 + ["done"]
    with pytest.raises(ActionNotDeadError):
        await retry_action(salon.database, salon.id, id_, by=BY)


async def test_what_is_dead_stays_so_once_its_reader_is_erased_whoever_wishes_otherwise(open_salon):
    salon = await open_salon()
    await salon.register("action.sms", "stage.changed")
    await entered(salon, SMS)
    salon.system.answer = always(500)
    for _ in range(8):
        await salon.deliver()
        await come_due(salon)
    told = len(salon.system.told)
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
    assert len(salon.system.told) == told


@pytest.mark.parametrize(
    ("told", "least", "most"),
    [
        ("7200", timedelta(hours=2), timedelta(hours=2)),
        ("1", RETRY_AFTER[0], RETRY_AFTER[0] * (1 + JITTER)),
        ("999999", MAX_RETRY_AFTER, MAX_RETRY_AFTER),
    ],
)
async def test_a_receiver_that_wishes_to_be_left_alone_is_within_reason(told, least, most, open_salon):
    salon = await open_salon()
    await salon.register()
    await entered(salon, SMS)
    salon.system.answer = always(429, Retry_After=told)
    await salon.deliver()

    assert least - timedelta(seconds=1) <= await pause(salon) <= most + timedelta(seconds=LONG)


async def test_whoever_has_left_the_stage_is_not_told_again_what_failed(open_salon):
    salon = await open_salon()
    await salon.register()
    asked = [
        StageAction("do", (SMS, ActionStep(Channel.SMS, hours=1, template="retention_sms")), is_campaign=True)
    ]
    await set_actions(salon.database, salon.id, "lead", asked, seen=None, by=BY)
    await set_actions(salon.database, salon.id, "customer", [], seen=None, by=BY)
    await salon.meet()
    await salon.tell("call_received", await now_of(salon), call_duration=90)
    salon.system.answer = always(500)
    await salon.deliver()
    await salon.visit(await now_of(salon))
    await salon.deliver()

    assert len(salon.system.told) == 1
    assert await states(salon) == [("cancelled", "left_stage")] * 2


# ---- endpoints that take nothing more


async def test_an_endpoint_that_is_gone_is_told_nothing_more(open_salon):
    salon = await open_salon()
    id_ = await salon.register("stage.changed", "action.sms")
    salon.system.answer = always(500)
    await entered(salon, SMS, customers=2)
    await salon.deliver()
    assert (await deliveries(salon), await states(salon)) == (
        [("pending", None)] * 4,
        [("pending", None)] * 2,
    )
    salon.system.answer = always(410)
    await salon.change(
        "UPDATE journey_actions SET ready_at = now() WHERE company_id = :company AND id ="
        " (SELECT id FROM journey_actions WHERE company_id = :company AND channel = 'webhook' LIMIT 1)"
    )
    await salon.deliver()

    endpoint = await get_endpoint(salon.database, salon.id, id_)
    assert (endpoint.is_enabled, endpoint.disabled_reason) == (False, "gone")
    assert sorted(await deliveries(salon), key=str) == [("cancelled", "endpoint_disabled")] * 3 + [
        ("dead", None)
    ]
    told = len(salon.system.told)
    await come_due(salon)
    await salon.visit(await now_of(salon))
    await salon.deliver()
    assert len(salon.system.told) == told
    assert [row[:2] for row in await salon.log("state", "reason", where="channel = 'sms'")] == [
        ("cancelled", "no_endpoint")
    ] * 2
    assert len(await deliveries(salon)) == 4


@pytest.mark.parametrize(("days", "is_enabled"), [(4, True), (6, False)])
async def test_an_endpoint_that_fails_for_more_than_five_days_is_told_nothing_more(
    days, is_enabled, open_salon
):
    salon = await open_salon()
    id_ = await salon.register("stage.changed")
    salon.system.answer = always(500)
    await salon.meet()
    await salon.deliver()
    await salon.tell("call_received", await now_of(salon), call_duration=90)
    await salon.change(
        "UPDATE webhook_endpoints SET failing_since = failing_since - make_interval(days => :days)"
        " WHERE company_id = :company",
        days=days,
    )
    await salon.deliver()

    endpoint = await get_endpoint(salon.database, salon.id, id_)
    assert (endpoint.is_enabled, endpoint.disabled_reason) == (is_enabled, None if is_enabled else "failing")
    expected = ("pending", None) if is_enabled else ("cancelled", "endpoint_disabled")
    assert await deliveries(salon) == [expected] * 2


async def test_an_endpoint_that_takes_something_again_has_not_failed(open_salon):
    salon = await open_salon()
    id_ = await salon.register("stage.changed")
    salon.system.answer = always(500)
    await salon.meet()
    await salon.deliver()
    assert (await get_endpoint(salon.database, salon.id, id_)).failing_since is not None
    salon.system.answer = accept
    await come_due(salon)
    await salon.deliver()

    assert (await get_endpoint(salon.database, salon.id, id_)).failing_since is None


# ---- what cannot be sent


@pytest.mark.parametrize(
    ("said", "wanted"),
    [("550 no such user", ("dead", "completed")), ("451 come back later", ("pending", None))],
)
async def test_a_campaign_is_completed_when_its_last_step_has_failed_for_good(open_salon, said, wanted):
    salon = await open_salon()
    salon.mailbox.refusals["ada1@reader.example"] = said
    asked = [StageAction("do", (EMAIL,), is_campaign=True)]
    await set_actions(salon.database, salon.id, "lead", asked, seen=None, by=BY)
    await salon.meet(1)
    await salon.tell("call_received", await now_of(salon), 1, call_duration=90)
    await salon.deliver()

    [(state, finished_at)] = await salon.log("state", "finished_at")
    [(reason, ended_at)] = await rows(
        salon.database,
        salon.id,
        "SELECT end_reason, ended_at FROM retention_campaigns WHERE company_id = :company",
    )
    assert (state, reason) == wanted
    assert ended_at == finished_at


async def test_a_mail_that_is_refused_is_dead_at_once_and_one_that_is_put_off_is_not(open_salon):
    salon = await open_salon()
    salon.mailbox.refusals["ada1@reader.example"] = "550 no such user"
    salon.mailbox.refusals["ada2@reader.example"] = "451 come back later"
    await entered(salon, EMAIL, customers=3)
    await salon.deliver()

    assert await salon.log("state", "attempts", "last_status") == [
        ("dead", 1, 550),
        ("pending", 1, 451),
        ("done", 1, 250),
    ]


async def test_a_message_to_where_none_may_go_is_dead_at_once(open_salon):
    salon = await open_salon()
    await salon.register()
    await entered(salon, SMS)
    salon.post = MessageSenders(Webhooks(HttpClient()), salon.post.mailer, LINKS)
    await salon.deliver()

    [(state, attempts, error)] = await salon.log("state", "attempts", "last_error")
    assert (state, attempts) == ("dead", 1)
    assert "may not be called" in error
    assert salon.system.told == []


async def test_what_there_is_no_way_for_is_cancelled_and_says_so(open_salon):
    salon = await open_salon()
    await entered(salon, SMS, EMAIL, OFFER, TASK)
    salon.post = MessageSenders(salon.post.messenger, None, LINKS)
    await salon.deliver()

    assert await states(salon) == [
        ("cancelled", "no_endpoint"),
        ("cancelled", "no_mail_server"),
        ("cancelled", "no_endpoint"),
        ("done", None),
    ]


# ---- poison


async def test_words_that_cannot_be_filled_in_cost_nobody_else_anything(open_salon):
    salon = await open_salon()
    id_ = await salon.register()
    await add_template(salon.database, salon.id, Template("ours", Channel.SMS, "en", "Hello"), by=BY)
    await entered(salon, ActionStep(Channel.SMS, template="ours"), SMS, EMAIL, customers=2)
    await salon.change("UPDATE message_templates SET body = '{% if %}' WHERE company_id = :company")
    await salon.deliver()

    assert await states(salon) == [("dead", None), ("done", None), ("done", None)] * 2
    errors = await salon.log("last_error", where="state = 'dead'")
    assert all("cannot be rendered" in error for (error,) in errors)
    # Nor has the receiver failed, who was not even asked.
    assert (await get_endpoint(salon.database, salon.id, id_)).failing_since is None


async def _with_poison(salon):
    """Two customers, one of whom has an action that makes every look at it fail."""
    await salon.register()
    await entered(salon, SMS, EMAIL, customers=2)
    [(id_,)] = await rows(
        salon.database,
        salon.id,
        "SELECT a.id FROM journey_actions a JOIN customer_relationships r ON r.company_id = a.company_id"
        " AND r.id = a.relationship_id WHERE a.company_id = :company AND r.customer_id = 1 AND a.channel = 'sms'",
    )
    await salon.change(
        "UPDATE journey_actions SET reason = 'nobody knows' WHERE company_id = :company AND id = :id", id=id_
    )
    for _ in range(8):
        await salon.deliver()
        await salon.change(
            "UPDATE journey_actions SET ready_at = now() - CASE channel WHEN 'sms' THEN interval '2 seconds'"
            " ELSE interval '1 second' END WHERE company_id = :company AND state IN ('pending', 'dead')"
        )
    assert await states(salon) == [("dead", "nobody knows"), *[("done", None)] * 3]


async def test_an_action_that_cannot_even_be_looked_at_is_set_aside_and_the_others_are_done(open_salon):
    salon = await open_salon()
    await _with_poison(salon)
    errors = await salon.log("last_error", where="state = 'dead'")
    assert errors == [("It cannot be claimed: ActionDecodeError",)]


async def test_without_looking_one_by_one_nothing_of_the_company_would_be_done(open_salon, monkeypatch):
    async def none(_uow, _channels, **_limit):
        return []

    monkeypatch.setattr(claims, "list_due", none)
    with pytest.raises(AssertionError):
        await _with_poison(await open_salon())
    print("guard removed: detected")


async def test_a_step_nobody_can_read_fails_alone(open_salon):
    salon = await open_salon()
    await salon.register()
    await entered(salon, SMS, EMAIL)
    await salon.change(
        """UPDATE journey_actions SET step = '{"channel": "sms", "pigeon": 1}' WHERE company_id = :company"""
        " AND channel = 'sms'"
    )
    await salon.deliver()

    assert await salon.log("channel", "state") == [("sms", "dead"), ("email", "done")]


# ---- whom somebody else holds


async def test_whoever_is_held_by_another_is_left_and_seen_to_later(open_salon):
    salon = await open_salon()
    await entered(salon, EMAIL, customers=3)
    held, seen_to = asyncio.Event(), asyncio.Event()

    async def hold(uow):
        await context.load(uow, [2])
        held.set()
        await seen_to.wait()

    holding = asyncio.create_task(salon.database.run(salon.id, hold))
    await held.wait()
    await salon.deliver()
    assert [row[0] for row in await states(salon)] == ["done", "pending", "done"]
    seen_to.set()
    await holding
    await salon.deliver()
    assert [row[0] for row in await states(salon)] == ["done"] * 3


# ---- one after the other


async def _in_order(salon):
    await salon.register()
    asked = [StageAction("steps", (EMAIL, SMS, TASK))]
    await set_actions(salon.database, salon.id, "lead", asked, seen=None, by=BY)
    salon.mailbox.refusals["ada1@reader.example"] = "451 come back later"
    await salon.meet()
    await salon.tell("call_received", await now_of(salon), call_duration=90)
    await salon.deliver()
    assert await states(salon) == [("pending", None)] * 3
    assert salon.system.told == []
    salon.mailbox.refusals.clear()
    await salon.change(
        "UPDATE journey_actions SET ready_at = now() WHERE company_id = :company AND channel = 'email'"
    )
    await salon.deliver()
    assert await states(salon) == [("done", None)] * 3


async def test_a_step_waits_for_the_one_before_it(open_salon):
    await _in_order(await open_salon())


async def test_without_looking_at_those_before_a_step_would_overtake_them(open_salon, monkeypatch):
    careless = str(outbox_rows._LIST_DUE).replace("AND p.number < a.number", "AND false")
    assert careless != str(outbox_rows._LIST_DUE)
    monkeypatch.setattr(outbox_rows, "_LIST_DUE", text(careless))
    with pytest.raises(AssertionError):
        await _in_order(await open_salon())
    print("guard removed: detected")
