"""The schema: upgrade, downgrade, no drift, and isolation of tenants by the database itself."""

import asyncio
import re

import asyncpg
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import text

from conftest import PATIENT
from journey_service.repositories import migrations as migrating
from journey_service.repositories.database import Database
from journey_service.repositories.events.ledger import _GET_CREDITED, _GET_MANY
from journey_service.repositories.operations.health import SCHEMA_REVISION
from journey_service.repositories.tables import metadata
from ledger import rows

# Indexes that do not begin with the company: due work and live keys, each partial, each read by one role.
LED_BY_OTHERS = {"ix_due_imports", "ix_due_jobs", "ix_live_api_keys"}
# Policies beyond the tenant's own: what a role may read of all companies.
EXCEPTIONS = {
    ("companies", "dispatcher", "{journey_dispatcher}"),
    ("imports", "dispatcher", "{journey_dispatcher}"),
    ("jobs", "dispatcher", "{journey_dispatcher}"),
    ("customer_relationships", "dispatcher", "{journey_dispatcher}"),
    ("journey_actions", "dispatcher", "{journey_dispatcher}"),
    ("outbound_events", "dispatcher", "{journey_dispatcher}"),
    ("webhook_endpoints", "dispatcher", "{journey_dispatcher}"),
    ("journey_rollups", "dispatcher", "{journey_dispatcher}"),
    ("api_keys", "keyring", "{journey_keyring}"),
    ("customers", "searcher", "{journey_searcher}"),
}


async def _fresh(servers, name: str) -> str:
    connection = await asyncpg.connect(servers.database_url)
    try:
        await connection.execute(f'DROP DATABASE IF EXISTS "{name}"')
        await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close()
    return servers.database_url.rsplit("/", 1)[0] + f"/{name}"


def _up_down_up(url: str) -> None:
    migrating.upgrade(url)
    migrating.downgrade(url, "base")
    migrating.upgrade(url)
    command.check(migrating.config(url))


async def test_the_schema_upgrades_downgrades_and_upgrades_without_drift_from_the_models(servers):
    url = await _fresh(servers, "up_down_up")
    await asyncio.to_thread(_up_down_up, url)


async def test_a_full_downgrade_leaves_no_tables_and_functions(servers):
    url = await _fresh(servers, "down")
    await asyncio.to_thread(migrating.upgrade, url)
    await asyncio.to_thread(migrating.downgrade, url, "base")
    connection = await asyncpg.connect(url)
    try:
        left = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname !~ '^alembic'"
            " UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        )
    finally:
        await connection.close()
    assert left == []


def test_the_code_requires_the_only_head_revision():
    assert ScriptDirectory.from_config(migrating.config("postgresql://")).get_heads() == [SCHEMA_REVISION]


async def _catalogue(servers, sql: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(servers.database_url)
    try:
        return await connection.fetch(sql)
    finally:
        await connection.close()


async def test_every_table_has_forced_row_level_security_and_a_tenant_policy(servers):
    found = await _catalogue(
        servers,
        "SELECT relname, relrowsecurity AND relforcerowsecurity AS forced,"
        " (SELECT count(*) FROM pg_policy WHERE polrelid = c.oid AND polname = 'tenant') AS tenant"
        " FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
        " AND relname <> 'alembic_version'",
    )
    assert {row["relname"] for row in found} == set(metadata.tables)
    assert [row["relname"] for row in found if not row["forced"] or row["tenant"] != 1] == []


async def test_only_the_listed_policies_read_beyond_one_company(servers):
    found = await _catalogue(
        servers,
        "SELECT tablename, policyname, roles::text FROM pg_policies WHERE policyname <> 'tenant'",
    )
    assert {tuple(row) for row in found} == EXCEPTIONS


# Functions that roles of the service own. None of these roles bypasses row-level security, so the functions that
# change ledgers do so within the company of the transaction.
FUNCTIONS = {
    ("api_key_by_id", "journey_keyring"),
    ("find_customers", "journey_searcher"),
    ("find_customers_by_name", "journey_searcher"),
    ("erase_transitions", "journey_eraser"),
    ("erase_events", "journey_eraser"),
    ("move_events", "journey_eraser"),
    ("rename_consents", "journey_eraser"),
    ("rename_in_audit", "journey_eraser"),
    ("clear_event_details", "journey_eraser"),
    ("prune_audit", "journey_eraser"),
}


async def test_roles_of_the_service_own_only_the_listed_functions_and_bypass_no_row_level_security(servers):
    roles = await _catalogue(
        servers,
        "SELECT rolname FROM pg_roles WHERE rolname LIKE 'journey\\_%' AND (rolsuper OR rolbypassrls)",
    )
    owned = await _catalogue(
        servers,
        "SELECT relname AS name, rolname FROM pg_class JOIN pg_roles r ON r.oid = relowner"
        " WHERE rolname LIKE 'journey\\_%'"
        " UNION ALL SELECT proname, rolname FROM pg_proc JOIN pg_roles r ON r.oid = proowner"
        " WHERE rolname LIKE 'journey\\_%'",
    )
    assert roles == []
    assert {tuple(row) for row in owned} == FUNCTIONS


async def test_the_company_is_the_first_column_of_every_key_and_of_all_but_the_listed_indexes(servers):
    found = await _catalogue(
        servers,
        "SELECT i.relname AS index, t.relname AS table, a.attname AS first, x.indpred IS NOT NULL AS partial"
        " FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid"
        " JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = x.indkey[0]"
        " WHERE t.relnamespace = 'public'::regnamespace AND t.relname <> 'alembic_version'",
    )
    others = {
        row["index"]
        for row in found
        if row["first"] != ("id" if row["table"] == "companies" else "company_id")
    }
    assert others == LED_BY_OTHERS
    assert all(row["partial"] for row in found if row["index"] in others)
    keys = await _catalogue(
        servers,
        "SELECT conname, a.attname AS first FROM pg_constraint c JOIN pg_attribute a"
        " ON a.attrelid = conrelid AND a.attnum = conkey[1] WHERE contype = 'f'"
        " AND connamespace = 'public'::regnamespace",
    )
    assert {row["first"] for row in keys} == {"company_id"}


async def test_the_indexes_of_the_guide_exist(servers):
    found = await _catalogue(servers, "SELECT indexname FROM pg_indexes WHERE schemaname = 'public'")
    assert {
        "unique_company_stage",
        "idx_company_order",
        "unique_company_customer",
        "idx_stage",
        "idx_stage_risk",
        "idx_customer_time",
    } <= {row["indexname"] for row in found}


async def test_the_service_cannot_change_rows_of_ledgers(servers):
    found = await _catalogue(
        servers,
        "SELECT table_name, privilege_type FROM information_schema.role_table_grants"
        " WHERE grantee = 'journey_app' AND table_name IN"
        " ('journey_transitions', 'journey_events', 'stage_map_versions', 'consent_changes', 'audit_log',"
        " 'erasure_tombstones')",
    )
    assert {row["privilege_type"] for row in found} == {"SELECT", "INSERT"}


async def test_a_company_reads_its_own_rows_only_and_writes_none_of_another_company(
    database, create_test_company
):
    mine, other = await create_test_company(), await create_test_company()

    async def spy(uow):
        connection = uow._connection
        seen = {
            table: await connection.scalar(
                text(f"SELECT count(*) FROM {table} WHERE {column} = :other"), {"other": other.id}
            )
            for table, column in [
                ("companies", "id"),
                ("api_keys", "company_id"),
                ("stage_map_versions", "company_id"),
            ]
        }
        changed = await connection.execute(
            text("UPDATE api_keys SET name = 'mine' WHERE company_id = :other"), {"other": other.id}
        )
        return seen, changed.rowcount

    assert await database.run(mine.id, spy) == (
        {"companies": 0, "api_keys": 0, "stage_map_versions": 0},
        0,
    )
    assert len(await rows(database, other.id, "SELECT 1 FROM api_keys WHERE company_id = :company")) == 1


async def test_without_a_company_no_row_is_visible_even_on_a_used_connection(servers, tenant):
    assert tenant.id > 0
    database = Database(servers.database_url, pool_size=1, **PATIENT)

    async def count(uow):
        return await uow._connection.scalar(text("SELECT count(*) FROM api_keys"))

    try:
        assert await database.run(tenant.id, count) == 1
        assert await database.look_up_credential(lambda lookup: _count_on(lookup.api_keys._connection)) == 0
    finally:
        await database.close()


async def _count_on(connection) -> int:
    return await connection.scalar(text("SELECT count(*) FROM api_keys"))


PLANS = {
    "stored events and retractions": (
        _GET_MANY,
        {"sources": "text[]", "ids": "text[]", "company_id": "bigint", "relationship_ids": "bigint[]"},
        {"pk_journey_events", "ix_retractions"},
    ),
    "what decides which events count": (
        _GET_CREDITED,
        {
            "sources": "text[]",
            "ids": "text[]",
            "company_id": "bigint",
            "retracted_by": "bigint[]",
            "booked_by": "bigint[]",
            "bookings": "text[]",
        },
        {"pk_journey_events", "ix_booking_events", "ix_retractions", "pk_companies"},
    ),
}


@pytest.mark.parametrize(("statement", "parameters", "indexes"), PLANS.values(), ids=PLANS)
async def test_events_are_found_by_their_indexes_with_a_plan_made_for_an_empty_table(
    servers, statement, parameters, indexes
):
    url = await _fresh(servers, "empty")
    await asyncio.to_thread(migrating.upgrade, url)
    connection = await asyncpg.connect(url, server_settings={"plan_cache_mode": "force_generic_plan"})
    try:
        sql = str(statement)
        for index, name in enumerate(parameters, start=1):
            sql = sql.replace(f":{name}", f"${index}")
        await connection.execute(f"PREPARE known({', '.join(parameters.values())}) AS {sql}")
        values = ", ".join("1" if type_ == "bigint" else "'{1}'" for type_ in parameters.values())
        plan = await connection.fetch(f"EXPLAIN EXECUTE known({values})")
    finally:
        await connection.close()
    lines = "\n".join(row[0] for row in plan)
    assert set(re.findall(r"\b(?:pk|ix|idx)_\w+", lines)) == indexes, lines
    assert "Seq Scan on journey_events" not in lines
    assert "Join Filter" not in lines, lines
