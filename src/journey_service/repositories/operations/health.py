"""The state of the database itself, for health checks."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

SCHEMA_REVISION: Final = "9f3a6b21c7d8"
"""The newest migration, which this version of the code needs."""


class DatabaseHealth:
    """Health queries of the database."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get_revision(self) -> str | None:
        """Returns the schema revision of the database, or None."""
        revision = await self._connection.scalar(text("SELECT version_num FROM alembic_version"))
        return None if revision is None else str(revision)
