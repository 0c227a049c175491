"""T17: the code of the released version serves its traffic while the next schema is applied, and afterwards."""

import asyncio
from contextlib import asynccontextmanager

import asyncpg
import pytest
from alembic import command

from chaos.system import assert_detected, kill_at_end, print_result, wait_for
from journey_service.repositories import migrations
from processes import Server, free_port
from upgrade.next_schema import BROKEN, CONTRACT, LAST, next_schema
from upgrade.released import released_version
from upgrade.traffic import Traffic

pytestmark = pytest.mark.big


@pytest.fixture(scope="session")
def released(tmp_path_factory):
    return released_version(tmp_path_factory.mktemp("released"))


@asynccontextmanager
async def served(system, released):
    """The released version with the recorded traffic."""
    company_id = await system.create_company()
    headers = await system.create_headers(company_id)
    quiet = {"SMTP_URL": "", "JOURNEY_READINESS_TIMEOUT": "30"}
    environment = system.environment() | released.environment | quiet
    with kill_at_end([Server(environment, port=free_port())]) as [server]:
        await asyncio.to_thread(server.await_ready)
        traffic = Traffic(server.url, headers, await system.now())
        playing = asyncio.create_task(traffic.play())
        try:
            yield traffic
        finally:
            traffic.stop.set()
            await playing


async def more(traffic, requests):
    """Waits until a number of further requests were answered."""
    goal = traffic.answered + requests
    await wait_for(lambda: traffic.answered >= goal)


@asynccontextmanager
async def reader(system):
    """A long transaction that has read a table which the migrations change."""
    connection = await asyncpg.connect(system.url)
    try:
        async with connection.transaction():
            await connection.fetch("SELECT FROM journey_events LIMIT 1")
            yield
    finally:
        await connection.close()


_TRYING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND query LIKE '%pg_try_advisory_lock(724, 1)%' AND pid <> pg_backend_pid()"
)


async def waits_for_the_reader(system):
    return await system.fetch_value(
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation' AND mode = 'AccessExclusiveLock'"
        " AND relation = 'journey_events'::regclass"
    )


async def test_the_released_version_serves_while_the_next_schema_is_applied(
    system, released, size, seed, tmp_path
):
    configuration = next_schema(tmp_path, system.url)
    rows = size(ci=0, chaos=60_000, full=1_000_000)
    async with served(system, released) as traffic:
        await more(traffic, 40)
        await preload(system, rows)
        async with reader(system):
            upgrading = asyncio.create_task(asyncio.to_thread(command.upgrade, configuration, LAST))
            await wait_for(lambda: waits_for_the_reader(system))
            await more(traffic, size(ci=40, chaos=1_000, full=20_000))
        await upgrading
        await more(traffic, size(ci=40, chaos=1_000, full=20_000))
    stored = {row["event_id"] for row in await system.owner.fetch("SELECT event_id FROM journey_events")}
    lost = len(traffic.acknowledged - stored)
    print_result(
        *("T17", lost, 0, len(traffic.acknowledged), 1, seed),
        f"{len(traffic.failures)} of {traffic.answered} requests of {released.name} failed;"
        f" longest {traffic.longest:.2f} s",
    )
    assert traffic.failures == []
    assert lost == 0
    assert await system.fetch_value("SELECT version_num FROM alembic_version") == LAST
    assert await system.fetch_value(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_events_channel'::regclass"
    )
    # Upwards and downwards: the schema before is restored.
    await asyncio.to_thread(command.downgrade, configuration, released.revision)
    await asyncio.to_thread(command.check, migrations.config(system.url))


async def preload(system, rows):
    """Copies events, so that the migrations change a table of some size."""
    if rows:
        columns = await system.fetch_value(
            "SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute WHERE NOT attisdropped AND attnum > 0"
            " AND attrelid = 'journey_events'::regclass AND attgenerated = '' AND attname <> 'event_id'"
        )
        await system.owner.execute(
            f"INSERT INTO journey_events (event_id, {columns}) SELECT 'copy ' || n, {columns} FROM"
            f" (SELECT * FROM journey_events LIMIT 1) one, generate_series(1, {rows}) n"
        )


async def test_migrations_that_break_the_released_version_are_detected(system, released, tmp_path):
    configuration = next_schema(tmp_path, system.url)
    async with served(system, released) as traffic:
        await more(traffic, 10)
        await asyncio.to_thread(command.upgrade, configuration, LAST)
        assert traffic.failures == []
        await asyncio.to_thread(command.upgrade, configuration, BROKEN)
        await wait_for(lambda: traffic.failures)
        assert_detected("a default for columns that the released version does not write", traffic.failures)
        assert not any("/readyz" in failure for failure in traffic.failures)
        await asyncio.to_thread(command.upgrade, configuration, CONTRACT)
        refused = await wait_for(lambda: [each for each in traffic.failures if "/readyz" in each])
        assert '"schema":"mismatch"' in refused[0]


async def test_a_migration_that_waits_long_for_its_lock_is_detected(system, released, tmp_path):
    configuration = next_schema(tmp_path, system.url, lock_timeout="60s")
    async with served(system, released) as traffic:
        await more(traffic, 10)
        async with reader(system):
            upgrading = asyncio.create_task(asyncio.to_thread(command.upgrade, configuration, LAST))
            await wait_for(lambda: waits_for_the_reader(system))
            # Requests behind the migration are given up by the limits of the service.
            await wait_for(lambda: traffic.failures)
        await upgrading
    assert_detected("a short lock timeout", traffic.failures)


async def test_one_migration_runs_at_a_time_and_companies_do_not_meet_its_lock(system):
    """Company 724001 holds the advisory lock of its id, which is not the one of migrations."""
    company_id = await system.create_company(id=724_001)
    entered, leave = asyncio.Event(), asyncio.Event()

    async def unit(_):
        entered.set()
        await leave.wait()

    working = asyncio.create_task(system.database.run(company_id, unit, is_exclusive=True))
    await entered.wait()
    await asyncio.to_thread(migrations.upgrade, system.url)
    leave.set()
    await working

    lock = "SELECT pg_advisory_lock(724, 1)"
    await system.owner.execute(lock)
    another = asyncio.create_task(asyncio.to_thread(migrations.upgrade, system.url))
    await wait_for(lambda: system.fetch_value(_TRYING))
    assert not another.done()
    await system.owner.execute(lock.replace("lock(", "unlock("))
    await another
