"""A draft of the stage map: preview on all customers, and activation. `python bench/stage_maps.py [N]`.

N relationships (100,000 by default) in one company. Starts its own PostgreSQL (default settings, fsync on) in a
temporary folder and ends by itself. The preview is held against merely reading the same rows through the same
driver, page by page; memory is the growth of this process's resident set while it runs.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
from crowd import make_crowd, run_due

from journey_service.domain.access.actors import Actor
from journey_service.domain.journeys.relationship import Activation
from journey_service.domain.operations.records import Job
from journey_service.domain.stages.changes import build_draft
from journey_service.domain.stages.default_stages import DEFAULT_STAGES
from journey_service.embedded import EmbeddedServers
from journey_service.repositories import migrations as migrating
from journey_service.repositories.customers.lists import customer_list
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.companies.provisioning import NewCompany, create_company
from journey_service.services.job_registry import JOB_HANDLERS
from journey_service.services.jobs import get_job, run_job
from journey_service.services.stages import previews, stage_maps

COMPANY = 1
T0 = datetime(2026, 1, 5, 12, tzinfo=UTC)
MEBIBYTE = 1024 * 1024


def resident() -> int:
    """Returns the resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


def draft() -> list[dict[str, Any]]:
    """Returns the default map with an earlier risk stage and a lower threshold of the top stage."""
    changes = {
        "regular": {"auto_rules": {"trigger": "appointment_count", "conditions": {"count": ">=2"}}},
        "at_risk": {"auto_rules": {"trigger": "days_since_last_appointment", "conditions": {"days": ">60"}}},
    }
    return [{**form, **changes.get(str(form["key"]), {})} for form in DEFAULT_STAGES]


async def read_all(database: Database) -> None:
    """Reads all rows of a preview, without evaluating them."""
    after: int | None = 0
    while after is not None:

        async def page(work: UnitOfWork, after: int = after) -> int | None:
            rows = (
                await work._connection.execute(  # the very statement, without what is made of its rows
                    customer_list._PAGE_BY_RELATIONSHIP,
                    {"company_id": COMPANY, "after": after, "limit": previews.BATCH_SIZE},
                )
            ).all()
            return rows[-1].id if rows else None

        after = await database.run(COMPANY, page)


async def carry_out(database: Database, job: Job) -> tuple[float, int, Job]:
    """Runs a job; returns its seconds, growth of memory in bytes, and the ended job."""
    before, highest = resident(), 0

    def watch(_: Job) -> None:
        nonlocal highest
        highest = max(highest, resident())

    began = time.perf_counter()
    await run_job(database, COMPANY, job.id, JOB_HANDLERS, on_progress=watch)
    return time.perf_counter() - began, highest - before, await get_job(database, COMPANY, job.id)


async def measure(url: str, customers: int, turns: int) -> None:
    """Measures and prints the results."""
    owner = await asyncpg.connect(url)
    await owner.execute("SET statement_timeout = 0")
    database = Database(url, vault_key="a key of the benchmark", pool_size=4, pool_timeout=30)
    new = NewCompany(id=COMPANY, name="bench", timezone="UTC", currency="EUR", test_clock=T0)
    await create_company(database, new, author=Actor("bench"))
    await make_crowd(owner, COMPANY, customers, T0)
    await run_due(owner, COMPANY, T0)
    previews.MAX_INLINE_CUSTOMERS = stage_maps.MAX_INLINE_CUSTOMERS = -1  # the jobs are run here, one by one
    edit = partial(build_draft, raw=draft(), pointer="/stages")

    reading, previewing, growth = [], [], []
    for _ in range(turns):
        began = time.perf_counter()
        await read_all(database)
        reading.append(time.perf_counter() - began)
        job = await previews.preview(
            database,
            COMPANY,
            edit,
            based_on=1,
            activation=Activation.CURRENT_WITH_ACTIONS,
            actor=Actor("bench"),
        )
        seconds, grown, job = await carry_out(database, job)
        previewing.append(seconds)
        growth.append(grown)
    assert job.result is not None
    print(f"{customers} relationships, medians of {turns}")
    print(f"reading all rows, page by page     {statistics.median(reading):8.2f} s")
    print(f"preview                            {statistics.median(previewing):8.2f} s")
    print(
        f"preview / reading                  {statistics.median(previewing) / statistics.median(reading):8.2f}"
    )
    print(f"maximum growth of memory           {max(growth) / MEBIBYTE:8.1f} MiB")
    print(f"would move                         {sum(cell['customers'] for cell in job.result['moves']):8}")

    request = stage_maps.MapChangeRequest(1, Activation.CURRENT_SILENT, Actor("bench"))
    began = time.perf_counter()
    changed = await stage_maps.change_map(database, COMPANY, edit, request)
    switched = time.perf_counter() - began
    assert changed.job is not None
    seconds, grown, job = await carry_out(database, changed.job)
    print(f"activation transaction             {switched * 1_000:8.0f} ms")
    print(f"all customers migrated             {seconds:8.2f} s, {job.counts['moved']} moved")
    print(f"maximum growth of memory           {grown / MEBIBYTE:8.1f} MiB")
    await database.close()
    await owner.close()


def main() -> None:
    """Measures once and prints the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("customers", nargs="?", type=int, default=100_000)
    parser.add_argument("--turns", type=int, default=3)
    values = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedServers(Path(folder) / "data", with_valkey=False) as servers,
    ):
        migrating.upgrade(servers.database_url)
        asyncio.run(measure(servers.database_url, values.customers, values.turns))


if __name__ == "__main__":
    main()
