"""State and statistics of tables and indexes, read and refreshed by the login that owns them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import UniqueConstraint, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from journey_service.domain.errors import UnavailableError
from journey_service.repositories.database import async_url
from journey_service.repositories.tables import metadata

_LOCK_NOT_AVAILABLE: Final = "55P03"
_NOT_PRELOADED: Final = "55000"
_STATEMENTS_SHOWN: Final = 10
_LOCK_TIMEOUT: Final = "5s"


@dataclass(frozen=True, slots=True)
class TableState:
    """A table with its estimated row counts, size and last maintenance."""

    name: str
    quoted: str
    live_rows: int
    dead_rows: int
    bytes: int
    vacuumed_at: datetime | None
    analyzed_at: datetime | None
    is_own: bool
    """Whether the login may refresh its statistics."""


@dataclass(frozen=True, slots=True)
class IndexState:
    """An index and the number of its scans since the statistics were reset."""

    name: str
    table: str
    bytes: int
    scans: int
    is_unique: bool
    is_primary: bool
    is_valid: bool


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """A transaction that is open in another session."""

    pid: int
    application: str
    state: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class SlowStatement:
    """A statement with its mean duration and number of calls."""

    statement: str
    seconds: float
    """The mean; of a running statement, the time until now."""
    calls: int


_TABLES: Final = text(
    "SELECT c.relname AS name, CAST(CAST(c.oid AS regclass) AS text) AS quoted,"
    " coalesce(s.n_live_tup, 0) AS live_rows, coalesce(s.n_dead_tup, 0) AS dead_rows,"
    " pg_total_relation_size(c.oid) AS bytes, greatest(s.last_vacuum, s.last_autovacuum) AS vacuumed_at,"
    " greatest(s.last_analyze, s.last_autoanalyze) AS analyzed_at,"
    " pg_has_role(c.relowner, 'USAGE')"
    " OR pg_has_role((SELECT datdba FROM pg_database WHERE datname = current_database()), 'USAGE')"
    # The MAINTAIN privilege exists since PostgreSQL 17.
    " OR CASE WHEN CAST(current_setting('server_version_num') AS int) >= 170000"
    " THEN has_table_privilege(c.oid, 'MAINTAIN') ELSE false END AS is_own"
    " FROM pg_class c LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid"
    " WHERE c.relnamespace = to_regnamespace(quote_ident(current_schema())) AND c.relkind IN ('r', 'p')"
    " ORDER BY c.relname"
)
_INDEXES: Final = text(
    "SELECT i.relname AS name, t.relname AS table, pg_relation_size(i.oid) AS bytes,"
    " coalesce(s.idx_scan, 0) AS scans, x.indisunique AS is_unique, x.indisprimary AS is_primary,"
    " x.indisvalid AND x.indisready AND x.indislive AS is_valid"
    " FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid"
    " LEFT JOIN pg_stat_all_indexes s ON s.indexrelid = i.oid"
    " WHERE t.relnamespace = to_regnamespace(quote_ident(current_schema())) AND t.relkind IN ('r', 'p')"
    " ORDER BY t.relname, i.relname"
)
_OLDEST: Final = text(
    "SELECT pid, application_name AS application, state,"
    " CAST(extract(epoch FROM clock_timestamp() - xact_start) AS float) AS seconds FROM pg_stat_activity"
    " WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    " AND xact_start IS NOT NULL ORDER BY xact_start LIMIT 1"
)
_RUNNING: Final = text(
    "SELECT left(regexp_replace(query, '\\s+', ' ', 'g'), 200) AS statement,"
    " CAST(extract(epoch FROM clock_timestamp() - query_start) AS float) AS seconds, 1 AS calls"
    " FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
    " AND pid <> pg_backend_pid() AND state = 'active' ORDER BY query_start LIMIT :limit"
)
_EXTENSION: Final = text(
    "SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace"
    " WHERE extname = 'pg_stat_statements'"
)
_SLOWEST: Final = (
    "SELECT left(regexp_replace(query, '\\s+', ' ', 'g'), 200) AS statement,"
    " mean_exec_time / 1000 AS seconds, calls FROM {schema}.pg_stat_statements"
    " WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " ORDER BY mean_exec_time DESC LIMIT :limit"
)
_SEES_ALL: Final = text("SELECT pg_has_role('pg_read_all_stats', 'USAGE')")


class DatabaseMaintenance:
    """Statistics and maintenance of one database. Every statement is a transaction of its own."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def list_tables(self) -> list[TableState]:
        """Lists the tables of the schema by name."""
        return [TableState(**row._mapping) for row in await self._connection.execute(_TABLES)]

    async def analyze(self, table: TableState) -> bool:
        """Refreshes the planner statistics of a table; returns False if its lock is not available."""
        try:
            await self._connection.execute(text(f"ANALYZE {table.quoted}"))
        except DBAPIError as error:
            if _sqlstate(error) != _LOCK_NOT_AVAILABLE:
                raise
            return False
        return True

    async def list_indexes(self) -> list[IndexState]:
        """Lists the indexes of the schema by table and name."""
        return [IndexState(**row._mapping) for row in await self._connection.execute(_INDEXES)]

    async def find_oldest_transaction(self) -> OpenTransaction | None:
        """Finds the transaction of another session that has been open longest."""
        row = (await self._connection.execute(_OLDEST)).one_or_none()
        return None if row is None else OpenTransaction(**row._mapping)

    async def list_slowest(self) -> list[SlowStatement] | None:
        """Lists the statements with the highest mean duration; None without pg_stat_statements."""
        schema = await self._connection.scalar(_EXTENSION)
        if schema is None:
            return None
        try:
            return await self._statements(_SLOWEST.format(schema=schema))
        except DBAPIError as error:
            if _sqlstate(error) != _NOT_PRELOADED:
                raise
            return None

    async def list_running(self) -> list[SlowStatement]:
        """Lists the statements that are running, the longest first."""
        return await self._statements(_RUNNING.text)

    async def sees_all_statements(self) -> bool:
        """Returns whether this login may see the statements of other logins."""
        return bool(await self._connection.scalar(_SEES_ALL))

    async def _statements(self, sql: str) -> list[SlowStatement]:
        rows = await self._connection.execute(text(sql), {"limit": _STATEMENTS_SHOWN})
        return [SlowStatement(**row._mapping) for row in rows]


@asynccontextmanager
async def open_maintenance(url: str) -> AsyncIterator[DatabaseMaintenance]:
    """Opens the maintenance of a database with the login of its URL. Raises UnavailableError."""
    engine = create_async_engine(
        async_url(url),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args={
            "timeout": 5,
            "server_settings": {"application_name": "journey-maintenance", "lock_timeout": _LOCK_TIMEOUT},
        },
    )
    try:
        async with engine.connect() as connection:
            yield DatabaseMaintenance(connection)
    except DBAPIError as error:
        # The message of the driver, without the class names that SQLAlchemy prefixes.
        reason = error.orig and (error.orig.__cause__ or error.orig)
        raise UnavailableError(f"The database refused the statement: {reason}") from error
    except OSError as error:
        raise UnavailableError("The database cannot be reached.") from error
    finally:
        await engine.dispose()


def list_required_indexes() -> Sequence[tuple[str, str]]:
    """Lists (table, index) of every index that this version needs, those of keys included."""
    names_by_table = []
    for table in metadata.tables.values():
        unique = [key for key in table.constraints if isinstance(key, UniqueConstraint)]
        names = [
            table.primary_key.name,
            *(key.name for key in unique),
            *(index.name for index in table.indexes),
        ]
        names_by_table += [(table.name, str(name)) for name in names]
    return sorted(names_by_table)


def _sqlstate(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)
