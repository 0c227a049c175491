"""Merged customers: which customer an id refers to, and the rows that move from a merged customer to the survivor.

Transitions, outbound events and their deliveries stay with the customer for whom they were recorded.
"""

from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.repositories.tables.columns import SURVIVOR

_MERGED: Final = text(
    "SELECT c.customer_id, r.id FROM customers c JOIN customer_relationships r"
    " ON r.company_id = c.company_id AND r.customer_id = c.customer_id"
    " WHERE c.company_id = :company_id AND c.merged_into = :survivor_id ORDER BY c.customer_id"
)
_IDS: Final = text(
    f"WITH survivor AS (SELECT {SURVIVOR} AS id) SELECT c.customer_id FROM survivor s JOIN customers c"
    " ON c.company_id = :company_id AND c.customer_id = s.id UNION ALL SELECT c.customer_id FROM survivor s"
    " JOIN customers c ON c.company_id = :company_id AND c.merged_into = s.id"
)
_MARK: Final = text(
    "UPDATE customers SET merged_into = :survivor_id WHERE company_id = :company_id"
    " AND (customer_id = :customer_id OR merged_into = :customer_id)"
)
# Tasks of a running campaign are closed with it.
_MOVE_OPEN_TASKS: Final = text(
    "WITH moved AS (UPDATE journey_tasks t SET relationship_id = :survivor, transition_seq = NULL,"
    "   updated_at = clock_timestamp()"
    "   WHERE t.company_id = :company_id AND t.relationship_id = :merged AND t.status = 'open'"
    "   AND NOT EXISTS (SELECT 1 FROM retention_campaigns k WHERE k.company_id = t.company_id"
    "     AND k.id = t.campaign_id AND k.ended_at IS NULL) RETURNING t.id)"
    " INSERT INTO outbound_events (company_id, relationship_id, type, task_id)"
    " SELECT :company_id, :survivor, 'task.changed', id FROM moved ORDER BY id"
)
# What the survivor has got, or is about to get, is not sent a second time.
_CANCEL_REPEATED: Final = text(
    "WITH repeated AS (UPDATE journey_actions a SET state = 'cancelled', reason = 'left_stage', ready_at = NULL,"
    "   reserved_at = NULL, finished_at = CAST(:at AS timestamptz), updated_at = clock_timestamp()"
    "   WHERE a.company_id = :company_id AND a.relationship_id = :merged AND a.state = 'pending'"
    "   AND a.transition_seq IS NOT NULL AND EXISTS (SELECT 1 FROM journey_actions s"
    "     WHERE s.company_id = a.company_id AND s.relationship_id = :survivor AND s.name = a.name"
    "     AND s.number = a.number AND s.state IN ('pending', 'leased', 'done')) RETURNING a.id)"
    " INSERT INTO outbound_events (company_id, relationship_id, type, action_id)"
    " SELECT :company_id, :merged, 'action.finished', id FROM repeated ORDER BY id"
)
# The seq of a transition counts within the journey of the merged customer, so it would name another one.
_MOVE_ACTIONS: Final = text(
    "UPDATE journey_actions a SET relationship_id = :survivor, transition_seq = NULL,"
    " request_key = CASE WHEN EXISTS (SELECT 1 FROM journey_actions s WHERE s.company_id = a.company_id"
    "   AND s.relationship_id = :survivor AND s.request_key = a.request_key) THEN NULL ELSE a.request_key END"
    " WHERE a.company_id = :company_id AND a.relationship_id = :merged AND a.channel <> 'webhook'"
)
_MOVE_ATTEMPTS: Final = text(
    "UPDATE action_attempts t SET relationship_id = :survivor FROM journey_actions a"
    " WHERE t.company_id = :company_id AND t.relationship_id = :merged AND a.company_id = t.company_id"
    " AND a.id = t.action_id AND a.relationship_id = :survivor"
)
_MOVE_CAMPAIGNS: Final = text(
    "UPDATE retention_campaigns SET relationship_id = :survivor, merged_from = coalesce(merged_from, :merged)"
    " WHERE company_id = :company_id AND relationship_id = :merged"
)
_MOVE_CLOSED_TASKS: Final = text(
    "UPDATE journey_tasks SET relationship_id = :survivor, transition_seq = NULL"
    " WHERE company_id = :company_id AND relationship_id = :merged"
)
_MOVE_EVENTS: Final = text("SELECT move_events(:merged, :survivor)")


class MergedRows(NamedTuple):
    """Relationship ids of a merge: of the customer that is merged, and of the survivor."""

    merged: int
    survivor: int


class Merges:
    """The merged customers of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def list_merged(self, survivor_id: int) -> dict[int, int]:
        """Returns the customers who were merged into a customer: relationship ids by customer id."""
        rows = await self._connection.execute(
            _MERGED, {"company_id": self._company_id, "survivor_id": survivor_id}
        )
        return {row.customer_id: row.id for row in rows}

    async def list_ids(self, customer_id: int) -> list[int]:
        """Lists the ids that lead to the same customer as an id; none for an unknown one."""
        ids = await self._connection.scalars(
            _IDS, {"company_id": self._company_id, "customer_id": customer_id}
        )
        return list(ids.all())

    async def list_ids_or_own(self, customer_id: int) -> list[int]:
        """Lists the ids that lead to the same customer as an id, and the id alone if no customer has it."""
        return await self.list_ids(customer_id) or [customer_id]

    async def mark(self, customer_id: int, survivor_id: int) -> None:
        """Makes the id of a locked customer, and those of customers merged into it, lead to the survivor."""
        await self._connection.execute(
            _MARK, {"company_id": self._company_id, "customer_id": customer_id, "survivor_id": survivor_id}
        )

    async def move_open_tasks(self, rows: MergedRows) -> int:
        """Moves open tasks, without those of a running campaign; returns how many."""
        moved = await self._connection.execute(_MOVE_OPEN_TASKS, self._values(rows))
        return moved.rowcount

    async def move_rest(self, rows: MergedRows, at: datetime) -> None:
        """Moves events, actions with their attempts, campaigns and tasks, once the merged customer's journey is closed.

        Pending actions that the survivor has got, or is about to get, are cancelled as of `at`.
        """
        values = self._values(rows)
        await self._connection.execute(_CANCEL_REPEATED, {**values, "at": at})
        for statement in (
            _MOVE_ACTIONS,
            _MOVE_ATTEMPTS,
            _MOVE_CAMPAIGNS,
            _MOVE_CLOSED_TASKS,
        ):
            await self._connection.execute(statement, values)
        await self._connection.execute(_MOVE_EVENTS, rows._asdict())

    def _values(self, rows: MergedRows) -> dict[str, object]:
        return {"company_id": self._company_id, **rows._asdict()}
