"""How many steps of win-back campaigns open bookings keep from being sent. `python bench/open_bookings.py [N]`.

The bookings of N customers (1,000 by default) of public clinics, `../shared/data/noshow_bookings.csv.gz` beside the
project, are reported day by day to two companies. Their maps differ from the default one in the thresholds, as the data
covers six weeks: a customer is at risk after 7 days without a visit. Open bookings pause risk in one company only.
"""

import argparse
import asyncio
import csv
import gzip
import tempfile
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from pathlib import Path

import asyncpg

from journey_service.domain.access.actors import Actor
from journey_service.domain.events.event import Event
from journey_service.domain.stages.default_stages import DEFAULT_STAGES
from journey_service.embedded import EmbeddedServers
from journey_service.repositories import migrations as migrating
from journey_service.repositories.database import Database
from journey_service.services.companies.provisioning import NewCompany, create_company
from journey_service.services.customers.profiles import put_customer
from journey_service.services.events.ingest import ingest_as_occurred
from journey_service.services.operations.test_clock import advance

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "noshow_bookings.csv.gz"
BEGIN, END = datetime(2016, 4, 28, tzinfo=UTC), datetime(2016, 6, 9, tzinfo=UTC)
ACTOR = Actor("bench")
DAYS = {"at_risk": ">7", "churned": ">60"}
"""Days without a visit after which a customer enters a stage."""
CAMPAIGN = "create_retention_campaign"


def read_bookings(customers: int) -> list[tuple[int, date, date, str]]:
    """Returns (customer, booked on, scheduled for, outcome) of the first customers with more than one booking."""
    with gzip.open(DATA, "rt") as file:
        rows = [
            (
                int(row["customer_id"]),
                date.fromisoformat(row["booked_at"]),
                date.fromisoformat(row["scheduled_for"]),
                row["outcome"],
            )
            for row in csv.DictReader(file)
        ]
    repeated = sorted(id_ for id_, number in Counter(row[0] for row in rows).items() if number > 1)
    chosen = set(repeated[:customers])
    return [row for row in rows if row[0] in chosen]


def to_events(bookings: list[tuple[int, date, date, str]]) -> list[Event]:
    """Returns the events in order of time: booked at nine, or when the data begins, and the outcome at noon."""
    events = []
    for number, (customer_id, booked, scheduled, outcome) in enumerate(bookings):
        at = datetime.combine(scheduled, time(12), UTC)
        booked_at = max(BEGIN, datetime.combine(booked, time(9), UTC))
        name = f"b{number}"
        booking = {"booking_id": name, "scheduled_for": at}
        if booked_at < at:
            events.append(
                Event("clinic", f"{name}:booked", customer_id, "appointment_booked", booked_at, **booking)
            )
        events.append(
            Event("clinic", f"{name}:{outcome}", customer_id, f"appointment_{outcome}", at, **booking)
        )
    return sorted(events, key=lambda event: (event.occurred_at, event.event_id))


async def simulate(database: Database, events: list[Event], *, pauses: bool) -> int:
    """Reports the events day by day to a new company; returns its id."""
    stages = [
        {**stage, "auto_rules": {"trigger": "days_since_last_appointment", "conditions": {"days": days}}}
        if (days := DAYS.get(str(stage["key"]))) is not None
        else stage
        for stage in DEFAULT_STAGES
    ]
    policy = {"open_booking_pauses_risk": pauses}
    new = NewCompany("clinic", "America/Sao_Paulo", "BRL", test_clock=BEGIN, policy=policy, stages=stages)
    company_id = (await create_company(database, new, author=ACTOR)).company.id
    consents = dict.fromkeys(("email", "sms", "call", "offer"), "granted")
    for customer_id in sorted({event.customer_id for event in events}):
        profile = {"email": f"{customer_id}@clinic.example", "phone": "+55 27 3333 4444"}
        await put_customer(database, company_id, customer_id, profile, consents=consents, by=ACTOR)
    for day, told in groupby(events, key=lambda event: event.occurred_at.date()):
        midnight = datetime.combine(day + timedelta(days=1), time(), UTC)
        of_day = list(told)
        for first in range(0, len(of_day), 500):
            await ingest_as_occurred(database, company_id, of_day[first : first + 500], until=midnight)
        await advance(database, company_id, midnight, actor=ACTOR, timeout_seconds=None)
    await advance(database, company_id, END, actor=ACTOR, timeout_seconds=None)
    return company_id


async def measure(url: str, customers: int) -> None:
    """Simulates both companies, and prints the steps by what became of them."""
    events = to_events(read_bookings(customers))
    number = len({event.customer_id for event in events})
    database, owner = Database(url, pool_size=4), await asyncpg.connect(url)
    print(f"{number:,} customers, {len(events):,} events")
    for name, pauses in (("open bookings pause", True), ("they do not", False)):
        company_id = await simulate(database, events, pauses=pauses)
        rows = await owner.fetch(
            "SELECT coalesce(reason, state) AS fate, count(*) AS steps FROM journey_actions"
            " WHERE company_id = $1 AND name = $2 GROUP BY 1 ORDER BY 1",
            company_id,
            CAMPAIGN,
        )
        campaigns = await owner.fetchval(
            "SELECT count(*) FROM retention_campaigns WHERE company_id = $1", company_id
        )
        steps = ", ".join(f"{row['fate']} {row['steps']:,}" for row in rows)
        print(f"{name}: {campaigns:,} campaigns; steps: {steps}")
    await owner.close()
    await database.close()


def main() -> None:
    """Measures once and prints the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("customers", nargs="?", type=int, default=1_000)
    customers = parser.parse_args().customers
    if not DATA.exists():
        print(f"skipped: {DATA} is not there")
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedServers(Path(folder) / "data", with_valkey=False) as servers,
    ):
        migrating.upgrade(servers.database_url)
        asyncio.run(measure(servers.database_url, customers))


if __name__ == "__main__":
    main()
