"""The state of the tables and indexes themselves, seen and refreshed by the login that owns them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

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
    """A table. `is_own` tells whether the login may refresh its statistics; the counts are the server's guess."""

    name: str
    quoted: str
    live_rows: int
    dead_rows: int
    bytes: int
    vacuumed_at: datetime | None
    analyzed_at: datetime | None
    is_own: bool


@dataclass(frozen=True, slots=True)
class IndexState:
    """An index, and how often it was used since the server began to count."""

    name: str
    table: str
    bytes: int
    scans: int
    is_unique: bool
    is_primary: bool
    is_valid: bool


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """A transaction somebody has open."""

    pid: int
    application: str
    state: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class SlowStatement:
    """A statement with how long it took on average (or, still running, until now), and how often it was called."""

    statement: str
    seconds: float
    calls: int


_TABLES: Final = text(
    "SELECT c.relname AS name, CAST(CAST(c.oid AS regclass) AS text) AS quoted,"
    " coalesce(s.n_live_tup, 0) AS live_rows, coalesce(s.n_dead_tup, 0) AS dead_rows,"
    " pg_total_relation_size(c.oid) AS bytes, greatest(s.last_vacuum, s.last_autovacuum) AS vacuumed_at,"
    " greatest(s.last_analyze, s.last_autoanalyze) AS analyzed_at,"
    " pg_has_role(c.relowner, 'USAGE')"
    " OR pg_has_role((SELECT datdba FROM pg_database WHERE datname = current_database()), 'USAGE')"
    # A privilege that PostgreSQL knows since 17.
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
    """The catalogue and the statistics of one database. Every statement is a transaction of its own."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def list_tables(self) -> list[TableState]:
        """Every table of the schema, by name."""
        return [TableState(**row._mapping) for row in await self._connection.execute(_TABLES)]

    async def analyze(self, table: TableState) -> bool:
        """Refresh what the planner knows of a table; False if somebody holds it and does not let go."""
        try:
            await self._connection.execute(text(f"ANALYZE {table.quoted}"))
        except DBAPIError as error:
            if _sqlstate(error) != _LOCK_NOT_AVAILABLE:
                raise
            return False
        return True

    async def list_indexes(self) -> list[IndexState]:
        """Every index of the schema, by table and name."""
        return [IndexState(**row._mapping) for row in await self._connection.execute(_INDEXES)]

    async def find_oldest_transaction(self) -> OpenTransaction | None:
        """The transaction that has been open longest."""
        row = (await self._connection.execute(_OLDEST)).one_or_none()
        return None if row is None else OpenTransaction(**row._mapping)

    async def list_slowest(self) -> list[SlowStatement] | None:
        """The statements slowest on average; None where the server does not keep count of them."""
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
        """The statements that are running right now, the longest first."""
        return await self._statements(_RUNNING.text)

    async def sees_all_statements(self) -> bool:
        """Whether this login is shown what other logins do."""
        return bool(await self._connection.scalar(_SEES_ALL))

    async def _statements(self, sql: str) -> list[SlowStatement]:
        rows = await self._connection.execute(text(sql), {"limit": _STATEMENTS_SHOWN})
        return [SlowStatement(**row._mapping) for row in rows]


@asynccontextmanager
async def open_maintenance(url: str) -> AsyncIterator[DatabaseMaintenance]:
    """The upkeep of a database, by the login of its URL. Raises UnavailableError."""
    engine = create_async_engine(
        async_url(url),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args={
            "timeout": 5,
            "server_settings": {"application_name": "journey-upkeep", "lock_timeout": _LOCK_TIMEOUT},
        },
    )
    try:
        async with engine.connect() as connection:
            yield DatabaseMaintenance(connection)
    except DBAPIError as error:
        # The driver's own words, which SQLAlchemy puts behind the name of a class.
        said = error.orig and (error.orig.__cause__ or error.orig)
        raise UnavailableError(f"The database refused: {said}") from error
    except OSError as error:
        raise UnavailableError("The database is out of reach.") from error
    finally:
        await engine.dispose()


def list_required_indexes() -> Sequence[tuple[str, str]]:
    """(table, index) of every index this version is written for, those behind keys included."""
    found = []
    for table in metadata.tables.values():
        unique = [key for key in table.constraints if isinstance(key, UniqueConstraint)]
        names = [
            table.primary_key.name,
            *(key.name for key in unique),
            *(index.name for index in table.indexes),
        ]
        found += [(table.name, str(name)) for name in names]
    return sorted(found)


def _sqlstate(error: DBAPIError) -> Any:  # noqa: ANN401  # the driver's own
    return getattr(error.orig, "sqlstate", None)
