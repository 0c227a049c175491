"""Row-level security: no row is visible without a company, and none of another company with one."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Integer,
    LargeBinary,
    Numeric,
    Table,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from conftest import PATIENT
from journey_service.domain.errors import UnavailableError
from journey_service.repositories.database import APP_ROLE, DISPATCHER_ROLE, Database
from journey_service.repositories.tables import metadata
from server_versions import each_has_its_sql

SWITCHES = 5_000 if os.environ.get("JOURNEY_FULL") else 500
MINE, THEIRS = 1_001, 1_002
TABLES = [table for table in metadata.sorted_tables if table.name != "alembic_version"]
TENANT = "NULLIF(current_setting('app.company_id'::text, true), ''::text))::bigint"


def company_column(table: Table) -> str:
    """The column with the company of a row."""
    return "id" if table.name == "companies" else "company_id"


EVERYTHING = (
    "SELECT name, company, count(*) AS number FROM ("
    + " UNION ALL ".join(
        f"SELECT '{table.name}' AS name, {company_column(table)} AS company FROM {table.name}"
        for table in TABLES
    )
    + ") AS everything WHERE company > 0 GROUP BY name, company"
)
"""Every row of every table that the role sees, by table and company; company 0 is the operators' own."""

# ---- rows of every table, valid except for their company

CHOSEN: dict[str, object] = {
    "kind": "progress",
    "trigger_type": "manual",
    "journey_transitions.motion": "opening",
    "journey_rollups.kind": "flow",
    "imports.status": "done",
    "jobs.status": "done",
    "consent_changes.status": "granted",
    "customers.merged_into": None,  # nobody is merged into itself
    "retention_campaigns.end_reason": "completed",
    "retention_campaigns.ended_at": datetime(2026, 3, 2, tzinfo=UTC),
    "action_attempts.outcome": "done",
    "journey_tasks.stage": "customer",
    "seq": 1,  # an opening
    "journey_events.metadata": '{"note": "something"}',
    "journey_transitions.notes": "a note",
    "audit_log.at": datetime(2020, 3, 1, tzinfo=UTC),  # old enough to be pruned
}
AN_INSTANT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def a_row(table: Table, company_id: int, number: int) -> dict[str, object]:
    """Returns a row of a table; its parents are the rows of the same number."""
    keys = {column.name for key in table.foreign_key_constraints for column in key.columns}
    row: dict[str, object] = {}
    for column in table.columns:
        name = column.name
        is_needed = not column.nullable and column.server_default is None and column.identity is None
        if name == company_column(table):
            row[name] = company_id
        elif f"{table.name}.{name}" in CHOSEN:
            row[name] = CHOSEN[f"{table.name}.{name}"]
        elif is_needed and name in CHOSEN:
            row[name] = CHOSEN[name]
        elif is_needed or column.primary_key or name in keys:
            row[name] = _value(column, company_id, number)
    return row


def _value(column: Column[Any], company_id: int, number: int) -> object:
    if column.name == "merged_into":
        return None  # a customer is never merged into itself
    kinds: list[tuple[type, object]] = [
        (ARRAY, []),
        (JSONB, "{}"),
        (Double, 0.5),
        (DateTime, AN_INSTANT),
        (Date, AN_INSTANT.date() + timedelta(days=number)),
        (LargeBinary, str(number).encode()),
        (Boolean, False),
        (BigInteger, number),
        (Integer, number),
        (Numeric, 1),
        (UUID, f"{number:032x}"),
    ]
    for kind, value in kinds:
        if isinstance(column.type, kind):
            return value
    # A key is looked up before its company is known: its id is unique in all companies.
    return f"key-{company_id}-{number}" if column.name == "key_id" else f"x{number}"


def insertion(table: Table, values: dict[str, object]) -> tuple[str, list[object]]:
    """Returns the statement that inserts a row, and its values."""
    placeholders = ", ".join(f"${index}" for index in range(1, len(values) + 1))
    names = ", ".join(f'"{name}"' for name in values)
    return f"INSERT INTO {table.name} ({names}) OVERRIDING SYSTEM VALUE VALUES ({placeholders})", [
        *values.values()
    ]


async def write(connection: asyncpg.Connection, table: Table, values: dict[str, object]) -> None:
    """Inserts a row with the rights of the connection."""
    statement, parameters = insertion(table, values)
    await connection.execute(statement, *parameters)


@pytest.fixture(scope="module")
async def url(copied) -> str:
    """A database for this file: a row of each of two companies in every table, and a second one of THEIRS."""
    url = await copied("row_security")
    async with connected(url) as owner:
        for table in TABLES:
            await write(owner, table, a_row(table, MINE, 1))
            await write(owner, table, a_row(table, THEIRS, 1))
            if table.name != "companies":
                await write(owner, table, a_row(table, THEIRS, 2))
    return url


@contextlib.asynccontextmanager
async def connected(url: str, **settings: str) -> AsyncIterator[asyncpg.Connection]:
    """Opens a connection; keywords are server settings, such as `role`."""
    connection = await asyncpg.connect(url, server_settings=settings)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def owner(url):
    """A connection of the owner, in a transaction that is rolled back after the test."""
    async with connected(url) as connection:
        transaction = connection.transaction()
        await transaction.start()
        yield connection
        await transaction.rollback()


@pytest.fixture
async def app(url):
    """A connection in the role of the service, with generic plans."""
    async with connected(url, role=APP_ROLE, plan_cache_mode="force_generic_plan") as connection:
        yield connection


@pytest.fixture
async def pooled(url):
    """The database of the service, with a pool of one connection."""
    database = Database(url, pool_size=1, **PATIENT)
    yield database
    await database.close()


async def bind(connection: asyncpg.Connection, company_id: int) -> None:
    """Binds the transaction to a company."""
    await connection.execute("SELECT set_config('app.company_id', $1, true)", str(company_id))


async def seen(connection: asyncpg.Connection | AsyncConnection) -> dict[tuple[str, int], int]:
    """Returns the number of visible rows of each table and company."""
    if isinstance(connection, AsyncConnection):
        rows: Iterable[Any] = await connection.execute(text(EVERYTHING))
    else:
        rows = await connection.fetch(EVERYTHING)
    return {(name, company): number for name, company, number in rows}


async def seen_without(database: Database) -> dict[tuple[str, int], int]:
    """Returns the rows that are visible without a company."""
    async with database._app.connect() as connection, connection.begin():
        return await seen(connection)


async def seen_by(database: Database, company_id: int) -> dict[tuple[str, int], int]:
    """Returns the rows that a company sees."""
    return await database.run(company_id, lambda uow: seen(uow._connection))


def all_of(company_id: int) -> dict[tuple[str, int], int]:
    """Returns the number of rows of a company in each table."""
    has_two = company_id == THEIRS
    return {(table.name, company_id): 2 if has_two and table.name != "companies" else 1 for table in TABLES}


# ---- without a company


async def _nothing_yet(app):
    return


async def _a_commit(app):
    async with app.transaction():
        await bind(app, MINE)
        assert await seen(app) == all_of(MINE)


async def _a_rollback(app):
    transaction = app.transaction()
    await transaction.start()
    await bind(app, MINE)
    assert await seen(app) == all_of(MINE)
    await transaction.rollback()


async def _a_refused_statement(app):
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with app.transaction():
            await bind(app, MINE)
            await app.execute("SELECT 1 / 0")


async def _a_cancelled_statement(app):
    with pytest.raises(asyncpg.QueryCanceledError):
        async with app.transaction():
            await bind(app, MINE)
            await app.execute("SET LOCAL statement_timeout = 1")
            await app.execute("SELECT pg_sleep(60)")


async def _a_company_set_outside_a_transaction(app):
    await bind(app, MINE)


async def _an_empty_company(app):
    await app.execute("SELECT set_config('app.company_id', '', false)")


AFTER = {
    "nothing yet": _nothing_yet,
    "a commit": _a_commit,
    "a rollback": _a_rollback,
    "a refused statement": _a_refused_statement,
    "a cancelled statement": _a_cancelled_statement,
    "a company set outside a transaction": _a_company_set_outside_a_transaction,
    "an empty company": _an_empty_company,
}


@each_has_its_sql
@pytest.mark.parametrize("before", AFTER.values(), ids=AFTER)
async def test_without_a_company_every_table_can_be_read_and_shows_no_row(app, before):
    await before(app)

    assert await seen(app) == {}
    async with app.transaction():
        assert await seen(app) == {}
        for table in TABLES:
            assert await app.fetch(f"SELECT 1 FROM {table.name}") == []


async def test_rolling_back_a_savepoint_restores_the_company(app):
    async with app.transaction():
        savepoint = app.transaction()
        await savepoint.start()
        await bind(app, MINE)
        await savepoint.rollback()
        assert await seen(app) == {}
    async with app.transaction():
        await bind(app, MINE)
        savepoint = app.transaction()
        await savepoint.start()
        await bind(app, THEIRS)
        assert await seen(app) == all_of(THEIRS)
        await savepoint.rollback()
        assert await seen(app) == all_of(MINE)


# ---- one connection, used for several companies


async def _succeeds(database):
    assert await seen_by(database, MINE) == all_of(MINE)


async def _fails(database):
    async def unit(uow):
        assert await seen(uow._connection) == all_of(MINE)
        raise LookupError

    with pytest.raises(LookupError):
        await database.run(MINE, unit)


async def _rolls_back_a_savepoint(database):
    async def unit(uow):
        savepoint = await uow._connection.begin_nested()
        await uow._connection.execute(text("SELECT set_config('app.company_id', '1002', true)"))
        await savepoint.rollback()
        assert await seen(uow._connection) == all_of(MINE)

    await database.run(MINE, unit)


async def _times_out(database):
    async def unit(uow):
        await uow._connection.execute(text("SELECT pg_sleep(60)"))

    with pytest.raises(UnavailableError):
        await database.run(MINE, unit, timeout_ms=1)


async def _is_exclusive(database):
    await database.run(MINE, lambda uow: seen(uow._connection), is_exclusive=True)


UNITS = {
    "succeeds": _succeeds,
    "fails": _fails,
    "rolls back a savepoint": _rolls_back_a_savepoint,
    "times out": _times_out,
    "is exclusive": _is_exclusive,
}


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
async def test_a_connection_keeps_no_company_after_a_unit_of_work_that(pooled, unit):
    await unit(pooled)

    assert await seen_without(pooled) == {}
    assert await seen_by(pooled, THEIRS) == all_of(THEIRS)
    assert await seen_without(pooled) == {}


async def test_a_connection_keeps_no_company_after_its_task_was_cancelled(pooled, url):
    async def unit(uow):
        await uow._connection.execute(text("SELECT pg_sleep(60)"))

    task = asyncio.create_task(pooled.run(MINE, unit))
    async with connected(url) as watching:
        is_sleeping = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event = 'PgSleep' AND query LIKE '%pg_sleep(60)'"
        )
        while not await watching.fetchval(is_sleeping):
            assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await seen_without(pooled) == {}
    assert await seen_by(pooled, THEIRS) == all_of(THEIRS)


async def test_no_row_of_another_company_is_visible_in_many_switches_of_one_connection(pooled):
    wrong = 0
    for switch in range(SWITCHES):
        company_id = (MINE, THEIRS)[switch % 2]
        wrong += await seen_by(pooled, company_id) != all_of(company_id)
        if switch % 50 == 0:
            wrong += await seen_without(pooled) != {}

    assert wrong == 0
    print(f"0 wrong rows in {SWITCHES:,} switches of one connection")

    async def plans(uow):
        statement = text(
            "SELECT sum(generic_plans), sum(custom_plans) FROM pg_prepared_statements WHERE statement = :statement"
        )
        return (await uow._connection.execute(statement, {"statement": EVERYTHING})).one()

    generic, custom = await pooled.run(MINE, plans)
    assert generic >= SWITCHES, "the plans were not generic"
    assert custom == 0


async def test_no_row_of_another_company_is_visible_when_few_connections_serve_both_concurrently(url):
    database = Database(url, pool_size=3, **PATIENT)
    companies = [(MINE, THEIRS)[number % 2] for number in range(SWITCHES // 2)]
    try:
        found = await asyncio.gather(*(seen_by(database, company_id) for company_id in companies))
    finally:
        await database.close()

    assert [rows == all_of(id_) for rows, id_ in zip(found, companies, strict=True)] == [True] * len(found)


# ---- roles that read beyond one company

DISPATCHED = {
    "companies": {
        *(
            "id",
            "name",
            "timezone",
            "former_zones",
            "currency",
            "clock_at",
            "map_version",
            "migrated_version",
        ),
        *("created_at", "next_nightly_run_at", "scored_at", "delivers_messages", "rollup_version"),
    },
    "imports": {"company_id", "id", "status", "created_at", "lease_until"},
    "jobs": {"company_id", "id", "kind", "status", "created_at", "lease_until", "finished_at"},
    "customer_relationships": {"company_id", "id", "customer_id", "next_evaluation_at"},
    "journey_actions": {"company_id", "state", "ready_at", "finished_at"},
    "outbound_events": {"company_id", "id", "position"},
    "webhook_endpoints": {"company_id", "is_enabled", "disabled_reason"},
    "journey_rollups": {"company_id", "id", "is_unmerged"},
}
"""The columns that the dispatcher reads of every company: due work, and no content."""


async def test_the_dispatcher_reads_the_columns_of_due_work_only(pooled):
    async def can_be_read(connection, column, table):
        savepoint = await connection.begin_nested()
        try:
            await connection.execute(text(f"SELECT {column} FROM {table}"))
        except DBAPIError as error:
            if error.orig.sqlstate != "42501":
                raise
            return False
        finally:
            await savepoint.rollback()
        return True

    async def unit(reader):
        connection = reader.companies._connection
        return {
            table.name: {
                column.name
                for column in table.columns
                if await can_be_read(connection, f'"{column.name}"', table.name)
            }
            for table in TABLES
        }

    assert {
        table: names for table, names in (await pooled.read_due_work(unit)).items() if names
    } == DISPATCHED


async def granted(connection: asyncpg.Connection, role: str) -> dict[str, set[str]]:
    """Returns the columns that a role may read."""
    rows = await connection.fetch(
        "SELECT table_name, column_name FROM information_schema.column_privileges"
        " WHERE grantee = $1 AND privilege_type = 'SELECT' AND table_name <> 'alembic_version'",
        role,
    )
    found: dict[str, set[str]] = {}
    for table, column in rows:
        found.setdefault(table, set()).add(column)
    return found


async def test_another_column_readable_by_the_dispatcher_is_detected(owner):
    assert await granted(owner, DISPATCHER_ROLE) == DISPATCHED
    await owner.execute(f"GRANT SELECT (email) ON customers TO {DISPATCHER_ROLE}")

    assert await granted(owner, DISPATCHER_ROLE) == {**DISPATCHED, "customers": {"email"}}
    print("guard removed: detected")


@pytest.mark.parametrize("role", ["journey_dispatcher", "journey_keyring", "journey_readonly"])
async def test_read_only_roles_cannot_write(url, role):
    async with connected(url) as connection:
        for table in TABLES:
            for right in ("INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"):
                held = await connection.fetchval(
                    "SELECT has_table_privilege($1, $2, $3)", role, table.name, right
                )
                assert not held, (table.name, right)


async def test_without_a_company_one_key_is_found_by_its_id_and_nothing_else(pooled):
    async def unit(lookup):
        connection = lookup.api_keys._connection
        key, _ = await lookup.api_keys.find_live(f"key-{THEIRS}-1")
        return key, await lookup.api_keys.find_live("%"), await seen(connection)

    key, missing, rows = await pooled.look_up_credential(unit)

    assert (key.company_id, key.key_id) == (THEIRS, f"key-{THEIRS}-1")
    assert missing is None
    assert rows == {}


# ---- no company writes rows of another


async def _refusals(connection: asyncpg.Connection, company_id: int, another: int) -> dict[str, str]:
    """Inserts a row of another company into each table; returns the result by table."""
    results = {}
    for table in TABLES:
        owner_id = another if table.name != "companies" else another + 100
        try:
            async with connection.transaction():
                await write(connection, table, a_row(table, owner_id, 3))
            results[table.name] = "written"
        except asyncpg.PostgresError as error:
            results[table.name] = "row-level security" if "row-level security" in str(error) else str(error)
    return results


async def test_no_row_is_written_for_another_company(app):
    transaction = app.transaction()
    await transaction.start()
    await bind(app, MINE)
    assert await _refusals(app, MINE, THEIRS) == {table.name: "row-level security" for table in TABLES}
    # The rows are valid: their own company may insert them, each after its parents.
    await bind(app, THEIRS)
    assert await _refusals(app, THEIRS, THEIRS) == {
        table.name: "written" if table.name != "companies" else "row-level security" for table in TABLES
    }
    await transaction.rollback()


async def test_no_row_is_written_without_a_company(app):
    assert await _refusals(app, 0, THEIRS) == {table.name: "row-level security" for table in TABLES}


async def test_no_row_is_moved_to_another_company_and_none_of_another_is_changed_or_deleted(app, url):
    async with connected(url) as watching:
        before = await digests(watching, THEIRS)
        for table in TABLES:
            column = company_column(table)
            for statement in (
                f"UPDATE {table.name} SET {column} = {THEIRS} WHERE {column} = {MINE}",
                f"UPDATE {table.name} SET {column} = {column} WHERE {column} = {THEIRS}",
                f"DELETE FROM {table.name} WHERE {column} = {THEIRS}",
            ):
                try:
                    async with app.transaction():
                        await bind(app, MINE)
                        done = await app.execute(statement)
                        assert done.endswith(" 0"), statement
                except asyncpg.InsufficientPrivilegeError:
                    continue  # a ledger, or a row that would leave the company
        assert await digests(watching, THEIRS) == before


async def test_no_row_refers_to_a_row_of_another_company(app):
    """Checks of foreign keys ignore row-level security, so the company is part of every key."""
    transaction = app.transaction()
    await transaction.start()
    await bind(app, MINE)
    checked = []
    for table in TABLES:
        parents = {key.referred_table.name for key in table.foreign_key_constraints} - {"companies"}
        if not parents:
            continue
        checked.append(table.name)
        row = {**a_row(table, THEIRS, 2), "company_id": MINE}
        if table.name == "customers":
            row |= {"customer_id": 3, "merged_into": 2}
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            async with app.transaction():
                await write(app, table, row)
    await transaction.rollback()
    assert {"consent_changes", "journey_events", "journey_transitions", "browser_sessions"} <= set(checked)


async def digests(connection: asyncpg.Connection, company_id: int) -> dict[str, str]:
    """Returns a digest of a company's rows in each table, as the owner sees them."""
    return {
        table.name: await connection.fetchval(
            f"SELECT md5(string_agg(to_jsonb(t)::text, ',' ORDER BY to_jsonb(t)::text)) FROM {table.name} t"
            f" WHERE {company_column(table)} = $1",
            company_id,
        )
        for table in TABLES
    }


# ---- functions with more rights than their caller

# The call for a relationship and customer by number, and the table it changes, if any.
CALLS = {
    "erase_transitions": ("SELECT erase_transitions({number}, '{{1}}', '{{erased}}')", "journey_transitions"),
    "erase_events": (
        (
            "SELECT erase_events({number}, '{{x{number}}}', '{{x{number}}}', '{{erased}}', '{{erased}}', '{{NULL}}',"
            " '{{erased}}'::bytea[], '{{NULL}}', '{{NULL}}', '{{1}}')"
        ),
        "journey_events",
    ),
    "move_events": ("SELECT move_events({number}, {number})", "journey_events"),
    "rename_consents": ("SELECT rename_consents({number}, -{number})", "consent_changes"),
    "rename_in_audit": ("SELECT rename_in_audit({number}, -{number}, 'no match')", "audit_log"),
    "clear_event_details": ("SELECT clear_event_details('infinity', 100)", "journey_events"),
    "prune_audit": ("SELECT prune_audit('infinity', 100)", "audit_log"),
    "find_customers": ("SELECT find_customers('%{number}%', '%', '{{}}', 10)", None),
    "find_customers_by_name": (
        "SELECT find_customers_by_name('%{number}%', '%', '{{}}', NULL, NULL, false, 10)",
        None,
    ),
    "api_key_by_id": ("SELECT key_id FROM api_key_by_id('key-1002-{number}')", None),
}


async def changed_companies(connection: asyncpg.Connection, call: str, company_id: int | None) -> set[int]:
    """Calls a function for a company in the role of the service; returns the companies it changes, and rolls back."""
    before = {id_: await digests(connection, id_) for id_ in (MINE, THEIRS)}
    transaction = connection.transaction()
    await transaction.start()
    if company_id is not None:
        await bind(connection, company_id)
    await connection.execute(f"SET LOCAL ROLE {APP_ROLE}")
    try:
        await connection.execute(call)
    finally:
        await connection.execute("RESET ROLE")
    after = {id_: await digests(connection, id_) for id_ in (MINE, THEIRS)}
    await transaction.rollback()
    return {id_ for id_ in before if after[id_] != before[id_]}


async def test_every_security_definer_function_is_called_here(owner):
    found = await owner.fetch(
        "SELECT proname FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace"
    )
    assert {row["proname"] for row in found} == CALLS.keys()


@each_has_its_sql
@pytest.mark.parametrize("name", CALLS)
async def test_a_security_definer_function_changes_no_row_of_another_company(owner, name):
    call, table = CALLS[name]
    await owner.execute("UPDATE audit_log SET customer_id = id")
    for company_id in (MINE, THEIRS):
        for number in (-1, -2):
            await write(
                owner, metadata.tables["customers"], a_row(metadata.tables["customers"], company_id, number)
            )

    # Only THEIRS has number 2; both companies have number 1.
    assert await changed_companies(owner, call.format(number=2), MINE) - {MINE} == set()
    assert await changed_companies(owner, call.format(number=1), MINE) == ({MINE} if table else set())
    assert await changed_companies(owner, call.format(number=1), None) == set()
    assert await changed_companies(owner, call.format(number=1), THEIRS) == ({THEIRS} if table else set())


# ---- the catalogue of every table


async def unprotected(connection: asyncpg.Connection) -> set[str]:
    """Returns the tables, views and foreign keys that do not isolate companies."""
    found = await connection.fetch(
        """
        SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'f')
        AND relname <> 'alembic_version' AND NOT (relrowsecurity AND relforcerowsecurity)
        UNION ALL
        SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND (relkind = 'm' OR relkind = 'v'
        AND NOT coalesce('security_invoker=true' = ANY(reloptions), false))
        UNION ALL
        SELECT conname FROM pg_constraint c WHERE contype = 'f' AND connamespace = 'public'::regnamespace
        AND NOT EXISTS (
          SELECT FROM unnest(conkey, confkey) AS pair(here, there)
          JOIN pg_attribute a ON a.attrelid = conrelid AND a.attnum = here
          JOIN pg_attribute b ON b.attrelid = confrelid AND b.attnum = there
          WHERE a.attname = 'company_id'
          AND b.attname = CASE confrelid WHEN 'companies'::regclass THEN 'id' ELSE 'company_id' END)
        """
    )
    policies = await connection.fetch(
        "SELECT tablename, permissive, roles::text, cmd, qual, with_check FROM pg_policies"
        " WHERE schemaname = 'public' AND policyname = 'tenant'"
    )
    protected = set()
    for row in policies:
        column = "id" if row["tablename"] == "companies" else "company_id"
        condition = f"({column} = ({TENANT})"
        expected = ("PERMISSIVE", "{public}", "ALL", condition, condition)
        if tuple(row.values())[1:] == expected:
            protected.add(row["tablename"])
    return {row["relname"] for row in found} | {table.name for table in TABLES} - protected


async def test_every_table_view_and_foreign_key_isolates_companies(owner):
    assert await unprotected(owner) == set()
    tables = await owner.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'f')"
    )
    assert {row["relname"] for row in tables} == {table.name for table in TABLES} | {"alembic_version"}


async def test_the_owner_of_a_table_sees_no_row_without_a_company(owner):
    """The owner in these tests is a superuser; forced row-level security applies to any other owner."""
    for table in TABLES:
        await owner.execute(f"ALTER TABLE {table.name} OWNER TO journey_readonly")
    await owner.execute("SET LOCAL ROLE journey_readonly")

    assert await seen(owner) == {}
    await bind(owner, MINE)
    assert await seen(owner) == all_of(MINE)


# ---- each guard removed in a transaction that is rolled back, and detected as missing

OPEN = {
    "no policy and no security": ("ALTER TABLE customers DISABLE ROW LEVEL SECURITY", "customers"),
    "another policy": ("CREATE POLICY extra ON journey_events FOR SELECT USING (true)", "journey_events"),
    "a policy without a company": (
        (
            "ALTER POLICY tenant ON audit_log USING (company_id = coalesce("
            "NULLIF(current_setting('app.company_id', true), '')::bigint, company_id))"
        ),
        "audit_log",
    ),
}


@pytest.mark.parametrize(("guard", "table"), OPEN.values(), ids=OPEN)
async def test_a_table_that_shows_rows_without_a_company_is_detected(owner, guard, table):
    await owner.execute(f"SET LOCAL ROLE {APP_ROLE}")
    assert await seen(owner) == {}
    await owner.execute("RESET ROLE")
    await owner.execute(guard)
    await owner.execute(f"SET LOCAL ROLE {APP_ROLE}")

    assert {name for name, _ in await seen(owner)} == {table}
    print("guard removed: detected")


async def test_a_role_that_bypasses_row_level_security_is_detected(owner):
    assert await seen(owner) == all_of(MINE) | all_of(THEIRS)
    print("guard removed: detected")


async def test_a_policy_that_fails_without_a_company_is_detected(owner):
    await owner.execute(
        "ALTER POLICY tenant ON jobs USING (company_id = current_setting('app.company_id', true)::bigint)"
    )
    await owner.execute("SELECT set_config('app.company_id', '', true)")
    await owner.execute(f"SET LOCAL ROLE {APP_ROLE}")

    with pytest.raises(asyncpg.InvalidTextRepresentationError):
        await seen(owner)
    print("guard removed: detected")


async def test_a_company_that_outlives_its_transaction_is_detected(pooled):
    async def unit(uow):
        await uow._connection.execute(text("SELECT set_config('app.company_id', '1001', false)"))

    await pooled.run(MINE, unit)

    assert await seen_without(pooled) == all_of(MINE)
    print("guard removed: detected")


async def test_an_owner_without_forced_row_level_security_is_detected(owner):
    await owner.execute("ALTER TABLE customers OWNER TO journey_readonly")
    await owner.execute("ALTER TABLE customers NO FORCE ROW LEVEL SECURITY")
    assert await unprotected(owner) == {"customers"}
    await owner.execute("SET LOCAL ROLE journey_readonly")

    assert await seen(owner) == {("customers", MINE): 1, ("customers", THEIRS): 2}
    print("guard removed: detected")


UNPROTECTED = {
    "customers": ["DROP POLICY tenant ON customers"],
    "jobs": ["ALTER TABLE jobs NO FORCE ROW LEVEL SECURITY"],
    "imports": ["ALTER POLICY tenant ON imports WITH CHECK (true)"],
    "audit_log": ["ALTER POLICY tenant ON audit_log USING (company_id > 0)"],
    "all_customers": ["CREATE VIEW all_customers AS SELECT * FROM customers"],
    "copied": ["CREATE MATERIALIZED VIEW copied AS SELECT * FROM customers"],
    "stray": ["CREATE TABLE stray (company_id bigint NOT NULL)"],
    "fk_by_number": [
        "ALTER TABLE stage_map_versions ADD COLUMN relationship_id bigint",
        "ALTER TABLE imports ADD CONSTRAINT uq_by_number UNIQUE (done)",
        (
            "ALTER TABLE stage_map_versions ADD CONSTRAINT fk_by_number FOREIGN KEY (relationship_id)"
            " REFERENCES imports (done)"
        ),
    ],
    "fk_crossed": [
        "ALTER TABLE imports ADD CONSTRAINT uq_crossed UNIQUE (id, company_id)",
        (
            "ALTER TABLE import_errors ADD CONSTRAINT fk_crossed FOREIGN KEY (company_id, import_id)"
            " REFERENCES imports (id, company_id) NOT VALID"
        ),
    ],
}


@each_has_its_sql
@pytest.mark.parametrize(("name", "guards"), UNPROTECTED.items(), ids=UNPROTECTED)
async def test_a_missing_isolation_is_detected(owner, name, guards):
    await owner.execute("UPDATE imports SET done = company_id * 10 + id")
    for guard in guards:
        await owner.execute(guard)

    assert await unprotected(owner) == {name}
    print("guard removed: detected")


async def test_a_security_invoker_view_isolates_companies(owner):
    await owner.execute("CREATE VIEW all_customers WITH (security_invoker=true) AS SELECT * FROM customers")

    assert await unprotected(owner) == set()


async def test_a_table_that_accepts_rows_of_another_company_is_detected(owner):
    await owner.execute("ALTER POLICY tenant ON customers WITH CHECK (true)")
    await owner.execute("ALTER TABLE imports DISABLE ROW LEVEL SECURITY")
    await bind(owner, MINE)
    await owner.execute(f"SET LOCAL ROLE {APP_ROLE}")

    refusals = await _refusals(owner, MINE, THEIRS)

    assert {name for name, result in refusals.items() if result == "written"} == {"customers", "imports"}
    print("guard removed: detected")


async def test_a_function_that_changes_rows_of_another_company_is_detected(owner):
    call, _ = CALLS["rename_consents"]
    assert await changed_companies(owner, call.format(number=2), MINE) == set()
    await owner.execute(
        "CREATE OR REPLACE FUNCTION rename_consents(old_id bigint, new_id bigint) RETURNS void LANGUAGE sql"
        " SECURITY DEFINER SET search_path = pg_catalog, public AS"
        " $$ UPDATE public.consent_changes SET customer_id = 1 WHERE customer_id = old_id $$"
    )
    # Row-level security also applies to the function, unless its owner bypasses it.
    assert await changed_companies(owner, call.format(number=2), MINE) == set()
    await owner.execute("ALTER FUNCTION rename_consents(bigint, bigint) OWNER TO CURRENT_USER")

    assert await changed_companies(owner, call.format(number=2), MINE) == {THEIRS}
    print("guard removed: detected")


async def test_a_foreign_key_without_the_company_can_refer_to_another_company(owner):
    """The check of a foreign key sees every row, so the company has to be part of every key."""
    await owner.execute("ALTER TABLE journey_events ALTER COLUMN relationship_id DROP NOT NULL")
    await owner.execute("CREATE TABLE parents (id bigint PRIMARY KEY, company_id bigint NOT NULL)")
    await owner.execute("ALTER TABLE parents ENABLE ROW LEVEL SECURITY")
    await owner.execute("ALTER TABLE parents FORCE ROW LEVEL SECURITY")
    await owner.execute(
        "CREATE POLICY tenant ON parents"
        " USING (company_id = NULLIF(current_setting('app.company_id', true), '')::bigint)"
    )
    await owner.execute(f"INSERT INTO parents VALUES (7, {THEIRS})")
    await owner.execute("ALTER TABLE customers ADD COLUMN parent_id bigint REFERENCES parents (id)")
    await owner.execute(f"GRANT SELECT ON parents TO {APP_ROLE}")
    await bind(owner, MINE)
    await owner.execute(f"SET LOCAL ROLE {APP_ROLE}")

    assert await owner.fetch("SELECT 1 FROM parents") == []
    assert await owner.execute("UPDATE customers SET parent_id = 7") == "UPDATE 1"
    await owner.execute("RESET ROLE")
    assert await unprotected(owner) >= {"customers_parent_id_fkey"}
    print("guard removed: detected")
