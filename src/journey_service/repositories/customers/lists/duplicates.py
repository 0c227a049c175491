"""Customers who share a mailbox or the digits of a phone number: groups in the order of the shared value."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.customers.records import DuplicateGroup, DuplicateReason

MAX_MEMBERS: Final = 10
"""Customers of a group that are listed."""
_COLUMNS: Final[dict[DuplicateReason, str]] = {"email": "mailbox", "phone": "phone_digits"}
"""Columns whose values customers share, each with an index of the values and ids."""
_OF_PERSONS: Final[dict[DuplicateReason, str]] = {
    "email": "c.mailbox IS NOT NULL",
    "phone": "c.phone_digits IS NOT NULL AND c.merged_into IS NULL",
}
"""Conditions of the indexes, which leave out merged customers: these have no mailbox of their own."""

_STAGES: Final = text(
    "SELECT customer_id, current_stage FROM customer_relationships WHERE company_id = :company_id"
    " AND customer_id = ANY(CAST(:ids AS bigint[]))"
)


def groups_of(reason: DuplicateReason, *, is_of_customer: bool = False) -> str:
    """Returns the statement of a page of groups. The index is read in its order until the page is full.

    With `is_of_customer`, only the group of the customer `:customer_id` is read.
    """
    column, persons = _COLUMNS[reason], _OF_PERSONS[reason]
    only = (
        f" AND c.{column} = (SELECT o.{column} FROM customers o WHERE o.company_id = :company_id"
        " AND o.customer_id = :customer_id AND o.merged_into IS NULL)"
        if is_of_customer
        else ""
    )
    return (
        f"SELECT g.value, g.number, ARRAY(SELECT c.customer_id FROM customers c WHERE c.company_id = :company_id"
        f" AND c.{column} = g.value AND {persons} ORDER BY c.customer_id LIMIT"
        f" {MAX_MEMBERS})"
        " AS customer_ids FROM"
        f" (SELECT c.{column} AS value, count(*) AS number FROM customers c WHERE c.company_id = :company_id"
        f" AND {persons} AND c.{column} > CAST(:after AS text){only}"
        f" GROUP BY c.{column} HAVING count(*) > 1 ORDER BY c.{column} LIMIT :limit) g ORDER BY g.value"
    )


class Duplicates:
    """The suspected duplicates among the customers of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def page(
        self, reason: DuplicateReason, after: str, *, limit: int, customer_id: int | None = None
    ) -> list[DuplicateGroup]:
        """Returns the groups of customers who share a value after `after`, in the order of the values.

        With a customer, only the groups that the customer belongs to.
        """
        parameters = {"company_id": self._company_id, "after": after, "limit": limit}
        if customer_id is not None:
            parameters["customer_id"] = customer_id
        statement = groups_of(reason, is_of_customer=customer_id is not None)
        rows = await self._connection.execute(text(statement), parameters)
        return [DuplicateGroup(reason, row.value, row.customer_ids, row.number) for row in rows]

    async def count(self, reason: DuplicateReason) -> int:
        """Counts all groups."""
        column = _COLUMNS[reason]
        found = await self._connection.scalar(
            text(
                f"SELECT count(*) FROM (SELECT FROM customers c WHERE c.company_id = :company_id"
                f" AND c.{column} > '' AND {_OF_PERSONS[reason]} GROUP BY c.{column} HAVING count(*) > 1) g"
            ),
            {"company_id": self._company_id},
        )
        return int(found or 0)

    async def get_stages(self, customer_ids: Sequence[int]) -> dict[int, str]:
        """Returns the keys of the current stages of customers, by customer id."""
        rows = await self._connection.execute(
            _STAGES, {"company_id": self._company_id, "ids": list(customer_ids)}
        )
        return {row.customer_id: row.current_stage for row in rows}
