"""Searches for defective rows: missing parents, unknown stages, stuck actions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.customers.records import BEFORE_FIRST_ID
from journey_service.repositories.tables.columns import NOT_MERGED


def _first(sql: str, order: str) -> TextClause:
    """Returns a statement with the number of rows of a query and the first of them after a key."""
    return text(
        f"SELECT *, count(*) OVER () AS number FROM ({sql}) matches WHERE {order} > :after"
        f" ORDER BY {order} LIMIT :limit"
    )


_ORPHANS: Final = _first(
    "SELECT r.customer_id FROM customer_relationships r WHERE r.company_id = :company_id AND NOT EXISTS"
    " (SELECT 1 FROM customers c WHERE c.company_id = r.company_id AND c.customer_id = r.customer_id)",
    "customer_id",
)
# Rows without a relationship can only be reported: their customer is unknown.
_DANGLING: Final = (
    "SELECT '{table}' AS name, count(*) AS number FROM {table} t WHERE t.company_id = :company_id"
    " AND t.relationship_id IS NOT NULL AND NOT EXISTS"
    " (SELECT 1 FROM customer_relationships r WHERE r.company_id = t.company_id AND r.id = t.relationship_id)"
)
_OF_RELATIONSHIPS: Final = ("journey_transitions", "journey_events", "journey_actions", "journey_tasks")
_DANGLING_ROWS: Final = text(
    f"SELECT * FROM ({' UNION ALL '.join(_DANGLING.format(table=name) for name in _OF_RELATIONSHIPS)}) counts"
    " WHERE number > 0 ORDER BY name"
)
_UNKNOWN_STAGES: Final = _first(
    "SELECT customer_id, current_stage AS stage FROM customer_relationships WHERE company_id = :company_id"
    f" AND current_stage <> ALL(CAST(:known AS text[])) AND {NOT_MERGED}",
    "customer_id",
)
_SHARED_BOOKINGS: Final = text(
    "SELECT b.booking_id, b.customer_ids, count(*) OVER () AS number FROM ("
    " SELECT e.booking_id, (array_agg(DISTINCT r.customer_id))[1:5] AS customer_ids FROM journey_events e"
    " JOIN customer_relationships r ON r.company_id = e.company_id AND r.id = e.relationship_id"
    " WHERE e.company_id = :company_id AND e.booking_id IS NOT NULL"
    " GROUP BY e.booking_id HAVING count(DISTINCT e.relationship_id) > 1) b ORDER BY b.booking_id LIMIT :limit"
)
_FOREIGN_RETRACTIONS: Final = text(
    "SELECT own.customer_id, t.source, t.event_id, other.customer_id AS event_customer_id, e.source AS event_source,"
    " e.event_id AS retracted_id, count(*) OVER () AS number FROM journey_events t"
    " JOIN journey_events e ON e.company_id = t.company_id AND e.source = t.retracts_source"
    " AND e.event_id = t.retracts_id AND e.relationship_id <> t.relationship_id"
    " JOIN customer_relationships own ON own.company_id = t.company_id AND own.id = t.relationship_id"
    " JOIN customer_relationships other ON other.company_id = e.company_id AND other.id = e.relationship_id"
    " WHERE t.company_id = :company_id AND t.retracts_id IS NOT NULL"
    " ORDER BY own.customer_id, t.source, t.event_id LIMIT :limit"
)
_IS_STUCK: Final = (
    "company_id = :company_id AND state IN ('pending', 'leased')"
    " AND ready_at < now() - make_interval(hours => 1)"
)
_STUCK_ACTIONS: Final = text(
    "SELECT CAST(a.id AS text) AS action_id, r.customer_id, a.name, a.state, a.ready_at,"
    f" count(*) OVER () AS number FROM (SELECT * FROM journey_actions WHERE {_IS_STUCK}) a"
    " LEFT JOIN customer_relationships r ON r.company_id = a.company_id AND r.id = a.relationship_id"
    " ORDER BY a.ready_at, a.id LIMIT :limit"
)
_RELEASE: Final = text(
    "UPDATE journey_actions SET state = 'pending', lease_token = NULL, ready_at = clock_timestamp(),"
    " updated_at = clock_timestamp() WHERE company_id = :company_id AND id IN"
    f" (SELECT id FROM journey_actions WHERE {_IS_STUCK} ORDER BY id LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED)"
)
_LIST_SCORES: Final = text(
    "SELECT customer_id, risk_score, engagement_score, scored_at FROM customer_relationships"
    " WHERE company_id = :company_id AND id = ANY(CAST(:ids AS bigint[])) ORDER BY customer_id"
)


@dataclass(frozen=True, slots=True)
class DefectiveRows:
    """The number of defective rows after the requested key, and the first of them."""

    number: int
    first: Sequence[Mapping[str, Any]]


class DataQualityQueries:
    """The data quality queries of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def list_orphans(self, *, limit: int, after: int = BEFORE_FIRST_ID) -> DefectiveRows:
        """Lists relationships whose customer does not exist."""
        return await self._run(_ORPHANS, limit=limit, after=after)

    async def count_dangling_rows(self) -> list[Mapping[str, Any]]:
        """Counts the rows of each table whose relationship does not exist."""
        rows = await self._connection.execute(_DANGLING_ROWS, {"company_id": self._company_id})
        return [{"table": row.name, "rows": row.number} for row in rows]

    async def list_unknown_stages(
        self, known: Sequence[str], *, limit: int, after: int = BEFORE_FIRST_ID
    ) -> DefectiveRows:
        """Lists customers whose stage is none of the known stages."""
        return await self._run(_UNKNOWN_STAGES, known=list(known), limit=limit, after=after)

    async def list_shared_bookings(self, *, limit: int) -> DefectiveRows:
        """Lists booking ids that events of several customers name, each with up to five of these customers."""
        return await self._run(_SHARED_BOOKINGS, limit=limit)

    async def list_foreign_retractions(self, *, limit: int) -> DefectiveRows:
        """Lists retractions that name an event of another customer."""
        return await self._run(_FOREIGN_RETRACTIONS, limit=limit)

    async def list_stuck_actions(self, *, limit: int) -> DefectiveRows:
        """Lists actions that have been due, or whose lease has been expired, for more than an hour."""
        return await self._run(_STUCK_ACTIONS, limit=limit)

    async def release_stuck(self, *, limit: int) -> int:
        """Makes stuck actions claimable at once; returns how many."""
        released = await self._connection.execute(_RELEASE, {"company_id": self._company_id, "limit": limit})
        return released.rowcount

    async def list_scores(self, ids: Sequence[int]) -> list[Mapping[str, Any]]:
        """Lists the customers of relationships with their stored scores."""
        rows = await self._connection.execute(
            _LIST_SCORES, {"company_id": self._company_id, "ids": list(ids)}
        )
        return [dict(row._mapping) for row in rows]

    async def _run(self, statement: TextClause, **parameters: object) -> DefectiveRows:
        rows = await self._connection.execute(statement, {"company_id": self._company_id, **parameters})
        examples = [dict(row._mapping) for row in rows]
        return DefectiveRows(
            examples[0]["number"] if examples else 0,
            [{name: value for name, value in row.items() if name != "number"} for row in examples],
        )
