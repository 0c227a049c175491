"""Plans that a connection makes on empty tables, and keeps while they fill, read the right index."""

import asyncpg
from sqlalchemy.dialects.postgresql import asyncpg as dialect

from journey_service.repositories.events import ledger

_REFERRED = """
    SELECT DISTINCT c.confrelid::regclass::text AS parent, i.relname AS key,
      array_agg(a.attname ORDER BY k.number) AS columns,
      array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY k.number) AS types
    FROM pg_constraint c JOIN pg_class i ON i.oid = c.conindid
    CROSS JOIN LATERAL unnest(c.confkey) WITH ORDINALITY k(attnum, number)
    JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.attnum
    WHERE c.contype = 'f' GROUP BY c.oid, 1, 2 ORDER BY 1
"""


async def checked_otherwise(connection):
    """Returns the keys that foreign keys refer to, and by whose index the check of a new row does not look it up."""
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    found = []
    for row in await connection.fetch(_REFERRED):
        equal = " AND ".join(f"{name} = ${number}" for number, name in enumerate(row["columns"], 1))
        # The statement that PostgreSQL executes for each row that refers to another.
        await connection.execute(
            f"PREPARE checked({', '.join(row['types'])}) AS SELECT 1 FROM ONLY {row['parent']} x WHERE {equal}"
            " FOR KEY SHARE OF x"
        )
        lines = await connection.fetch(f"EXPLAIN EXECUTE checked({', '.join(['NULL'] * len(row['types']))})")
        await connection.execute("DEALLOCATE checked")
        plan = "\n".join(line[0] for line in lines)
        if f"Index Scan using {row['key']} " not in plan:
            found.append((row["key"], plan))
    return found


async def test_each_foreign_key_is_checked_by_its_key(copied):
    connection = await asyncpg.connect(await copied("foreign_keys"))
    try:
        assert await checked_otherwise(connection) == []

        # A later index that begins with the company looks as good while the table is empty.
        await connection.execute("CREATE INDEX newest ON customer_relationships (company_id, owner)")
        assert [key for key, _ in await checked_otherwise(connection)] == ["pk_customer_relationships"]
        print("guard removed: detected")
    finally:
        await connection.close()


async def plan_of(connection, types, statement):
    """Returns the generic plan of a statement with parameters of these types."""
    await connection.execute(
        f"SET plan_cache_mode = force_generic_plan; PREPARE planned({types}) AS {statement}"
    )
    values = ", ".join(["NULL"] * len(types.split(",")))
    lines = await connection.fetch(f"EXPLAIN EXECUTE planned({values})")
    await connection.execute("DEALLOCATE planned")
    return "\n".join(line[0] for line in lines)


async def test_known_events_of_an_import_are_found_by_their_customer(copied):
    statement = str(ledger._LIST_BY_PREFIX.compile(dialect=dialect.dialect()))
    types = "bigint[], text[], text[], timestamptz[], bigint"
    connection = await asyncpg.connect(await copied("known_events"))
    try:
        assert "Index Scan using idx_relationship_events" in await plan_of(connection, types, statement)

        unguarded = statement.replace("ORDER BY e.occurred_at", "")
        assert "Index Scan using pk_journey_events" in await plan_of(connection, types, unguarded)
        print("guard removed: detected")
    finally:
        await connection.close()
