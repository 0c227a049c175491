"""Erasure: nothing that says who somebody is stays, nothing that is counted changes, and it stays done."""

import asyncio
import os
import random
import re
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from conftest import ERASURE_KEY
from dumps import dump, dump_redis
from journey_service.domain.access.actors import Actor
from journey_service.domain.actions.action import ManualActionRequest
from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.customers.errors import CustomerErasedError, CustomerNotFoundError
from journey_service.domain.customers.personal_data import REGISTER, ColumnKind
from journey_service.domain.errors import UnavailableError
from journey_service.domain.events.event import Event
from journey_service.domain.events.records import ImportOptions
from journey_service.domain.journeys.relationship import Activation
from journey_service.domain.stages.changes import build_draft
from journey_service.domain.stages.stage_map import stage_map_to_json
from journey_service.repositories.customers import personal_data as personal
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
from journey_service.services.events.imports import get_import, run_import, stage_import
from journey_service.services.events.ingest import ingest
from journey_service.services.job_registry import JOB_HANDLERS
from journey_service.services.jobs import get_job, run_job
from journey_service.services.journeys import manual_changes, reading
from journey_service.services.journeys.rescoring import queue_rescore
from journey_service.services.operations.nightly import start_nightly_run
from journey_service.services.operations.test_clock import advance
from journey_service.services.stages.backtests import BACKTEST, BacktestParameters, backtest
from journey_service.services.stages.backtests import queue as queue_backtest
from journey_service.services.stages.previews import preview
from ledger import faults, journeys, rows

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
WHO = 918_273_645_546
BY = Actor("tests")
MARK = re.compile(r"[Mm]ark-[A-Za-z_]+")
NUMBER_MARK = 777_000_111_222_333
ERASED = 500 if os.environ.get("JOURNEY_FULL") else 25
"""How many are erased and then told of again."""


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


def _drawn(stage_map):
    """The map as it is, drawn anew."""
    return build_draft(stage_map, raw=stage_map_to_json(stage_map), remap={}, pointer="/stages")


async def marked(database, servers, company_id: int, who: int = WHO) -> None:
    """A customer of whom every table holds something, with a mark in every column that may be about them."""
    await put_customer(
        database,
        company_id,
        who,
        {"name": "mark-name", "email": "mark-email@example.org", "phone": "+49 170 mark-phone"},
        consents={"email": "granted", "sms": "withdrawn"},
        by=BY,
    )
    told = [visit(who, number, T0 - number * 20 * DAY, note="mark-metadata") for number in range(6)]
    told[0] = told[0]._replace(booking_id="mark-booking")
    told[1] = told[1]._replace(source="mark-source: hers alone")
    await ingest(database, company_id, told)
    seen = await reading.get_journey(database, company_id, who)
    version = seen.stored.relationship.version
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
    await queue_rescore(database, company_id, actor=BY, customer_ids=[who, 1])  # left for later
    await preview(database, company_id, _drawn, based_on=None, activation=Activation.CURRENT_SILENT, actor=BY)
    span = BacktestParameters(since=T0 - 90 * DAY, until=T0, customer_ids=[who])
    await backtest(database, company_id, _drawn, span, based_on=None, actor=BY)
    text = (
        "customer_id,occurred_at,event_type,amount,id\n"
        f"{who},2025-12-01,appointment_completed,10,mark-line\n"
        f"{who},2025-12-01,appointment_completed,mark-email@example.org,mark-faulty\n"
        f"mark-customer,mark-time,mark-type,mark-amount,mark-id\n"
    )

    async def chunks():
        yield text.encode()

    await stage_import(database, company_id, chunks(), actor=BY, options=ImportOptions(T0))
    await _look_at_the_customer(database, company_id, who)
    await _mark_every_column(servers, company_id, who)


async def _look_at_the_customer(database, company_id: int, who: int) -> None:
    """An operator looks, and names the customer where nobody should."""
    operator = Actor(
        "key:op", is_operator=True, reason=f"Mark-Name, {who}, has complained", request_id=f"r-{who}"
    )
    await record_operator_access(database, company_id, "list_customers", by=operator)
    await record_operator_access(database, company_id, "get_customer", by=operator, customer_id=who)


async def _mark_every_column(servers, company_id: int, who: int) -> None:
    """What no service would write may still stand there: a mark in every column that the register calls personal."""
    connection = await asyncpg.connect(servers.database_url)
    try:
        relationship = await connection.fetchval(
            "SELECT id FROM customer_relationships WHERE company_id = $1 AND customer_id = $2",
            company_id,
            who,
        )
        await connection.execute(
            "INSERT INTO action_attempts (company_id, action_id, number, relationship_id, begun_at, outcome)"
            " SELECT company_id, id, 1, relationship_id, now(), 'failed' FROM journey_actions"
            " WHERE company_id = $1 AND relationship_id = $2",
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
                assert done != "UPDATE 0", f"{table} holds nothing of the customer"
    finally:
        await connection.close()


def _mark_for(table: str, column: str) -> str:
    if column == "request_key":
        return "'mark-request_key ' || id"
    type_ = str(metadata.tables[table].c[column].type)
    if type_ == "JSONB":
        return f"""'{{"mark": ["mark-{column}"]}}'::jsonb"""
    return str(NUMBER_MARK) if type_ == "BIGINT" else f"'mark-{column}'"


def found_in(dumped: str, who: int = WHO) -> list[str]:
    """Every trace of the customer in a dump, each with the table it stands in."""
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


def test_a_column_that_nobody_has_classified_would_be_seen():
    known = {name: set(columns) for name, columns in REGISTER.items()}
    tables = {name: {*table.c.keys(), "nickname"} for name, table in metadata.tables.items()}
    assert known != tables
    print("guard removed: detected")


async def test_nothing_that_says_who_somebody_is_stays_anywhere(database, servers, found_tenant):
    tenant = await found_tenant(test_clock=T0)
    await ingest(database, tenant.id, [visit(1, 1, T0)._replace(event_id="other-1")])
    await marked(database, servers, tenant.id)
    before = found_in(await dump(servers, tenant.id))
    tables = {trace.split(":")[0] for trace in before}
    # Everywhere that the register says something may stand, something does.
    personal_tables = {
        table
        for table, columns in REGISTER.items()
        if set(columns.values()) - {ColumnKind.NOT, ColumnKind.FACT, ColumnKind.MIXED} or table == "jobs"
    }
    assert personal_tables <= tables

    erased = await anonymize_customer(database, tenant.id, WHO, by=BY)

    assert not erased.is_repeat
    after = found_in(await dump(servers, tenant.id))
    print(f"{len(before)} traces before, {len(after)} after")
    assert after == []
    assert found_in(dump_redis(servers)) == []
    assert await faults(database, tenant.id) == []


@pytest.mark.parametrize(
    ("name", "statement"),
    [
        (
            "_RENAME_RELATIONSHIP",
            "UPDATE customer_relationships SET customer_id = :new_id WHERE id = :relationship_id",
        ),
        ("_DROP_LINES", "SELECT 1"),
        ("_ERASE_EVENTS", "SELECT 1"),
        ("_ERASE_ACTIONS", "SELECT 1"),
        ("_RENAME_IN_JOB", "SELECT 1"),
    ],
)
async def test_a_part_of_the_erasure_left_out_is_found_in_the_dump(
    database, servers, found_tenant, monkeypatch, name, statement
):
    tenant = await found_tenant(test_clock=T0)
    await ingest(database, tenant.id, [visit(1, 1, T0)._replace(event_id="other-1")])
    await marked(database, servers, tenant.id)
    replaced = personal.text(statement)
    monkeypatch.setattr(personal, name, (replaced,) if name == "_ERASE_ACTIONS" else replaced)

    await anonymize_customer(database, tenant.id, WHO, by=BY)

    assert found_in(await dump(servers, tenant.id)) != []
    print("guard removed: detected")


async def test_what_an_export_hands_out_is_everything_that_an_erasure_takes(database, servers, found_tenant):
    tenant = await found_tenant(test_clock=T0)
    await ingest(database, tenant.id, [visit(1, 1, T0)])
    await marked(database, servers, tenant.id)

    export = await export_customer(database, tenant.id, WHO, by=BY)

    handed_out = str(dict(export.tables))
    for table, columns in REGISTER.items():
        if ColumnKind.ID in columns.values() or "relationship_id" in columns:
            assert export.tables[table], table
            assert set(export.tables[table][0]) == {
                column for column, kind in columns.items() if kind not in (ColumnKind.NOT, ColumnKind.MIXED)
            }
            for column, kind in columns.items():
                if kind in (ColumnKind.IDENTITY, ColumnKind.TEXT):
                    assert (
                        str(NUMBER_MARK) in handed_out
                        if column == "performed_by"
                        else f"mark-{column}" in handed_out
                    )
    assert [row["action"] for row in export.tables["audit_log"]][-1] == "customer.export"
    assert export.tables["journey_transitions"][1]["reasons"][0]["stage"]

    await anonymize_customer(database, tenant.id, WHO, by=BY)

    with pytest.raises(CustomerNotFoundError):
        await export_customer(database, tenant.id, WHO, by=BY)


async def _history(database, company_id: int, customers: int, seed: int) -> None:
    chance = random.Random(seed)
    told = []
    for customer in range(1, customers + 1):
        told += [
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
    chance.shuffle(told)
    await ingest(database, company_id, told)


async def _figures(database, company_id: int) -> list[object]:
    """What analytics are made of: customers by stage now and then, moves, revenue, scores."""
    now = await overview.get_distribution(database, company_id, None)
    then = await overview.get_distribution(database, company_id, T0)
    return [
        [(stage.key, customers) for stage, customers in now.stages],
        [(stage.key, customers) for stage, customers in then.stages],
        *[
            [tuple(row) for row in await rows(database, company_id, sql)]
            for sql in (_MOVES, _REVENUE, _STANDING)
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
_STANDING = """
SELECT current_stage, risk_score, engagement_score, lifetime_value, stage_entered_at, next_evaluation_at, count(*)
FROM customer_relationships WHERE company_id = :company GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6
"""


async def test_figures_are_the_same_after_an_erasure_and_go_on_as_if_nobody_had_been_erased(
    database, found_tenant
):
    erased, untouched = await found_tenant(test_clock=T0), await found_tenant(test_clock=T0)
    for tenant in (erased, untouched):
        await _history(database, tenant.id, 40, seed=7)
    before = await _figures(database, erased.id)
    for customer in range(1, 41, 2):
        await anonymize_customer(database, erased.id, customer, by=BY)

    assert await _figures(database, erased.id) == before == await _figures(database, untouched.id)

    for tenant in (erased, untouched):
        await advance(database, tenant.id, T0 + 200 * DAY, actor=BY, timeout_seconds=None)

    later = await _figures(database, untouched.id)
    assert later != before
    assert await _figures(database, erased.id) == later
    assert await faults(database, erased.id) == []


async def test_what_is_told_of_an_erased_customer_is_ignored_for_ever(database, servers, found_tenant):
    tenant = await found_tenant(test_clock=T0)
    customers = range(WHO, WHO + ERASED)
    told = [
        visit(customer, n, T0 - n * 30 * DAY, note="mark-metadata")
        for customer in customers
        for n in range(4)
    ]
    await ingest(database, tenant.id, told)
    for customer in customers:
        await anonymize_customer(database, tenant.id, customer, by=BY)
    before = await dump(servers, tenant.id)

    again = await ingest(database, tenant.id, told)
    new = await ingest(database, tenant.id, [visit(customer, 99, T0) for customer in customers])

    assert {outcome.status for outcome in (*again, *new)} == {"ignored_erased"}
    assert {(outcome.view, outcome.entry) for outcome in again} == {(None, None)}
    assert await dump(servers, tenant.id) == before

    lines = "".join(f"{customer},2025-11-01,appointment_completed,5\n" for customer in customers)

    async def chunks():
        yield f"customer_id,occurred_at,event_type,amount\n{lines}1,2025-11-01,appointment_completed,5\n".encode()

    found = await stage_import(database, tenant.id, chunks(), actor=BY, options=ImportOptions(T0))
    await run_import(database, tenant.id, found.id)
    done = await get_import(database, tenant.id, found.id)
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
    hits = [trace for customer in customers if str(customer) in left for trace in found_in(left, customer)]
    print(f"{len(hits)} traces left of {ERASED} customers erased")
    assert hits == []
    assert MARK.findall(left) == []
    ids = await rows(
        database, tenant.id, "SELECT customer_id FROM customer_relationships WHERE company_id = :company"
    )
    assert sum(row[0] < 0 for row in ids) == ERASED


async def test_without_tombstones_whoever_was_erased_would_come_back(database, found_tenant, monkeypatch):
    tenant = await found_tenant(test_clock=T0)
    await ingest(database, tenant.id, [visit(WHO, 1, T0)])
    await anonymize_customer(database, tenant.id, WHO, by=BY)

    async def nobody(self, customer_ids):
        return set()

    monkeypatch.setattr("journey_service.repositories.customers.tombstones.Tombstones.find_erased", nobody)
    [outcome] = await ingest(database, tenant.id, [visit(WHO, 1, T0)])

    assert outcome.status == "applied"
    print("guard removed: detected")


@pytest.mark.parametrize("key", [None, "another key than the one that was there"])
async def test_with_another_key_nobody_new_is_taken_in_and_whoever_is_known_goes_on(
    database, servers, found_tenant, key
):
    tenant, other = await found_tenant(test_clock=T0), await found_tenant(test_clock=T0)
    await ingest(database, tenant.id, [visit(1, 1, T0), visit(2, 1, T0)])
    await anonymize_customer(database, tenant.id, 1, by=BY)
    wrong = Database(servers.database_url, pool_size=2, pool_timeout=30, erasure_key=key)
    try:
        [known] = await ingest(wrong, tenant.id, [visit(2, 2, T0)])
        assert known.status == "applied"
        for customer in (1, 3):
            with pytest.raises(UnavailableError, match="JOURNEY_ERASURE_KEY"):
                await ingest(wrong, tenant.id, [visit(customer, 7, T0)])
        # Where nobody was erased there is nobody to be let in again.
        assert [outcome.status for outcome in await ingest(wrong, other.id, [visit(3, 1, T0)])] == ["applied"]
        if key is None:
            with pytest.raises(UnavailableError, match="JOURNEY_ERASURE_KEY"):
                await anonymize_customer(wrong, other.id, 3, by=BY)
    finally:
        await wrong.close()
    assert key != ERASURE_KEY


async def test_an_erasure_beside_what_is_being_told_leaves_the_customer_either_way_erased(
    database, found_tenant
):
    tenant = await found_tenant(test_clock=T0)
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
    assert await faults(database, tenant.id) == []


async def test_what_a_job_under_way_knew_of_an_erased_customer_is_not_in_what_it_finds(
    database, servers, found_tenant
):
    tenant = await found_tenant(test_clock=T0)
    await ingest(database, tenant.id, [visit(WHO, 1, T0 - 50 * DAY), visit(2, 1, T0 - 50 * DAY)])
    inline_job = await queue_backtest(
        database,
        tenant.id,
        _drawn,
        BacktestParameters(since=T0 - 90 * DAY, until=T0, customer_ids=[WHO, 2]),
        based_on=None,
        actor=BY,
    )
    kinds = dict(JOB_HANDLERS)

    async def interrupted(run):
        await JOB_HANDLERS[BACKTEST](run)
        await anonymize_customer(database, tenant.id, WHO, by=BY)

    kinds[BACKTEST] = interrupted
    assert await run_job(database, tenant.id, inline_job.job.id, kinds)

    assert str(WHO) not in await dump(servers, tenant.id)
    done = await get_job(database, tenant.id, inline_job.job.id)
    assert "'customer_id': 2" in str(done.result)


async def test_an_erased_customer_s_moves_still_lead_to_the_events_that_caused_them(database, found_tenant):
    tenant = await found_tenant(test_clock=T0)
    await ingest(database, tenant.id, [visit(WHO, 1, T0), visit(WHO, 2, T0)])
    asked = (
        "SELECT count(*) FROM journey_transitions t JOIN journey_events e ON e.company_id = t.company_id"
        " AND e.relationship_id = t.relationship_id AND t.cause_id = e.source || ':' || e.event_id"
        " WHERE t.company_id = :company AND t.cause_kind = 'event'"
    )
    before = (await rows(database, tenant.id, asked))[0][0]
    await anonymize_customer(database, tenant.id, WHO, by=BY)

    assert (await rows(database, tenant.id, asked))[0][0] == before > 0


async def test_whom_a_restored_backup_has_brought_back_is_erased_again_by_what_was_kept_elsewhere(
    database, servers, found_tenant
):
    tenant, restored = await found_tenant(test_clock=T0), await found_tenant(test_clock=T0)
    for customer in (1, 2, WHO):
        await ingest(database, tenant.id, [visit(customer, 1, T0)])
    for customer in (1, WHO):
        await anonymize_customer(database, tenant.id, customer, by=BY)
    kept = {tombstone.customer_hmac for tombstone in await list_tombstones(database, tenant.id)}
    assert len(kept) == 2
    # The backup: everybody is back, and of the erasures nothing is known.
    connection = await asyncpg.connect(servers.database_url)
    await connection.execute("DELETE FROM erasure_tombstones WHERE company_id = $1", tenant.id)
    await connection.close()
    for customer in (1, WHO):
        await ingest(database, tenant.id, [visit(customer, 2, T0)])

    assert await reapply_erasures(database, tenant.id, kept, by=BY) == 2

    ids = await rows(database, tenant.id, "SELECT customer_id FROM customers WHERE company_id = :company")
    assert sorted(row[0] for row in ids if row[0] > 0) == [2]
    assert await reapply_erasures(database, tenant.id, kept, by=BY) == 0
    # Another company's hashes are not this one's.
    await ingest(database, restored.id, [visit(WHO, 1, T0)])
    assert await reapply_erasures(database, restored.id, kept, by=BY) == 0


async def test_a_source_that_tells_of_others_too_stays_and_one_of_a_single_customer_does_not(
    database, found_tenant
):
    tenant = await found_tenant(test_clock=T0)
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


async def test_the_row_of_an_erasure_leads_from_neither_id_to_the_other(database, found_tenant):
    tenant = await found_tenant(test_clock=T0)
    for customer, request in ((WHO, f"erase-{WHO}"), (2, "erase-1b2c")):
        await ingest(database, tenant.id, [visit(customer, 1, T0)])
        by = Actor("key:desk", request_id=request)
        await anonymize_customer(database, tenant.id, customer, by=by)

    told = await rows(
        database,
        tenant.id,
        "SELECT customer_id, request_id FROM audit_log WHERE company_id = :company AND action = 'customer.anonymize'"
        " ORDER BY id",
    )
    assert [tuple(row) for row in told] == [(None, None), (None, "erase-1b2c")]


async def test_what_was_said_of_others_stays_in_the_audit_log(database, found_tenant):
    tenant = await found_tenant(test_clock=T0)
    profile = {"name": "Ann", "email": None, "phone": "+49 (170) 55.5"}
    await put_customer(database, tenant.id, 5, profile, consents={}, by=BY)
    said = {
        "r-5": ("about 5", False),
        "ab5cd": ("the annual review of customer 55", True),
        "anna.b": ("Annabel has called from +49 (170) 55.55", True),
        "x-ANN": ("nothing", False),
        "y": ("Ann, again", False),
        "z": ("call +49 (170) 55.5 back", False),
    }
    for request, (reason, _) in said.items():
        operator = Actor("key:op", is_operator=True, reason=reason, request_id=request)
        await record_operator_access(database, tenant.id, "list_customers", by=operator)

    await anonymize_customer(database, tenant.id, 5, by=BY)

    kept = await rows(
        database,
        tenant.id,
        "SELECT request_id, reason FROM audit_log WHERE company_id = :company AND action = 'operator.present'"
        " AND reason IS NOT NULL",
    )
    assert {tuple(row) for row in kept} == {
        (request, reason) for request, (reason, stays) in said.items() if stays
    }


async def test_of_an_unknown_customer_nothing_is_handed_out_or_erased(database, tenant):
    for act in (export_customer, anonymize_customer):
        with pytest.raises(CustomerNotFoundError):
            await act(database, tenant.id, 99, by=BY)
    assert (
        await rows(database, tenant.id, "SELECT 1 FROM erasure_tombstones WHERE company_id = :company")
    ) == []


async def test_companies_do_not_know_of_each_other_s_erasures(database, found_tenant):
    mine, other = await found_tenant(test_clock=T0), await found_tenant(test_clock=T0)
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
