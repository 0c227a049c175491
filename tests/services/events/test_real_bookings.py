"""Real bookings of public clinics: booked, then completed or missed; facts equal a count of the file."""

import csv
import gzip
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from itertools import islice

import pytest

from journey_service.domain.access.actors import Actor
from journey_service.domain.events.records import ImportOptions
from journey_service.services.events.imports.imports import get_import, run_import, stage_import
from journey_service.services.operations.reconciliation import reconcile
from ledger import find_violations, rows
from server_versions import newest_only

pytestmark = [pytest.mark.big, newest_only]

END = datetime(2016, 6, 9, tzinfo=UTC)
BOOKINGS = 1_000
"""Bookings that are read; the others of the file are of the same kind."""


def _lines(bookings) -> list[str]:
    """Returns an import file: booked at nine, and the outcome at noon of the appointment's day."""
    lines = ["id,source,customer_id,type,occurred_at,booking_id,scheduled_for"]
    for number, row in enumerate(bookings):
        booking = f"{row['customer_id']},{{}},{{}}T{{}}Z,B{number},{row['scheduled_for']}T12:00:00Z"
        booked = booking.format("appointment_booked", row["booked_at"], "09:00:00")
        outcome = booking.format(f"appointment_{row['outcome']}", row["scheduled_for"], "12:00:00")
        lines += [f"b{number},clinic,{booked}", f"o{number},clinic,{outcome}"]
    return lines


async def _import(database, company_id: int, lines: list[str]):
    async def chunks() -> AsyncIterator[bytes]:
        yield "\n".join(lines).encode()

    queued = await stage_import(
        database, company_id, chunks(), actor=Actor("tests"), options=ImportOptions(END)
    )
    assert await run_import(database, company_id, queued.id)
    return await get_import(database, company_id, queued.id)


async def test_each_real_booking_counts_once_whatever_order_its_events_come_in(
    database, create_test_company, data
):
    tenant = await create_test_company(test_clock=END)
    with gzip.open(data / "noshow_bookings.csv.gz", "rt") as file:
        bookings = list(islice(csv.DictReader(file), BOOKINGS))
    header, *lines = _lines(bookings)
    outcomes_first = [header, *sorted(lines, key=lambda line: line[0], reverse=True)]

    done = await _import(database, tenant.id, outcomes_first)
    assert (done.applied, done.failed_lines) == (2 * BOOKINGS, 0)
    again = await _import(database, tenant.id, [header, *lines])
    assert (again.applied, again.duplicates) == (0, 2 * BOOKINGS)

    expected = Counter((int(row["customer_id"]), row["outcome"]) for row in bookings)
    found = await rows(
        database,
        tenant.id,
        "SELECT customer_id, total_appointments, total_missed, last_appointment_at FROM customer_relationships"
        " WHERE company_id = :company",
    )
    assert {row.customer_id: (row.total_appointments, row.total_missed) for row in found} == {
        customer: (expected[customer, "completed"], expected[customer, "missed"])
        for customer in {customer for customer, _ in expected}
    }
    latest = max(
        date.fromisoformat(row["scheduled_for"]) for row in bookings if row["outcome"] == "completed"
    )
    assert max(row.last_appointment_at for row in found if row.last_appointment_at) == datetime(
        latest.year, latest.month, latest.day, 12, tzinfo=UTC
    )
    assert await find_violations(database, tenant.id) == []
    reconciliation = await reconcile(database, tenant.id)
    assert reconciliation.agrees, reconciliation.differences[:5]
