"""The customer list: profiles with relationships, filtered, sorted, paged by key."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.actions.contact_policy import Reachability
from journey_service.domain.customers.records import CustomerFilter, SortKey
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
    "risk_score": "coalesce(r.risk_score, 0)",
    "engagement_score": "coalesce(r.engagement_score, 0)",
    "lifetime_value": "r.lifetime_value",
    "last_appointment_at": "coalesce(r.last_appointment_at, TIMESTAMPTZ '1900-01-01 00:00:00Z')",
    "stage_entered_at": "r.stage_entered_at",
    "name": "coalesce(lower(c.name), '')",
}
_CASTS: Final = {
    "customer_id": "bigint",
    "risk_score": "numeric",
    "engagement_score": "numeric",
    "lifetime_value": "numeric",
    "last_appointment_at": "timestamptz",
    "stage_entered_at": "timestamptz",
    "name": "text",
}
_ESCAPES: Final = str.maketrans({"\\": r"\\", "%": r"\%", "_": r"\_"})


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

    async def page(self, filter_: CustomerFilter, now: datetime) -> Sequence[CustomerRow]:
        """Returns the customers that match, in order, after `filter_.after`."""
        descending = filter_.sort.startswith("-")
        name = filter_.sort.removeprefix("-")
        column, cast = _SORTS[name], _CASTS[name]
        clauses = ["r.company_id = :company_id"]
        values: dict[str, Any] = {"company_id": self._company_id, "limit": filter_.limit}
        if len(filter_.stages) == 1:  # an equality can use the order of an index
            clauses.append("r.current_stage = :stage")
            values["stage"] = filter_.stages[0]
        elif filter_.stages:
            clauses.append("r.current_stage = ANY(:stages)")
            values["stages"] = list(filter_.stages)
        if filter_.risk_min is not None:
            clauses.append("r.risk_score >= CAST(:risk_min AS int) / 100.0")
            values["risk_min"] = filter_.risk_min
        if filter_.risk_max is not None:
            clauses.append("r.risk_score <= CAST(:risk_max AS int) / 100.0")
            values["risk_max"] = filter_.risk_max
        if filter_.inactive_days_min is not None:
            clauses.append(
                "r.last_appointment_at <= CAST(:now AS timestamptz) - make_interval(hours => 24 * :inactive)"
            )
            values |= {"now": now, "inactive": filter_.inactive_days_min}
        if filter_.q:
            clauses.append(
                "(c.name ILIKE :q OR c.email ILIKE :q OR c.phone ILIKE :q OR CAST(c.customer_id AS text) = :exact)"
            )
            values |= {"q": f"%{filter_.q.translate(_ESCAPES)}%", "exact": filter_.q}
        if filter_.after is not None:
            sign = "<" if descending else ">"
            clauses.append(f"({column}, r.customer_id) {sign} (CAST(:key AS {cast}), CAST(:after AS bigint))")
            values |= {"key": _to_sort_value(name, filter_.after[0]), "after": filter_.after[1]}
        order = "DESC" if descending else "ASC"
        rows = await self._connection.execute(
            text(
                f"SELECT {COLUMNS}, c.name, c.email, c.phone, c.language, c.consents,"
                f" c.created_at AS profile_created_at, c.updated_at AS profile_updated_at, {column} AS sort_key"
                " FROM customer_relationships r"
                " JOIN customers c ON c.company_id = r.company_id AND c.customer_id = r.customer_id"
                f" WHERE {' AND '.join(clauses)} ORDER BY {column} {order}, r.customer_id {order} LIMIT :limit"
            ),
            values,
        )
        return [_to_customer_row(row) for row in rows]


def _to_reachability(row: Row) -> Reachability:
    statuses = {channel: consent["status"] for channel, consent in row.consents.items()}
    return Reachability(statuses, row.has_email, row.has_phone)


def _to_sort_value(name: str, key: SortKey) -> object:
    if name.endswith("_at"):
        return datetime.fromisoformat(str(key))
    if name in ("risk_score", "engagement_score", "lifetime_value"):
        return Decimal(str(key))
    return key


def _to_customer_row(row: Row) -> CustomerRow:
    key = row.sort_key
    if isinstance(key, datetime):
        key = key.isoformat()
    elif isinstance(key, Decimal):
        key = str(key)
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
