"""The list of customers: profiles beside where they stand, filtered, sorted, paged by key."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.actions.stage_actions import Reachability
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
    """One customer of a page, and the key the page is continued from."""

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


_EVERYBODY: Final = text(
    f"SELECT {COLUMNS}, c.email ~ '@' IS TRUE AS has_email, c.phone ~ '[0-9]' IS TRUE AS has_phone, c.consents"
    " FROM customer_relationships r"
    " JOIN customers c ON c.company_id = r.company_id AND c.customer_id = r.customer_id"
    " WHERE r.company_id = :company_id AND r.id > :after ORDER BY r.id LIMIT :limit"
)


class CustomerList:
    """The customers of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def page_by_relationship(
        self, after: int, *, limit: int
    ) -> list[tuple[StoredRelationship, Reachability]]:
        """The next customers by the id of their relationship, not held, and how they may be reached."""
        rows = await self._connection.execute(
            _EVERYBODY, {"company_id": self._company_id, "after": after, "limit": limit}
        )
        return [(to_stored_relationship(row), _to_reach(row)) for row in rows]

    async def page(self, wanted: CustomerFilter, now: datetime) -> Sequence[CustomerRow]:
        """Customers that fit, in order, beyond `wanted.after`."""
        descending = wanted.sort.startswith("-")
        name = wanted.sort.removeprefix("-")
        column, cast = _SORTS[name], _CASTS[name]
        clauses = ["r.company_id = :company_id"]
        values: dict[str, Any] = {"company_id": self._company_id, "limit": wanted.limit}
        if len(wanted.stages) == 1:  # an equality keeps the order of an index
            clauses.append("r.current_stage = :stage")
            values["stage"] = wanted.stages[0]
        elif wanted.stages:
            clauses.append("r.current_stage = ANY(:stages)")
            values["stages"] = list(wanted.stages)
        if wanted.risk_min is not None:
            clauses.append("r.risk_score >= CAST(:risk_min AS int) / 100.0")
            values["risk_min"] = wanted.risk_min
        if wanted.risk_max is not None:
            clauses.append("r.risk_score <= CAST(:risk_max AS int) / 100.0")
            values["risk_max"] = wanted.risk_max
        if wanted.inactive_days_min is not None:
            clauses.append(
                "r.last_appointment_at <= CAST(:now AS timestamptz) - make_interval(hours => 24 * :inactive)"
            )
            values |= {"now": now, "inactive": wanted.inactive_days_min}
        if wanted.q:
            clauses.append(
                "(c.name ILIKE :q OR c.email ILIKE :q OR c.phone ILIKE :q OR CAST(c.customer_id AS text) = :exact)"
            )
            values |= {"q": f"%{wanted.q.translate(_ESCAPES)}%", "exact": wanted.q}
        if wanted.after is not None:
            sign = "<" if descending else ">"
            clauses.append(f"({column}, r.customer_id) {sign} (CAST(:key AS {cast}), CAST(:after AS bigint))")
            values |= {"key": _to_bind(name, wanted.after[0]), "after": wanted.after[1]}
        order = "DESC" if descending else "ASC"
        rows = await self._connection.execute(
            text(
                f"SELECT {COLUMNS}, c.name, c.email, c.phone, c.language, c.consents, c.created_at AS known_since,"
                f" c.updated_at AS told_at, {column} AS sort_key FROM customer_relationships r"
                " JOIN customers c ON c.company_id = r.company_id AND c.customer_id = r.customer_id"
                f" WHERE {' AND '.join(clauses)} ORDER BY {column} {order}, r.customer_id {order} LIMIT :limit"
            ),
            values,
        )
        return [_to_listed(row) for row in rows]


def _to_reach(row: Row) -> Reachability:
    statuses = {channel: consent["status"] for channel, consent in row.consents.items()}
    return Reachability(statuses, row.has_email, row.has_phone)


def _to_bind(name: str, key: SortKey) -> object:
    if name.endswith("_at"):
        return datetime.fromisoformat(str(key))
    if name in ("risk_score", "engagement_score", "lifetime_value"):
        return Decimal(str(key))
    return key


def _to_listed(row: Row) -> CustomerRow:
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
            created_at=row.known_since,
            updated_at=row.told_at,
        ),
        to_stored_relationship(row),
        (key, row.customer_id),
    )
