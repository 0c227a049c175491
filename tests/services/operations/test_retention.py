"""Retention: nightly runs clear expired data by the periods of the policy, and nothing earlier."""

from datetime import UTC, datetime, timedelta
from functools import partial

import asyncpg
import pytest
from sqlalchemy import text

from journey_service.domain.access.actors import Actor
from journey_service.domain.actions.stage_actions import ActionStep, Channel, StageAction
from journey_service.domain.events.event import Event
from journey_service.domain.events.parsing import ImportLine
from journey_service.domain.events.records import ImportOptions
from journey_service.services.actions.delivery.publisher import publish
from journey_service.services.actions.stage_actions import set_actions
from journey_service.services.actions.webhook_endpoints import add_endpoint
from journey_service.services.customers.profiles import put_customer
from journey_service.services.events.imports.imports import (
    get_import,
    list_line_errors,
    run_import,
    stage_import,
)
from journey_service.services.events.ingest import ingest
from journey_service.services.job_registry import JOB_HANDLERS
from journey_service.services.jobs import get_job, run_job
from journey_service.services.journeys.rescoring import queue_rescore
from journey_service.services.operations import retention
from journey_service.services.operations.nightly import start_nightly_run
from journey_service.services.operations.test_clock import advance
from ledger import find_violations, rows

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
BY = Actor("tests")
POLICY = {
    "keep_event_details_days": 30,
    "keep_import_errors_days": 10,
    "keep_job_details_days": 20,
    "keep_outbound_events_days": 15,
    "keep_audit_days": 40,
}


async def age_rows(servers, company_id: int, table: str, column: str, days: int) -> None:
    """Makes rows some days older."""
    connection = await asyncpg.connect(servers.database_url)
    try:
        await connection.execute(
            f"UPDATE {table} SET {column} = {column} - make_interval(days => $2) WHERE company_id = $1",
            company_id,
            days,
        )
    finally:
        await connection.close()


async def run_night(database, company_id: int, at: datetime):
    """Runs the nightly run of a time."""
    await database.run(company_id, lambda uow: uow.companies.set_clock(at))
    job_id = await start_nightly_run(database, company_id)
    assert job_id is not None
    assert await run_job(database, company_id, job_id, JOB_HANDLERS)
    return await get_job(database, company_id, job_id)


async def details(database, company_id: int) -> list[str]:
    found = await rows(
        database,
        company_id,
        "SELECT event_id FROM journey_events WHERE company_id = :company AND metadata IS NOT NULL ORDER BY 1",
    )
    return [row[0] for row in found]


async def test_event_details_are_cleared_after_their_period_and_events_stay(database, create_test_company):
    tenant = await create_test_company(test_clock=T0, policy=POLICY)
    ages = {"29 days": 29, "a microsecond less": 30, "a microsecond more": 30, "old": 300}
    offsets = {
        "a microsecond less": timedelta(microseconds=1),
        "a microsecond more": timedelta(microseconds=-1),
    }
    at = T0 + 20 * timedelta(hours=1)
    await ingest(
        database,
        tenant.id,
        [
            Event(
                "t",
                name,
                1,
                "ticket_opened",
                at - days * DAY + offsets.get(name, timedelta()),
                metadata={"note": name},
            )
            for name, days in ages.items()
        ],
    )
    before = await rows(
        database,
        tenant.id,
        "SELECT source, event_id, content_hash, type, occurred_at, amount, call_duration, booking_id, stage"
        " FROM journey_events WHERE company_id = :company ORDER BY 2",
    )
    job = await run_night(database, tenant.id, at)

    assert await details(database, tenant.id) == ["29 days", "a microsecond less"]
    assert job.counts["event_details"] == 2
    assert before == await rows(
        database,
        tenant.id,
        "SELECT source, event_id, content_hash, type, occurred_at, amount, call_duration, booking_id, stage"
        " FROM journey_events WHERE company_id = :company ORDER BY 2",
    )
    # The event is still known: the same content is a duplicate.
    again = Event("t", "old", 1, "ticket_opened", at - 300 * DAY, metadata={"note": "old"})
    assert [outcome.status for outcome in await ingest(database, tenant.id, [again])] == ["duplicate"]
    assert await find_violations(database, tenant.id) == []


async def test_advancing_a_test_clock_clears_data_that_expires_on_the_way(database, create_test_company):
    tenant = await create_test_company(test_clock=T0, policy=POLICY)
    await ingest(database, tenant.id, [Event("t", "e", 1, "ticket_opened", T0, metadata={"a": 1})])

    await advance(database, tenant.id, T0 + 29 * DAY, actor=BY, timeout_seconds=None)
    assert await details(database, tenant.id) == ["e"]
    await advance(database, tenant.id, T0 + 32 * DAY, actor=BY, timeout_seconds=None)

    assert await details(database, tenant.id) == []


async def test_import_errors_job_details_and_audit_entries_are_cleared_after_their_periods(
    database, servers, create_test_company
):
    tenant = await create_test_company(test_clock=T0, policy=POLICY)
    await put_customer(
        database, tenant.id, 1, {"name": "n", "email": None, "phone": None}, consents={}, by=BY
    )
    job_id = await queue_rescore(database, tenant.id, actor=BY, customer_ids=[1])
    await run_job(database, tenant.id, job_id, JOB_HANDLERS)

    async def chunks():
        yield b"customer_id,occurred_at,event_type,amount\n1,yesterday,appointment_completed,1\n"

    found = await stage_import(database, tenant.id, chunks(), actor=BY, options=ImportOptions(T0))
    await run_import(database, tenant.id, found.id)

    async def kept() -> tuple[int, bool, int]:
        line_errors = await list_line_errors(database, tenant.id, found.id, after=(0, ""), limit=10)
        job = await get_job(database, tenant.id, job_id)
        audited = await rows(
            database,
            tenant.id,
            "SELECT action FROM audit_log WHERE company_id = :company AND action = 'customer.update'",
        )
        return len(line_errors), bool(job.parameters), len(audited)

    assert await kept() == (1, True, 1)
    ages = (9, 11, 21, 41)
    expected = ((1, True, 1), (0, True, 1), (0, False, 1), (0, False, 0))
    before = 0
    for days, left in zip(ages, expected, strict=True):
        for table, column in (("imports", "finished_at"), ("jobs", "finished_at"), ("audit_log", "at")):
            await age_rows(servers, tenant.id, table, column, days - before)
        before = days
        await run_night(database, tenant.id, T0 + days * DAY)
        assert await kept() == left, days
    assert (await get_import(database, tenant.id, found.id)).failed_lines == 1
    assert (await get_job(database, tenant.id, job_id)).status == "done"


async def test_lines_of_interrupted_uploads_are_deleted_after_a_day(database, servers, create_test_company):
    tenant = await create_test_company(test_clock=T0, policy=POLICY)
    line = ImportLine(2, Event("import", "a", 1, "ticket_opened", T0), has_id=True)

    async def begin(uow, *, is_dry_run):
        import_id = await uow.imports.insert(ImportOptions(), actor="tests", is_dry_run=is_dry_run)
        await uow.import_lines.insert(import_id, [line])

    for is_dry_run in (True, False):
        await database.run(tenant.id, partial(begin, is_dry_run=is_dry_run))
    kept = "SELECT i.status, count(l.line) FROM imports i LEFT JOIN import_lines l ON l.import_id = i.id"
    kept += " WHERE i.company_id = :company GROUP BY i.id, i.status ORDER BY 1"
    await run_night(database, tenant.id, T0 + DAY)
    assert [tuple(row) for row in await rows(database, tenant.id, kept)] == [("reading", 1)] * 2
    await age_rows(servers, tenant.id, "imports", "created_at", 2)
    await run_night(database, tenant.id, T0 + 2 * DAY)
    assert [tuple(row) for row in await rows(database, tenant.id, kept)] == [("failed", 0)]


async def test_several_pages_are_cleared_in_one_company_only(database, create_test_company, monkeypatch):
    monkeypatch.setattr(retention, "CLEAR_BATCH_SIZE", 7)
    mine, other = (
        await create_test_company(test_clock=T0, policy=POLICY),
        await create_test_company(test_clock=T0, policy=POLICY),
    )
    for tenant in (mine, other):
        events = [
            Event("t", f"e{n:02}", n, "ticket_opened", T0 - 100 * DAY, metadata={"n": n})
            for n in range(1, 31)
        ]
        await ingest(database, tenant.id, events)

    job = await run_night(database, mine.id, T0 + DAY)

    assert job.counts["event_details"] == 30
    assert await details(database, mine.id) == []
    assert len(await details(database, other.id)) == 30


@pytest.mark.parametrize("name", ["_event_details", "_audit"])
async def test_a_step_that_clears_nothing_is_detected(
    database, servers, create_test_company, monkeypatch, name
):
    async def nothing(uow):
        return 0

    steps = {step: nothing if clear.__name__ == name else clear for step, clear in retention._STEPS.items()}
    monkeypatch.setattr(retention, "_STEPS", steps)
    tenant = await create_test_company(test_clock=T0, policy=POLICY)
    await ingest(
        database, tenant.id, [Event("t", "e", 1, "ticket_opened", T0 - 100 * DAY, metadata={"a": 1})]
    )
    await age_rows(servers, tenant.id, "audit_log", "at", 50)

    await run_night(database, tenant.id, T0 + DAY)

    left = await rows(
        database,
        tenant.id,
        "SELECT 1 FROM audit_log WHERE company_id = :company AND action = 'company.create'",
    )
    assert (
        (await details(database, tenant.id), len(left)) == (["e"], 0) if name == "_event_details" else ([], 1)
    )
    print("guard removed: detected")


async def test_outbound_events_are_cleared_after_their_period_unless_they_can_be_retried(
    database, servers, create_test_company
):
    tenant = await create_test_company(test_clock=T0, policy=POLICY)
    crm = [StageAction(f"update_{number}", (ActionStep(Channel.CRM),)) for number in range(3)]
    await set_actions(database, tenant.id, "customer", crm, seen=None, by=BY)
    await add_endpoint(
        database,
        tenant.id,
        url="https://crm.example.com/events",
        events=["stage.changed"],
        description=None,
        by=BY,
    )
    await ingest(
        database,
        tenant.id,
        [Event("t", str(n), n, "appointment_completed", T0, amount_cents=1) for n in range(3)],
    )
    # Of each customer: two moves, which are delivered, and three finished actions.
    assert await publish(database, tenant.id) == 15
    await database.run(tenant.id, _make_one_dead)

    async def kept() -> tuple[int, int]:
        outbound_events = await rows(
            database,
            tenant.id,
            "SELECT 1 FROM outbound_events WHERE company_id = :company AND type = 'stage.changed'",
        )
        delivery_rows = await rows(
            database,
            tenant.id,
            "SELECT 1 FROM journey_actions WHERE company_id = :company AND channel = 'webhook'",
        )
        return len(outbound_events), len(delivery_rows)

    await age_rows(servers, tenant.id, "outbound_events", "created_at", 14)
    await run_night(database, tenant.id, T0 + 2 * DAY)
    assert await kept() == (6, 6)
    await age_rows(servers, tenant.id, "outbound_events", "created_at", 2)
    job = await run_night(database, tenant.id, T0 + 3 * DAY)
    assert job.counts["outbound_events"] == 13
    # The dead one, which can still be retried, and the latest, from which positions continue.
    assert await kept() == (2, 2)


async def _make_one_dead(uow):
    await uow._connection.execute(
        text(
            "UPDATE journey_actions SET state = 'dead' WHERE company_id = :company AND id ="
            " (SELECT id FROM journey_actions WHERE company_id = :company AND channel = 'webhook' LIMIT 1)"
        ),
        {"company": uow.company_id},
    )
