"""Whether the database is there and speaks this version's schema."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

SCHEMA_REVISION: Final = "9f3a6b21c7d8"
"""The migration this version of the code is written for."""


class DatabaseHealth:
    """Questions about the database itself."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get_revision(self) -> str | None:
        """The schema revision the database is at."""
        found = await self._connection.scalar(text("SELECT version_num FROM alembic_version"))
        return None if found is None else str(found)
