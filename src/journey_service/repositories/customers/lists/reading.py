"""Reads and counts the rows of lists of customers: in order, or by the index of a search."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.row_counts import MAX_COUNTED, RowCount
from journey_service.repositories.counting import count_rows
from journey_service.repositories.customers.lists.ordered_lists import Conditions, Order, in_order, values_of
from journey_service.repositories.customers.lists.search import CustomerSearch
from journey_service.repositories.tables import Row

MAX_COMPARED: Final = 2_000
"""Customers that are read in order and compared with a search, before the search uses its index."""
COMPARED_PER_ROW: Final = 40
"""The same for each row of a large page."""
MAX_COMPARED_ALONE: Final = 4_000
"""The same if no journeys are read."""
_SAMPLED_PAGES: Final = 800
"""Pages of the table of profiles in the sample of an estimated number."""
_MIN_SAMPLED: Final = 150
"""Customers of a sample that match, for an estimate."""
_MIN_ESTIMATE: Final = MAX_COUNTED * 3 // 2
"""An estimate that is certainly larger than MAX_COUNTED; smaller numbers are counted."""
_SHARE: Final = text(
    "SELECT least(100, 100.0 * :pages / greatest(relpages, 1)) FROM pg_class WHERE oid = 'customers'::regclass"
)


class OrderedReading:
    """Reads a page of a list in an order. The rows of each branch, a condition, are in the order of an index."""

    def __init__(
        self,
        connection: AsyncConnection,
        columns: str,
        order: Order,
        branches: Sequence[str],
        limit: int,
    ) -> None:
        self._connection = connection
        self._columns = columns
        self._order = order
        self._branches = branches
        self._limit = limit

    async def rows(self, conditions: Conditions, *, most: int | None = None) -> Sequence[Row]:
        """Returns the page. Reads in order until it is full, or `most` rows are compared with the other table."""
        statement = in_order(self._columns, conditions, self._order, self._branches, most=most)
        values = {**conditions.values, **values_of(self._order), "limit": self._limit}
        return (await self._connection.execute(text(statement), values)).all()

    async def searched(self, conditions: Conditions, search: CustomerSearch) -> Sequence[Row]:
        """Returns the page of the customers that also match a search.

        If many match, some rows in order fill the page. Otherwise the index of the search finds all of them.
        """
        compared = conditions.with_search(search)
        if conditions.has_ids:
            return await self.rows(compared)
        is_by_profiles_alone = self._order.is_by_profile and not conditions.journey + conditions.profile
        most = max(MAX_COMPARED, COMPARED_PER_ROW * self._limit)
        found = await self.rows(compared, most=MAX_COMPARED_ALONE if is_by_profiles_alone else most)
        if len(found) == self._limit:
            return found
        if is_by_profiles_alone:
            ids: Sequence[int] | None = await search.find_by_name(
                self._order.after, is_descending=self._order.is_descending, limit=self._limit
            )
        else:
            ids = await search.find()
        return await self.rows(compared if ids is None else conditions.with_ids(ids))


async def count_customers(
    connection: AsyncConnection, conditions: Conditions, search: CustomerSearch | None
) -> RowCount:
    """Counts the customers of a list: exactly up to MAX_COUNTED, beyond it by a sample of the customers."""
    compared = conditions if search is None else conditions.with_search(search)
    if conditions.has_ids or not compared.profile:
        return await count_rows(connection, compared.rows, compared.values)
    estimate = await _estimate(connection, compared)
    if estimate is not None:
        return RowCount(estimate=estimate)
    ids = None if search is None else await search.find()
    if ids is not None:
        compared = conditions.with_ids(ids)
    return await count_rows(connection, compared.rows, compared.values)


async def _estimate(connection: AsyncConnection, conditions: Conditions) -> int | None:
    """Returns an estimate of the number of customers by a sample; None if they are too few to tell."""
    share = float(await connection.scalar(_SHARE, {"pages": _SAMPLED_PAGES}) or 100)
    values: dict[str, Any] = {**conditions.values, "share": share}
    sampled = int(await connection.scalar(text(f"SELECT count(*) {conditions.sampled}"), values) or 0)
    estimate = int(sampled * 100 / share)
    return estimate if sampled >= _MIN_SAMPLED and estimate >= _MIN_ESTIMATE else None
