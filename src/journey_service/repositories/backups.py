"""Backups: the rows of every table in one snapshot, read and written by the login that owns the tables.

The schema is not part of a backup: migrations create it, with its roles. So no program of PostgreSQL is needed, and a
backup can be restored into another version of PostgreSQL.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from graphlib import TopologicalSorter
from typing import Final

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from journey_service.domain.errors import ConflictError, UnavailableError
from journey_service.repositories.connections import DriverConnection
from journey_service.repositories.database import DISPATCHER_ROLE, async_url
from journey_service.repositories.operations.health import RESTORING, SCHEMA_REVISION

Output = Callable[[bytes], Awaitable[None]]

_SESSION: Final = {
    "jit": "off",
    "lock_timeout": "30s",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    # The text of values does not depend on the settings of a server.
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "extra_float_digits": "3",
    "bytea_output": "hex",
}
_TABLES: Final = (
    "SELECT c.relname AS name, array_agg(a.attname::text ORDER BY a.attnum) AS columns,"
    " ARRAY(SELECT DISTINCT t.relname::text FROM pg_constraint f JOIN pg_class t ON t.oid = f.confrelid"
    "   WHERE f.conrelid = c.oid AND f.contype = 'f' AND f.confrelid <> c.oid) AS referenced"
    " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
    " AND a.attgenerated = '' WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'"
    " AND c.relname <> 'alembic_version' GROUP BY c.oid, c.relname ORDER BY c.relname"
)
_SEQUENCES: Final = (
    # One that was never used has no last value; it may be used after the backup.
    "SELECT s.sequencename::text AS name, coalesce(s.last_value, s.start_value) AS last_value"
    " FROM pg_sequences s WHERE s.schemaname = 'public' ORDER BY 1"
)
_BYPASSES: Final = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
_LOGINS: Final = (
    "SELECT member.rolname::text AS name, array_agg(DISTINCT role.rolname::text) AS roles FROM pg_auth_members m"
    " JOIN pg_roles role ON role.oid = m.roleid JOIN pg_roles member ON member.oid = m.member"
    " WHERE role.rolname LIKE 'journey\\_%' AND member.rolcanlogin AND NOT member.rolsuper"
    " AND member.rolname <> current_user GROUP BY 1 ORDER BY 1"
)
_SKIPPED_NUMBERS: Final = 1 << 32
"""Numbers that each sequence skips in a restore: numbers given after the backup are known to other systems."""
_ADVANCE: Final = (
    "SELECT setval(CAST($1::text AS regclass), least($2::bigint, seqmax)) FROM pg_sequence"
    " WHERE seqrelid = CAST($1::text AS regclass)"
)
_IN_USE: Final = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND backend_type = 'client backend' AND application_name LIKE 'journey%'"
)


@dataclass(frozen=True, slots=True)
class TableShape:
    """A table and its columns, without generated ones."""

    name: str
    columns: Sequence[str]


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """What a snapshot contains besides rows: its time, tables (referenced ones first), sequences and logins."""

    taken_at: datetime
    server_version: str
    revision: str
    tables: Sequence[TableShape]
    sequences: Sequence[tuple[str, int]]
    logins: Sequence[tuple[str, Sequence[str]]]


class BackupSnapshot:
    """One consistent snapshot of a database."""

    def __init__(self, connection: DriverConnection, companies: Sequence[int] | None) -> None:
        self._connection = connection
        self._companies = companies

    async def get_info(self) -> SnapshotInfo:
        """Returns what the snapshot contains."""
        run = self._connection
        found = await run.fetch(_TABLES)
        shapes = {row["name"]: TableShape(row["name"], row["columns"]) for row in found}
        order = TopologicalSorter({row["name"]: row["referenced"] for row in found}).static_order()
        return SnapshotInfo(
            taken_at=await run.fetchval("SELECT now()"),
            server_version=await run.fetchval("SHOW server_version"),
            revision=await run.fetchval("SELECT version_num FROM public.alembic_version"),
            tables=[shapes[name] for name in order],
            sequences=[(row["name"], row["last_value"]) for row in await run.fetch(_SEQUENCES)],
            logins=[(row["name"], row["roles"]) for row in await run.fetch(_LOGINS)],
        )

    async def copy_rows(self, table: TableShape, output: Output) -> int:
        """Writes the rows of a table in PostgreSQL's text format; returns their number.

        A login that is subject to row-level security reads company by company.
        """
        query = f"SELECT {_columns(table)} FROM public.{_quoted(table.name)}"
        with _database_errors():
            if self._companies is None:
                return _count(await self._connection.copy_from_query(query, output=output))
            rows = 0
            # Policies of other roles that the login is a member of show rows of all companies.
            query += f" WHERE {'company_id' if 'company_id' in table.columns else 'id'} = $1"
            for company_id in self._companies:
                await self._connection.execute(
                    "SELECT set_config('app.company_id', $1, true)", str(company_id)
                )
                rows += _count(await self._connection.copy_from_query(query, company_id, output=output))
            return rows


@asynccontextmanager
async def open_snapshot(url: str) -> AsyncIterator[BackupSnapshot]:
    """Opens a snapshot of a database for the length of the block. Raises UnavailableError."""
    async with _connect(url, "journey-backup") as connection:
        with _database_errors():
            transaction = connection.transaction(isolation="repeatable_read", readonly=True)
            await transaction.start()
            companies = None
            if not await connection.fetchval(_BYPASSES):
                await connection.execute(f"SET LOCAL ROLE {DISPATCHER_ROLE}")
                rows = await connection.fetch("SELECT id FROM public.companies ORDER BY id")
                companies = [row["id"] for row in rows]
                await connection.execute("RESET ROLE")
        yield BackupSnapshot(connection, companies)


class RestoreTarget:
    """The transaction that writes all rows of a backup into the tables that migrations created."""

    def __init__(self, connection: DriverConnection) -> None:
        self._connection = connection

    async def prepare(self, tables: Sequence[TableShape]) -> None:
        """Empties the tables, and lets their owner write rows of every company in this transaction."""
        with _database_errors():
            names = ", ".join(f"public.{_quoted(table.name)}" for table in tables)
            await self._connection.execute(f"TRUNCATE {names}")
            for table in tables:
                # COPY refuses tables with row-level security, and triggers would write rows that the backup contains.
                await self._connection.execute(
                    f"ALTER TABLE public.{_quoted(table.name)} NO FORCE ROW LEVEL SECURITY, DISABLE TRIGGER USER"
                )

    async def write_rows(self, table: TableShape, source: Iterator[bytes]) -> int:
        """Writes the rows of a table; returns their number."""
        with _database_errors():
            status = await self._connection.copy_to_table(
                table.name, schema_name="public", columns=list(table.columns), source=_streamed(source)
            )
        return _count(status)

    async def finish(self, tables: Sequence[TableShape], sequences: Sequence[tuple[str, int]]) -> None:
        """Sets the sequences, and the protection of the tables again."""
        with _database_errors():
            for name, value in sequences:
                await self._connection.execute(_ADVANCE, f"public.{_quoted(name)}", value + _SKIPPED_NUMBERS)
            for table in tables:
                await self._connection.execute(
                    f"ALTER TABLE public.{_quoted(table.name)} FORCE ROW LEVEL SECURITY, ENABLE TRIGGER USER"
                )


@asynccontextmanager
async def open_target(url: str) -> AsyncIterator[RestoreTarget]:
    """Opens the transaction of a restore; it is committed if the block ends without an error."""
    async with _connect(url, "journey-restore") as connection, connection.transaction():
        yield RestoreTarget(connection)


async def has_tables(url: str) -> bool:
    """Returns whether the schema `public` contains a table."""
    async with _connect(url, "journey-restore") as connection:
        return bool(
            await connection.fetchval(
                "SELECT EXISTS (SELECT 1 FROM pg_class WHERE relnamespace = 'public'::regnamespace"
                " AND relkind IN ('r', 'p'))"
            )
        )


async def count_sessions(url: str) -> int:
    """Returns the number of other sessions of this service on the database."""
    async with _connect(url, "restore") as connection:
        return int(await connection.fetchval(_IN_USE))


async def drop_everything(url: str) -> None:
    """Deletes the schema `public` with all its content, and creates it again."""
    async with _connect(url, "journey-restore") as connection, connection.transaction():
        with _database_errors():
            await connection.execute("DROP SCHEMA public CASCADE")
            await connection.execute("CREATE SCHEMA public")


async def set_ready(url: str, *, is_ready: bool) -> None:
    """Marks a restored database as ready for the service, or as not ready: `/readyz` then answers 503."""
    async with _connect(url, "journey-restore") as connection:
        await connection.execute(
            "UPDATE public.alembic_version SET version_num = $1", SCHEMA_REVISION if is_ready else RESTORING
        )


async def create_logins(url: str, logins: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """Creates missing logins, without a password, and their memberships; returns the statements that were refused."""
    refused = []
    async with _connect(url, "journey-restore") as connection:
        for name, roles in logins:
            if not await connection.fetchval("SELECT to_regrole(quote_ident($1)) IS NOT NULL", name):
                statements = [f"CREATE ROLE {_quoted(name)} LOGIN"]
            else:
                statements = []
            statements.append(f"GRANT {', '.join(map(_quoted, roles))} TO {_quoted(name)}")
            for statement in statements:
                try:
                    await connection.execute(statement)
                except asyncpg.PostgresError:
                    refused.append(statement)
    return refused


async def analyze(url: str) -> None:
    """Refreshes the planner statistics of the database."""
    async with _connect(url, "journey-restore") as connection:
        await connection.execute("ANALYZE")


@asynccontextmanager
async def _connect(url: str, application_name: str) -> AsyncIterator[DriverConnection]:
    """Yields a connection of the driver, made with the same URL parameters as the service's own."""
    engine = create_async_engine(
        async_url(url),
        poolclass=NullPool,
        connect_args={
            "timeout": 10,
            "server_settings": {"application_name": application_name, **_SESSION},
        },
    )
    try:
        with _database_errors():
            connection = await engine.connect()
        try:
            raw = await connection.get_raw_connection()
            yield raw.driver_connection
        finally:
            await connection.invalidate()  # the driver's own transactions are unknown to the library
            await connection.close()
    finally:
        await engine.dispose()


@contextmanager
def _database_errors() -> Iterator[None]:
    try:
        yield
    except (DBAPIError, OSError, asyncpg.InterfaceError) as error:
        raise UnavailableError(f"The database is unreachable: {type(error).__name__}.") from error
    except asyncpg.PostgresError as error:
        # The detail and the context of an error may repeat values of rows.
        raise ConflictError(
            f"The database refused a statement: {error.args[0]} ({error.sqlstate})."
        ) from error


async def _streamed(source: Iterator[bytes]) -> AsyncIterator[bytes]:
    for block in source:
        yield block


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _columns(table: TableShape) -> str:
    return ", ".join(map(_quoted, table.columns))


def _count(status: str) -> int:
    """Returns the number of rows in a command status such as `COPY 12`."""
    return int(status.rsplit(" ", 1)[-1])
