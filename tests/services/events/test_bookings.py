"""Bookings in the service: what counts is the same live, imported, corrected and erased, and for every reader."""

import json
import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import event as sql_events

from journey_service.domain.access.actors import Actor
from journey_service.domain.events.event import Event
from journey_service.services.customers.privacy import anonymize_customer
from journey_service.services.events.customer_events import list_customer_events
from journey_service.services.events.imports.imports import run_import, stage_import
from journey_service.services.events.ingest import IngestStatus, ingest
from journey_service.services.journeys import reading
from journey_service.services.operations.data_quality import inspect
from journey_service.services.operations.reconciliation import reconcile
from journey_service.services.operations.test_clock import advance
from ledger import find_violations, rows

BY = Actor("tests")
T0 = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
COMPLETED, MISSED, CANCELLED, BOOKED, RETRACTED = (
    *(f"appointment_{word}" for word in ("completed", "missed", "cancelled", "booked")),
    "event_retracted",
)


@pytest.fixture
async def company(create_test_company):
    return (await create_test_company(test_clock=T0)).id


def told(type_, id_, hours_ago=1.0, *, amount=0, booking="B1", who=1, source="live", **more):
    return Event(
        source, id_, who, type_, T0 - hours_ago * HOUR, round(100 * amount), booking_id=booking, **more
    )


def retraction(id_, named, who=1, source="live"):
    return Event(source, id_, who, RETRACTED, T0, retracts=("live", named))


async def apply(database, company_id, *events):
    """Ingests events one by one, and returns the results."""
    results = []
    for event in events:
        [result] = await ingest(database, company_id, [event])
        assert not isinstance(result, Exception), result
        results.append(result)
    return results


async def import_events(database, company_id, events):
    """Imports events as NDJSON."""
    lines = []
    for event in events:
        times = {"scheduled_for": event.scheduled_for, "reported_at": event.reported_at}
        values = {
            "id": event.event_id,
            "source": event.source,
            "type": event.type,
            "customer_id": event.customer_id,
            "occurred_at": event.occurred_at.isoformat(),
            "total_amount": event.amount_cents / 100,
            "booking_id": event.booking_id,
            "retracts": event.retracts and {"source": event.retracts[0], "id": event.retracts[1]},
            **{name: at and at.isoformat() for name, at in times.items()},
        }
        lines.append(json.dumps({name: value for name, value in values.items() if value is not None}))

    async def chunks():
        yield "\n".join(lines).encode()

    staged = await stage_import(database, company_id, chunks(), actor=BY)
    assert await run_import(database, company_id, staged.id)


async def facts_of(database, company_id, who=1):
    """Returns (appointments, missed, lifetime value)."""
    [found] = await rows(
        database,
        company_id,
        "SELECT total_appointments, total_missed, lifetime_value FROM customer_relationships"
        " WHERE company_id = :company AND customer_id = :who",
        who=who,
    )
    return tuple(found)


async def revenue_by_day(database, company_id):
    found = await rows(
        database,
        company_id,
        "SELECT day, sum(appointments) AS revenue FROM journey_rollups WHERE company_id = :company"
        " AND kind = 'revenue' GROUP BY day HAVING sum(appointments) <> 0",
    )
    return {row.day: row.revenue for row in found}


async def check_books(database, company_id):
    """Checks that facts, rollups, snapshots and ledgers agree, by every check of the service and by the tests' own."""
    assert await find_violations(database, company_id) == []
    assert (await reconcile(database, company_id)).differences == []


# ---- the case, and others of its kind


async def test_h11_a_booking_that_is_told_three_times_counts_once(database, company):
    events = [told(COMPLETED, f"e{n}", 1 - n / 60, amount=60) for n in range(3)]
    results = await apply(database, company, *events, events[0])
    assert [result.status for result in results] == [*3 * [IngestStatus.APPLIED], IngestStatus.DUPLICATE]
    assert await facts_of(database, company) == (1, 0, 60)
    assert await revenue_by_day(database, company) == {date(2026, 3, 2): 60}
    await check_books(database, company)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([told(MISSED, "1", 5), told(COMPLETED, "2", 4, amount=80)], (1, 0, 80)),
        ([told(COMPLETED, "2", 4, amount=80), told(MISSED, "1", 5)], (1, 0, 80)),
        (
            [told(MISSED, "1", 4), told(COMPLETED, "2", 6, amount=80, reported_at=T0)],
            (1, 0, 80),
        ),
        ([told(COMPLETED, "1", 4, amount=80), told(CANCELLED, "2", 3)], (0, 0, 0)),
        ([told(CANCELLED, "2", 3), told(COMPLETED, "1", 4, amount=80)], (0, 0, 0)),
        (
            [told(COMPLETED, "1", amount=80), retraction("2", "1"), told(COMPLETED, "3", amount=8)],
            (1, 0, 8),
        ),
        ([retraction("2", "1"), told(COMPLETED, "1", amount=80, booking=None)], (0, 0, 0)),
        ([told(COMPLETED, "1", amount=80, booking=None), retraction("2", "1")], (0, 0, 0)),
    ],
    ids=[
        *("missed, then completed", "the other way round", "corrected with reported_at"),
        *("completed, then cancelled", "the other way round ", "retracted and sent again"),
        *("retracted before it came", "retracted"),
    ],
)
@pytest.mark.newest_only
async def test_corrections(events, expected, database, create_test_company):
    """One by one, in one batch, and imported."""
    one_by_one, batched, imported = [(await create_test_company(test_clock=T0)).id for _ in range(3)]
    await apply(database, one_by_one, *events)
    await ingest(database, batched, events)
    await import_events(database, imported, events)
    for company_id in (one_by_one, batched, imported):
        assert await facts_of(database, company_id) == expected
        assert sum((await revenue_by_day(database, company_id)).values()) == expected[2]
        await check_books(database, company_id)


async def test_a_live_event_and_the_same_booking_in_an_import_count_once(database, company):
    await apply(database, company, told(COMPLETED, "1", 50, amount=60))
    await import_events(database, company, [told(COMPLETED, "x", 50, amount=60, source="till")])
    assert await facts_of(database, company) == (1, 0, 60)
    await check_books(database, company)


async def test_a_correction_moves_nobody_back_and_triggers_no_rule_of_an_event(database, company):
    first, second, third = await apply(
        database,
        company,
        told(COMPLETED, "1", 5, amount=60),
        told(CANCELLED, "2", 4),
        told(COMPLETED, "3", 6, amount=60),
    )
    assert first.entry.transition.to_stage == "customer"
    assert (second.entry, third.entry) == (None, None)
    assert (await reading.get_journey(database, company, 1)).stored.relationship.current_stage == "customer"


# ---- any order, any repetition, any way in


def random_events(chance):
    """Generates events of a few customers and bookings, with corrections and retractions among them."""
    events = []
    for number in range(48):
        type_ = chance.choice(
            (COMPLETED, COMPLETED, MISSED, CANCELLED, BOOKED, RETRACTED, "payment_received")
        )
        retracted = ("live", f"e{chance.randrange(48)}") if type_ == RETRACTED else None
        events.append(
            told(
                type_,
                f"e{number}",
                chance.choice((1, 1, 2, 30, 60)),
                amount=chance.choice((0, 10, 25.5)),
                booking=chance.choice(("B1", "B2", "B3", "B4", None)) if retracted is None else None,
                who=chance.randrange(1, 4),
                reported_at=chance.choice((None, None, T0 - HOUR, T0)),
                scheduled_for=chance.choice((None, T0 + DAY, T0 + 100 * DAY)) if type_ == BOOKED else None,
                retracts=retracted,
            )
        )
    return events


async def test_facts_and_revenue_depend_on_no_order_no_repetition_and_no_way_in(
    database, create_test_company
):
    chance = random.Random(7)
    events = random_events(chance)
    found = []
    for live in (48, 0, 24, 40):
        company_id = (await create_test_company(test_clock=T0)).id
        arrived = [*events[:live], *events[: live // 3]]
        chance.shuffle(arrived)
        await apply(database, company_id, *arrived[:8])
        if live:
            await ingest(database, company_id, arrived)
        if live < len(events):
            await import_events(database, company_id, [*events[live:], *events[-3:]])
        await check_books(database, company_id)
        facts = await rows(
            database,
            company_id,
            "SELECT customer_id, total_appointments, total_missed, appointments_value, payments_value,"
            " first_appointment_at, last_appointment_at, last_event_at, recent_completed, recent_missed,"
            " open_bookings FROM customer_relationships WHERE company_id = :company ORDER BY customer_id",
        )
        found.append(([tuple(row) for row in facts], await revenue_by_day(database, company_id)))
    assert all(each == found[0] for each in found)
    assert sum(row[1] for row in found[0][0]) > 0


# ---- snapshots


async def test_a_corrected_day_gets_another_revision(database, company):
    await apply(database, company, told(COMPLETED, "1", 5, amount=60))
    await advance(database, company, T0 + 2 * DAY, actor=BY)
    await apply(database, company, told(CANCELLED, "2", 4))
    await advance(database, company, T0 + 3 * DAY, actor=BY)
    [snapshot] = await rows(
        database,
        company,
        "SELECT revenue, revision FROM journey_stage_metrics WHERE company_id = :company"
        " AND metric_date = '2026-03-02' AND stage_key = 'customer'",
    )
    assert tuple(snapshot) == (Decimal(0), 2)
    await check_books(database, company)


# ---- readers


async def test_the_past_shows_what_counts_today(database, company):
    await apply(
        database,
        company,
        told(COMPLETED, "1", 100, amount=60),
        told(MISSED, "2", 99),
        told(COMPLETED, "3", 98, amount=5, booking="B2"),
    )
    past = await reading.get_past_journey(database, company, 1, T0)
    present = await reading.get_journey(database, company, 1)
    assert past.stored.relationship.facts == present.stored.relationship.facts
    assert past.stored.relationship.facts.appointments_cents == 500
    await apply(database, company, retraction("4", "2"))
    page = await list_customer_events(database, company, 1, types=None, before=None, limit=10)
    assert {booking.booking_id: booking.state for booking in page.bookings} == {
        "B1": "completed",
        "B2": "completed",
    }


async def test_data_quality_lists_shared_bookings_and_foreign_retractions(database, company):
    await apply(
        database,
        company,
        told(COMPLETED, "1", amount=60),
        told(COMPLETED, "2", amount=60, who=2),
        retraction("3", "1", who=2),
    )
    assert await facts_of(database, company, 1) == await facts_of(database, company, 2) == (1, 0, 60)
    issues = {issue.name: issue for issue in await inspect(database, company)}
    assert [dict(row) for row in issues["shared_bookings"].examples] == [
        {"booking_id": "B1", "customer_ids": [1, 2]}
    ]
    [foreign] = issues["foreign_retractions"].examples
    assert (foreign["customer_id"], foreign["event_customer_id"], foreign["retracted_id"]) == (2, 1, "1")
    assert (issues["shared_bookings"].repair, issues["foreign_retractions"].repair) == (None, None)


async def test_an_erasure_changes_nothing_that_counts(database, company):
    """Outcomes at one instant are ordered by their ids, which the erasure replaces by hashes."""
    events = [told(COMPLETED, f"e{n}", amount=n, booking=f"B{n // 4}") for n in range(40)]
    await ingest(database, company, [*events, retraction("r", "e3"), told(BOOKED, "b", scheduled_for=T0)])
    before = await facts_of(database, company), await revenue_by_day(database, company)
    await anonymize_customer(database, company, 1, by=BY)
    [(erased,)] = await rows(
        database, company, "SELECT customer_id FROM customer_relationships WHERE company_id = :company"
    )
    assert (await facts_of(database, company, erased), await revenue_by_day(database, company)) == before
    await check_books(database, company)
    [(named, bookings)] = await rows(
        database,
        company,
        "SELECT count(*) FILTER (WHERE retracts_id = 'e3' OR booking_id LIKE 'B%'), count(DISTINCT booking_id)"
        " FROM journey_events WHERE company_id = :company",
    )
    assert (named, bookings) == (0, 10)


# ---- the cost of an event


async def count_statements(database, company_id, *events):
    statements = []

    def note(_connection, _cursor, statement, *_):
        statements.append(statement)

    engine = database._app.sync_engine
    sql_events.listen(engine, "before_cursor_execute", note)
    try:
        results = await ingest(database, company_id, list(events))
    finally:
        sql_events.remove(engine, "before_cursor_execute", note)
    assert not [result for result in results if isinstance(result, Exception)]
    return len(statements)


async def test_an_event_without_a_booking_costs_no_further_statement(database, company):
    visits = [
        told(COMPLETED, f"v{n}", 20, booking=None) for n in range(3)
    ]  # no later event moves the customer
    await ingest(database, company, [*visits, told(COMPLETED, "1", 9), told(BOOKED, "2", 9, booking="B2")])
    plain = await count_statements(database, company, told(COMPLETED, "3", 8, amount=1, booking=None))
    assert plain == await count_statements(
        database, company, *(told(COMPLETED, f"n{n}", 8, amount=1, booking=None) for n in range(20))
    )
    booked = await count_statements(database, company, told(COMPLETED, "4", 7, amount=1, booking="B2"))
    assert booked == plain + 1
    # A correction reads the customer's events once, whatever the number of corrections.
    corrected = await count_statements(
        database, company, *(told(COMPLETED, f"c{n}", 6 - n / 9, amount=1) for n in range(9))
    )
    assert corrected == plain + 2
