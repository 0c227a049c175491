"""Merge of two customers: one person with the events of both, figures that balance, and ids that lead on for ever."""

import asyncio
import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event as sql_events

from journey_service.domain.access.actors import Actor
from journey_service.domain.actions.action import ManualActionRequest
from journey_service.domain.actions.records import TaskFilter
from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.analytics.date_ranges import Period, RequestedRange
from journey_service.domain.analytics.records import PageRequest
from journey_service.domain.customers.errors import (
    CustomerErasedError,
    CustomerMergedError,
    CustomerNotFoundError,
    SelfMergeError,
)
from journey_service.domain.customers.records import SORTS, CustomerFilter
from journey_service.domain.errors import UnavailableError
from journey_service.domain.events.errors import EventConflictError
from journey_service.domain.events.event import Event
from journey_service.domain.journeys.errors import StaleVersionError
from journey_service.services.actions.manual_actions import request_action
from journey_service.services.actions.tasks import NewTask, create_task, list_tasks
from journey_service.services.actions.unsubscribe import withdraw
from journey_service.services.analytics import drilldown, overview
from journey_service.services.customers.merging import merge_customers, preview_merge
from journey_service.services.customers.privacy import anonymize_customer, export_customer
from journey_service.services.customers.profiles import get_customer, list_customers, put_customer
from journey_service.services.events.imports.imports import get_import, run_import, stage_import
from journey_service.services.events.ingest import IngestStatus, ingest
from journey_service.services.journeys import reading
from journey_service.services.operations.data_quality import inspect
from journey_service.services.operations.reconciliation import reconcile
from journey_service.services.operations.test_clock import advance
from ledger import find_violations, rows
from services.oracle_rows import literal

BY = Actor("tests")
T0 = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
COMPLETED, MISSED, BOOKED = "appointment_completed", "appointment_missed", "appointment_booked"
OWN, LOST, OTHER, THIRD = 11, 5, 7, 9
ALL = RequestedRange(Period.ALL)


@pytest.fixture
async def company(create_test_company):
    return (await create_test_company(test_clock=T0, deliver=False)).id


def told(who, id_, type_=COMPLETED, at=T0, **more):
    return Event("live", id_, who, type_, at, more.pop("amount", 0) * 100, **more)


async def apply(database, company_id, *events):
    results = await ingest(database, company_id, events)
    assert not [result for result in results if isinstance(result, Exception)], results
    return results


async def merge(database, company_id, own=OWN, lost=LOST):
    version = (await reading.get_journey(database, company_id, own)).stored.relationship.version
    return await merge_customers(database, company_id, own, lost, version=version, by=BY)


async def check_balance(database, company_id):
    """Every figure agrees with the ledgers, facts are the fold of the events, and nothing is defective."""
    assert not await find_violations(database, company_id)
    report = await reconcile(database, company_id)
    assert not report.differences, report.differences
    assert {check.status.value for check in report.checks} == {"ok"}
    issues = await inspect(database, company_id)
    assert {name: number for name, number in _numbers(issues).items() if number} == {}


async def check_against_the_oracle(database, company_id):
    """Reports of all time and facts equal those that another implementation computes from the raw rows."""
    oracle = await literal(database, company_id)
    reports = await overview.get_portal(database, company_id, Period.ALL)
    everything = reports.funnel.query.days
    in_stages = {stage: len(customers) for stage, customers in oracle.distribution().items()}
    in_stages.pop("merged")
    assert {stage.key: number for stage, number in reports.overview.stages if number} == in_stages
    assert reports.overview.lifetime_value == oracle.revenue()
    assert [step.customers for step in reports.funnel.steps] == [
        len(customers) for customers in oracle.reached(*everything)
    ]
    assert {
        (flow.from_stage, flow.to_stage): (flow.moves, flow.customers) for flow in reports.flows.flows
    } == {pair: (moves.total(), len(moves)) for pair, moves in oracle.flows(*everything).items()}
    for customer in oracle.customers:
        visits = [
            event for event in oracle.events if (event.customer, event.type) == (customer.customer, COMPLETED)
        ]
        assert customer.lifetime_value == sum(event.amount for event in visits)
        assert customer.last_appointment_at == max((event.at for event in visits), default=None)


def _numbers(issues):
    return {issue.name: issue.count for issue in issues}


async def history(database, company_id):
    """Two records of one person, who has become a regular and lapsed in both; and somebody else."""
    await put_customer(
        database,
        company_id,
        OWN,
        {"name": "Ada", "email": " ", "phone": None},
        consents={"email": "granted", "sms": "granted"},
        by=BY,
    )
    await put_customer(
        database,
        company_id,
        LOST,
        {"name": "A. Lovelace", "email": "ada@example.org", "phone": "+49 170 1234567"},
        consents={"email": "withdrawn", "call": "granted"},
        by=BY,
    )
    await apply(
        database,
        company_id,
        *(told(OWN, f"o{number}", at=T0 - number * HOUR, amount=100) for number in range(3)),
        *(told(LOST, f"l{number}", at=T0 - number * HOUR, amount=150) for number in range(2)),
        told(OWN, "missed", MISSED, at=T0 - 5 * HOUR, booking_id="B1"),
        told(LOST, "came", at=T0 - 4 * HOUR, booking_id="B1", amount=70, reported_at=T0 - 3 * HOUR),
        told(LOST, "void", "event_retracted", retracts=("live", "o1")),
        told(OTHER, "x", amount=5),
    )
    await advance(
        database, company_id, T0 + 100 * DAY, actor=BY
    )  # both are at risk, with a campaign and tasks
    await apply(database, company_id, told(LOST, "recent", at=T0 + 99 * DAY, amount=30))


async def test_one_person_has_the_events_of_both_and_every_figure_agrees(database, company):
    await history(database, company)
    task = await create_task(
        database, company, NewTask("Call back", T0 + 101 * DAY, LOST, request_key="k"), by=BY
    )
    call = ManualActionRequest(Channel.CALL, request_key="same key")
    for who in (OWN, LOST):
        await request_action(database, company, who, call, by=BY)
    before = (await overview.get_overview(database, company, ALL)).total
    await check_balance_before(database, company)
    preview = await preview_merge(database, company, OWN, LOST, by=BY)
    assert (await overview.get_overview(database, company, ALL)).total == before  # nothing was written
    assert (
        await rows(
            database,
            company,
            "SELECT 1 FROM customers WHERE merged_into IS NOT NULL AND company_id = :company",
        )
        == []
    )
    result = await merge_customers(database, company, OWN, LOST, version=preview.version, by=BY)
    assert (result.from_stage, result.fields, result.events) == ("at_risk", ["email", "phone"], 5)
    assert replace(preview, view=result.view, profile=result.profile) == result
    assert preview.view.stored.relationship == result.view.stored.relationship
    assert preview.profile.consents == result.profile.consents

    # The newest appointment brings the customer back, silently; the booking counts once, the retracted visit never.
    relationship = result.view.stored.relationship
    assert (relationship.customer_id, relationship.current_stage) == (OWN, "regular")
    assert (relationship.facts.total_appointments, relationship.facts.total_missed) == (6, 0)
    assert relationship.facts.appointments_cents == 100 * (100 + 100 + 150 + 150 + 70 + 30)
    assert result.profile.email == "ada@example.org"
    statuses = {channel: consent["status"] for channel, consent in result.profile.consents.items()}
    assert statuses == {"email": "withdrawn", "sms": "unknown"}
    [entry, *_] = (await reading.list_transitions(database, company, OWN, before=None, limit=1))[1]
    assert entry.transition.is_silent
    assert entry.transition.cause.kind == "merge"
    await check_balance(database, company)

    assert (await overview.get_overview(database, company, ALL)).total == before - 1
    await check_lists(database, company, before - 1)
    await check_rows_moved(database, company, task)
    await check_against_the_oracle(database, company)

    await advance(database, company, T0 + 250 * DAY, actor=BY)
    await check_balance(database, company)
    await check_against_the_oracle(database, company)
    assert (await reading.get_journey(database, company, OWN)).stored.relationship.current_stage == "at_risk"


async def check_lists(database, company, total):
    """The merged customer keeps its history, and is in no list and no total."""
    for sort in SORTS:
        page = await list_customers(database, company, CustomerFilter(sort=sort, is_counted=True))
        assert [each.profile.customer_id for each in page.customers].count(LOST) == 0
        assert (len(page.customers), page.count.total) == (total, total)
    found = await list_customers(database, company, CustomerFilter(q="Lovelace", is_counted=True))
    assert (found.customers, found.count.total) == ([], 0)
    named = await list_customers(database, company, CustomerFilter(ids=(LOST,)))
    assert [each.profile.customer_id for each in named.customers] == [OWN]
    bands = await overview.get_risks(database, company)
    assert sum(number for _, number in bands.bands) == total
    from_stage = [
        row.from_stage
        for row in await rows(
            database,
            company,
            "SELECT from_stage FROM journey_transitions WHERE company_id = :company AND to_stage = 'merged'",
        )
    ]
    flow = await drilldown.list_flow(database, company, ALL, (from_stage[0], "merged"), PageRequest())
    assert [(each.customer_id, each.merged_into) for each in flow.customers] == [(LOST, OWN)]


async def check_rows_moved(database, company, task):
    """Everything but the transitions is the survivor's."""
    tasks, _ = await list_tasks(database, company, TaskFilter(customer_id=LOST, statuses=("open",), limit=50))
    assert task.id in {each.id for each in tasks}
    assert {each.customer_id for each in tasks} == {OWN}
    repeated = await create_task(
        database, company, NewTask("Call back", T0 + 101 * DAY, LOST, request_key="k"), by=BY
    )
    assert repeated.id == task.id
    for table, condition in (
        ("journey_actions", "AND t.channel <> 'webhook'"),
        ("journey_tasks", ""),
        ("retention_campaigns", ""),
        ("journey_events", ""),
    ):
        left = await rows(
            database,
            company,
            f"SELECT 1 FROM {table} t JOIN customer_relationships r ON r.company_id = t.company_id"
            f" AND r.id = t.relationship_id WHERE t.company_id = :company AND r.customer_id = :lost {condition}",
            lost=LOST,
        )
        assert left == [], table
    running = await rows(
        database,
        company,
        "SELECT customer_id FROM retention_campaigns k JOIN customer_relationships r"
        " ON r.company_id = k.company_id AND r.id = k.relationship_id"
        " WHERE k.company_id = :company AND ended_at IS NULL",
    )
    assert [row.customer_id for row in running] == [OTHER]
    audited = await rows(
        database,
        company,
        "SELECT customer_id FROM audit_log WHERE company_id = :company AND action = 'customer.merge' ORDER BY 1",
    )
    assert [row.customer_id for row in audited] == [OWN]


async def check_balance_before(database, company):
    """Before the merge the booking and the retraction of two customers are the only defects."""
    assert not await find_violations(database, company)
    assert not (await reconcile(database, company)).differences
    found = {name: number for name, number in _numbers(await inspect(database, company)).items() if number}
    assert found == {"shared_bookings": 1, "foreign_retractions": 1}


async def test_an_id_leads_to_the_survivor_in_every_request_and_every_event(database, company):
    await apply(
        database,
        company,
        told(LOST, "opened", "call_received", at=T0 - 3 * HOUR, call_duration=90),
        told(LOST, "l1", amount=10),
        told(OWN, "o1", amount=20),
        told(THIRD, "t1", amount=30),
    )
    [first] = await apply(database, company, told(LOST, "l1", amount=10))
    assert first.entry is not None
    assert first.entry.transition.to_stage == "customer"
    await merge(database, company)

    # A repetition is a duplicate under any id of the person, with the transition of the first time.
    for who in (LOST, OWN):
        [again] = await apply(database, company, told(who, "l1", amount=10))
        assert (again.status, again.entry) == (IngestStatus.DUPLICATE, first.entry)
        assert again.view.stored.relationship.customer_id == OWN
    for changed in (told(LOST, "l1", amount=11), told(THIRD, "l1", amount=10)):
        [conflict] = await ingest(database, company, [changed])
        assert isinstance(conflict, EventConflictError)

    # An event under the old id counts for the survivor, together with others of the same transaction.
    results = await apply(
        database,
        company,
        told(LOST, "new", amount=40, booking_id="B2"),
        told(OWN, "missed", MISSED, at=T0 - HOUR, booking_id="B2"),
        told(LOST, "new", amount=40, booking_id="B2"),
        told(OWN, "new", amount=40, booking_id="B2"),
    )
    assert [result.status.value for result in results] == ["applied", "applied", "duplicate", "duplicate"]
    assert {result.view.stored.relationship.customer_id for result in results} == {OWN}
    facts = results[-1].view.stored.relationship.facts
    assert (facts.total_appointments, facts.total_missed, facts.appointments_cents) == (3, 0, 7_000)
    await put_customer(database, company, LOST, {"name": "Ada"}, consents={"email": "granted"}, by=BY)
    for who in (LOST, OWN):
        customer = (await get_customer(database, company, who)).customer
        assert (customer.profile.customer_id, customer.profile.name) == (OWN, "Ada")
        assert customer.view.stored.relationship.facts == facts

    # The survivor may be merged in turn: both old ids lead to the last one.
    await merge(database, company, THIRD, OWN)
    results = await apply(
        database,
        company,
        *(told(who, "l1", amount=10) for who in (LOST, OWN, THIRD)),
        told(LOST, "last", amount=50),
    )
    assert [result.status.value for result in results] == ["duplicate"] * 3 + ["applied"]
    assert [result.entry for result in results[:3]] == [first.entry] * 3
    assert results[-1].view.stored.relationship.customer_id == THIRD
    assert results[-1].view.stored.relationship.facts.total_appointments == 5
    await check_balance(database, company)


async def test_an_import_that_names_old_ids_counts_for_the_survivor(database, company):
    plain = {"type": "appointment_completed", "occurred_at": "2026-03-01T10:00:00Z", "total_amount": 10}
    first = [{**plain, "customer_id": LOST}, {**plain, "customer_id": OWN, "id": "o1", "source": "live"}]
    await import_lines(database, company, first)
    await merge(database, company)
    again = [
        *first,
        {**plain, "customer_id": LOST, "id": "o1", "source": "live"},  # known under the other id
        {**plain, "customer_id": LOST, "id": "o1", "source": "live", "total_amount": 11},
        {**plain, "customer_id": LOST, "id": "new", "source": "live"},
        {**plain, "customer_id": LOST, "total_amount": 12, "occurred_at": "2026-03-01T11:00:00Z"},
    ]
    done = await import_lines(database, company, again)
    assert (done.duplicates, done.applied, done.failed_lines) == (3, 2, 1)
    facts = (await reading.get_journey(database, company, OWN)).stored.relationship.facts
    assert (facts.total_appointments, facts.appointments_cents) == (4, 4_200)
    await check_balance(database, company)


async def import_lines(database, company_id, lines):
    async def chunks():
        yield "\n".join(json.dumps(line) for line in lines).encode()

    staged = await stage_import(database, company_id, chunks(), actor=BY)
    assert await run_import(database, company_id, staged.id)
    return await get_import(database, company_id, staged.id)


async def test_an_event_under_the_old_id_takes_no_additional_statement(database, company):
    await apply(database, company, told(LOST, "l1"), told(OWN, "o1"))
    await merge(database, company)
    numbers = []
    for number, who in enumerate((OWN, LOST)):
        statements = []

        def count(*values, statements=statements):
            statements.append(values[2])

        engine = database._app.sync_engine
        sql_events.listen(engine, "before_cursor_execute", count)
        try:
            await apply(database, company, told(who, f"call {number}", "call_received"))
        finally:
            sql_events.remove(engine, "before_cursor_execute", count)
        numbers.append(len(statements))
    assert numbers[0] == numbers[1]


async def test_what_cannot_be_merged_changes_nothing(database, company):
    await apply(database, company, *(told(who, f"e{who}") for who in (OWN, LOST, THIRD, OTHER)))
    await anonymize_customer(database, company, OTHER, by=BY)
    await merge(database, company, THIRD, LOST)
    before = await rows(
        database, company, "SELECT * FROM customers WHERE company_id = :company ORDER BY customer_id"
    )
    version = (await reading.get_journey(database, company, OWN)).stored.relationship.version
    for own, lost, error in (
        (OWN, OWN, SelfMergeError),
        (LOST, THIRD, SelfMergeError),
        (OWN, LOST, CustomerMergedError),
        (THIRD, LOST, CustomerMergedError),
        (OWN, OTHER, CustomerErasedError),
        (OTHER, OWN, CustomerErasedError),
        (OWN, 404, CustomerNotFoundError),
        (404, OWN, CustomerNotFoundError),
    ):
        with pytest.raises(error):
            await merge_customers(database, company, own, lost, version=version, by=BY)
        with pytest.raises(error):
            await preview_merge(database, company, own, lost, by=BY)
    with pytest.raises(StaleVersionError):
        await merge_customers(database, company, OWN, THIRD, version=version - 1, by=BY)
    after = await rows(
        database, company, "SELECT * FROM customers WHERE company_id = :company ORDER BY customer_id"
    )
    assert after == before
    await merge_customers(database, company, OWN, THIRD, version=version, by=BY)  # the negative control


async def test_an_erasure_covers_all_who_were_merged_and_leaves_every_figure_as_it_was(database, company):
    await history(database, company)
    await apply(database, company, told(THIRD, "t1", at=T0 + 98 * DAY))
    await put_customer(database, company, THIRD, {"name": "Third Record"}, consents={}, by=BY)
    await merge(database, company)
    await merge(database, company, THIRD, OWN)
    export = await export_customer(database, company, LOST, by=BY)
    assert export.customer_id == THIRD
    assert [row["customer_id"] for row in export.tables["customers"]] == [THIRD, LOST, OWN]
    assert len(export.tables["journey_events"]) == 10
    stages = {row["to_stage"] for row in export.tables["journey_transitions"]}
    assert {"at_risk", "merged"} <= stages
    before = await overview.get_overview(database, company, ALL)
    await anonymize_customer(database, company, LOST, by=BY)
    assert (await anonymize_customer(database, company, OWN, by=BY)).is_repeat
    results = await ingest(database, company, [told(who, f"later {who}") for who in (OWN, LOST, THIRD)])
    assert {result.status for result in results} == {IngestStatus.IGNORED_ERASED}
    after = await overview.get_overview(database, company, ALL)
    assert (after.stages, after.revenue, after.moves) == (before.stages, before.revenue, before.moves)
    ids = await rows(
        database,
        company,
        "SELECT customer_id, merged_into, name, email FROM customers"
        " WHERE company_id = :company AND customer_id <> :other",
        other=OTHER,
    )
    assert len(ids) == 3
    assert all(row.customer_id < 0 and row.name is None and row.email is None for row in ids)
    [survivor] = [row.customer_id for row in ids if row.merged_into is None]
    assert {row.merged_into for row in ids} == {None, survivor}
    causes = await rows(
        database,
        company,
        "SELECT cause_id FROM journey_transitions WHERE company_id = :company AND cause_kind = 'event'",
    )
    assert not [row.cause_id for row in causes if ":l" in row.cause_id or ":o" in row.cause_id]
    await check_balance(database, company)


async def test_a_link_in_an_email_to_the_old_record_withdraws_the_consent_of_the_survivor(database, company):
    for who in (OWN, LOST):
        await put_customer(
            database, company, who, {"email": f"{who}@example.org"}, consents={"email": "granted"}, by=BY
        )
    [lost] = await rows(
        database,
        company,
        "SELECT id FROM customer_relationships WHERE company_id = :company AND customer_id = :lost",
        lost=LOST,
    )
    await merge(database, company)

    async def sign(uow):
        return uow.vault.sign(company, f"unsubscribe:{company}.{lost.id}.email")

    signature = await database.run(company, sign)
    await withdraw(database, f"{company}.{lost.id}.email.{signature}", address=None)
    consent = (await get_customer(database, company, OWN)).customer.profile.consents["email"]
    assert consent["status"] == "withdrawn"


async def test_events_under_both_ids_during_the_merge_are_neither_lost_nor_doubled(
    database, create_test_company
):
    company = (await create_test_company()).id
    now = T0 - 365 * DAY
    await apply(database, company, *(told(who, f"first {who}", at=now) for who in (OWN, LOST, THIRD)))
    events = [told((LOST, OWN, THIRD)[number % 3], f"e{number}", at=now, amount=1) for number in range(45)]

    async def tell(event):
        for _ in range(50):  # as senders do while the service is busy
            with suppress(UnavailableError):
                [result] = await ingest(database, company, [event])
                return result.status
        raise AssertionError(event)

    async def merge_both():
        await merge(database, company)
        await merge(database, company, THIRD, OWN)

    told_first = asyncio.gather(*(tell(event) for event in events))
    told_again = asyncio.gather(*(tell(event) for event in events))
    for attempt in range(20):
        try:
            await merge_both()
        except (StaleVersionError, CustomerMergedError, UnavailableError):
            if attempt == 19:
                raise
            continue
        break
    statuses = [*await told_first, *await told_again]
    assert sorted(statuses) == ["applied"] * 45 + ["duplicate"] * 45
    facts = (await reading.get_journey(database, company, LOST)).stored.relationship.facts
    assert (facts.total_appointments, facts.appointments_cents) == (48, 4_500)
    assert not await find_violations(database, company)
    assert not (await reconcile(database, company)).differences
