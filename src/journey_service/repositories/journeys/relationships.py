"""Customer relationships: one row per customer with stage, facts and scores; locked, read, saved."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import orjson
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.errors import ConcurrentChangeError
from journey_service.domain.stages.stage_map import MERGED_STAGE
from journey_service.repositories.journeys.relationship_rows import (
    COLUMNS,
    SAVE,
    RelationshipUpdate,
    StoredRelationship,
    to_record,
    to_stored_relationship,
)
from journey_service.repositories.tables import Row, customer_relationships
from journey_service.repositories.tables.columns import NOT_MERGED, SURVIVOR


class LockedRelationships(NamedTuple):
    """Locked relationships by customer id, and when the last lock was taken (None without any).

    `survivors` maps the requested ids of merged customers to those of the customers to whom they lead.
    """

    by_customer: dict[int, StoredRelationship]
    survivors: dict[int, int]
    locked_at: datetime | None


# Every transaction locks rows in the order of customer ids, which excludes deadlocks. The clock is read after each
# lock: later than the commit of the transaction that held it before.
_MERGED: Final = (
    "merged AS MATERIALIZED (SELECT customer_id, merged_into FROM customers WHERE company_id = :company_id"
    " AND customer_id = ANY(CAST(:customer_ids AS bigint[])) AND merged_into IS NOT NULL)"
)
"""Those of the customers that were merged into another one, usually none."""
_IS_REQUESTED: Final = (
    "r.company_id = :company_id AND r.customer_id = ANY(ARRAY(SELECT coalesce(m.merged_into, i.customer_id)"
    " FROM unnest(CAST(:customer_ids AS bigint[])) AS i(customer_id) LEFT JOIN merged m USING (customer_id)))"
)
_LOCK: Final = text(
    f"WITH {_MERGED}, locked AS MATERIALIZED (SELECT {COLUMNS} FROM customer_relationships r WHERE {_IS_REQUESTED}"
    " ORDER BY r.customer_id FOR NO KEY UPDATE)"
    " SELECT locked.*, clock_timestamp() AS locked_at,"
    " ARRAY(SELECT m.customer_id FROM merged m WHERE m.merged_into = locked.customer_id) AS merged_ids FROM locked"
)
_LOCK_FREE: Final = text(_LOCK.text.replace("FOR NO KEY UPDATE", "FOR NO KEY UPDATE SKIP LOCKED"))
# Customers that another transaction has locked are skipped: they stay due unless that transaction decides them.
_LOCK_DUE: Final = text(
    f"SELECT {COLUMNS} FROM customer_relationships r"
    " WHERE r.company_id = :company_id AND r.next_evaluation_at <= CAST(:now AS timestamptz)"
    " AND r.customer_id <> ALL(CAST(:without AS bigint[]))"
    " ORDER BY r.next_evaluation_at LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED"
)
_FIND: Final = text(
    f"SELECT {COLUMNS} FROM customer_relationships r"
    f" WHERE r.company_id = :company_id AND r.customer_id = {SURVIVOR}"
)
_PAGE_IDS: Final = text(
    "SELECT customer_id FROM customer_relationships WHERE company_id = :company_id AND customer_id > :after"
    f" AND {NOT_MERGED} ORDER BY customer_id LIMIT :limit"
)
_HAS_DUE: Final = text(
    "SELECT EXISTS (SELECT 1 FROM customer_relationships WHERE company_id = :company_id"
    " AND next_evaluation_at <= CAST(:now AS timestamptz))"
)
_COUNT: Final = text(
    f"SELECT count(*) FROM customer_relationships WHERE company_id = :company_id AND {NOT_MERGED}"
)
_IDS: Final = text(
    f"WITH {_MERGED} SELECT r.id, r.customer_id,"
    " ARRAY(SELECT m.customer_id FROM merged m WHERE m.merged_into = r.customer_id) AS merged_ids"
    f" FROM customer_relationships r WHERE {_IS_REQUESTED}"
)
_OWNER: Final = text(
    "SELECT coalesce(c.merged_into, c.customer_id) FROM customer_relationships r JOIN customers c"
    " ON c.company_id = r.company_id AND c.customer_id = r.customer_id WHERE r.company_id = :company_id AND r.id = :id"
)
_CUSTOMER_IDS: Final = text(
    "SELECT id, customer_id FROM customer_relationships WHERE company_id = :company_id"
    " AND id = ANY(CAST(:ids AS bigint[]))"
)


class Relationships:
    """The relationships of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def lock(self, customer_ids: Sequence[int], *, only_free: bool = False) -> LockedRelationships:
        """Locks and loads customers by id; the id of a merged customer leads to the survivor.

        Transactions on one customer queue up here, so each decides on what the previous one committed. With
        `only_free`, customers that another transaction has locked are left out.

        Raises ConcurrentChangeError if one of the customers was merged while this transaction waited.
        """
        rows = (
            await self._connection.execute(
                _LOCK_FREE if only_free else _LOCK,
                {"company_id": self._company_id, "customer_ids": sorted(customer_ids)},
            )
        ).all()
        if any(row.current_stage == MERGED_STAGE for row in rows):
            raise ConcurrentChangeError
        return LockedRelationships(
            {row.customer_id: to_stored_relationship(row) for row in rows},
            {merged: row.customer_id for row in rows for merged in row.merged_ids},
            max((row.locked_at for row in rows), default=None),
        )

    async def lock_due(
        self, now: datetime, *, limit: int, without: Sequence[int] = ()
    ) -> dict[int, StoredRelationship]:
        """Locks and loads the customers that have been due longest; locked ones are skipped."""
        rows = await self._connection.execute(
            _LOCK_DUE,
            {"company_id": self._company_id, "now": now, "limit": limit, "without": list(without)},
        )
        return {row.customer_id: to_stored_relationship(row) for row in rows}

    async def has_due(self, now: datetime) -> bool:
        """Returns whether any customer is due, locked or not."""
        has_due = await self._connection.scalar(_HAS_DUE, {"company_id": self._company_id, "now": now})
        return bool(has_due)

    async def page_customer_ids(self, after: int, *, limit: int) -> list[int]:
        """Returns the next customer ids, without locking."""
        ids = await self._connection.scalars(
            _PAGE_IDS, {"company_id": self._company_id, "after": after, "limit": limit}
        )
        return list(ids.all())

    async def count(self) -> int:
        """Returns how many customers have a journey."""
        return int((await self._connection.execute(_COUNT, {"company_id": self._company_id})).scalar_one())

    async def resolve(self, customer_ids: Sequence[int]) -> dict[int, int]:
        """Returns the customer id for each id: the same, or the survivor of a merge. Unknown ids are omitted."""
        return {id_: row.customer_id for row, id_ in await self._requested(customer_ids)}

    async def find(self, customer_id: int) -> StoredRelationship | None:
        """Finds the relationship of a customer, without locking; the id of a merged customer leads to the survivor."""
        row = (
            await self._connection.execute(
                _FIND, {"company_id": self._company_id, "customer_id": customer_id}
            )
        ).one_or_none()
        return None if row is None else to_stored_relationship(row)

    async def get_ids(self, customer_ids: Sequence[int]) -> dict[int, int]:
        """Returns the relationship ids of the known customers, by customer id; for a merged one the survivor's."""
        return {id_: row.id for row, id_ in await self._requested(customer_ids)}

    async def _requested(self, customer_ids: Sequence[int]) -> list[tuple[Row, int]]:
        """Returns rows of relationships, each with a requested id that leads to it."""
        requested = set(customer_ids)
        rows = await self._connection.execute(
            _IDS, {"company_id": self._company_id, "customer_ids": list(requested)}
        )
        return [(row, id_) for row in rows for id_ in requested & {row.customer_id, *row.merged_ids}]

    async def get_customer_ids(self, ids: Sequence[int]) -> dict[int, int]:
        """Returns the present customer ids of relationships, by relationship id; negative for erased customers."""
        rows = await self._connection.execute(
            _CUSTOMER_IDS, {"company_id": self._company_id, "ids": list(ids)}
        )
        return {row.id: row.customer_id for row in rows}

    async def find_customer_id(self, id_: int) -> int | None:
        """Finds the customer of a relationship, or the survivor into whom that customer was merged."""
        customer_id: int | None = await self._connection.scalar(
            _OWNER, {"company_id": self._company_id, "id": id_}
        )
        return customer_id

    async def save(self, changes: Sequence[RelationshipUpdate]) -> None:
        """Inserts new rows and updates rows that this transaction has locked.

        Violates a unique key, so that the transaction is run again, if another transaction has created one of the new
        customers.
        """
        ordered = sorted(changes, key=lambda change: change.relationship.customer_id)
        if ordered:
            await self._connection.execute(
                SAVE,
                {"company_id": self._company_id, "rows": orjson.dumps([*map(to_record, ordered)]).decode()},
            )

    async def update_notes(self, id_: int, values: Mapping[str, object]) -> None:
        """Updates owner, notes and metadata of a row that this transaction has locked."""
        await self._connection.execute(
            update(customer_relationships)
            .where(
                customer_relationships.c.company_id == self._company_id, customer_relationships.c.id == id_
            )
            .values(**values, updated_at=text("clock_timestamp()"))
        )
