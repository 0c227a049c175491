"""The customer list: profiles with relationships, filtered, sorted, paged by key."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.actions.contact_policy import Reachability
from journey_service.domain.customers.records import CustomerFilter, SortKey
from journey_service.domain.row_counts import NOT_COUNTED, RowCount
from journey_service.repositories.customers.lists.attributes import (
    compare_attribute,
    find_attributed,
    list_attribute_names,
)
from journey_service.repositories.customers.lists.ordered_lists import (
    VALUE_STEPS,
    Conditions,
    Order,
    find_few,
    list_stages,
    planned_for_lists,
)
from journey_service.repositories.customers.lists.reading import OrderedReading, count_customers
from journey_service.repositories.customers.lists.search import read_search
from journey_service.repositories.customers.profiles import StoredProfile
from journey_service.repositories.journeys.relationship_rows import (
    COLUMNS,
    StoredRelationship,
    to_stored_relationship,
)
from journey_service.repositories.tables import Row
from journey_service.repositories.tables.columns import NOT_MERGED


@dataclass(frozen=True, slots=True)
class CustomerRow:
    """One row of the customer list, and the key that continues after it."""

    profile: StoredProfile
    stored: StoredRelationship
    key: tuple[SortKey, int]


_SORTS: Final = {
    "customer_id": ("r.customer_id", "bigint"),
    "risk_score": ("r.risk_key", "int"),
    "engagement_score": ("r.engagement_key", "int"),
    "lifetime_value": ("r.lifetime_value_key", "bigint"),
    "expected_loss": ("r.expected_loss_key", "bigint"),
    "last_appointment_at": ("r.last_appointment_key", "timestamptz"),
    "stage_entered_at": ("r.stage_entered_at", "timestamptz"),
    "name": ("c.name_key", "text"),
}
"""Columns of the orders, and their types."""
_ACROSS_STAGES: Final = frozenset({"customer_id", "name"})
"""Orders with an index led by the company. Those of the others are led by the company and the stage."""
_IN_STAGES: Final = "r.current_stage = ANY(CAST(:stages AS text[]))"
_COLUMNS: Final = (
    f"{COLUMNS}, c.name, c.first_name, c.email, c.phone, c.phone_digits, c.language, c.field_times,"
    " c.attributes, c.consents,"
    " c.created_at AS profile_created_at, c.updated_at AS profile_updated_at"
)
_PAGE_BY_RELATIONSHIP: Final = text(
    f"SELECT {COLUMNS}, c.email ~ '@' IS TRUE AS has_email, c.phone ~ '[0-9]' IS TRUE AS has_phone, c.consents"
    " FROM customer_relationships r"
    " JOIN customers c ON c.company_id = r.company_id AND c.customer_id = r.customer_id"
    f" WHERE r.company_id = :company_id AND r.id > :after AND {NOT_MERGED} ORDER BY r.id LIMIT :limit"
)

_COUNT_STAGES: Final = text(
    "SELECT current_stage, count(*) AS number FROM customer_relationships WHERE company_id = :company_id"
    " AND id = ANY(CAST(:ids AS bigint[])) GROUP BY current_stage"
)


class CustomerList:
    """The customer list of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def page_by_relationship(
        self, after: int, *, limit: int
    ) -> list[tuple[StoredRelationship, Reachability]]:
        """Returns the next customers by relationship id with their reachability, without locking."""
        rows = await self._connection.execute(
            _PAGE_BY_RELATIONSHIP, {"company_id": self._company_id, "after": after, "limit": limit}
        )
        return [(to_stored_relationship(row), _to_reachability(row)) for row in rows]

    async def page(self, filter_: CustomerFilter, now: datetime) -> tuple[Sequence[CustomerRow], RowCount]:
        """Returns the customers that match, in order, after `filter_.after`; and the number of all, if requested."""
        conditions = _to_conditions(filter_, now, self._company_id)
        search = await read_search(self._connection, filter_.q) if filter_.q else None
        branches = await self._add_stages(filter_, conditions)
        count = NOT_COUNTED
        async with planned_for_lists(self._connection):
            attributed = await find_attributed(self._connection, conditions.values, filter_.attributes)
            if attributed is not None:
                conditions = conditions.with_ids(attributed)
            elif conditions.is_narrow:
                few = await find_few(self._connection, conditions, [_IN_STAGES])
                conditions = conditions if few is None else conditions.with_ids(few)
            reading = OrderedReading(self._connection, _COLUMNS, _to_order(filter_), branches, filter_.limit)
            if search is None:
                rows = await reading.rows(conditions)
            else:
                rows = await reading.searched(conditions, search)
            if filter_.is_counted:
                count = await count_customers(self._connection, conditions, search)
        return [_to_customer_row(row) for row in rows], count

    async def count_stages(self, relationship_ids: Sequence[int]) -> dict[str, int]:
        """Returns the numbers of customers with these relationship ids by current stage."""
        rows = await self._connection.execute(
            _COUNT_STAGES, {"company_id": self._company_id, "ids": list(relationship_ids)}
        )
        return {row.current_stage: row.number for row in rows}

    async def list_attribute_names(self, *, limit: int) -> list[str]:
        """Lists the names of the attributes that customers have, in order."""
        return await list_attribute_names(self._connection, {"company_id": self._company_id}, limit)

    async def _add_stages(self, filter_: CustomerFilter, conditions: Conditions) -> list[str]:
        """Adds the condition on the stages; returns that of each stage whose customers are read in order."""
        stages = await list_stages(self._connection, self._company_id)
        is_across = _name_of(filter_) in _ACROSS_STAGES
        if filter_.stages:
            stages = [stage for stage in stages if stage in filter_.stages]
            add = conditions.add_narrow if is_across else conditions.add
            add(_IN_STAGES)
        conditions.values |= {"stages": stages}
        if is_across:
            return []
        conditions.values |= {f"stage_{index}": stage for index, stage in enumerate(stages)}
        return [f"r.current_stage = :stage_{index}" for index in range(len(stages))] or ["false"]


def _name_of(filter_: CustomerFilter) -> str:
    return filter_.sort.removeprefix("-")


def _to_order(filter_: CustomerFilter) -> Order:
    name = _name_of(filter_)
    column, type_ = _SORTS[name]
    after = None if filter_.after is None else (_to_sort_value(name, filter_.after[0]), filter_.after[1])
    return Order(column, type_, filter_.sort.startswith("-"), after)


def _to_conditions(filter_: CustomerFilter, now: datetime, company_id: int) -> Conditions:
    """Returns the conditions of a filter, without stages and search."""
    query = Conditions({"company_id": company_id})
    if filter_.ids:
        query.add_narrow("r.customer_id = ANY(CAST(:ids AS bigint[]))", ids=list(filter_.ids))
    if filter_.owner is not None:
        query.add_narrow("r.owner = :owner", owner=filter_.owner)
    if filter_.is_pinned is not None:
        add = query.add_narrow if filter_.is_pinned else query.add
        add(f"r.pin_until IS {'NOT ' if filter_.is_pinned else ''}NULL")
    if filter_.consent is not None:
        query.add_profile(
            "coalesce(c.consents -> CAST(:channel AS text) ->> 'status', 'unknown') = :status",
            channel=filter_.consent[0],
            status=filter_.consent[1],
        )
    for condition, values in map(compare_attribute, filter_.attributes, range(len(filter_.attributes))):
        query.add_profile(condition, **values)
    _add_ranges(query, filter_, now)
    return query


def _add_ranges(query: Conditions, filter_: CustomerFilter, now: datetime) -> None:
    """Adds the conditions on scores, amounts, numbers and times."""
    for column, least, most in (
        ("risk_key", filter_.risk_min, filter_.risk_max),
        ("lifetime_value_key", *_to_keys(filter_.value_min, filter_.value_max)),
        ("total_appointments", filter_.appointments_min, filter_.appointments_max),
    ):
        if least is not None:
            query.add_narrow(f"r.{column} >= CAST(:{column}_min AS bigint)", **{f"{column}_min": least})
        if most is not None:
            query.add_narrow(f"r.{column} <= CAST(:{column}_max AS bigint)", **{f"{column}_max": most})
    if filter_.inactive_days_min is not None:
        query.add_inactive(filter_.inactive_days_min, now)


def _to_keys(least: Decimal | None, most: Decimal | None) -> tuple[int | None, int | None]:
    """Returns the smallest and largest value of `lifetime_value_key` within two amounts."""
    return (
        None if least is None else math.ceil(least * VALUE_STEPS),
        None if most is None else math.floor(most * VALUE_STEPS),
    )


def _to_reachability(row: Row) -> Reachability:
    statuses = {channel: consent["status"] for channel, consent in row.consents.items()}
    return Reachability(statuses, row.has_email, row.has_phone)


def _to_sort_value(name: str, key: SortKey) -> object:
    return datetime.fromisoformat(str(key)) if name.endswith("_at") else key


def _to_customer_row(row: Row) -> CustomerRow:
    key = row.sort_key.isoformat() if isinstance(row.sort_key, datetime) else row.sort_key
    return CustomerRow(
        StoredProfile(
            customer_id=row.customer_id,
            customer_ref=row.customer_ref,
            name=row.name,
            first_name=row.first_name,
            email=row.email,
            phone=row.phone,
            phone_digits=row.phone_digits,
            language=row.language,
            field_times=row.field_times,
            attributes=row.attributes,
            consents=row.consents,
            created_at=row.profile_created_at,
            updated_at=row.profile_updated_at,
        ),
        to_stored_relationship(row),
        (key, row.customer_id),
    )
