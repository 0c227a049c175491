"""Imports with `on_changed=replace`: facts are the fold of what counts, whatever was replaced, retracted or merged."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from journey_service.domain.access.actors import Actor
from journey_service.domain.events.event import Event
from journey_service.domain.events.records import ImportOptions
from journey_service.services.customers.merging import merge_customers
from journey_service.services.events.counting import CountedEvents
from journey_service.services.events.imports import matching, replay
from journey_service.services.events.imports.imports import check_import, get_import, run_import, stage_import
from journey_service.services.events.ingest import ingest
from journey_service.services.journeys.reading import get_journey
from journey_service.services.operations.reconciliation import reconcile
from ledger import find_violations, rows

BY = Actor("tests")
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HEADER = "customer_id,occurred_at,type,amount,booking_id\n"
DONE = "appointment_completed"


@pytest.fixture
async def company(create_test_company):
    return (await create_test_company(test_clock=NOW)).id


@pytest.fixture
def replace(database, company):
    """Imports lines with `replace`, checks the books, and returns (applied, duplicates, failed)."""

    async def run(*lines, on_changed="replace", **options):
        text = HEADER + "".join(f"{line}\n" for line in lines)

        async def chunks():
            yield text.encode()

        options = ImportOptions(on_changed=on_changed, **options)
        before = await facts(database, company)
        check = await check_import(database, company, chunks(), actor=BY, options=options)
        assert await facts(database, company) == before
        staged = await stage_import(database, company, chunks(), actor=BY, options=options)
        assert await run_import(database, company, staged.id)
        done = await get_import(database, company, staged.id)
        # A replaced line is one line, in the dry run as in the import.
        assert (check.new, check.known, check.changed, check.failed) == (
            done.applied,
            done.duplicates,
            done.changed,
            done.failed_lines,
        )
        assert await find_violations(database, company) == []
        assert (await reconcile(database, company)).differences == []
        return done.applied, done.duplicates, done.changed

    return run


async def facts(database, company):
    found = await rows(
        database,
        company,
        "SELECT customer_id, total_appointments, lifetime_value FROM customer_relationships"
        " WHERE company_id = :company AND current_stage <> 'merged' ORDER BY 1",
    )
    return {row[0]: (row[1], row[2]) for row in found}


async def revenue(database, company):
    found = await rows(
        database,
        company,
        "SELECT day, sum(appointments) AS revenue FROM journey_rollups WHERE company_id = :company"
        " AND kind = 'revenue' GROUP BY day HAVING sum(appointments) <> 0 ORDER BY 1",
    )
    return {row.day.isoformat(): row.revenue for row in found}


def line(amount, *, who=1, at="2026-02-03", booking=""):
    return f"{who},{at},{DONE},{amount},{booking}"


async def test_an_amount_that_changes_there_and_back_counts_as_the_last_file_has_it(
    database, company, replace
):
    assert await replace(line(30), line(50)) == (2, 0, 0)
    for amount in (35, 40, 30, 35, 30, 50, 30):
        await replace(line(amount), line(50))
        expected = {1: (2, Decimal(amount + 50))}
        assert await facts(database, company) == expected, amount
        assert sum((await revenue(database, company)).values()) == amount + 50
        assert await replace(line(50), line(amount)) == (0, 2, 0)
        assert await facts(database, company) == expected, amount
    # An older file differs from what counts, as any other file does.
    assert await replace(line(35), line(50), on_changed="hold") == (0, 1, 1)
    assert await replace(line(35), line(50), on_changed="add") == (1, 1, 0)
    assert await facts(database, company) == {1: (3, Decimal(115))}


async def test_equal_lines_are_replaced_one_by_one(database, company, replace, monkeypatch):
    monkeypatch.setattr(replay, "REPLAY_BATCH_SIZE", 3)
    await replace(line(30), line(30), line(30), line(9, who=2))
    assert await replace(line(30), line(35), line(30), line(9, who=2)) == (1, 3, 0)
    assert await facts(database, company) == {1: (3, Decimal(95)), 2: (1, Decimal(9))}
    assert await replace(line(30), line(30), line(30), line(8, who=2)) == (2, 2, 0)
    assert await facts(database, company) == {1: (3, Decimal(90)), 2: (1, Decimal(8))}
    assert await replace(line(30), line(30), line(30), line(8, who=2)) == (0, 4, 0)


async def test_a_correction_of_the_amount_moves_nobody(database, company, replace):
    """Between the retraction and the new event the customer has no appointment; no decision sees that."""
    await replace(line(600, at="2026-03-02 11:00"))
    stages = "SELECT from_stage, to_stage FROM journey_transitions WHERE company_id = :company ORDER BY seq"
    before = await rows(database, company, stages)
    # The sum of both would make a VIP.
    await replace(line(650, at="2026-03-02 11:00"))
    assert await rows(database, company, stages) == before
    await replace(line(1650, at="2026-03-02 11:00"))
    assert (await get_journey(database, company, 1)).stored.relationship.current_stage == "vip"


async def test_what_differs_in_more_than_the_amount_replaces_nothing(database, company, replace):
    await replace(line(30), line(20, who=2))
    # Another customer, another day, another time of the day, and another type.
    assert await replace(line(30, who=3), line(31, at="2026-02-04"), line(32, at="2026-02-03 10:00")) == (
        3,
        0,
        0,
    )
    assert await facts(database, company) == {
        1: (3, Decimal(93)),
        2: (1, Decimal(20)),
        3: (1, Decimal(30)),
    }
    assert set(await revenue(database, company)) == {"2026-02-03", "2026-02-04"}


async def test_an_amount_on_another_day_than_the_known_one_moves_the_revenue(database, company, replace):
    await replace(line(30, at="2026-02-03"), line(40, at="2026-02-04"))
    assert await revenue(database, company) == {"2026-02-03": 30, "2026-02-04": 40}
    await replace(line(40, at="2026-02-03"), line(30, at="2026-02-04"))
    assert await revenue(database, company) == {"2026-02-03": 40, "2026-02-04": 30}


async def test_a_retracted_line_is_not_replaced_and_does_not_come_back(database, company, replace):
    await replace(line(30))
    [(stored,)] = await rows(
        database, company, "SELECT event_id FROM journey_events WHERE company_id = :company"
    )
    retraction = Event("live", "r", 1, "event_retracted", NOW, retracts=("import", stored))
    await ingest(database, company, [retraction])
    assert await facts(database, company) == {1: (0, Decimal(0))}
    assert await replace(line(30)) == (0, 1, 0)
    assert await facts(database, company) == {1: (0, Decimal(0))}
    # Another amount has no line to replace: the known one counts no more.
    assert await replace(line(35)) == (1, 0, 0)
    assert await facts(database, company) == {1: (1, Decimal(35))}


async def test_a_booking_counts_with_the_amount_of_the_last_file(database, company, replace):
    await replace(line(30, booking="B1"), line(40, booking="B2"))
    assert await replace(line(35, booking="B1"), line(40, booking="B2")) == (1, 1, 0)
    assert await facts(database, company) == {1: (2, Decimal(75))}
    assert await replace(line(30, booking="B1"), line(40, booking="B2")) == (1, 1, 0)
    assert await facts(database, company) == {1: (2, Decimal(70))}
    # A later report of the booking counts, whatever the file says of the earlier one.
    later = Event("live", "c", 1, "appointment_cancelled", NOW, booking_id="B1")
    await ingest(database, company, [later])
    assert await replace(line(99, booking="B1"), line(40, booking="B2")) == (1, 1, 0)
    assert await facts(database, company) == {1: (1, Decimal(40))}


async def test_lines_of_a_merged_customer_are_replaced_at_the_survivor(database, company, replace):
    await replace(line(30), line(40, who=2))
    version = (await get_journey(database, company, 1)).stored.relationship.version
    await merge_customers(database, company, 1, 2, version=version, by=BY)
    assert await facts(database, company) == {1: (2, Decimal(70))}
    assert await replace(line(30), line(45, who=2)) == (1, 1, 0)
    assert await facts(database, company) == {1: (2, Decimal(75))}
    assert await replace(line(30), line(40, who=2)) == (1, 1, 0)
    assert await replace(line(30), line(40, who=2)) == (0, 2, 0)
    assert await facts(database, company) == {1: (2, Decimal(70))}


async def test_a_line_that_cannot_be_added_leaves_the_known_one(database, company, replace, monkeypatch):
    await replace(line(30), line(999_999_999, at="2026-02-01"))
    text = HEADER + f"{line(40)}\n"

    async def chunks():
        yield text.encode()

    monkeypatch.setattr("journey_service.domain.journeys.journey.max_sum", lambda _: 99_999_999_900 + 3_500)
    staged = await stage_import(
        database, company, chunks(), actor=BY, options=ImportOptions(on_changed="replace")
    )
    assert await run_import(database, company, staged.id)
    assert (await get_import(database, company, staged.id)).failed_lines == 1
    assert await facts(database, company) == {1: (2, Decimal(1_000_000_029))}
    assert await find_violations(database, company) == []


# ---- without the guards


async def test_a_former_amount_that_is_taken_for_known_is_found_out(database, company, replace, monkeypatch):
    async def as_they_are(_uow, _lines, events, stored, _relationship_ids):
        return events, stored

    await replace(line(30))
    await replace(line(35))
    monkeypatch.setattr(matching, "_pass_over_replaced", as_they_are)
    assert await replace(line(30)) == (0, 1, 0)
    assert await facts(database, company) == {1: (1, Decimal(35))}
    print("guard removed: detected")


async def test_a_decision_between_the_retraction_and_the_new_event_is_found_out(
    database, company, replace, monkeypatch
):
    async def one_after_the_other(self, journey, retraction, event, at):
        await self.apply(journey, event, at)
        return await self.apply(journey, retraction, at)

    await replace(line(600, at="2026-03-02 11:00"))
    monkeypatch.setattr(CountedEvents, "replace", one_after_the_other)
    await replace(line(650, at="2026-03-02 11:00"))
    assert (await get_journey(database, company, 1)).stored.relationship.current_stage == "vip"
    print("guard removed: detected")
