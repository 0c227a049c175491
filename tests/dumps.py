"""Everything a database and a Redis hold, as text, seen by their owner: what a thief of either would read."""

import asyncpg
import valkey

_TABLES = """
SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1
"""


async def dump(servers, company_id: int | None = None) -> str:
    """Every row of every table, whoever's it is or one company's; bytes as text too, where they are some."""
    connection = await asyncpg.connect(servers.database_url)
    try:
        lines = []
        for row in await connection.fetch(_TABLES):
            table = row["relname"]
            column = "id" if table == "companies" else "company_id"
            clause = (
                "" if company_id is None or table == "alembic_version" else f" WHERE {column} = {company_id}"
            )
            for found in await connection.fetch(f"SELECT t, t::text AS line FROM {table} t{clause}"):
                told = [bytes(value).decode("latin-1") for value in found["t"] if isinstance(value, bytes)]
                lines.append(" ".join((table, found["line"], *told)))
        return "\n".join(lines)
    finally:
        await connection.close()


def dump_redis(servers) -> str:
    """Every key and every value of the Redis, as it goes over the wire."""
    redis = valkey.Valkey.from_url(servers.redis_url)
    try:
        return "\n".join(f"{key!r} {redis.dump(key)!r}" for key in redis.scan_iter())
    finally:
        redis.close()
