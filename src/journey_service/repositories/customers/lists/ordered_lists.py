"""Statements of lists of customers: conditions, and rows in an order that indexes have."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Self

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.events.event import EARLIEST
from journey_service.domain.stages.stage_map import MERGED_STAGE
from journey_service.repositories.customers.lists.search import CustomerSearch
from journey_service.repositories.tables.columns import NOT_MERGED

VALUE_STEPS: Final = 1000
"""Steps of `lifetime_value_key` in one unit of the currency."""
NO_APPOINTMENT: Final = EARLIEST - timedelta(days=1)
"""The `last_appointment_key` of customers without an appointment."""
MAX_NARROW: Final = 10_000
"""Customers of a filter that are read by its index and then sorted; with more, the list is read in order."""
# The best index depends on the values of a list.
_PLAN_FOR_LISTS: Final = text(
    "SELECT set_config('plan_cache_mode', 'force_custom_plan', true),"
    " set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)"
)
_PLAN_AS_USUAL: Final = text(
    "SELECT set_config('plan_cache_mode', 'auto', true),"
    " set_config('enable_hashjoin', 'on', true), set_config('enable_mergejoin', 'on', true)"
)
_ONLY_INDEXES: Final = text("SELECT set_config('enable_seqscan', 'off', true)")
_ALL_SCANS: Final = text("SELECT set_config('enable_seqscan', 'on', true)")
# Reads one entry of an index for each stage.
_STAGES: Final = text(
    "WITH RECURSIVE found(stage) AS ("
    " (SELECT current_stage FROM customer_relationships WHERE company_id = :company_id"
    "  ORDER BY current_stage LIMIT 1)"
    " UNION ALL SELECT (SELECT r.current_stage FROM customer_relationships r"
    "  WHERE r.company_id = :company_id AND r.current_stage > found.stage ORDER BY r.current_stage LIMIT 1)"
    " FROM found WHERE found.stage IS NOT NULL)"
    f" SELECT stage FROM found WHERE stage IS NOT NULL AND stage <> '{MERGED_STAGE}'"
)


@dataclass(frozen=True, slots=True)
class Order:
    """An order of a list: a column of `r` or `c`, then the customer id, both in one direction.

    `after` is the position in it: a value of the column, and a customer id.
    """

    column: str
    type: str
    is_descending: bool
    after: tuple[Any, int] | None = None

    @property
    def is_by_profile(self) -> bool:
        """Whether the column belongs to the profiles."""
        return self.column.startswith("c.")

    def by(self, column: str, alias: str) -> str:
        """Returns the clause ORDER BY; `column` has the values of the order's column."""
        direction = "DESC" if self.is_descending else "ASC"
        columns = [f"{alias}.customer_id"]
        if self.column != "r.customer_id":  # an index has the id once
            columns.insert(0, column)
        return f"ORDER BY {', '.join(f'{each} {direction}' for each in columns)}"


@dataclass(slots=True)
class Conditions:
    """Conditions of a list on journeys `r` and on profiles `c`, and their values.

    `is_narrow`: an index may find the few customers that match. `ids` are all that can match, if they are known.
    """

    values: dict[str, Any]
    journey: list[str] = field(default_factory=list)
    profile: list[str] = field(default_factory=list)
    is_narrow: bool = False
    has_ids: bool = False

    def add(self, condition: str, **values: object) -> None:
        """Adds a condition on journeys."""
        self.journey.append(condition)
        self.values |= values

    def add_narrow(self, condition: str, **values: object) -> None:
        """Adds a condition on journeys that an index can find."""
        self.add(condition, **values)
        self.is_narrow = True

    def add_inactive(self, days: int, now: datetime) -> None:
        """Adds that the last appointment was at least some days ago; without an appointment nobody matches."""
        self.add_narrow(
            "r.last_appointment_key BETWEEN :earliest AND :inactive",
            earliest=EARLIEST,
            inactive=max(now - timedelta(days=days), NO_APPOINTMENT),
        )

    def add_profile(self, condition: str, **values: object) -> None:
        """Adds a condition on profiles."""
        self.profile.append(condition)
        self.values |= values

    def with_ids(self, ids: Sequence[int]) -> Self:
        """Returns the same conditions for these customers."""
        return replace(self, values={**self.values, "found": ids}, has_ids=True)

    @property
    def filters(self) -> list[str]:
        """The conditions on journeys; of customers with known ids in a form that no other index serves."""
        return [f"({each}) IS TRUE" for each in self.journey] if self.has_ids else self.journey

    def ids_of(self, alias: str) -> list[str]:
        """Returns the condition on the ids of a table, if they are known."""
        return [f"{alias}.customer_id = ANY(CAST(:found AS bigint[]))"] if self.has_ids else []

    def with_journey(self, condition: str, **values: object) -> Self:
        """Returns the same conditions, and one on journeys."""
        return replace(self, values={**self.values, **values}, journey=[*self.journey, condition])

    def with_search(self, search: CustomerSearch) -> Self:
        """Returns the same conditions, and that each customer matches a search."""
        return replace(
            self, values={**self.values, **search.values}, profile=[*self.profile, search.condition]
        )

    @property
    def sampled(self) -> str:
        """The clauses FROM and WHERE, for `:share` percent of the profiles: always the same ones."""
        conditions = " AND ".join(
            ["c.company_id = :company_id AND c.merged_into IS NULL", *self.journey, *self.profile]
        )
        journeys = (
            " JOIN customer_relationships r ON r.company_id = c.company_id AND r.customer_id = c.customer_id"
        )
        return (
            "FROM customers c TABLESAMPLE SYSTEM (CAST(:share AS real)) REPEATABLE (0)"
            f"{journeys if self.journey else ''} WHERE {conditions}"
        )

    @property
    def rows(self) -> str:
        """The clauses FROM and WHERE, for a count."""
        conditions = " AND ".join(
            [
                *("r.company_id = :company_id", f"r.{NOT_MERGED}"),
                *(*self.ids_of("r"), *self.journey, *self.profile),
            ]
        )
        profiles = " JOIN customers c ON c.company_id = r.company_id AND c.customer_id = r.customer_id"
        return f"FROM customer_relationships r{profiles if self.profile else ''} WHERE {conditions}"


def in_order(
    columns: str, conditions: Conditions, order: Order, branches: Sequence[str], *, most: int | None = None
) -> str:
    """Returns the statement of a page of `:limit` rows; `sort_key` is the value of the order's column.

    The rows of each branch, a condition on `r`, are read in order by an index and merged. `most` are the rows that are
    read in order and compared with the conditions on the other table; None reads on until the page is full.
    """
    own, other = conditions.filters, conditions.profile
    if order.is_by_profile:
        own, other = [], own + other
    most_read = " LIMIT :limit"
    if other:
        most_read = "" if most is None else f" LIMIT {most:d}"
    source = "customers c" if order.is_by_profile else "customer_relationships r"
    alias = source[-1]
    where = " AND ".join(
        [f"{alias}.company_id = :company_id", *conditions.ids_of(alias), *own, *_position(order, alias)]
    )
    ordered = f"{order.by(order.column, alias)}{most_read}"
    if order.is_by_profile:
        branches = []
        where += " AND c.merged_into IS NULL"
    elif not branches:
        where += f" AND r.{NOT_MERGED}"
    elif conditions.has_ids and branches:
        branches = [f"({' OR '.join(branches)}) IS TRUE"]
    rows = " UNION ALL ".join(
        f"(SELECT {alias}.*, {order.column} AS sort_key FROM {source} WHERE {where}{branch} {ordered})"
        for branch in [f" AND {each}" for each in branches] or [""]
    )
    by_key = order.by(f"{alias}.sort_key", alias)
    joined, join = ("customer_relationships", "r") if order.is_by_profile else ("customers", "c")
    return (
        f"SELECT {columns}, {alias}.sort_key FROM (SELECT * FROM ({rows}) {alias} {by_key}{most_read}) {alias}"
        f" JOIN {joined} {join} ON {join}.company_id = :company_id AND {join}.customer_id = {alias}.customer_id"
        f"{''.join(f' AND {each}' for each in other)} {by_key} LIMIT :limit"
    )


def values_of(order: Order) -> dict[str, object]:
    """Returns the values of the position in an order."""
    return {} if order.after is None else {"key": order.after[0], "after": order.after[1]}


def _position(order: Order, alias: str) -> list[str]:
    if order.after is None:
        return []
    sign = "<" if order.is_descending else ">"
    return [
        f"({order.column}, {alias}.customer_id) {sign} (CAST(:key AS {order.type}), CAST(:after AS bigint))"
    ]


@asynccontextmanager
async def planned_for_lists(connection: AsyncConnection) -> AsyncIterator[None]:
    """Plans each statement for its values, and joins row by row: a page needs few rows of a large table."""
    await connection.execute(_PLAN_FOR_LISTS)
    yield
    await connection.execute(_PLAN_AS_USUAL)


async def list_stages(connection: AsyncConnection, company_id: int) -> list[str]:
    """Lists the stages that customers of a company are in, sorted, also those that the stage map no longer has.

    The stage of merged customers is left out: no list contains them.
    """
    return list((await connection.scalars(_STAGES, {"company_id": company_id})).all())


async def find_few(
    connection: AsyncConnection, conditions: Conditions, branches: Sequence[str]
) -> list[int] | None:
    """Returns the ids of the customers whose journeys match, by indexes; None if they are more than MAX_NARROW.

    `branches` are conditions on the journeys, of which one matches.

    The planner takes filters for independent of the order, and might read all customers for a few that come last.
    """
    own = "".join(f" AND {each}" for each in conditions.journey)
    rows = " UNION ALL ".join(
        f"(SELECT r.customer_id FROM customer_relationships r WHERE r.company_id = :company_id{own} AND {branch})"
        for branch in branches
    )
    await connection.execute(_ONLY_INDEXES)
    ids = await connection.scalar(
        text(f"SELECT array_agg(customer_id) FROM (SELECT * FROM ({rows}) r LIMIT {MAX_NARROW + 1}) r"),
        conditions.values,
    )
    await connection.execute(_ALL_SCANS)
    found = [*(ids or ())]
    return found if len(found) <= MAX_NARROW else None
