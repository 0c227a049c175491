"""Entries into stages on the real database: repetition, addresses that arrive later, sequences, recurrence, notices."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from journey_service.domain.actions.errors import ActionNotDeadError
from journey_service.domain.actions.stage_actions import ActionStep, Channel, Repeat, StageAction
from journey_service.domain.events.records import ImportOptions
from journey_service.services.actions.delivery.claims import ClaimRequest, Lease, claim_due
from journey_service.services.actions.delivery_log import retry_action
from journey_service.services.actions.stage_actions import set_actions
from journey_service.services.customers.merging import merge_customers
from journey_service.services.customers.privacy import anonymize_customer
from journey_service.services.customers.profiles import patch_customer
from journey_service.services.events.imports.imports import run_import, stage_import
from journey_service.services.journeys.manual_changes import ManualMove, move
from journey_service.services.journeys.reading import get_journey
from journey_service.services.operations.test_clock import advance
from ledger import rows
from server_versions import newest_only
from services.local_servers import BY, LINKS, company_opener

pytestmark = newest_only

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
FREE = {"quiet_from": None, "quiet_until": None, "frequency_cap": 1_000}
EMAIL = ActionStep(Channel.EMAIL, template="welcome")
CALL = ActionStep(Channel.CALL, title="Call")
SENT, AGAIN = ("done", None), ("cancelled", "already_done")


@pytest.fixture
async def open_salon(database, create_test_company):
    async with company_opener(database, create_test_company, policy=FREE) as opened:
        yield opened


async def move_to(salon, to_stage, customer=1, *, runs_actions=None):
    version = (await get_journey(salon.database, salon.id, customer)).stored.relationship.version
    request = ManualMove(to_stage, version, BY, f"{version}", is_repeatable=True, runs_actions=runs_actions)
    return await move(salon.database, salon.id, customer, request)


async def configure(salon, stage, *actions):
    await set_actions(salon.database, salon.id, stage, actions, seen=None, by=BY)


async def outcomes(salon, name="act", customer=1):
    return await salon.log(
        "state",
        "reason",
        where=f"name = '{name}' AND relationship_id = (SELECT r.id FROM customer_relationships r"
        f" WHERE r.company_id = :company AND r.customer_id = {customer})",
    )


async def claim_all(salon, token):
    """Claims all due actions as a worker does; returns how many are to be sent."""

    async def unit(uow):
        return await claim_due(
            uow,
            ClaimRequest(Lease(token, 60.0)),
            channels=tuple(Channel),
            limit=50,
            links=LINKS,
            has_mailer=True,
        )

    return len((await salon.database.run(salon.id, unit)).outbound_messages)


async def make_due(salon):
    """Lets leases expire and deferred actions fall due."""
    await rows(
        salon.database,
        salon.id,
        "UPDATE journey_actions SET ready_at = now() - interval '1 second' WHERE company_id = :company"
        " AND state IN ('pending', 'leased') RETURNING 1",
    )


async def test_moves_by_hand_run_actions_by_direction_and_once(open_salon):
    salon = await open_salon()
    await configure(
        salon,
        "lead",
        StageAction("act", (EMAIL,)),
        StageAction("always", (EMAIL,), repeat=Repeat.EVERY),
    )
    await salon.put_customer()
    runs = 0
    for to_stage, runs_actions, does_run in [
        ("lead", None, True),
        ("customer", None, True),
        ("lead", None, False),
        ("customer", None, True),
        ("lead", True, True),
        ("prospect", None, False),
        ("lead", False, False),
        ("prospect", None, False),
        ("lead", None, True),
        ("at_risk", None, True),
        ("lead", None, False),
    ]:
        moved = await move_to(salon, to_stage, runs_actions=runs_actions)
        await salon.deliver()
        runs += does_run and to_stage == "lead"
        assert moved.entry.transition.is_silent is not does_run
        assert await outcomes(salon, "always") == [SENT] * runs
        assert await outcomes(salon) == [SENT, *[AGAIN] * (runs - 1)]


@pytest.mark.parametrize(("repeat", "claimed"), [(Repeat.ONCE, 1), (Repeat.EVERY, 2)])
async def test_two_entries_claimed_in_parallel_run_a_once_action_once(open_salon, repeat, claimed):
    salon = await open_salon()
    await configure(salon, "lead", StageAction("act", (EMAIL,), repeat=repeat))
    await salon.put_customer()
    for to_stage in ("lead", "prospect", "lead"):
        await move_to(salon, to_stage)
    assert await outcomes(salon) == [("pending", None)] * 2

    counts = [sum(await asyncio.gather(*(claim_all(salon, f"worker {n}") for n in range(4))))]
    while sum(counts) < claimed:  # a worker skips customers that another one has locked
        counts.append(await claim_all(salon, "late"))
    assert sum(counts) == claimed
    await make_due(salon)  # the worker was killed: its action is claimed again, and no second one
    await salon.deliver()
    await make_due(salon)
    await salon.deliver()
    assert sorted(await outcomes(salon), key=str) == ([AGAIN, SENT] if repeat is Repeat.ONCE else [SENT] * 2)
    assert len(salon.mail_server.emails) == claimed


async def test_an_action_waits_for_an_address_and_goes_on_when_a_profile_brings_it(open_salon):
    salon = await open_salon()
    await configure(salon, "lead", StageAction("act", (EMAIL,)), StageAction("call", (CALL,)))
    for customer in range(1, 6):
        await salon.put_customer(customer, email=None, phone=None)
        await move_to(salon, "lead", customer)
    await salon.deliver()
    waiting = [("pending", "awaiting_address")]
    assert [await outcomes(salon, customer=each) for each in range(1, 6)] == [waiting] * 5

    await salon.put_customer(1, phone=None)
    await patch_customer(salon.database, salon.id, 2, {"email": "bo@reader.example"}, consents={}, by=BY)
    await import_customers(salon, b"customer_id,email\n3,cy@reader.example\n")
    await patch_customer(salon.database, salon.id, 4, {"name": "Di"}, consents={}, by=BY)
    await anonymize_customer(salon.database, salon.id, 5, by=BY)
    await salon.deliver()
    assert [await outcomes(salon, customer=each) for each in range(1, 5)] == [[SENT]] * 3 + [waiting]
    assert [await outcomes(salon, "call", each) for each in range(1, 5)] == [waiting] * 4
    assert await salon.log("state", "reason", where="reason = 'erased' AND name = 'act'") == [
        ("cancelled", "erased")
    ]
    assert len(salon.mail_server.emails) == 3


async def import_customers(salon, lines):
    async def read():
        yield lines

    import_ = await stage_import(
        salon.database, salon.id, read(), actor=BY, options=ImportOptions(kind="customers")
    )
    assert await run_import(salon.database, salon.id, import_.id)


async def test_an_action_without_address_is_cancelled_after_the_wait_and_can_be_retried(open_salon):
    salon = await open_salon()
    await configure(salon, "lead", StageAction("act", (EMAIL,)))
    await salon.put_customer(email=None)
    await move_to(salon, "lead")
    await salon.deliver()
    assert await outcomes(salon) == [("pending", "awaiting_address")]
    await make_due(salon)  # the wait is over
    await salon.deliver()
    assert await outcomes(salon) == [("cancelled", "no_address")]

    [(id_,)] = await salon.log("id", where="name = 'act'")
    await retry_action(salon.database, salon.id, str(id_), by=BY)
    await salon.deliver()
    assert await outcomes(salon) == [("pending", "awaiting_address")]
    await salon.put_customer()
    await salon.deliver()
    assert await outcomes(salon) == [SENT]
    with pytest.raises(ActionNotDeadError):
        await retry_action(salon.database, salon.id, str(id_), by=BY)


async def test_half_a_year_of_default_actions_under_a_test_clock(open_salon):
    salon = await open_salon(
        test_clock=T0, deliver=True, policy={**FREE, "account_manager_email": "team@salon.example"}
    )
    await salon.put_customer(email=None)
    await salon.complete_appointment(T0)
    await salon.advance(T0 + timedelta(hours=5))
    assert salon.mail_server.emails == []
    await salon.put_customer()
    await salon.deliver()
    assert salon.mail_server.subjects == ["Good to have you with us"]
    for days, mails in [(0.5, 1), (2, 2), (3.5, 3), (11, 4), (92, 6)]:
        await salon.advance(T0 + days * DAY)
        assert len(salon.mail_server.emails) == mails, days
    sent = await rows(
        salon.database,
        salon.id,
        "SELECT step ->> 'template', CAST(extract(day FROM planned_at - CAST(:t0 AS timestamptz)) AS int)"
        " FROM journey_actions WHERE company_id = :company AND channel IN ('email', 'notice') AND state = 'done'"
        " ORDER BY planned_at, name",
        t0=T0,
    )
    assert [tuple(row) for row in sent] == [
        ("onboarding", 0),
        ("feedback_request", 1),
        ("onboarding_day_3", 3),
        ("onboarding_day_10", 10),
        ("retention_email", 91),
        ("at_risk_notice", 91),
    ]
    notice = next(mail for mail in salon.mail_server.emails if mail["To"] == "team@salon.example")
    assert notice["Subject"] == "At risk: Ada Keller"
    assert notice["List-Unsubscribe"] is None
    # The return runs no actions of the stage, and starts nothing that has not run before.
    await salon.complete_appointment(T0 + 92 * DAY)
    await advance(salon.database, salon.id, T0 + 120 * DAY, actor=BY, timeout_seconds=None)
    assert await salon.log("state", where="transition_seq = 4") == []

    await move_to(salon, "vip")
    await advance(salon.database, salon.id, T0 + 200 * DAY, actor=BY, timeout_seconds=None)
    assert await outcomes(salon, "create_quarterly_review") == [SENT, ("cancelled", "left_stage")]


async def test_what_a_merged_customer_got_once_is_not_repeated_for_the_survivor(open_salon):
    salon = await open_salon()
    await configure(salon, "lead", StageAction("act", (EMAIL,)))
    for customer in (1, 2):
        await salon.put_customer(customer)
    await move_to(salon, "lead", customer=2)
    await salon.deliver()
    survivor = (await get_journey(salon.database, salon.id, 1)).stored.relationship
    await merge_customers(salon.database, salon.id, 1, 2, version=survivor.version, by=BY)

    await move_to(salon, "lead", customer=2)  # the id leads to the survivor
    await salon.deliver()
    assert sorted(await outcomes(salon)) == [AGAIN, SENT]
