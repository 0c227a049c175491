"""Lists of customers at risk: filtered, searched, sorted, paged by keyset; and their number."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.analytics.records import AtRiskCustomer, RiskFilter, RiskPageRequest
from journey_service.repositories.customers.lists.ordered_lists import (
    NO_APPOINTMENT,
    VALUE_STEPS,
    Conditions,
    Order,
    find_few,
    list_stages,
    planned_for_lists,
)
from journey_service.repositories.customers.lists.reading import OrderedReading
from journey_service.repositories.customers.lists.search import CustomerSearch, read_search
from journey_service.repositories.tables import Row

_COLUMNS: Final = (
    "r.id AS relationship_id, r.customer_id, c.customer_ref, c.name, c.email, r.current_stage, r.stage_entered_at,"
    " r.risk_key AS risk, r.last_appointment_at, r.lifetime_value, r.owner"
)
_MILD: Final = "r.current_stage = CAST(:mildest AS text)"
_HIGH: Final = "r.current_stage = ANY(CAST(:others AS text[])) AND r.risk_key > CAST(:above AS int)"
_SORTS: Final = {
    "risk_score": ("r.risk_key", "int"),
    "lifetime_value": ("r.lifetime_value_key", "bigint"),
    "expected_loss": ("r.expected_loss_key", "bigint"),
    # Customers without an appointment are not inactive: they sort as the least inactive.
    "days_inactive": ("r.last_appointment_key", "timestamptz"),
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_INTEGERS: Final = {"int": 2**31 - 1, "bigint": 2**63 - 1, "timestamptz": 200_000_000_000_000_000}
"""Largest sort keys of each type; those of times are microseconds."""


@dataclass(frozen=True, slots=True)
class RiskCriteria:
    """Which customers are at risk: those in stage `mildest`, and those above a risk in hundredths outside `last`.

    `now` is the company's time, for days since the last appointment.
    """

    mildest: str
    last: str
    above: int
    now: datetime


@dataclass(frozen=True, slots=True)
class _Selection:
    """Conditions of a list, and its parts: conditions of which each customer at risk fulfils exactly one."""

    conditions: Conditions
    parts: Sequence[str]
    others: Sequence[str]
    search: CustomerSearch | None


class RiskList:
    """The lists of customers at risk of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def page_above(self, criteria: RiskCriteria, page: RiskPageRequest) -> list[AtRiskCustomer]:
        """Lists customers with a stored risk above the threshold, except those in the last stage."""
        return await self.page(replace(criteria, mildest=""), page)

    async def page(self, criteria: RiskCriteria, page: RiskPageRequest) -> list[AtRiskCustomer]:
        """Lists customers at risk in the requested order; equal ones by id in the same direction."""
        selection = await self._select(criteria, page.filter_)
        async with planned_for_lists(self._connection):
            selection = await self._narrowed(selection, page)
            rows: list[Row] = []
            for conditions, order in _phases(page, selection.conditions):
                limit = page.limit - len(rows)
                reading = OrderedReading(self._connection, _COLUMNS, order, selection.parts, limit)
                if selection.search is None:
                    rows += await reading.rows(conditions)
                else:
                    rows += await reading.searched(conditions, selection.search)
                if len(rows) == page.limit:
                    break
        return [_to_customer(row) for row in rows]

    async def count(self, criteria: RiskCriteria, filter_: RiskFilter) -> int:
        """Counts the customers that `page` lists."""
        selection = await self._select(criteria, filter_)
        async with planned_for_lists(self._connection):
            conditions = await self._searched(selection)
            counts = " UNION ALL ".join(
                f"SELECT count(*) AS number {conditions.rows} AND {part}" for part in selection.parts
            )
            statement = text(f"SELECT sum(number) FROM ({counts}) counts")
            return int(await self._connection.scalar(statement, conditions.values) or 0)

    async def list_relationship_ids(
        self, criteria: RiskCriteria, filter_: RiskFilter, *, limit: int
    ) -> list[int]:
        """Lists the relationships of the customers that `page` lists, in order of id."""
        selection = await self._select(criteria, filter_)
        async with planned_for_lists(self._connection):
            conditions = await self._searched(selection)
            rows = " UNION ALL ".join(f"SELECT r.id {conditions.rows} AND {part}" for part in selection.parts)
            statement = text(f"SELECT id FROM ({rows}) found ORDER BY id LIMIT :limit")
            found = await self._connection.scalars(statement, {**conditions.values, "limit": limit})
            return list(found.all())

    async def _select(self, criteria: RiskCriteria, filter_: RiskFilter) -> _Selection:
        stages = await list_stages(self._connection, self._company_id)
        if filter_.stages:
            stages = [stage for stage in stages if stage in filter_.stages]
        others = [stage for stage in stages if stage not in {criteria.mildest, criteria.last}]
        conditions = _matching(filter_, criteria.now)
        conditions.values |= {
            "company_id": self._company_id,
            "mildest": criteria.mildest,
            "others": others,
            "above": criteria.above,
        }
        parts = [_MILD] if criteria.mildest in stages else []
        search = await read_search(self._connection, filter_.q) if filter_.q else None
        return _Selection(conditions, [*parts, _HIGH] if others or not parts else parts, others, search)

    async def _searched(self, selection: _Selection) -> Conditions:
        """Returns the conditions with the search, by the ids that it finds if they are few."""
        conditions, search = selection.conditions, selection.search
        if search is None:
            return conditions
        ids = await search.find()
        return conditions.with_search(search) if ids is None else conditions.with_ids(ids)

    async def _narrowed(self, selection: _Selection, page: RiskPageRequest) -> _Selection:
        """Reads few customers at once: those of a filter, or those with a high risk outside the mildest stage.

        The customers of all other parts are many: in any order, some fill a page soon.
        """
        conditions = selection.conditions
        if conditions.journey:
            ids = await find_few(self._connection, conditions, selection.parts)
            if ids is not None:
                return replace(selection, conditions=conditions.with_ids(ids))
        parts = [part for part in selection.parts if part != _HIGH]
        if page.sort.removeprefix("-") != "risk_score":
            high = await find_few(self._connection, conditions, [_HIGH])
            if high is not None:
                conditions.values |= {"high": high}
                return replace(selection, parts=[*parts, "r.customer_id = ANY(CAST(:high AS bigint[]))"])
        for index, stage in enumerate(selection.others):
            conditions.values |= {f"stage_{index}": stage}
            parts.append(f"r.current_stage = :stage_{index} AND r.risk_key > CAST(:above AS int)")
        return replace(selection, parts=parts or ["false"])


def _phases(page: RiskPageRequest, conditions: Conditions) -> list[tuple[Conditions, Order]]:
    """Returns the parts of a list that follow one another, from the position of the page.

    By days of inactivity, customers without an appointment come last, or first if the least inactive do.
    """
    name = page.sort.removeprefix("-")
    column, type_ = _SORTS[name]
    after = None if page.after is None else (_to_value(page.after[0], type_), page.after[1])
    if name != "days_inactive":
        return [(conditions, Order(column, type_, page.sort.startswith("-"), after))]
    # The most inactive customer is the one with the earliest appointment.
    is_descending = not page.sort.startswith("-")
    order = Order(column, type_, is_descending, after)
    start = replace(order, after=None)
    some = conditions.with_journey("r.last_appointment_key > :none", none=NO_APPOINTMENT)
    none = conditions.with_journey("r.last_appointment_key = :none", none=NO_APPOINTMENT)
    if after is None:
        return [(none, start), (some, start)] if is_descending else [(some, start), (none, start)]
    if (after[0] == NO_APPOINTMENT) is is_descending:
        return [(none, order), (some, start)] if is_descending else [(some, order), (none, start)]
    return [(some, order)] if is_descending else [(none, order)]


def _to_value(key: str, type_: str) -> int | datetime:
    """Returns the sort key of a position."""
    most = _INTEGERS[type_]
    number = min(max(int(Decimal(key)), -most), most)
    return number if type_ != "timestamptz" else max(NO_APPOINTMENT, _EPOCH + number * _MICROSECOND)


def _to_customer(row: Row) -> AtRiskCustomer:
    key = row.sort_key
    if isinstance(key, datetime):
        key = (key - _EPOCH) // _MICROSECOND
    return AtRiskCustomer(
        row.customer_id,
        row.customer_ref,
        row.name,
        row.email,
        row.current_stage,
        row.stage_entered_at,
        row.risk,
        row.last_appointment_at,
        row.lifetime_value,
        row.relationship_id,
        row.owner,
        (str(key), row.customer_id),
    )


def _matching(filter_: RiskFilter, now: datetime) -> Conditions:
    """Returns the conditions of a filter, without stages and search."""
    conditions = Conditions({})
    if filter_.owner is not None:
        conditions.add("r.owner = :owner", owner=filter_.owner)
    if filter_.days_min is not None:
        conditions.add_inactive(filter_.days_min, now)
    if filter_.value_min is not None:
        conditions.add(
            "r.lifetime_value_key >= CAST(:value_min AS bigint)",
            value_min=math.ceil(filter_.value_min * VALUE_STEPS),
        )
    return conditions
