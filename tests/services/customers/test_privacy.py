"""Privacy: an erasure removes every trace of an identity, changes no count, and is permanent."""

import asyncio
import os
import random
import re
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from conftest import ERASURE_KEY, PATIENT
from dumps import dump, dump_redis
from journey_service.domain.access.actors import Actor
from journey_service.domain.actions.action import ManualActionRequest
from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.customers.attributes import AttributeChanges
from journey_service.domain.customers.errors import CustomerErasedError, CustomerNotFoundError
from journey_service.domain.customers.personal_data import REGISTER, ColumnKind
from journey_service.domain.errors import UnavailableError
from journey_service.domain.events.event import Event
from journey_service.domain.events.records import ImportOptions
from journey_service.domain.journeys.relationship import Activation
from journey_service.domain.stages.changes import build_draft
from journey_service.domain.stages.parsing import stage_map_to_json
from journey_service.repositories.customers import personal_data
from journey_service.repositories.database import Database
from journey_service.repositories.tables import metadata
from journey_service.services.access.audit import record_operator_access
from journey_service.services.actions.manual_actions import request_action
from journey_service.services.analytics import overview
from journey_service.services.customers.privacy import (
    anonymize_customer,
    export_customer,
    list_tombstones,
    reapply_erasures,
)
from journey_service.services.customers.profiles import put_customer
from journey_service.services.events.imports.imports import get_import, run_import, stage_import
from journey_service.services.events.ingest import ingest
from journey_service.services.job_registry import JOB_HANDLERS
from journey_service.services.jobs import get_job, run_job
from journey_service.services.journeys import manual_changes, reading
from journey_service.services.journeys.rescoring import queue_rescore
from journey_service.services.operations.nightly import start_nightly_run
from journey_service.services.operations.test_clock import advance
from journey_service.services.stages.backtests import BACKTEST_JOB, BacktestParameters, backtest
from journey_service.services.stages.backtests import queue as queue_backtest
from journey_service.services.stages.previews import preview
from ledger import find_violations, journeys, rows

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
WHO = 918_273_645_546
BY = Actor("tests")
MARK = re.compile(r"[Mm]ark-[A-Za-z_]+")
NUMBER_MARK = 777_000_111_222_333
ERASED = 500 if os.environ.get("JOURNEY_FULL") else 25
"""Customers that are erased and then named in later events."""


def visit(customer: int, number: int, at: datetime, *, note: str | None = None) -> Event:
    free = None if note is None else {"note": note}
    return Event(
        "tests",
        f"mark-event-{customer}-{number}",
        customer,
        "appointment_completed",
        at,
        4_000,
        metadata=free,
    )


def _unchanged(stage_map):
    """Builds a draft equal to the map."""
    return build_draft(stage_map, raw=stage_map_to_json(stage_map), remap={}, pointer="/stages")


async def marked(database, servers, company_id: int, who: int = WHO) -> None:
    """Creates a customer with rows in every table, and a mark in every column that can hold personal data."""
    await put_customer(
        database,
        company_id,
        who,
        {"name": "mark-name", "email": "mark-email@example.org", "phone": "+49 170 mark-phone"},
        consents={"email": "granted", "sms": "withdrawn"},
        attributes=AttributeChanges({"mark-attribute": "mark-value", "since": "2026-01-31"}),
        by=BY,
    )
    events = [visit(who, number, T0 - number * 20 * DAY, note="mark-metadata") for number in range(6)]
    events[0] = events[0]._replace(booking_id="mark-booking")
    events[1] = events[1]._replace(source="mark-source: of this customer only")
    retraction = visit(who, 6, T0, note="mark-metadata")._replace(type="event_retracted")
    events.append(retraction._replace(retracts=("mark-retracted-source", "mark-retracted-id")))
    await ingest(database, company_id, events)
    view = await reading.get_journey(database, company_id, who)
    version = view.stored.relationship.version
    lapse = manual_changes.ManualMove("at_risk", version, BY, "lapse", is_repeatable=True)
    await manual_changes.move(database, company_id, who, lapse)
    call = ManualActionRequest(
        Channel.CALL, title="mark-title", note="mark-note", request_key="mark-request_key"
    )
    await request_action(database, company_id, who, call, by=BY)
    version += 1
    move = manual_changes.ManualMove(
        "lead", version, BY, "mark-request", is_repeatable=True, notes="mark-notes"
    )
    await manual_changes.move(database, company_id, who, move)
    notes = {"notes": "mark-notes", "metadata": {"deep": ["mark-metadata"]}}
    await manual_changes.annotate(database, company_id, who, notes, version=version + 1, by=BY)
    await run_job(
        database,
        company_id,
        await queue_rescore(database, company_id, actor=BY, customer_ids=[who]),
        JOB_HANDLERS,
    )
    await queue_rescore(database, company_id, actor=BY, customer_ids=[who, 1])  # stays queued
    await preview(
        database, company_id, _unchanged, based_on=None, activation=Activation.CURRENT_SILENT, actor=BY
    )
    span = BacktestParameters(since=T0 - 90 * DAY, until=T0, customer_ids=[who])
    await backtest(database, company_id, _unchanged, span, based_on=None, actor=BY)
    text = (
        "customer_id,occurred_at,event_type,amount,id\n"
        f"{who},2025-12-01,appointment_completed,10,mark-line\n"
        f"{who},2025-12-01,appointment_completed,mark-email@example.org,mark-faulty\n"
        f"mark-customer,mark-time,mark-type,mark-amount,mark-id\n"
    )

    async def chunks():
        yield text.encode()

    await stage_import(database, company_id, chunks(), actor=BY, options=ImportOptions(T0))
    await _access_as_operator(database, company_id, who)
    await _mark_every_column(servers, company_id, who)


async def _access_as_operator(database, company_id: int, who: int) -> None:
    """Records an operator's access whose reason and request id contain the customer's name and id."""
    operator = Actor(
        "key:op", is_operator=True, reason=f"Mark-Name, {who}, has complained", request_id=f"r-{who}"
    )
    await record_operator_access(database, company_id, "list_customers", by=operator)
    await record_operator_access(database, company_id, "get_customer", by=operator, customer_id=who)


async def _mark_every_column(servers, company_id: int, who: int) -> None:
    """Writes a mark into every column that the register classifies as personal, even if no service writes it."""
    connection = await asyncpg.connect(servers.database_url)
    try:
        relationship = await connection.fetchval(
            "SELECT id FROM customer_relationships WHERE company_id = $1 AND customer_id = $2",
            company_id,
            who,
        )
        await connection.execute(
            "INSERT INTO action_attempts (company_id, action_id, number, relationship_id, started_at, outcome)"
            " SELECT company_id, id, 1, relationship_id, now(), 'failed' FROM journey_actions"
            " WHERE company_id = $1 AND relationship_id = $2",
            company_id,
            relationship,
        )
        await connection.execute(
            "INSERT INTO churn_samples (company_id, month, relationship_id, predicted_at, probability)"
            " VALUES ($1, '2026-01-01', $2, now(), 0.5)",
            company_id,
            relationship,
        )
        for table, columns in REGISTER.items():
            by = {"relationship_id": relationship, "customer_id": who}
            key = next((name for name in by if name in columns), None)
            if key is None:
                continue
            for column, kind in columns.items():
                if kind not in (ColumnKind.IDENTITY, ColumnKind.TEXT):
                    continue
                value = _mark_for(table, column)
                done = await connection.execute(
                    f"UPDATE {table} SET {column} = {value} WHERE company_id = $1 AND {key} = $2",
                    company_id,
                    by[key],
                )
                assert done != "UPDATE 0", f"{table} has no row of the customer"
    finally:
        await connection.close()


def _mark_for(table: str, column: str) -> str:
    if column == "request_key":
        return "'mark-request_key ' || id"
    type_ = str(metadata.tables[table].c[column].type)
    if type_ == "JSONB":
        return f"""'{{"mark": ["mark-{column}"]}}'::jsonb"""
    return str(NUMBER_MARK) if type_ == "BIGINT" else f"'mark-{column}'"


def traces_in(dumped: str, who: int = WHO) -> list[str]:
    """Returns every trace of the customer in a dump, with its table."""
    return [
        f"{line.split(' ', 1)[0]}: {trace}"
        for line in dumped.splitlines()
        for trace in (
            *MARK.findall(line),
            *re.findall(rf"\b{who}\b", line),
            *re.findall(str(NUMBER_MARK), line),
        )
    ]


def test_every_column_of_every_table_is_classified():
    assert {name: set(columns) for name, columns in REGISTER.items()} == {
        name: set(table.c.keys()) for name, table in metadata.tables.items()
    }


def test_an_unclassified_column_is_detected():
    known = {name: set(columns) for name, columns in REGISTER.items()}
    tables = {name: {*table.c.keys(), "nickname"} for name, table in metadata.tables.items()}
    assert known != tables
    print("guard removed: detected")


async def test_an_erasure_leaves_no_trace_of_the_identity(database, servers, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    await ingest(database, tenant.id, [visit(1, 1, T0)._replace(event_id="other-1")])
    await marked(database, servers, tenant.id)
    before = traces_in(await dump(servers, tenant.id))
    tables = {trace.split(":")[0] for trace in before}
    # Every table that the register classifies as personal contains a trace before the erasure.
    personal_tables = {
        table
        for table, columns in REGISTER.items()
        if set(columns.values()) - {ColumnKind.NOT, ColumnKind.FACT, ColumnKind.MIXED} or table == "jobs"
    }
    assert personal_tables <= tables

    erased = await anonymize_customer(database, tenant.id, WHO, by=BY)

    assert not erased.is_repeat
    after = traces_in(await dump(servers, tenant.id))
    print(f"{len(before)} traces before, {len(after)} after")
    assert after == []
    assert traces_in(dump_redis(servers)) == []
    assert await find_violations(database, tenant.id) == []


@pytest.mark.parametrize(
    ("name", "statement"),
    [
        (
            "_RENAME_RELATIONSHIP",
            "UPDATE customer_relationships SET customer_id = :new_id WHERE id = :relationship_id",
        ),
        ("_DELETE_LINES", "SELECT 1"),
        ("_ERASE_IMPORT_ERRORS", "SELECT 1"),
        ("_ERASE_EVENTS", "SELECT 1"),
        ("_ERASE_ACTIONS", "SELECT 1"),
        ("_RENAME_IN_JOB", "SELECT 1"),
    ],
)
async def test_an_incomplete_erasure_is_detected_in_the_dump(
    database, servers, create_test_company, monkeypatch, name, statement
):
    tenant = await create_test_company(test_clock=T0)
    await ingest(database, tenant.id, [visit(1, 1, T0)._replace(event_id="other-1")])
    await marked(database, servers, tenant.id)
    replaced = personal_data.text(statement)
    monkeypatch.setattr(personal_data, name, (replaced,) if name == "_ERASE_ACTIONS" else replaced)

    await anonymize_customer(database, tenant.id, WHO, by=BY)

    assert traces_in(await dump(servers, tenant.id)) != []
    print("guard removed: detected")


async def test_an_export_contains_everything_that_an_erasure_removes(database, servers, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    await ingest(database, tenant.id, [visit(1, 1, T0)])
    await marked(database, servers, tenant.id)

    export = await export_customer(database, tenant.id, WHO, by=BY)

    exported = str(dict(export.tables))
    for table, columns in REGISTER.items():
        if table == "customer_attributes":  # derived from the attributes of the customer
            assert table not in export.tables
        elif ColumnKind.ID in columns.values() or "relationship_id" in columns:
            assert export.tables[table], table
            assert set(export.tables[table][0]) == {
                column
                for column, kind in columns.items()
                if kind not in (ColumnKind.NOT, ColumnKind.MIXED, ColumnKind.DERIVED)
            }
            for column, kind in columns.items():
                if kind in (ColumnKind.IDENTITY, ColumnKind.TEXT):
                    assert (
                        str(NUMBER_MARK) in exported
                        if column == "performed_by"
                        else f"mark-{column}" in exported
                    )
    assert [row["action"] for row in export.tables["audit_log"]][-1] == "customer.export"
    assert export.tables["journey_transitions"][1]["reasons"][0]["stage"]

    await anonymize_customer(database, tenant.id, WHO, by=BY)

    with pytest.raises(CustomerNotFoundError):
        await export_customer(database, tenant.id, WHO, by=BY)


async def _ingest_random_events(database, company_id: int, customers: int, seed: int) -> None:
    chance = random.Random(seed)
    events = []
    for customer in range(1, customers + 1):
        events += [
            Event(
                "tests",
                f"{customer}-{n}",
                customer,
                kind,
                T0 - chance.randint(0, 300) * DAY,
                chance.randint(0, 90_000),
            )
            for n, kind in enumerate(
                chance.choices(
                    ("appointment_completed", "appointment_missed", "payment_received", "ticket_opened"), k=6
                )
            )
        ]
    chance.shuffle(events)
    await ingest(database, company_id, events)


async def _metrics(database, company_id: int) -> list[object]:
    """Returns the basis of all reports: customers by stage now and in the past, transitions, revenue, scores."""
    now = await overview.get_distribution(database, company_id, None)
    then = await overview.get_distribution(database, company_id, T0)
    return [
        [(stage.key, customers) for stage, customers in now.stages],
        [(stage.key, customers) for stage, customers in then.stages],
        *[
            [tuple(row) for row in await rows(database, company_id, sql)]
            for sql in (_MOVES, _REVENUE, _RELATIONSHIPS)
        ],
    ]


_MOVES = """
SELECT from_stage, to_stage, trigger_event, transitioned_at, count(*) FROM journey_transitions
WHERE company_id = :company GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""
_REVENUE = """
SELECT stage, type, occurred_at::date, sum(amount), count(*) FROM journey_events
WHERE company_id = :company GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
_RELATIONSHIPS = """
SELECT current_stage, risk_score, engagement_score, lifetime_value, stage_entered_at, next_evaluation_at, count(*)
FROM customer_relationships WHERE company_id = :company GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6
"""


async def test_an_erasure_changes_no_metric_then_or_later(database, create_test_company):
    erased, untouched = await create_test_company(test_clock=T0), await create_test_company(test_clock=T0)
    for tenant in (erased, untouched):
        await _ingest_random_events(database, tenant.id, 40, seed=7)
    before = await _metrics(database, erased.id)
    for customer in range(1, 41, 2):
        await anonymize_customer(database, erased.id, customer, by=BY)

    assert await _metrics(database, erased.id) == before == await _metrics(database, untouched.id)

    for tenant in (erased, untouched):
        await advance(database, tenant.id, T0 + 200 * DAY, actor=BY, timeout_seconds=None)

    later = await _metrics(database, untouched.id)
    assert later != before
    assert await _metrics(database, erased.id) == later
    assert await find_violations(database, erased.id) == []


async def test_events_of_an_erased_customer_are_ignored_permanently(database, servers, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    customers = range(WHO, WHO + ERASED)
    events = [
        visit(customer, n, T0 - n * 30 * DAY, note="mark-metadata")
        for customer in customers
        for n in range(4)
    ]
    await ingest(database, tenant.id, events)
    for customer in customers:
        await anonymize_customer(database, tenant.id, customer, by=BY)
    before = await dump(servers, tenant.id)

    again = await ingest(database, tenant.id, events)
    new = await ingest(database, tenant.id, [visit(customer, 99, T0) for customer in customers])

    assert {outcome.status for outcome in (*again, *new)} == {"ignored_erased"}
    assert {(outcome.view, outcome.entry) for outcome in again} == {(None, None)}
    assert await dump(servers, tenant.id) == before

    lines = "".join(f"{customer},2025-11-01,appointment_completed,5\n" for customer in customers)

    async def chunks():
        yield f"customer_id,occurred_at,event_type,amount\n{lines}1,2025-11-01,appointment_completed,5\n".encode()

    queued = await stage_import(database, tenant.id, chunks(), actor=BY, options=ImportOptions(T0))
    await run_import(database, tenant.id, queued.id)
    done = await get_import(database, tenant.id, queued.id)
    assert (done.status, done.applied, done.erased, done.done) == ("done", 1, ERASED, ERASED + 1)

    await database.run(tenant.id, lambda uow: uow.companies.set_clock(T0 + 20 * DAY))
    night = await start_nightly_run(database, tenant.id)
    await run_job(database, tenant.id, night, JOB_HANDLERS)
    with pytest.raises(CustomerErasedError):
        await put_customer(database, tenant.id, WHO, {"name": "mark-name"}, consents={}, by=BY)
    with pytest.raises(CustomerNotFoundError):
        await reading.get_journey(database, tenant.id, WHO)
    assert (await anonymize_customer(database, tenant.id, WHO, by=BY)).is_repeat
    left = await dump(servers, tenant.id)
    hits = [trace for customer in customers if str(customer) in left for trace in traces_in(left, customer)]
    print(f"{len(hits)} traces left of {ERASED} customers erased")
    assert hits == []
    assert MARK.findall(left) == []
    ids = await rows(
        database, tenant.id, "SELECT customer_id FROM customer_relationships WHERE company_id = :company"
    )
    assert sum(row[0] < 0 for row in ids) == ERASED


async def test_the_check_detects_missing_tombstones(database, create_test_company, monkeypatch):
    tenant = await create_test_company(test_clock=T0)
    await ingest(database, tenant.id, [visit(WHO, 1, T0)])
    await anonymize_customer(database, tenant.id, WHO, by=BY)

    async def find_none(self, customer_ids, refs):
        return set()

    monkeypatch.setattr("journey_service.repositories.customers.tombstones.Tombstones.find_erased", find_none)
    [outcome] = await ingest(database, tenant.id, [visit(WHO, 1, T0)])

    assert outcome.status == "applied"
    print("guard removed: detected")


@pytest.mark.parametrize("key", [None, "another key than the configured one"])
async def test_with_another_key_only_known_customers_are_accepted(
    database, servers, create_test_company, key
):
    tenant, other = await create_test_company(test_clock=T0), await create_test_company(test_clock=T0)
    await ingest(database, tenant.id, [visit(1, 1, T0), visit(2, 1, T0)])
    await anonymize_customer(database, tenant.id, 1, by=BY)
    wrong = Database(servers.database_url, pool_size=2, **PATIENT, erasure_key=key)
    try:
        [known] = await ingest(wrong, tenant.id, [visit(2, 2, T0)])
        assert known.status == "applied"
        for customer in (1, 3):
            with pytest.raises(UnavailableError, match="JOURNEY_ERASURE_KEY"):
                await ingest(wrong, tenant.id, [visit(customer, 7, T0)])
        # A company without erased customers accepts new ones.
        assert [outcome.status for outcome in await ingest(wrong, other.id, [visit(3, 1, T0)])] == ["applied"]
        if key is None:
            with pytest.raises(UnavailableError, match="JOURNEY_ERASURE_KEY"):
                await anonymize_customer(wrong, other.id, 3, by=BY)
    finally:
        await wrong.close()
    assert key != ERASURE_KEY


async def test_an_erasure_concurrent_with_events_leaves_the_customer_erased(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    for customer in range(1, 21):
        await ingest(database, tenant.id, [visit(customer, 0, T0)])
        answers = await asyncio.gather(
            *(ingest(database, tenant.id, [visit(customer, n, T0)]) for n in range(1, 5)),
            anonymize_customer(database, tenant.id, customer, by=BY),
            *(ingest(database, tenant.id, [visit(customer, n, T0)]) for n in range(5, 9)),
        )
        statuses = {answer[0].status for answer in answers if isinstance(answer, list)}
        assert statuses <= {"applied", "ignored_erased"}
    left = await rows(database, tenant.id, "SELECT customer_id FROM customers WHERE company_id = :company")
    assert len(left) == 20
    assert all(row[0] < 0 for row in left)
    assert await find_violations(database, tenant.id) == []


async def test_the_result_of_a_running_job_omits_a_customer_erased_meanwhile(
    database, servers, create_test_company
):
    tenant = await create_test_company(test_clock=T0)
    await ingest(database, tenant.id, [visit(WHO, 1, T0 - 50 * DAY), visit(2, 1, T0 - 50 * DAY)])
    inline_job = await queue_backtest(
        database,
        tenant.id,
        _unchanged,
        BacktestParameters(since=T0 - 90 * DAY, until=T0, customer_ids=[WHO, 2]),
        based_on=None,
        actor=BY,
    )
    handlers = dict(JOB_HANDLERS)

    async def interrupted(run):
        await JOB_HANDLERS[BACKTEST_JOB](run)
        await anonymize_customer(database, tenant.id, WHO, by=BY)

    handlers[BACKTEST_JOB] = interrupted
    assert await run_job(database, tenant.id, inline_job.job.id, handlers)

    assert str(WHO) not in await dump(servers, tenant.id)
    done = await get_job(database, tenant.id, inline_job.job.id)
    assert "'customer_id': 2" in str(done.result)


async def test_an_erased_customer_s_transitions_still_reference_their_events(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    await ingest(database, tenant.id, [visit(WHO, 1, T0), visit(WHO, 2, T0)])
    sql = (
        "SELECT count(*) FROM journey_transitions t JOIN journey_events e ON e.company_id = t.company_id"
        " AND e.relationship_id = t.relationship_id AND t.cause_id = e.source || ':' || e.event_id"
        " WHERE t.company_id = :company AND t.cause_kind = 'event'"
    )
    before = (await rows(database, tenant.id, sql))[0][0]
    await anonymize_customer(database, tenant.id, WHO, by=BY)

    assert (await rows(database, tenant.id, sql))[0][0] == before > 0


async def test_customers_in_a_restored_backup_are_erased_again_by_stored_tombstones(
    database, servers, create_test_company
):
    tenant, restored = await create_test_company(test_clock=T0), await create_test_company(test_clock=T0)
    for customer in (1, 2, WHO):
        await ingest(database, tenant.id, [visit(customer, 1, T0)])
    for customer in (1, WHO):
        await anonymize_customer(database, tenant.id, customer, by=BY)
    stored = await list_tombstones(database, tenant.id)
    assert len(stored) == 2
    # The restored backup contains all customers and no tombstones.
    connection = await asyncpg.connect(servers.database_url)
    await connection.execute("DELETE FROM erasure_tombstones WHERE company_id = $1", tenant.id)
    await connection.close()
    for customer in (1, WHO):
        await ingest(database, tenant.id, [visit(customer, 2, T0)])

    assert await reapply_erasures(database, tenant.id, stored, by=BY) == 2

    ids = await rows(database, tenant.id, "SELECT customer_id FROM customers WHERE company_id = :company")
    assert sorted(row[0] for row in ids if row[0] > 0) == [2]
    assert await reapply_erasures(database, tenant.id, stored, by=BY) == 0
    # Events that are sent again create none of them.
    [outcome] = await ingest(database, tenant.id, [visit(WHO, 3, T0)])
    assert outcome.status == "ignored_erased"
    # Hashes of another company match no customer here.
    await ingest(database, restored.id, [visit(WHO, 1, T0)])
    assert await reapply_erasures(database, restored.id, stored, by=BY) == 0


async def test_an_erasure_keeps_a_shared_source_and_removes_one_of_a_single_customer(
    database, create_test_company
):
    tenant = await create_test_company(test_clock=T0)
    alone = visit(WHO, 2, T0)._replace(source="the practice of Ada: 100 %")
    await ingest(database, tenant.id, [visit(1, 1, T0), visit(WHO, 1, T0), alone])
    await anonymize_customer(database, tenant.id, WHO, by=BY)

    sources = await rows(database, tenant.id, "SELECT source FROM journey_events WHERE company_id = :company")
    assert sorted(row[0] == "tests" for row in sources) == [False, True, True]
    assert not any("Ada" in row[0] for row in sources)
    causes = await rows(
        database,
        tenant.id,
        "SELECT cause_id FROM journey_transitions WHERE company_id = :company AND cause_kind = 'event'",
    )
    assert not any("Ada" in row[0] for row in causes)


async def test_the_audit_entry_of_an_erasure_links_neither_id_to_the_other(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    for customer, request in ((WHO, f"erase-{WHO}"), (2, "erase-1b2c")):
        await ingest(database, tenant.id, [visit(customer, 1, T0)])
        by = Actor("key:desk", request_id=request)
        await anonymize_customer(database, tenant.id, customer, by=by)

    entries = await rows(
        database,
        tenant.id,
        "SELECT customer_id, request_id FROM audit_log WHERE company_id = :company AND action = 'customer.anonymize'"
        " ORDER BY id",
    )
    assert [tuple(row) for row in entries] == [(None, None), (None, "erase-1b2c")]


async def test_audit_entries_about_other_customers_stay(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    profile = {"name": "Ann", "email": None, "phone": "+49 (170) 55.5"}
    await put_customer(database, tenant.id, 5, profile, consents={}, by=BY)
    reasons = {
        "r-5": ("about 5", False),
        "ab5cd": ("the annual review of customer 55", True),
        "anna.b": ("Annabel has called from +49 (170) 55.55", True),
        "x-ANN": ("nothing", False),
        "y": ("Ann, again", False),
        "z": ("call +49 (170) 55.5 back", False),
    }
    for request, (reason, _) in reasons.items():
        operator = Actor("key:op", is_operator=True, reason=reason, request_id=request)
        await record_operator_access(database, tenant.id, "list_customers", by=operator)

    await anonymize_customer(database, tenant.id, 5, by=BY)

    stored = await rows(
        database,
        tenant.id,
        "SELECT request_id, reason FROM audit_log WHERE company_id = :company AND action = 'operator.access'"
        " AND reason IS NOT NULL",
    )
    assert {tuple(row) for row in stored} == {
        (request, reason) for request, (reason, stays) in reasons.items() if stays
    }


async def test_an_unknown_customer_cannot_be_exported_or_erased(database, tenant):
    for operation in (export_customer, anonymize_customer):
        with pytest.raises(CustomerNotFoundError):
            await operation(database, tenant.id, 99, by=BY)
    assert (
        await rows(database, tenant.id, "SELECT 1 FROM erasure_tombstones WHERE company_id = :company")
    ) == []


async def test_an_erasure_applies_to_one_company_only(database, create_test_company):
    mine, other = await create_test_company(test_clock=T0), await create_test_company(test_clock=T0)
    for tenant in (mine, other):
        await ingest(database, tenant.id, [visit(5, 1, T0)])
    await anonymize_customer(database, mine.id, 5, by=BY)

    [outcome] = await ingest(database, other.id, [visit(5, 2, T0)])

    assert outcome.status == "applied"
    hmacs = await rows(
        database, mine.id, "SELECT customer_hmac FROM erasure_tombstones WHERE company_id = :company"
    )
    await anonymize_customer(database, other.id, 5, by=BY)
    others = await rows(
        database, other.id, "SELECT customer_hmac FROM erasure_tombstones WHERE company_id = :company"
    )
    assert hmacs != others
    assert set(await journeys(database, mine.id)) != set(await journeys(database, other.id))
