"""Customer profiles: name, contact details, language and consents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.repositories.tables import customers


@dataclass(frozen=True, slots=True)
class CustomerProfile:
    """A customer's profile. `consents` maps a channel to its status, time and source."""

    customer_id: int
    name: str | None
    first_name: str | None
    email: str | None
    phone: str | None
    phone_digits: str | None
    """Digits by which the phone number is searched."""
    language: str | None
    consents: Mapping[str, Mapping[str, str]]
    created_at: datetime
    updated_at: datetime


class Customers:
    """The customer profiles of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def find(self, customer_id: int) -> CustomerProfile | None:
        """Finds the profile of a customer."""
        row = (
            await self._connection.execute(
                select(customers).where(
                    customers.c.company_id == self._company_id, customers.c.customer_id == customer_id
                )
            )
        ).one_or_none()
        return None if row is None else to_profile(row._mapping)

    async def get_many(self, customer_ids: Sequence[int]) -> dict[int, CustomerProfile]:
        """Returns profiles by customer id."""
        rows = await self._connection.execute(
            select(customers).where(
                customers.c.company_id == self._company_id, customers.c.customer_id.in_(customer_ids)
            )
        )
        return {row.customer_id: to_profile(row._mapping) for row in rows}

    async def insert_missing(self, customer_ids: Sequence[int]) -> None:
        """Inserts empty profiles of new customers, in order of id, which excludes deadlocks."""
        await self._connection.execute(
            upsert(customers).on_conflict_do_nothing(),
            [{"company_id": self._company_id, "customer_id": id_} for id_ in sorted(customer_ids)],
        )

    async def update_many(self, profiles: Mapping[int, Mapping[str, object]]) -> None:
        """Replaces the fields of existing profiles, by customer id. Each has the same fields."""
        if not profiles:
            return
        names = next(iter(profiles.values()))
        await self._connection.execute(
            update(customers)
            .where(
                customers.c.company_id == self._company_id, customers.c.customer_id == bindparam("profile_of")
            )
            .values(
                {name: bindparam(f"new_{name}") for name in names} | {"updated_at": func.clock_timestamp()}
            ),
            [
                {"profile_of": customer_id, **{f"new_{name}": value for name, value in values.items()}}
                for customer_id, values in profiles.items()
            ],
        )

    async def upsert(self, customer_id: int, values: Mapping[str, object]) -> bool:
        """Inserts or updates a profile; returns whether it is new. An unchanged profile is not written."""
        stored = await self.find(customer_id)
        if stored is not None and all(getattr(stored, name) == value for name, value in values.items()):
            return False
        statement = upsert(customers).values(company_id=self._company_id, customer_id=customer_id, **values)
        await self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=["company_id", "customer_id"],
                set_={**values, "updated_at": func.clock_timestamp()},
            )
        )
        return stored is None


def to_profile(row: Mapping[Any, Any]) -> CustomerProfile:
    """Returns the profile of a row of the table."""
    return CustomerProfile(
        customer_id=row["customer_id"],
        name=row["name"],
        first_name=row["first_name"],
        email=row["email"],
        phone=row["phone"],
        phone_digits=row["phone_digits"],
        language=row["language"],
        consents=row["consents"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
