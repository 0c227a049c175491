"""End to end: what the service sends, to which customer and when, with a real SMTP server and webhook receiver."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from journey_service.domain.actions.action import ManualActionRequest
from journey_service.domain.actions.records import ActionFilter, CampaignFilter, TaskFilter
from journey_service.domain.actions.stage_actions import (
    DEFAULT_ACTIONS,
    RETENTION_CAMPAIGN,
    ActionStep,
    Channel,
    StageAction,
)
from journey_service.domain.actions.templates import Template
from journey_service.domain.events.records import ImportOptions
from journey_service.services.actions import delivery_log as actions
from journey_service.services.actions import manual_actions, templates
from journey_service.services.actions.campaigns import list_campaigns
from journey_service.services.actions.stage_actions import set_actions
from journey_service.services.actions.tasks import list_tasks
from journey_service.services.actions.unsubscribe import look_at, withdraw
from journey_service.services.customers.privacy import anonymize_customer
from journey_service.services.events.imports.imports import run_import, stage_import
from journey_service.services.journeys import action_planning as action_plans
from journey_service.services.journeys.manual_changes import ManualMove, move
from journey_service.services.journeys.reading import get_journey
from journey_service.services.journeys.sweep import sweep_batch
from journey_service.services.operations import test_clock as clock
from journey_service.services.operations.test_clock import advance
from ledger import find_violations, rows
from server_versions import newest_only
from services.local_servers import BY, body_of, company_opener, unsubscribe_token

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LAPSED = T0 + 91 * DAY
NEVER_QUIET = {"quiet_from": None, "quiet_until": None}
WELCOME = ["Good to have you with us"]
"""Subjects of the emails of the first day of a customer, and those of the ten days after it."""
FIRST_DAYS = [
    *WELCOME,
    "How to get the most out of your next visit",
    "How was your visit?",
    "Is there anything we can do for you?",
]
MISSED = "We haven't seen you in a while"
CAMPAIGN = "create_retention_campaign"


@pytest.fixture
async def open_salon(database, create_test_company):
    async with company_opener(database, create_test_company, test_clock=T0, deliver=True) as opened:
        yield opened


async def move_manually(salon, to_stage, key, customer=1):
    """Moves a customer manually."""
    version = (await get_journey(salon.database, salon.id, customer)).stored.relationship.version
    await move(salon.database, salon.id, customer, ManualMove(to_stage, version, BY, key, is_repeatable=True))


async def campaigns_of(salon):
    """Returns all campaigns, oldest first."""
    found = await list_campaigns(salon.database, salon.id, CampaignFilter(limit=100))
    return [each.campaign for each in reversed(found)]


async def campaign_log(salon, since=0):
    """Returns the steps of campaigns started by a transition after `since`."""
    return await salon.log(
        "number", "state", "reason", where=f"name = '{CAMPAIGN}' AND transition_seq > {since}"
    )


async def tasks_of(salon, status=None):
    found, _ = await list_tasks(
        salon.database, salon.id, TaskFilter(limit=100, statuses=() if status is None else (status,))
    )
    return [(task.name, task.status, task.reason) for task in found]


async def create_lapsed_customer(salon, **profile):
    """Creates a customer with one appointment 91 days ago, with everything due delivered."""
    await salon.register()
    await salon.put_customer(**profile)
    await salon.complete_appointment(T0)
    await salon.advance(LAPSED)


# ---- campaigns


async def test_a_customer_who_returns_on_day_five_gets_an_email_and_an_sms_but_neither_call_nor_offer(
    open_salon,
):
    salon = await open_salon()
    await create_lapsed_customer(salon)
    assert salon.mail_server.subjects == sorted([*FIRST_DAYS, MISSED])
    assert salon.receiver.of_type("action.sms") == []
    assert sorted(await tasks_of(salon)) == [
        ("notify_account_manager", "open", None),
        ("schedule_check_in_call", "open", None),
    ]

    await salon.advance(LAPSED + 3 * DAY - timedelta(seconds=1))
    assert salon.receiver.of_type("action.sms") == []
    await salon.advance(LAPSED + 5 * DAY)
    await salon.complete_appointment(LAPSED + 5 * DAY)
    await salon.deliver()
    await salon.advance(LAPSED + 60 * DAY)

    # A return runs no actions of the stage.
    assert salon.mail_server.subjects == sorted([*FIRST_DAYS, MISSED])
    [sms] = salon.receiver.of_type("action.sms")
    assert (sms.data["customer_id"], sms.data["phone"], sms.data["step"]) == (1, "+49 170 1", 1)
    assert sms.data["text"].startswith("Hello Ada, we haven't seen you in a while.")
    assert salon.receiver.of_type("action.special_offer") == []
    assert salon.receiver.unverified == []
    assert await campaign_log(salon) == [
        (0, "done", None),
        (1, "done", None),
        (2, "cancelled", "left_stage"),
        (3, "cancelled", "left_stage"),
    ]
    [campaign] = await campaigns_of(salon)
    assert (campaign.type, campaign.reason) == ("at_risk", "left_stage")
    assert (campaign.started_at, campaign.ended_at) == (LAPSED, LAPSED + 5 * DAY)
    assert sorted(await tasks_of(salon)) == [
        ("notify_account_manager", "closed", "left_stage"),
        ("schedule_check_in_call", "closed", "left_stage"),
    ]
    listed, _ = await actions.list_actions(
        salon.database, salon.id, ActionFilter(limit=100, campaign_id=campaign.id)
    )
    assert {each.number: (each.channel, each.finished_at) for each in listed if each.reason} == {
        2: (Channel.CALL, LAPSED + 5 * DAY),
        3: (Channel.OFFER, LAPSED + 5 * DAY),
    }
    assert await find_violations(salon.database, salon.id) == []


async def test_a_customer_who_does_not_return_gets_all_four_steps_at_the_same_time_of_day(open_salon):
    salon = await open_salon(timezone="Europe/Berlin")  # summer time begins on day 87
    await salon.register()
    await salon.put_customer()
    await salon.complete_appointment(T0)
    local = LAPSED  # 14:00 in Berlin, on the second of April
    seen = []
    for day in (0, 3, 7, 14):
        for at in (local + day * DAY - timedelta(seconds=1), local + day * DAY):
            await salon.advance(at)
            [(done,)] = await rows(
                salon.database,
                salon.id,
                "SELECT count(*) FROM journey_actions WHERE company_id = :company AND state = 'done'"
                f" AND name = '{CAMPAIGN}'",
            )
            seen.append(done)
    assert seen == [0, 1, 1, 2, 2, 3, 3, 4]
    [offer] = salon.receiver.of_type("action.special_offer")
    assert offer.data["offer"]["valid_until"] == f"{local + 14 * DAY + 30 * DAY:%Y-%m-%d}"
    [campaign] = await campaigns_of(salon)
    assert (campaign.reason, campaign.ended_at) == ("completed", local + 14 * DAY)


async def test_an_offer_that_is_delivered_late_keeps_its_validity(open_salon):
    salon = await open_salon()
    await create_lapsed_customer(salon)
    await advance(salon.database, salon.id, LAPSED + 80 * DAY, actor=BY, timeout_seconds=None)
    await salon.deliver()

    [offer] = salon.receiver.of_type("action.special_offer")
    assert offer.data["offer"]["valid_until"] == f"{LAPSED + 44 * DAY:%Y-%m-%d}"


async def test_a_consent_withdrawn_on_the_first_day_cancels_the_sms_and_not_the_campaign(open_salon):
    salon = await open_salon()
    await create_lapsed_customer(salon)
    await salon.advance(LAPSED + DAY)
    await salon.put_customer(consents={"sms": "withdrawn"})
    await salon.advance(LAPSED + 30 * DAY)

    assert await campaign_log(salon) == [
        (0, "done", None),
        (1, "cancelled", "no_consent"),
        (2, "done", None),
        (3, "done", None),
    ]
    assert salon.receiver.of_type("action.sms") == []
    assert len(salon.receiver.of_type("action.special_offer")) == 1
    assert (await campaigns_of(salon))[0].reason == "completed"


async def test_nothing_is_sent_for_an_erased_customer(open_salon):
    salon = await open_salon()
    await create_lapsed_customer(salon)
    await salon.advance(LAPSED + DAY)
    mails, messages = len(salon.mail_server.emails), len(salon.receiver.received)
    await anonymize_customer(salon.database, salon.id, 1, by=BY)
    await salon.deliver()
    await salon.advance(LAPSED + 200 * DAY)

    assert (len(salon.mail_server.emails), len(salon.receiver.received)) == (mails, messages)
    assert await campaign_log(salon) == [
        (0, "done", None),
        *((number, "cancelled", "erased") for number in (1, 2, 3)),
    ]
    assert {row[1] for row in await tasks_of(salon)} == {"closed"}
    assert (await campaigns_of(salon))[0].reason == "erased"
    assert {row[0] for row in await salon.log("state")} == {"done", "cancelled"}


async def test_released_actions_of_an_erased_customer_are_cancelled(open_salon):
    salon = await open_salon()
    await create_lapsed_customer(salon)
    mails, messages = len(salon.mail_server.emails), len(salon.receiver.received)
    await advance(salon.database, salon.id, LAPSED + 20 * DAY, actor=BY, timeout_seconds=None)
    waiting = "state = 'pending' AND is_released_by_test_clock"
    assert len(await salon.log(where=waiting)) == 2  # an sms and an offer
    # One is in progress, fails, and waits for its retry.
    await salon.update_rows(
        "UPDATE journey_actions SET state = 'leased', lease_token = 'x' WHERE company_id = :company"
        " AND channel = 'sms'"
    )
    await anonymize_customer(salon.database, salon.id, 1, by=BY)
    await salon.update_rows(
        "UPDATE journey_actions SET state = 'pending', lease_token = NULL, ready_at = now()"
        " WHERE company_id = :company AND channel = 'sms'"
    )
    await salon.deliver()

    assert (len(salon.mail_server.emails), len(salon.receiver.received)) == (mails, messages)
    assert await salon.log("state", "reason", where="channel IN ('sms', 'offer')") == [
        ("cancelled", "erased"),
        ("cancelled", "erased"),
    ]


async def test_a_second_campaign_begins_thirty_days_after_the_end_of_the_first_and_not_before(open_salon):
    salon = await open_salon()
    await create_lapsed_customer(salon)
    ended = LAPSED + DAY
    await salon.advance(ended)
    await move_manually(salon, "customer", "back")
    await salon.advance(ended + 30 * DAY - timedelta(seconds=1))
    await move_manually(salon, "at_risk", "again")
    await salon.deliver()
    early = (await get_journey(salon.database, salon.id, 1)).stored.relationship.version

    assert await campaign_log(salon, early - 1) == [
        (number, "cancelled", "campaign_pause") for number in range(4)
    ]
    others = await salon.log("name", "state", where=f"transition_seq = {early} AND campaign_id IS NULL")
    assert [row for row in others if row[0] != CAMPAIGN] == [
        ("notify_account_manager", "done"),
        ("schedule_check_in_call", "done"),
    ]
    assert len(await campaigns_of(salon)) == 1

    await move_manually(salon, "customer", "back once more")
    await salon.advance(ended + 30 * DAY)
    await move_manually(salon, "at_risk", "again at last")
    await salon.advance(ended + 60 * DAY)
    first, second = await campaigns_of(salon)
    assert (first.reason, second.reason) == ("left_stage", "completed")
    assert second.started_at == first.ended_at + 30 * DAY
    assert [row[1] for row in await campaign_log(salon, early)] == ["done"] * 4


async def test_a_second_campaign_never_runs_at_the_same_time_as_the_first(open_salon):
    salon = await open_salon(policy={"campaign_pause_days": 0})
    await create_lapsed_customer(salon)
    await salon.advance(LAPSED + DAY)
    await move_manually(salon, "customer", "back")
    await move_manually(salon, "at_risk", "again")
    await salon.advance(LAPSED + 5 * DAY)

    ended, running = await campaigns_of(salon)
    assert (ended.reason, running.reason) == ("left_stage", None)
    assert ended.ended_at == running.started_at == LAPSED + DAY


IMPORT_FILE = """customer_id,occurred_at,event_type,amount
1,{long_ago},appointment_completed,40
2,{lately},appointment_completed,40
3,{lapsing},appointment_completed,40
4,{lapsed},appointment_completed,40
"""


async def run_import_file(salon, options, now):
    async def chunks():
        yield IMPORT_FILE.format(
            long_ago=(now - 25 * HOUR).isoformat(),
            lately=(now - 23 * HOUR).isoformat(),
            lapsing=(now - 91 * DAY - 23 * HOUR).isoformat(),
            lapsed=(now - 91 * DAY - 25 * HOUR).isoformat(),
        ).encode()

    for customer in range(1, 5):
        await salon.database.run(
            salon.id,
            lambda uow, customer=customer: uow.customers.upsert(
                customer, {"name": f"C{customer}", "email": f"c{customer}@reader.example", "consents": {}}
            ),
        )
    found = await stage_import(salon.database, salon.id, chunks(), actor=BY, options=options)
    assert await run_import(salon.database, salon.id, found.id)
    await salon.deliver()


@pytest.mark.parametrize("has_test_clock", [True, False])
async def test_an_import_sends_nothing(has_test_clock, open_salon):
    salon = await open_salon() if has_test_clock else await real_salon(open_salon)
    await salon.register("stage.changed", "customer.at_risk", "campaign.started", "task.created")
    await run_import_file(salon, ImportOptions(), await now_of(salon))

    assert await salon.log() == []
    assert await campaigns_of(salon) == []
    assert await tasks_of(salon) == []
    assert salon.mail_server.emails == salon.receiver.received == []
    moved = await rows(
        salon.database, salon.id, "SELECT count(*) FROM journey_transitions WHERE company_id = :company"
    )
    assert moved[0][0] == 10


@pytest.mark.parametrize("has_test_clock", [True, False])
async def test_an_import_that_runs_actions_runs_those_of_the_last_day_only(has_test_clock, open_salon):
    salon = await open_salon(policy=NEVER_QUIET) if has_test_clock else await real_salon(open_salon)
    await salon.register("stage.changed")
    await run_import_file(salon, ImportOptions(runs_actions=True), await now_of(salon))

    moved = {
        (outbound_events.data["customer_id"], outbound_events.data["to_stage"])
        for outbound_events in salon.receiver.received
    }
    assert moved == {(2, "prospect"), (2, "customer"), (3, "at_risk")}
    readers = {mail["To"]: mail["Subject"] for mail in salon.mail_server.emails}
    assert sorted(readers) == ["c2@reader.example", "c3@reader.example"]
    assert readers["c3@reader.example"] == MISSED
    stages = await rows(
        salon.database,
        salon.id,
        "SELECT DISTINCT r.customer_id, a.stage FROM journey_actions a JOIN customer_relationships r"
        " ON r.company_id = a.company_id AND r.id = a.relationship_id WHERE a.company_id = :company ORDER BY 1",
    )
    assert [tuple(row) for row in stages] == [(2, "customer"), (3, "at_risk")]


@pytest.mark.parametrize("has_test_clock", [True, False])
async def test_an_import_until_a_past_time_runs_no_actions(has_test_clock, open_salon):
    salon = await open_salon() if has_test_clock else await real_salon(open_salon)
    now = await now_of(salon) - 10 * DAY
    await run_import_file(salon, ImportOptions(until=now, runs_actions=True), now)

    assert await salon.log() == []


# ---- advancing at once and day by day


STAGE_ACTIONS = {
    "lead": [
        StageAction(
            "write_at_night",
            (
                ActionStep(Channel.EMAIL, template="welcome"),
                ActionStep(Channel.TASK, hours=1, title="Check for a reply"),
                ActionStep(Channel.SMS, hours=3, template="retention_sms"),
            ),
        ),
    ],
    "at_risk": [
        *DEFAULT_ACTIONS["at_risk"],
        StageAction(
            "remind",
            tuple(ActionStep(Channel.EMAIL, day, template="retention_email") for day in (1, 2, 6, 9)),
        ),
        StageAction(
            "nightly",
            (
                ActionStep(Channel.OFFER, 2, 10, template="retention_offer"),
                ActionStep(Channel.CALL, 2, 11, title="Call"),
            ),
        ),
    ],
    "churned": [StageAction("win_back", RETENTION_CAMPAIGN, is_campaign=True)],
}


async def simulate(salon, steps, *, customers=16, seed=7, days=181):
    """Simulates half a year of many customers; `steps` yields the times to which the clock is advanced."""
    chance = random.Random(seed)
    for stage, stage_actions in STAGE_ACTIONS.items():
        await set_actions(salon.database, salon.id, stage, stage_actions, seen=None, by=BY)
    for customer in range(1, customers + 1):
        statuses = ("granted", "withdrawn", "unknown")
        await salon.put_customer(
            customer,
            email=None if chance.random() < 0.2 else f"c{customer}@reader.example",
            phone=None if chance.random() < 0.2 else "+49 170 5",
            consents={channel: chance.choice(statuses) for channel in ("email", "sms", "call", "offer")},
        )
    events = [
        (
            T0 + timedelta(minutes=chance.randrange(60 * 24 * min(120, days))),
            chance.randint(1, customers),
            chance.choice(["appointment_completed", "call_received"]),
        )
        for _ in range(4 * customers)
    ]
    # One customer lapses, returns, and lapses again.
    await salon.put_customer(customers + 1)
    events += [(T0 + day * DAY, customers + 1, "appointment_completed") for day in (1, 96) if day < days]
    at = T0
    for when, customer, kind in [*sorted(events), (T0 + days * DAY, None, None)]:
        for stop in steps(at, when):
            await advance(salon.database, salon.id, stop, actor=BY, timeout_seconds=None)
        at = when
        if customer is not None:
            duration = 90 if kind == "call_received" else None
            await salon.ingest_event(
                kind, when, customer, call_duration=duration, amount_cents=0 if duration else 9_000
            )


RESULT_QUERIES = {
    "actions": "SELECT r.customer_id, a.transition_seq, a.name, a.number, a.channel, a.stage, a.state, a.reason,"
    " a.planned_at, a.due_at, a.reserved_at, a.finished_at, a.is_stage_bound, a.campaign_id IS NULL",
    "campaigns": "SELECT r.customer_id, a.transition_seq, a.type, a.started_at, a.ended_at, a.end_reason",
    "tasks": "SELECT r.customer_id, a.transition_seq, a.name, a.title, a.assignee, a.due_at, a.created_at, a.closed_at,"
    " a.reason, a.status",
    "outbound_events": "SELECT r.customer_id, a.type, a.transition_seq",
    "owners": "SELECT r.customer_id, r.owner",
}
RESULT_TABLES = {
    "actions": "journey_actions",
    "campaigns": "retention_campaigns",
    "tasks": "journey_tasks",
    "outbound_events": "outbound_events",
}


async def results(salon, without=()):
    found = {}
    for name, query in RESULT_QUERIES.items():
        for column in without:
            query = query.replace(f" a.{column},", "")  # noqa: PLW2901  # not compared
        table = RESULT_TABLES.get(name)
        joined = (
            f" JOIN {table} a ON a.company_id = r.company_id AND a.relationship_id = r.id" if table else ""
        )
        named = await rows(
            salon.database,
            salon.id,
            f"{query} FROM customer_relationships r{joined} WHERE r.company_id = :company"
            + (" AND a.channel <> 'webhook'" if name == "actions" else ""),
        )
        found[name] = sorted(repr(tuple(row)) for row in named)
    return found


def at_once(_, end):
    """Advances in one step."""
    return [end]


def in_short_steps(start, end):
    """Advances by sixty hours again and again, at changing times of day."""
    stop = start.replace(hour=22, minute=40)
    while stop < end:
        if stop > start:
            yield stop
        stop += timedelta(hours=60)
    yield end


@newest_only
async def test_advancing_half_a_year_at_once_gives_the_same_results_as_in_short_steps(open_salon):
    policy = {"frequency_cap": 2, "quiet_from": "20:00", "campaign_pause_days": 200}
    whole, daily = [
        await open_salon(deliver=False, timezone="Europe/Berlin", policy=policy) for _ in range(2)
    ]
    await simulate(whole, at_once, days=200)
    await simulate(daily, in_short_steps, days=200)

    at_once_results = await results(whole)
    print({name: len(found) for name, found in at_once_results.items()})
    reasons = {row[0] for row in await whole.log("reason")}
    assert {"left_stage", "no_consent", "no_address", "capped", "campaign_pause"} <= reasons
    assert await whole.log(where="due_at <> planned_at"), "no action was held by quiet hours"
    assert at_once_results == await results(daily)


@newest_only
async def test_advancing_half_a_year_at_once_delivers_the_same_as_in_short_steps(open_salon):
    whole, daily = [
        await open_salon(timezone="America/New_York", policy={"frequency_cap": 2}) for _ in range(2)
    ]
    for salon, steps in ((whole, at_once), (daily, in_short_steps)):
        await salon.register()
        await simulate(salon, steps, customers=6, seed=3)
        await salon.deliver()

    # The dispatcher determines when an action is finished.
    assert await results(whole, ["finished_at"]) == await results(daily, ["finished_at"])
    assert sorted(whole.mail_server.subjects) == sorted(daily.mail_server.subjects)
    assert whole.mail_server.subjects
    received = [
        sorted(
            (message.type, message.data["customer_id"], message.json["timestamp"])
            for message in salon.receiver.received
        )
        for salon in (whole, daily)
    ]
    assert received[0] == received[1] != []


async def test_without_running_due_actions_an_untouched_customer_gets_none(open_salon, monkeypatch):
    async def never(_run):
        """Leaves due actions until the customer's next event."""

    salon = await open_salon()
    await create_lapsed_customer(salon)
    monkeypatch.setattr(clock, "run_due_actions", never)
    await salon.advance(LAPSED + 20 * DAY)

    with pytest.raises(AssertionError):
        assert [row[1] for row in await campaign_log(salon)] == ["done"] * 4
    print("guard removed: detected")


async def test_earlier_messages_count_towards_the_frequency_cap_when_the_clock_is_advanced(
    open_salon, monkeypatch
):
    async def sent(salon):
        actions_ = [
            StageAction(
                "write", tuple(ActionStep(Channel.EMAIL, day, template="welcome") for day in (0, 1, 2, 9))
            )
        ]
        await set_actions(salon.database, salon.id, "customer", actions_, seen=None, by=BY)
        await salon.put_customer()
        await salon.complete_appointment(T0)
        await salon.advance(T0 + 60 * DAY)
        return [row[0] for row in await salon.log("reason")]

    policy = {"frequency_cap": 1, "frequency_cap_days": 7}
    assert await sent(await open_salon(policy=policy)) == [None, "capped", "capped", None]
    monkeypatch.setattr(action_plans, "EARLIEST", T0 + 53 * DAY)  # a week before the end
    with pytest.raises(AssertionError):
        assert await sent(await open_salon(policy=policy)) == [None, "capped", "capped", None]
    print("guard removed: detected")


async def test_a_due_step_waits_for_the_one_before_it_and_the_clock_can_still_be_advanced(
    open_salon,
):
    salon = await open_salon(test_clock=T0.replace(hour=22))
    await salon.register()
    await set_actions(salon.database, salon.id, "lead", STAGE_ACTIONS["lead"], seen=None, by=BY)
    await salon.put_customer()
    await salon.ingest_event("call_received", T0.replace(hour=22), call_duration=90)
    await salon.advance(T0.replace(hour=23, minute=30))
    assert await salon.log() == [("write_at_night", number, "pending", None) for number in range(3)]

    morning = T0.replace(hour=8) + DAY
    await salon.advance(morning)
    assert await salon.log() == [("write_at_night", number, "done", None) for number in range(3)]
    [task], _ = await list_tasks(salon.database, salon.id, TaskFilter(limit=10))
    assert task.created_at == morning


async def test_actions_of_the_first_stage_run_for_a_new_customer(open_salon):
    salon = await open_salon()
    stage_actions = [StageAction("greet", (ActionStep(Channel.EMAIL, template="welcome"),))]
    await set_actions(salon.database, salon.id, "prospect", stage_actions, seen=None, by=BY)
    await salon.put_customer()
    await salon.deliver()

    assert salon.mail_server.subjects == ["Thank you for getting in touch with A test"]


# ---- quiet hours, frequency cap, templates


async def test_an_email_due_at_ten_in_the_evening_is_sent_at_eight(open_salon):
    evening = datetime(2026, 1, 1, 21, tzinfo=UTC)  # 22:00 in Berlin
    salon = await open_salon(test_clock=evening, timezone="Europe/Berlin")
    await salon.register()
    await salon.put_customer()
    await salon.complete_appointment(evening)
    await salon.deliver()
    assert salon.mail_server.emails == []
    assert [message.type for message in salon.receiver.received] == [
        "action.crm_update"
    ]  # not subject to quiet hours

    morning = datetime(2026, 1, 2, 7, tzinfo=UTC)
    await salon.advance(morning - timedelta(seconds=1))
    assert salon.mail_server.emails == []
    await salon.advance(morning)
    assert salon.mail_server.subjects == WELCOME
    mails = "channel = 'email' AND state = 'done'"
    assert await salon.log("planned_at", "due_at", "reserved_at", where=mails) == [
        (evening, morning, morning)
    ]


async def test_the_frequency_cap_counts_planned_and_manual_actions_per_channel(open_salon):
    salon = await open_salon(policy={"frequency_cap": 2})
    await salon.register()
    await salon.put_customer()
    await salon.complete_appointment(T0)
    await salon.advance(T0 + DAY)
    capped = await manual_actions.request_action(
        salon.database, salon.id, 1, ManualActionRequest(Channel.EMAIL), by=BY
    )
    offer = await manual_actions.request_action(
        salon.database, salon.id, 1, ManualActionRequest(Channel.OFFER, offer=(("title", "Tea"),)), by=BY
    )
    await salon.advance(T0 + 7 * DAY - timedelta(seconds=1))
    again = await manual_actions.request_action(
        salon.database, salon.id, 1, ManualActionRequest(Channel.EMAIL), by=BY
    )
    await salon.advance(T0 + 7 * DAY)
    free = await manual_actions.request_action(
        salon.database, salon.id, 1, ManualActionRequest(Channel.EMAIL, note="Come and see us"), by=BY
    )
    await salon.deliver()

    assert [(each.state, each.reason) for each in (capped, again)] == [("cancelled", "capped")] * 2
    assert [(each.state, each.reason) for each in (offer, free)] == [("pending", None)] * 2
    # The second email of the first days was sent before the manual ones, and the third one was capped.
    assert salon.mail_server.subjects == sorted(
        [*WELCOME, "How was your visit?", "A personal message from A test"]
    )
    assert "Come and see us" in body_of(salon.mail_server.emails[-1])
    assert [message.data["offer"] for message in salon.receiver.of_type("action.special_offer")] == [
        {"title": "Tea"}
    ]


async def test_the_unsubscribe_link_of_an_email_stops_the_next_one(open_salon):
    salon = await open_salon()
    await salon.register()
    await salon.put_customer()
    await salon.complete_appointment(T0)
    await salon.deliver()
    mail = salon.mail_server.emails[0]
    token = unsubscribe_token(mail)
    assert mail["List-Unsubscribe"] == f"<https://journey.example/api/v1/unsubscribe/{token}>"
    assert not (await look_at(salon.database, token)).is_done
    assert (await withdraw(salon.database, token, address=None)).is_done
    await salon.advance(LAPSED + 20 * DAY)

    assert salon.mail_server.subjects == WELCOME
    assert await campaign_log(salon) == [
        (0, "cancelled", "no_consent"),
        *((number, "done", None) for number in (1, 2, 3)),
    ]


async def test_emails_use_the_customers_language_and_the_companys_templates(open_salon):
    salon = await open_salon(policy={"language": "de"})
    own = [
        Template(
            "onboarding", Channel.EMAIL, "en", "Hi {{ customer.first_name }}. {{ unsubscribe_url }}", "Ours"
        ),
        Template("onboarding", Channel.EMAIL, "fr", "Bonjour ! {{ unsubscribe_url }}", "Les nôtres"),
    ]
    for template in own:
        await templates.add_template(salon.database, salon.id, template, by=BY)
    for customer, language in enumerate(("en", "fr", "fr-ca", "de", None, "ja"), start=1):
        await salon.put_customer(customer, language=language)
        await salon.complete_appointment(T0, customer)
    await salon.advance(T0 + DAY)

    sent = {(mail["To"], mail["Subject"]) for mail in salon.mail_server.emails}
    feedback = {"en": "How was your visit?", "de": "Wie war Ihr Besuch bei uns?"}
    expected = [
        ("Ours", feedback["en"]),
        ("Les nôtres", feedback["de"]),
        ("Les nôtres", feedback["de"]),
        ("Ours", feedback["de"]),
        ("Ours", feedback["de"]),
        ("Ours", feedback["de"]),
    ]
    assert sent == {
        (f"ada{customer}@reader.example", subject)
        for customer, subjects in enumerate(expected, start=1)
        for subject in subjects
    }
    [first] = [mail for mail in salon.mail_server.emails if mail["Subject"] == "Ours" and "1@" in mail["To"]]
    assert body_of(first).startswith("Hi Ada. https://journey.example/")


# ---- all actions


ACTION_CHANNELS = {
    "send_welcome_email": "email",
    "assign_to_sales_team": "assignment",
    "create_follow_up_task": "task",
    "send_onboarding_sequence": "email",
    "create_feedback_request": "email",
    "update_crm_status": "crm",
    "assign_dedicated_manager": "assignment",
    "send_vip_benefits_email": "email",
    "create_quarterly_review": "task",
    "notify_account_manager": "task",
    CAMPAIGN: "call email offer sms",
    "schedule_check_in_call": "call",
}


async def test_all_twelve_actions_of_the_guide_run_on_their_channels(open_salon):
    salon = await open_salon()
    await salon.register()
    await salon.put_customer()
    await salon.ingest_event("call_received", T0, call_duration=90)
    await salon.deliver()
    [(owner,)] = await rows(
        salon.database, salon.id, "SELECT owner FROM customer_relationships WHERE company_id = :company"
    )
    assert owner == "sales"
    await salon.advance(T0 + 10 * DAY)
    await salon.complete_appointment(T0 + 10 * DAY)
    await salon.advance(T0 + 20 * DAY)
    await salon.complete_appointment(T0 + 20 * DAY, cents=100_000)
    await salon.advance(T0 + (20 + 91 + 15) * DAY)

    channels = {}
    for name, channel, state, reason in await salon.log("name", "channel", "state", "reason"):
        if (name, reason) == ("create_quarterly_review", "left_stage"):
            continue  # the next review, of a customer who lapsed
        assert state == "done", name
        channels.setdefault(name, set()).add(channel)
    assert {name: " ".join(sorted(found)) for name, found in channels.items()} == ACTION_CHANNELS
    assert salon.mail_server.subjects == sorted(
        ["Thank you for getting in touch with A test", *FIRST_DAYS, "Thank you for your loyalty", MISSED]
    )
    assert [message.type for message in salon.receiver.received] == [
        *("action.crm_update", "action.sms", "action.special_offer")
    ]
    crm = salon.receiver.received[0].data
    assert (crm["current_stage"]["key"], crm["owner"]) == ("customer", "sales")
    task_names = (
        CAMPAIGN,
        *(name for name, channel in ACTION_CHANNELS.items() if channel in ("task", "call")),
    )
    review = ("create_quarterly_review", "closed", "left_stage")
    assert sorted(await tasks_of(salon)) == sorted(
        [*((name, "open", None) for name in task_names if name != review[0]), review, review]
    )
    [(owner,)] = await rows(
        salon.database, salon.id, "SELECT owner FROM customer_relationships WHERE company_id = :company"
    )
    assert owner == "vip managers"


# ---- in real time


async def real_salon(open_salon, **policy):
    """A company in real time, without quiet hours."""
    return await open_salon(test_clock=None, deliver=False, policy={**NEVER_QUIET, **policy})


async def now_of(salon):
    [(now,)] = await rows(
        salon.database,
        salon.id,
        "SELECT coalesce(clock_at, clock_timestamp()) FROM companies WHERE id = :company",
    )
    return now


async def shift_into_the_past(salon, days):
    """Shifts all times of actions, campaigns and customers into the past, as if `days` had passed."""
    back = f"make_interval(days => {days})"
    for table, columns in (
        ("journey_actions", ("planned_at", "due_at", "ready_at", "reserved_at", "finished_at")),
        ("retention_campaigns", ("started_at", "ended_at")),
        ("customer_relationships", ("last_appointment_at", "stage_entered_at", "next_evaluation_at")),
    ):
        earlier = ", ".join(f"{name} = {name} - {back}" for name in columns)
        await rows(
            salon.database, salon.id, f"UPDATE {table} SET {earlier} WHERE company_id = :company RETURNING 1"
        )


async def test_a_campaign_runs_in_real_time(open_salon):
    salon = await real_salon(open_salon)
    await salon.register()
    await salon.put_customer()
    await salon.complete_appointment(await now_of(salon) - 90 * DAY)
    await salon.deliver()
    assert salon.mail_server.subjects == sorted([*WELCOME, "How was your visit?"])
    await shift_into_the_past(salon, 1)
    assert (await sweep_batch(salon.database, salon.id)).moved == 1
    await salon.deliver()
    assert salon.mail_server.subjects == sorted([*WELCOME, "How was your visit?", MISSED])
    assert [message.type for message in salon.receiver.received] == ["action.crm_update"]
    assert len(await tasks_of(salon, "open")) == 2
    assert await campaign_log(salon) == [
        (0, "done", None),
        *((number, "pending", None) for number in (1, 2, 3)),
    ]

    await shift_into_the_past(salon, 3)
    await salon.deliver()
    assert [message.type for message in salon.receiver.received] == ["action.crm_update", "action.sms"]
    await salon.complete_appointment(await now_of(salon))
    await salon.deliver()
    await shift_into_the_past(salon, 30)
    await salon.deliver()

    # A return runs no actions of the stage.
    assert salon.mail_server.subjects == sorted([*WELCOME, "How was your visit?", MISSED])
    assert await campaign_log(salon) == [
        *((0, "done", None), (1, "done", None)),
        *((2, "cancelled", "left_stage"), (3, "cancelled", "left_stage")),
    ]
    [campaign] = await campaigns_of(salon)
    assert campaign.reason == "left_stage"
    assert {row[1:] for row in await tasks_of(salon)} == {("closed", "left_stage")}


async def test_a_whole_campaign_completes_in_real_time(open_salon):
    salon = await real_salon(open_salon)
    await salon.register()
    await salon.put_customer()
    await salon.complete_appointment(await now_of(salon) - 95 * DAY)
    await salon.deliver()
    for days in (3, 4, 7):
        await shift_into_the_past(salon, days)
        await salon.deliver()

    assert await campaign_log(salon) == [(number, "done", None) for number in range(4)]
    assert [message.type for message in salon.receiver.received] == ["action.sms", "action.special_offer"]
    assert (await campaigns_of(salon))[0].reason == "completed"
    ended = await rows(
        salon.database,
        salon.id,
        "SELECT type, count(*) FROM outbound_events WHERE company_id = :company AND type LIKE 'campaign%' GROUP BY 1",
    )
    assert dict(map(tuple, ended)) == {"campaign.started": 1, "campaign.ended": 1}
