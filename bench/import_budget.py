"""Where the time of an import goes: `python bench/import_budget.py [LINES]`.

Imports LINES (20,000 by default) events of half as many new customers, and then as many of the same customers. Prints
microseconds of each line: the processor time of this process and of PostgreSQL, and the elapsed time of each statement
as this process sees it. Starts its own PostgreSQL (default settings, fsync on) in a temporary folder. Linux only.
"""

import argparse
import asyncio
import re
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

from event_statements import copy_events
from process_tree import processor_seconds
from sqlalchemy import event as sql_events

from journey_service.domain.access.actors import Actor
from journey_service.embedded import EmbeddedServers
from journey_service.repositories import migrations as migrating
from journey_service.repositories.database import Database
from journey_service.services.companies.provisioning import NewCompany, create_company
from journey_service.services.events.imports.imports import get_import, run_import, stage_import

COMPANY = 1
SHOWN = 12
"""Number of statements that are shown."""


class StatementTimes:
    """The elapsed time of statements, by their first words."""

    def __init__(self, database: Database) -> None:
        self.seconds: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._began = 0.0
        engine = database._app.sync_engine
        sql_events.listen(engine, "before_cursor_execute", self._before)
        sql_events.listen(engine, "after_cursor_execute", self._after)

    def _before(self, *_: object) -> None:
        self._began = time.perf_counter()

    def _after(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        name = _name_of(statement)
        self.seconds[name] += time.perf_counter() - self._began
        self.calls[name] += 1


def _name_of(statement: str) -> str:
    """Returns the kind of a statement and its first table."""
    found = re.search(r"\b(INSERT INTO|UPDATE|DELETE FROM|FROM)\s+(?!unnest|jsonb)(\w+)", statement)
    kind = "SELECT" if found is None or found[1] == "FROM" else found[1]
    return f"{kind} {'' if found is None else found[2]}".strip()


async def lines_of(lines: int, month: int) -> AsyncIterator[bytes]:
    """Yields a CSV file of appointments, two of each customer."""
    yield b"customer_id,occurred_at,event_type,amount\n"
    for start in range(0, lines, 1_000):
        yield "".join(
            f"{1 + n // 2},2026-{month:02}-{1 + n % 28:02},appointment_completed,20\n"
            for n in range(start, min(start + 1_000, lines))
        ).encode()


async def measure(url: str, postmaster: int, lines: int) -> None:
    """Imports twice and prints what each line costs."""
    database = Database(url)
    await create_company(database, NewCompany("bench", "UTC", "EUR", id=COMPANY), author=Actor("bench"))
    times = StatementTimes(database)
    for month, kind in enumerate(("new customers", "known customers"), 1):
        times.seconds.clear()
        times.calls.clear()
        service, servers, began = time.process_time(), processor_seconds(postmaster), time.perf_counter()
        stored = await stage_import(database, COMPANY, lines_of(lines, month), actor=Actor("bench"))
        await run_import(database, COMPANY, stored.id)
        elapsed = time.perf_counter() - began
        service, servers = time.process_time() - service, processor_seconds(postmaster) - servers
        found = await get_import(database, COMPANY, stored.id)
        assert found.applied == lines, found
        print(f"{kind}: {lines / elapsed:,.0f} lines/s, {elapsed / lines * 1e6:.0f} us of each line")
        print(
            f"  processor: service {service / lines * 1e6:.0f} us, PostgreSQL {servers / lines * 1e6:.0f} us"
        )
        for name, seconds in times.seconds.most_common(SHOWN):
            print(f"  {seconds / lines * 1e6:7.1f} us  {times.calls[name]:4} x  {name}")
    await database.close()
    print(f"COPY of the events: {1e6 / await copy_events(url, COMPANY, lines):.1f} us of each row")


def main() -> None:
    """Measures once and prints the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lines", nargs="?", type=int, default=20_000)
    chosen = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedServers(Path(folder) / "data", with_valkey=False) as servers,
    ):
        migrating.upgrade(servers.database_url)
        file = Path(folder) / "data" / "postgres" / "postmaster.pid"
        postmaster = int(file.read_text("ascii").split()[0])
        asyncio.run(measure(servers.database_url, postmaster, chosen.lines))


if __name__ == "__main__":
    main()
