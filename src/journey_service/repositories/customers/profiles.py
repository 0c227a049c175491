"""Customer profiles: name, contact details, language, attributes and consents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import bindparam, func, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.customers.attributes import AttributeValue, are_same
from journey_service.repositories.tables import customers
from journey_service.repositories.tables.columns import SURVIVOR

# Named: after a migration adds a column, a prepared `SELECT *` fails.
_COLUMNS: Final = ", ".join(column.name for column in customers.columns)
_FIND: Final = text(
    f"SELECT {_COLUMNS} FROM customers WHERE company_id = :company_id AND customer_id = {SURVIVOR}"
)
_INSERT_MISSING: Final = (
    "INSERT INTO customers (company_id, customer_id, customer_ref) SELECT :company_id, customer_id, customer_ref"
    " FROM unnest(CAST(:ids AS bigint[]), CAST(:refs AS text[])) AS t(customer_id, customer_ref)"
    " ORDER BY customer_id ON CONFLICT (company_id, customer_id) DO NOTHING"
)
_INSERT_PROFILES: Final = text(_INSERT_MISSING)
_OPEN: Final = text(
    f"WITH inserted AS ({_INSERT_MISSING})"
    " SELECT customer_id, nextval(pg_get_serial_sequence('customer_relationships', 'id')) AS id"
    " FROM unnest(CAST(:ids AS bigint[])) AS t(customer_id)"
)

NO_REFS: Final[Mapping[int, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class StoredProfile:
    """A customer's profile. `consents` maps a channel to its status, time and source."""

    customer_id: int
    customer_ref: str | None
    name: str | None
    first_name: str | None
    email: str | None
    phone: str | None
    phone_digits: str | None
    """Digits by which the phone number is searched."""
    language: str | None
    field_times: Mapping[str, str]
    """When each field was last named, by the time of what named it."""
    attributes: Mapping[str, AttributeValue]
    consents: Mapping[str, Mapping[str, str]]
    created_at: datetime
    updated_at: datetime

    def has(self, name: str, value: object) -> bool:
        """Whether a field has a value already."""
        if name == "attributes" and isinstance(value, Mapping):
            return are_same(self.attributes, value)
        return bool(getattr(self, name) == value)


class Customers:
    """The customer profiles of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def find(self, customer_id: int) -> StoredProfile | None:
        """Finds the profile of a customer; the id of a merged customer leads to the survivor."""
        row = (
            await self._connection.execute(
                _FIND, {"company_id": self._company_id, "customer_id": customer_id}
            )
        ).one_or_none()
        return None if row is None else to_profile(row._mapping)

    async def get_many(self, customer_ids: Sequence[int]) -> dict[int, StoredProfile]:
        """Returns profiles by customer id."""
        rows = await self._connection.execute(
            select(customers).where(
                customers.c.company_id == self._company_id, customers.c.customer_id.in_(customer_ids)
            )
        )
        return {row.customer_id: to_profile(row._mapping) for row in rows}

    async def insert_missing(self, customer_ids: Sequence[int], refs: Mapping[int, str] = NO_REFS) -> None:
        """Inserts empty profiles of new customers, in order of id, which excludes deadlocks; `refs` are theirs by id.

        Violates a unique key, so that the transaction is run again, if another transaction has used one of the refs.
        """
        await self._connection.execute(_INSERT_PROFILES, self._new(customer_ids, refs))

    async def open(self, customer_ids: Sequence[int], refs: Mapping[int, str] = NO_REFS) -> dict[int, int]:
        """Inserts empty profiles as `insert_missing` does; returns new ids for the customers' relationships."""
        rows = await self._connection.execute(_OPEN, self._new(customer_ids, refs))
        return {row.customer_id: row.id for row in rows}

    def _new(self, customer_ids: Sequence[int], refs: Mapping[int, str]) -> dict[str, object]:
        ids = sorted(customer_ids)
        return {"company_id": self._company_id, "ids": ids, "refs": [refs.get(id_) for id_ in ids]}

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

    async def upsert(
        self, customer_id: int, values: Mapping[str, object], times: Mapping[str, str] | None = None
    ) -> bool:
        """Inserts or updates a profile, with the times at which fields were last named; returns whether it is new.

        An unchanged profile is not written.
        """
        stored = await self.find(customer_id)
        if stored is not None and all(stored.has(name, value) for name, value in values.items()):
            return False
        if times is not None:
            values = {**values, "field_times": times}
        statement = upsert(customers).values(company_id=self._company_id, customer_id=customer_id, **values)
        await self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=["company_id", "customer_id"],
                set_={**values, "updated_at": func.clock_timestamp()},
            )
        )
        return stored is None


def to_profile(row: Mapping[Any, Any]) -> StoredProfile:
    """Returns the profile of a row of the table."""
    return StoredProfile(
        customer_id=row["customer_id"],
        customer_ref=row["customer_ref"],
        name=row["name"],
        first_name=row["first_name"],
        email=row["email"],
        phone=row["phone"],
        phone_digits=row["phone_digits"],
        language=row["language"],
        field_times=row["field_times"],
        attributes=row["attributes"],
        consents=row["consents"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
