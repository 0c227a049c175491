"""Dumps of a database and of Redis as text, to search for values in them."""

import asyncpg
import valkey

_TABLES = """
SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1
"""


async def dump(servers, company_id: int | None = None) -> str:
    """Returns every row of every table, or of one company; bytes also decoded as text."""
    connection = await asyncpg.connect(servers.database_url)
    try:
        lines = []
        for row in await connection.fetch(_TABLES):
            table = row["relname"]
            column = "id" if table == "companies" else "company_id"
            clause = (
                "" if company_id is None or table == "alembic_version" else f" WHERE {column} = {company_id}"
            )
            for record in await connection.fetch(f"SELECT t, t::text AS line FROM {table} t{clause}"):
                decoded = [
                    bytes(value).decode("latin-1") for value in record["t"] if isinstance(value, bytes)
                ]
                lines.append(" ".join((table, record["line"], *decoded)))
        return "\n".join(lines)
    finally:
        await connection.close()


def dump_redis(servers) -> str:
    """Returns every key and serialized value of the Redis."""
    redis = valkey.Valkey.from_url(servers.redis_url)
    try:
        return "\n".join(f"{key!r} {redis.dump(key)!r}" for key in redis.scan_iter())
    finally:
        redis.close()
