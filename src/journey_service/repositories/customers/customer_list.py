"""The customer list: profiles with relationships, filtered, sorted, paged by key."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.actions.contact_policy import Reachability
from journey_service.domain.customers.records import CustomerFilter, SortKey
from journey_service.domain.events.event import EARLIEST
from journey_service.domain.row_counts import NOT_COUNTED, RowCount
from journey_service.repositories.counting import count_rows
from journey_service.repositories.customers.profiles import CustomerProfile
from journey_service.repositories.journeys.relationships import (
    COLUMNS,
    StoredRelationship,
    to_stored_relationship,
)
from journey_service.repositories.tables import Row


@dataclass(frozen=True, slots=True)
class CustomerRow:
    """One row of the customer list, and the key that continues after it."""

    profile: CustomerProfile
    stored: StoredRelationship
    key: tuple[SortKey, int]


_SORTS: Final = {
    "customer_id": "r.customer_id",
    "risk_score": "r.risk_key",
    "engagement_score": "r.engagement_key",
    "lifetime_value": "r.lifetime_value_key",
    "last_appointment_at": "r.last_appointment_key",
    "stage_entered_at": "r.stage_entered_at",
    "name": "c.name_key",
}
"""Columns with an index led by the company and followed by the customer id."""
_CASTS: Final = {
    "customer_id": "bigint",
    "risk_score": "int",
    "engagement_score": "int",
    "lifetime_value": "bigint",
    "last_appointment_at": "timestamptz",
    "stage_entered_at": "timestamptz",
    "name": "text",
}
_SORTS_BY_STAGE: Final = _SORTS.keys() - {"customer_id", "name"}
"""Orders with an index led by the company and the stage."""
_MAX_BRANCHES: Final = 10
"""Stages of one list that are each read in order and merged."""
_JOINED: Final = (
    "customer_relationships r"
    " JOIN customers c ON c.company_id = r.company_id AND c.customer_id = r.customer_id"
)
_PER_UNIT: Final = 1000
"""Steps of `lifetime_value_key` in one unit of the currency."""
# Each list is planned for its own values: the best index depends on them.
_PLAN_BY_VALUES: Final = text("SELECT set_config('plan_cache_mode', 'force_custom_plan', true)")
_ONLY_INDEXES: Final = text("SELECT set_config('enable_seqscan', 'off', true)")
_ALL_SCANS: Final = text("SELECT set_config('enable_seqscan', 'on', true)")
_FOLD: Final = text("SELECT fold_text(CAST(:q AS text)) AS plain, fold_umlauts(CAST(:q AS text)) AS german")
_FIND: Final = text("SELECT find_customers(:first, :second, CAST(:words AS text[]), :most)")
_MAX_FOUND: Final = 2_000
"""Customers that a search reads by its index and then sorts. With more, the list is read in order, and each customer
compared: enough of them match to fill a page soon."""
_MAX_NARROW: Final = 10_000
"""Customers of a filter that are read by its index and then sorted; with more, the list is read in order."""
_MIN_PART: Final = 3
"""Characters of a word that is found anywhere; the index has no shorter parts, so a shorter word begins another."""
_PHONE: Final = re.compile(r"[\d\s+()/.-]*\d[\d\s+()/.-]*", re.ASCII)


_PAGE_BY_RELATIONSHIP: Final = text(
    f"SELECT {COLUMNS}, c.email ~ '@' IS TRUE AS has_email, c.phone ~ '[0-9]' IS TRUE AS has_phone, c.consents"
    " FROM customer_relationships r"
    " JOIN customers c ON c.company_id = r.company_id AND c.customer_id = r.customer_id"
    " WHERE r.company_id = :company_id AND r.id > :after ORDER BY r.id LIMIT :limit"
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
        await self._connection.execute(_PLAN_BY_VALUES)
        query = await self._select(filter_, now)
        count = NOT_COUNTED
        if filter_.is_counted:
            count = await count_rows(self._connection, query.rows, query.values)
        descending = filter_.sort.startswith("-")
        name = filter_.sort.removeprefix("-")
        column, cast = _SORTS[name], _CASTS[name]
        # The id of the table that the index of the sort column belongs to.
        order, id_ = "DESC" if descending else "ASC", f"{column.partition('.')[0]}.customer_id"
        if filter_.after is not None:
            sign = "<" if descending else ">"
            query.add(
                f"({column}, {id_}) {sign} (CAST(:key AS {cast}), CAST(:after AS bigint))",
                key=_to_sort_value(name, filter_.after[0]),
                after=filter_.after[1],
            )
        ordered = f"ORDER BY {column} {order}, {id_} {order} LIMIT :limit"
        rows = await self._connection.execute(
            text(
                f"SELECT {COLUMNS}, c.name, c.email, c.phone, c.language, c.consents,"
                f" c.created_at AS profile_created_at, c.updated_at AS profile_updated_at, {column} AS sort_key"
                f" {query.merged(ordered) if name in _SORTS_BY_STAGE else query.rows} {ordered}"
            ),
            {**query.values, "limit": filter_.limit},
        )
        return [_to_customer_row(row) for row in rows], count

    async def _select(self, filter_: CustomerFilter, now: datetime) -> "_Query":
        query = _Query({"company_id": self._company_id})
        stages = list(dict.fromkeys(filter_.stages))
        if len(stages) == 1:  # an equality can use the order of an index
            query.add("r.current_stage = :stage", stage=stages[0])
        elif stages:
            query.add("r.current_stage = ANY(:stages)", stages=stages)
        if filter_.ids:
            query.add("r.customer_id = ANY(CAST(:ids AS bigint[]))", ids=list(filter_.ids))
        if filter_.owner is not None:
            query.add_narrow("r.owner = :owner", owner=filter_.owner)
        if filter_.is_pinned is not None:
            add = query.add_narrow if filter_.is_pinned else query.add
            add(f"r.pin_until IS {'NOT ' if filter_.is_pinned else ''}NULL")
        if filter_.consent is not None:
            query.add(
                "coalesce(c.consents -> CAST(:channel AS text) ->> 'status', 'unknown') = :status",
                channel=filter_.consent[0],
                status=filter_.consent[1],
            )
        _add_ranges(query, filter_, now)
        if filter_.q:
            await self._search(filter_.q, query)
        if query.is_narrow and "found" not in query.values:
            await self._narrow(query)
        return query

    async def _narrow(self, query: "_Query") -> None:
        """Reads the customers of a filter by its index, if they are few.

        The planner takes filters for independent of the order, and might read all customers for a few that come last.
        """
        await self._connection.execute(_ONLY_INDEXES)
        ids = await self._connection.scalars(text(query.narrow), {**query.values, "most": _MAX_NARROW + 1})
        found = ids.all()
        await self._connection.execute(_ALL_SCANS)
        if len(found) <= _MAX_NARROW:
            query.add("r.customer_id = ANY(CAST(:found AS bigint[]))", found=found)

    async def _search(self, q: str, query: "_Query") -> None:
        """Adds the condition of a search: every word is part of the search text, in one of two foldings.

        Without letters and digits there is no condition.
        """
        folded = (await self._connection.execute(_FOLD, {"q": q})).one()
        phrases = {tuple(_to_parts(q, each)): None for each in (folded.plain, folded.german)}
        if () in phrases:
            return
        found: set[int] = set()
        for parts in phrases:
            patterns = [f"%{part}%" for part in sorted(parts, key=len, reverse=True)]
            ids = await self._connection.scalars(
                _FIND,
                {
                    "first": patterns[0],
                    "second": patterns[min(1, len(patterns) - 1)],
                    "words": patterns[2:],
                    "most": _MAX_FOUND + 1,
                },
            )
            found |= {*ids.all()}
            if len(found) > _MAX_FOUND:
                break
        if len(found) <= _MAX_FOUND:
            query.add("r.customer_id = ANY(CAST(:found AS bigint[]))", found=sorted(found))
            return
        conditions = []
        for number, parts in enumerate(phrases):
            values = {f"part_{number}_{index}": part for index, part in enumerate(parts)}
            # Not LIKE, of which the planner expects few rows: it would read all of them to sort them.
            conditions.append(" AND ".join(f"strpos(c.search, :{name}) > 0" for name in values))
            query.values |= values
        query.add(f"({' OR '.join(conditions)})")


class _Query:
    """The rows of a list: conditions and their values."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values
        self._conditions = ["r.company_id = :company_id"]
        self.is_narrow = False

    def add(self, condition: str, **values: object) -> None:
        """Adds a condition."""
        self._conditions.append(condition)
        self.values |= values

    def add_narrow(self, condition: str, **values: object) -> None:
        """Adds a condition that an index can find."""
        self.add(condition, **values)
        self.is_narrow = True

    @property
    def narrow(self) -> str:
        """The statement that finds the ids of customers, as many as `most`, by conditions on their journeys."""
        conditions = [each for each in self._conditions if "c." not in each]
        return (
            f"SELECT r.customer_id FROM customer_relationships r WHERE {' AND '.join(conditions)} LIMIT :most"
        )

    @property
    def rows(self) -> str:
        """The clauses FROM and WHERE."""
        return f"FROM {_JOINED} WHERE {' AND '.join(self._conditions)}"

    def merged(self, ordered: str) -> str:
        """Returns the clauses with one branch for each of several stages, which reads the stage in order."""
        stages = self.values.get("stages", ())
        if not 1 < len(stages) <= _MAX_BRANCHES:
            return self.rows
        self.values |= {f"stage_{index}": stage for index, stage in enumerate(stages)}
        branches = " UNION ALL ".join(
            f"(SELECT r.id {self.rows} AND r.current_stage = :stage_{index} {ordered})"
            for index in range(len(stages))
        )
        return f"FROM ({branches}) found JOIN ({_JOINED}) ON r.company_id = :company_id AND r.id = found.id"


def _add_ranges(query: _Query, filter_: CustomerFilter, now: datetime) -> None:
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
        query.add_narrow(
            "r.last_appointment_key BETWEEN :earliest AND :inactive",  # earlier: there was none
            earliest=EARLIEST,
            inactive=now - timedelta(days=filter_.inactive_days_min),
        )


def _to_parts(q: str, folded: str) -> list[str]:
    """Returns the parts that the search text must contain.

    A telephone number is compared by its digits without leading zeros, an email address as a whole, all else word by
    word. Text without letters and digits has no parts.
    """
    if _PHONE.fullmatch(q):
        words = ["".join(filter(str.isdigit, q)).lstrip("0") or "0"]
    else:
        words = [folded] if "@" in q and folded else folded.split()
    return [word if len(word) >= _MIN_PART else f" {word}" for word in words]


def _to_keys(least: Decimal | None, most: Decimal | None) -> tuple[int | None, int | None]:
    """Returns the smallest and largest value of `lifetime_value_key` within two amounts."""
    return (
        None if least is None else math.ceil(least * _PER_UNIT),
        None if most is None else math.floor(most * _PER_UNIT),
    )


def _to_reachability(row: Row) -> Reachability:
    statuses = {channel: consent["status"] for channel, consent in row.consents.items()}
    return Reachability(statuses, row.has_email, row.has_phone)


def _to_sort_value(name: str, key: SortKey) -> object:
    return datetime.fromisoformat(str(key)) if name.endswith("_at") else key


def _to_customer_row(row: Row) -> CustomerRow:
    key = row.sort_key.isoformat() if isinstance(row.sort_key, datetime) else row.sort_key
    return CustomerRow(
        CustomerProfile(
            customer_id=row.customer_id,
            name=row.name,
            email=row.email,
            phone=row.phone,
            language=row.language,
            consents=row.consents,
            created_at=row.profile_created_at,
            updated_at=row.profile_updated_at,
        ),
        to_stored_relationship(row),
        (key, row.customer_id),
    )
