"""Runs migrations: one process at a time, with short lock timeouts to keep traffic moving."""

import asyncio
import os
import time

from alembic import context
from sqlalchemy import Connection, pool, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from journey_service.repositories.database import async_url
from journey_service.repositories.tables import metadata

_LOCK = 724_001
_WAIT_SECONDS = 600
_MAX_ATTEMPTS = 30
_LOCK_NOT_AVAILABLE = "55P03"


def _migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        transaction_per_migration=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def _run(url: str) -> None:
    engine = create_async_engine(url, poolclass=pool.NullPool)
    # A session-level lock on a connection of its own: a transaction-level lock would be released when a migration
    # builds an index concurrently.
    async with engine.connect() as session:
        locking = await session.execution_options(isolation_level="AUTOCOMMIT")
        deadline = time.monotonic() + _WAIT_SECONDS
        while not await locking.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK}):
            if time.monotonic() > deadline:
                raise TimeoutError("another migration has been running for ten minutes")
            await asyncio.sleep(0.2)
        for attempt in range(1, _MAX_ATTEMPTS + 1):
            try:
                async with engine.connect() as connection:
                    await connection.execute(text("SET lock_timeout = '2s'"))
                    await connection.execute(text("SET statement_timeout = '60s'"))
                    await connection.commit()
                    await connection.run_sync(_migrate)
                    await connection.commit()
                break
            except DBAPIError as error:
                if attempt == _MAX_ATTEMPTS or getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                    raise
                await asyncio.sleep(1)
    await engine.dispose()


def _url() -> str:
    url = context.config.attributes.get("url")
    if url is not None:
        return str(url)
    url = os.environ.get("MIGRATION_DATABASE_URL") or os.environ.get("DATABASE_URL")
    if not url:
        raise SystemExit("Set DATABASE_URL (or MIGRATION_DATABASE_URL) to the database to migrate.")
    return async_url(url)


if context.is_offline_mode():
    context.configure(
        url="postgresql://", target_metadata=metadata, literal_binds=True, transaction_per_migration=True
    )
    with context.begin_transaction():
        context.run_migrations()
elif (shared := context.config.attributes.get("connection")) is not None:
    _migrate(shared)
else:
    asyncio.run(_run(_url()))
