"""Refs of customers: their ids as text, and the numbers that the service gives to them."""

from collections.abc import Collection, Mapping
from typing import Final

from sqlalchemy import bindparam, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.repositories.tables import customers

_RESERVE: Final = text("SELECT nextval('customer_numbers') FROM generate_series(1, :count)")


class CustomerRefs:
    """The refs of one company's customers."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def find_many(self, refs: Collection[str]) -> dict[str, int]:
        """Returns the numbers of the refs that customers have, by ref."""
        rows = await self._connection.execute(
            select(customers.c.customer_ref, customers.c.customer_id).where(
                customers.c.company_id == self._company_id, customers.c.customer_ref.in_(refs)
            )
        )
        return {row.customer_ref: row.customer_id for row in rows}

    async def list_of(self, customer_ids: Collection[int]) -> dict[int, str]:
        """Returns the refs of the customers that have one, by number."""
        if not customer_ids:
            return {}
        rows = await self._connection.execute(
            select(customers.c.customer_id, customers.c.customer_ref).where(
                customers.c.company_id == self._company_id,
                customers.c.customer_id.in_(customer_ids),
                customers.c.customer_ref.is_not(None),
            )
        )
        return {row.customer_id: row.customer_ref for row in rows}

    async def reserve_numbers(self, count: int) -> list[int]:
        """Reserves numbers for new refs. Numbers that are not used are lost."""
        return list((await self._connection.scalars(_RESERVE, {"count": count})).all())

    async def assign(self, refs: Mapping[int, str]) -> None:
        """Gives refs to known customers that have none, by number.

        Violates a unique key, so that the transaction is run again, if another transaction has used one of them.
        """
        await self._connection.execute(
            update(customers)
            .where(
                customers.c.company_id == self._company_id,
                customers.c.customer_id == bindparam("customer"),
                customers.c.customer_ref.is_(None),
            )
            .values(customer_ref=bindparam("ref")),
            [{"customer": customer_id, "ref": ref} for customer_id, ref in sorted(refs.items())],
        )
