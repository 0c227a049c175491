"""Lists of customers at risk: filtered, sorted, paged by keyset; and their number."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.analytics.records import AtRiskCustomer, RiskFilter, RiskPageRequest
from journey_service.domain.customers.records import BEFORE_FIRST_ID

_COLUMNS: Final = (
    "r.id AS relationship_id, r.customer_id, c.name, c.email, r.current_stage, r.stage_entered_at,"
    " r.risk_key AS risk, r.last_appointment_at, r.lifetime_value, r.owner"
)
_FROM: Final = (
    "FROM customer_relationships r"
    " JOIN customers c ON c.company_id = r.company_id AND c.customer_id = r.customer_id"
    " WHERE r.company_id = :company_id"
)
_HIGH: Final = "r.risk_score > CAST(:above AS int) / 100.0 AND r.current_stage <> CAST(:last AS text)"
_AT_RISK: Final = f"(r.current_stage = CAST(:mildest AS text) OR ({_HIGH}))"
_SORTS: Final = {
    "risk_score": "r.risk_key",
    # Customers without an appointment are not inactive: they sort as the least inactive.
    "days_inactive": "coalesce(-extract(epoch FROM r.last_appointment_at), -1000000000000)",
    "lifetime_value": "r.lifetime_value_key",
}
_ESCAPES: Final = str.maketrans({"\\": r"\\", "%": r"\%", "_": r"\_"})


@dataclass(frozen=True, slots=True)
class RiskCriteria:
    """Which customers are at risk: those in stage `mildest`, and those above a risk in hundredths outside `last`.

    `now` is the company's time, for days since the last appointment.
    """

    mildest: str
    last: str
    above: int
    now: datetime


class RiskList:
    """The lists of customers at risk of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def page_above(self, criteria: RiskCriteria, page: RiskPageRequest) -> list[AtRiskCustomer]:
        """Lists customers with a stored risk above the threshold, except those in the last stage, by risk."""
        key, after = page.after or ("2", BEFORE_FIRST_ID)
        conditions, values = _matching(page.filter_)
        statement = text(
            f"SELECT {_COLUMNS}, CAST(r.risk_score AS text) AS key {_FROM} AND {_HIGH}{conditions}"
            " AND r.risk_score <= CAST(:key AS numeric)"
            " AND (r.risk_score < CAST(:key AS numeric) OR r.customer_id > CAST(:after AS bigint))"
            " ORDER BY r.risk_score DESC, r.customer_id LIMIT :limit"
        )
        return await self._list(criteria, statement, {**values, "key": Decimal(key), "after": after}, page)

    async def page(self, criteria: RiskCriteria, page: RiskPageRequest) -> list[AtRiskCustomer]:
        """Lists customers at risk in the requested order."""
        column = _SORTS[page.sort.removeprefix("-")]
        order, sign = ("DESC", "<") if page.sort.startswith("-") else ("ASC", ">")
        conditions, values = _matching(page.filter_)
        if page.after is not None:
            conditions += (
                f" AND ({column}, r.customer_id) {sign} (CAST(:key AS numeric), CAST(:after AS bigint))"
            )
            values |= {"key": Decimal(page.after[0]), "after": page.after[1]}
        statement = text(
            f"SELECT {_COLUMNS}, CAST({column} AS text) AS key {_FROM} AND {_AT_RISK}{conditions}"
            f" ORDER BY {column} {order}, r.customer_id {order} LIMIT :limit"
        )
        return await self._list(criteria, statement, values, page)

    async def count(self, criteria: RiskCriteria, filter_: RiskFilter) -> int:
        """Counts the customers that `page` lists."""
        conditions, values = _matching(filter_)
        # Without a search the profiles are not needed.
        source = _FROM if filter_.q else "FROM customer_relationships r WHERE r.company_id = :company_id"
        statement = text(f"SELECT count(*) {source} AND {_AT_RISK}{conditions}")
        return int(await self._connection.scalar(statement, self._values(criteria, values)) or 0)

    async def list_relationship_ids(
        self, criteria: RiskCriteria, filter_: RiskFilter, *, limit: int
    ) -> list[int]:
        """Lists the relationships of the customers that `page` lists, in order of id."""
        conditions, values = _matching(filter_)
        statement = text(f"SELECT r.id {_FROM} AND {_AT_RISK}{conditions} ORDER BY r.id LIMIT :limit")
        found = await self._connection.scalars(statement, self._values(criteria, {**values, "limit": limit}))
        return list(found.all())

    async def _list(
        self, criteria: RiskCriteria, statement: TextClause, values: dict[str, Any], page: RiskPageRequest
    ) -> list[AtRiskCustomer]:
        rows = await self._connection.execute(
            statement, self._values(criteria, {**values, "limit": page.limit})
        )
        return [
            AtRiskCustomer(
                row.customer_id,
                row.name,
                row.email,
                row.current_stage,
                row.stage_entered_at,
                row.risk,
                row.last_appointment_at,
                row.lifetime_value,
                row.relationship_id,
                row.owner,
                (row.key, row.customer_id),
            )
            for row in rows
        ]

    def _values(self, criteria: RiskCriteria, values: dict[str, Any]) -> dict[str, Any]:
        return {
            "company_id": self._company_id,
            "mildest": criteria.mildest,
            "last": criteria.last,
            "above": criteria.above,
            "now": criteria.now,
            **values,
        }


def _matching(filter_: RiskFilter) -> tuple[str, dict[str, Any]]:
    """Returns the conditions of a filter, and their values."""
    clauses: Sequence[tuple[bool, str, dict[str, Any]]] = (
        (
            bool(filter_.stages),
            "r.current_stage = ANY(CAST(:stages AS text[]))",
            {"stages": list(filter_.stages)},
        ),
        (filter_.owner is not None, "r.owner = :owner", {"owner": filter_.owner}),
        (
            filter_.days_min is not None,
            "r.last_appointment_at <= CAST(:now AS timestamptz) - make_interval(hours => 24 * CAST(:days AS int))",
            {"days": filter_.days_min},
        ),
        (
            filter_.value_min is not None,
            "r.lifetime_value >= CAST(:value_min AS numeric)",
            {"value_min": filter_.value_min},
        ),
        (
            bool(filter_.q),
            "(c.name ILIKE :q OR c.email ILIKE :q OR c.phone ILIKE :q OR CAST(c.customer_id AS text) = :exact)",
            {"q": f"%{(filter_.q or '').translate(_ESCAPES)}%", "exact": filter_.q},
        ),
    )
    chosen = [(clause, values) for is_set, clause, values in clauses if is_set]
    conditions = "".join(f" AND {clause}" for clause, _ in chosen)
    return conditions, {name: value for _, values in chosen for name, value in values.items()}
