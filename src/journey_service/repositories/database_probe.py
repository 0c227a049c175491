"""Probe of the database for readiness checks, on a connection of its own and with a deadline."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.engine import make_url

from journey_service.domain.errors import Resource
from journey_service.domain.operations.records import DatabaseCondition
from journey_service.repositories.database import DISPATCHER_ROLE, async_url
from journey_service.repositories.database_errors import outage_of
from journey_service.repositories.operations.health import READ_SCHEMA, SchemaState
from journey_service.repositories.tables.columns import Row

PROBE_SECONDS: Final = 0.5
"""Time after which a database that does not respond counts as unreachable."""
# The rows of a function are kept in a temporary file of a quarter of a megabyte, with the least memory for them: a full
# disk refuses it. Neither tables nor the write-ahead log change, and it works on a standby.
_WRITE_FILE: Final = "SELECT count(*) FROM generate_series(1, 20000)"
_PROBE: Final = f"{READ_SCHEMA}, current_setting('transaction_read_only') AS is_read_only, ({_WRITE_FILE})"
_SETTINGS: Final[Mapping[str, str]] = {
    "role": DISPATCHER_ROLE,
    "application_name": "journey-probe",
    "work_mem": "64kB",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
}


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The condition of the database, and its schema if it could be read."""

    condition: DatabaseCondition
    schema: SchemaState | None = None


_BY_RESOURCE: Final[Mapping[Resource, DatabaseCondition]] = {
    Resource.DISK: DatabaseCondition.DISK_FULL,
    Resource.CONNECTIONS: DatabaseCondition.NO_CONNECTIONS,
    Resource.WRITES: DatabaseCondition.READ_ONLY,
    Resource.SCHEMA: DatabaseCondition.OK,
}


class DatabaseProbe:
    """Asks the database for its condition. Probes at the same time share one query."""

    def __init__(self, url: str, *, deadline_seconds: float = PROBE_SECONDS) -> None:
        dialect: Any = PGDialect_asyncpg()  # type: ignore[no-untyped-call]
        self._arguments = dialect.create_connect_args(make_url(async_url(url)))[1]
        self._deadline_seconds = deadline_seconds
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._running: asyncio.Task[ProbeResult] | None = None

    async def check(self) -> ProbeResult:
        """Returns the condition of the database, after at most the deadline."""
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._check())
        return await asyncio.shield(self._running)  # a caller that goes away leaves the probe to the others

    async def close(self) -> None:
        """Closes the connection."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        self._drop()

    async def _check(self) -> ProbeResult:
        try:
            async with asyncio.timeout(self._deadline_seconds):
                row = await self._fetch()
        except asyncpg.PostgresError as error:
            self._drop()
            outage = outage_of(error.sqlstate)
            resource = None if outage is None else outage.resource
            unknown = DatabaseCondition.UNREACHABLE
            return ProbeResult(unknown if resource is None else _BY_RESOURCE.get(resource, unknown))
        except (OSError, asyncpg.InterfaceError):
            self._drop()
            return ProbeResult(DatabaseCondition.UNREACHABLE)
        except asyncio.CancelledError:
            self._drop()
            raise
        is_read_only = row["is_read_only"] == "on"
        return ProbeResult(
            DatabaseCondition.READ_ONLY if is_read_only else DatabaseCondition.OK,
            SchemaState.of(row["revision"], row["supported"]),
        )

    async def _fetch(self) -> Row:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(**self._arguments, server_settings=dict(_SETTINGS))
        return await self._connection.fetchrow(_PROBE)

    def _drop(self) -> None:
        """Closes the connection without waiting for the server."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
