"""Names of employees: assignees of tasks, owners of customers, and users who have signed in."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


def _distinct(table: str, column: str) -> str:
    """Returns the query of the different values of a column, one index look-up for each."""
    smallest = f"SELECT min({column}) FROM {table} WHERE company_id = :company_id AND {column} IS NOT NULL"
    return (
        f"WITH RECURSIVE found AS (({smallest}) UNION ALL SELECT ({smallest} AND {column} > found.min)"
        " FROM found WHERE found.min IS NOT NULL) SELECT min AS name FROM found WHERE min IS NOT NULL LIMIT :limit"
    )


_ASSIGNEES: Final = text(_distinct("journey_tasks", "assignee"))
_OWNERS: Final = text(_distinct("customer_relationships", "owner"))
_SIGNED_IN: Final = text(
    "SELECT DISTINCT actor FROM audit_log WHERE company_id = :company_id AND action = 'session.create'"
    " AND at > clock_timestamp() - make_interval(days => :days) LIMIT :limit"
)


class KnownPeople:
    """The employees of one company, as far as they are named."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def list_assignees(self, *, limit: int) -> set[str]:
        """Lists the assignees of tasks, open or not."""
        values = {"company_id": self._company_id, "limit": limit}
        return set((await self._connection.scalars(_ASSIGNEES, values)).all())

    async def list_owners(self, *, limit: int) -> set[str]:
        """Lists the owners of customers."""
        values = {"company_id": self._company_id, "limit": limit}
        return set((await self._connection.scalars(_OWNERS, values)).all())

    async def list_signed_in(self, *, days: int, limit: int) -> set[str]:
        """Lists the actors who opened a session within a number of days, by the database's time."""
        values = {"company_id": self._company_id, "days": days, "limit": limit}
        return set((await self._connection.scalars(_SIGNED_IN, values)).all())
