"""The state of the database itself, for health checks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

SCHEMA_REVISION: Final = "9f3a6b21c7d8"
"""The newest migration, which this version of the code needs."""
RESTORING: Final = "restoring"
"""The revision of a restored database whose erasures have not been re-applied yet: no version runs on it."""
READ_SCHEMA: Final = (
    "SELECT (SELECT version_num FROM alembic_version) AS revision,"
    " obj_description('alembic_version'::regclass, 'pg_class') AS supported"
)
"""Reads the revision of the schema, and the comment that lists the revisions it supports."""
_PREFIX: Final = "supported revisions: "


@dataclass(frozen=True, slots=True)
class SchemaState:
    """The schema of a database: its revision, and the revisions whose code runs on it.

    A migration that only adds keeps the earlier revisions supported, so that processes of the previous version go on
    during a deployment.
    """

    revision: str | None
    supported: frozenset[str]

    @property
    def is_compatible(self) -> bool:
        """Whether this version of the code runs on the schema."""
        return self.revision == SCHEMA_REVISION or SCHEMA_REVISION in self.supported

    @classmethod
    def of(cls, revision: str | None, comment: str | None) -> "SchemaState":
        """Creates it from the result of READ_SCHEMA. Without a comment the schema supports only its own revision."""
        listed = (comment or "").removeprefix(_PREFIX) if (comment or "").startswith(_PREFIX) else ""
        is_usable = bool(listed) and revision != RESTORING
        return cls(revision, frozenset(listed.split(", ")) if is_usable else frozenset())


def supported_comment(revisions: Sequence[str]) -> str:
    """Returns the comment of `alembic_version` that lists the supported revisions."""
    return _PREFIX + ", ".join(revisions)


_OLDEST_TRANSACTION: Final = text(
    "SELECT CAST(max(extract(epoch FROM clock_timestamp() - xact_start)) AS float) FROM pg_stat_activity"
    " WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


class DatabaseHealth:
    """Health queries of the database."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get_schema(self) -> SchemaState:
        """Returns the state of the schema."""
        row = (await self._connection.execute(text(READ_SCHEMA))).one()
        return SchemaState.of(row.revision, row.supported)

    async def get_oldest_transaction_age(self) -> float:
        """Returns the age in seconds of the oldest open transaction of other sessions; 0 without one.

        Only transactions are seen whose login is the service's own, unless it is a member of pg_read_all_stats.
        """
        # The role of the dispatcher does not see the transactions of its login.
        await self._connection.execute(text("SET LOCAL ROLE NONE"))
        return float(await self._connection.scalar(_OLDEST_TRANSACTION) or 0)

    async def get_time(self) -> datetime:
        """Returns the time of the database."""
        at: datetime = (await self._connection.execute(text("SELECT now()"))).scalar_one()
        return at
