"""Runs migrations: one process at a time, with short lock timeouts to keep traffic moving."""

import asyncio
import os
import random
import time

from alembic import context
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, pool, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from journey_service.repositories import migrations
from journey_service.repositories.database import async_url
from journey_service.repositories.operations.health import supported_comment
from journey_service.repositories.tables import metadata

# Advisory locks with two keys never meet those with one, which are the companies'.
_TRY_LOCK = text("SELECT pg_try_advisory_lock(724, 1)")
_WAIT_SECONDS = 600
# A statement that waits for a lock holds back all that come after it, so it waits shortly and often.
_LOCK_TIMEOUT = "500ms"
_STATEMENT_TIMEOUT = "60s"
_MAX_ATTEMPTS = 120
_RETRIED = {"55P03", "40P01"}  # a lock was not available; deadlock


def _migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        transaction_per_migration=True,
        compare_server_default=True,
        on_version_apply=_record_supported,
    )
    with context.begin_transaction():
        context.run_migrations()


def _record_supported(*, ctx: MigrationContext, heads: set[str], **_: object) -> None:
    """Writes the revisions whose code runs on the schema, in the transaction of the migration."""
    revisions = migrations.supported_revisions(ScriptDirectory.from_config(context.config), heads)
    comment = f"'{supported_comment(revisions)}'" if revisions else "NULL"
    ctx.impl.execute(f"COMMENT ON TABLE alembic_version IS {comment}")


async def _lock(connection: AsyncConnection) -> None:
    """Waits for other migrations. The lock belongs to the session: a concurrent index build ends the transaction."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while not await connection.scalar(_TRY_LOCK):
        if time.monotonic() > deadline:
            raise TimeoutError("another migration has been running for ten minutes")
        await asyncio.sleep(0.2)


async def _attempt(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(text(f"SET lock_timeout = '{_LOCK_TIMEOUT}'"))
        await connection.execute(text(f"SET statement_timeout = '{_STATEMENT_TIMEOUT}'"))
        await connection.commit()
        await connection.run_sync(_migrate)
        await connection.commit()


async def _run(url: str) -> None:
    engine = create_async_engine(url, poolclass=pool.NullPool)
    async with engine.connect() as session:
        await _lock(await session.execution_options(isolation_level="AUTOCOMMIT"))
        for attempt in range(1, _MAX_ATTEMPTS + 1):
            try:
                await _attempt(engine)
                break
            except DBAPIError as error:
                # Migrations that have been committed are not run again.
                if attempt == _MAX_ATTEMPTS or getattr(error.orig, "sqlstate", None) not in _RETRIED:
                    raise
                await asyncio.sleep(random.uniform(0.5, 1.5))  # noqa: S311  # no secret
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
        url="postgresql://",
        target_metadata=metadata,
        literal_binds=True,
        transaction_per_migration=True,
        on_version_apply=_record_supported,
    )
    with context.begin_transaction():
        context.run_migrations()
elif (shared := context.config.attributes.get("connection")) is not None:
    _migrate(shared)
else:
    asyncio.run(_run(_url()))
