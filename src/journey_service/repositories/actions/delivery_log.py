"""The delivery log: actions with their states and attempts, and retries of dead letters."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.actions.records import ActionFilter, DeliveryLogRow, StoredAttempt
from journey_service.domain.actions.stage_actions import Channel, StepKey
from journey_service.domain.row_counts import NOT_COUNTED, RowCount
from journey_service.repositories.actions.action_plan_rows import to_step
from journey_service.repositories.counting import count_rows
from journey_service.repositories.tables import Row
from journey_service.repositories.tables.columns import SURVIVOR

_ROWS: Final = (
    " FROM journey_actions a JOIN customer_relationships r ON r.company_id = a.company_id AND r.id = a.relationship_id"
    " JOIN customers c ON c.company_id = r.company_id AND c.customer_id = r.customer_id"
    " LEFT JOIN outbound_events n ON n.company_id = a.company_id AND n.id = a.outbound_event_id"
    " LEFT JOIN journey_tasks t ON t.company_id = a.company_id AND t.action_id = a.id"
    " WHERE a.company_id = :company_id"
)
_SELECT: Final = (
    "SELECT a.id, r.customer_id, c.customer_ref, c.name AS customer_name, a.transition_seq, a.stage, a.name,"
    " a.number, a.channel,"
    " a.step, a.campaign_id, a.endpoint_id, n.type AS event_type, t.id AS task_id, a.actor, a.note, a.state, a.reason,"
    " a.attempts, a.planned_at, a.due_at, a.ready_at, a.finished_at, a.last_error, a.last_status, a.created_at"
    f"{_ROWS}"
)
_FIND: Final = text(f"{_SELECT} AND a.id = CAST(:id AS uuid)")
_FIND_BY_REQUEST: Final = text(
    f"{_SELECT} AND a.relationship_id = :relationship_id AND a.request_key = :request_key"
)
# By relationship, which has an index.
_LIST_BY_CAMPAIGN: Final = text(
    f"{_SELECT} AND a.relationship_id = ANY(CAST(:relationship_ids AS bigint[]))"
    " AND a.campaign_id = ANY(CAST(:campaign_ids AS bigint[])) ORDER BY a.name, a.number"
)
_ATTEMPTS: Final = text(
    "SELECT number, started_at, ended_at, outcome, status, response FROM action_attempts"
    " WHERE company_id = :company_id AND action_id = CAST(:id AS uuid) ORDER BY number"
)
# The attempts are counted from zero again; those already made stay in the log. An action that was cancelled for want
# of an address starts as if it were planned now, by the company's time; a test clock runs it when it is advanced.
_RETRY: Final = text(
    "UPDATE journey_actions SET state = 'pending', reason = NULL, finished_at = NULL, attempts = 0,"
    " ready_at = CASE WHEN state = 'cancelled' AND :is_simulated THEN NULL ELSE clock_timestamp() END,"
    " planned_at = CASE WHEN state = 'cancelled' THEN CAST(:now AS timestamptz) ELSE planned_at END,"
    " due_at = CASE WHEN state = 'cancelled' THEN CAST(:now AS timestamptz) ELSE planned_at END,"
    " updated_at = clock_timestamp() WHERE company_id = :company_id AND id = CAST(:id AS uuid)"
    " AND (state = 'dead' OR (state = 'cancelled' AND reason = 'no_address' AND transition_seq IS NOT NULL))"
)
_LIST_REQUESTED: Final = text(
    "SELECT relationship_id, state, reason FROM journey_actions WHERE company_id = :company_id"
    " AND relationship_id = ANY(CAST(:relationship_ids AS bigint[])) AND request_key = :request_key"
)
_LIST_DONE_STEPS: Final = text(
    "SELECT relationship_id, stage, name, number FROM journey_actions WHERE company_id = :company_id"
    " AND relationship_id = ANY(CAST(:relationship_ids AS bigint[])) AND state = 'done'"
    " AND actor IS NULL AND channel <> 'webhook'"
)
_COUNT_DEAD: Final = text(
    "SELECT count(*) FROM journey_actions WHERE company_id = :company_id AND state = 'dead'"
    " AND relationship_id IS NOT NULL"
)


class DeliveryLog:
    """The delivery log of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def page(self, filter_: ActionFilter) -> tuple[list[DeliveryLogRow], RowCount]:
        """Returns the actions that match, newest first; and the number of all, if requested.

        Webhook deliveries are listed only when they or dead letters are requested.
        """
        clauses: list[str] = []
        values: dict[str, Any] = {"company_id": self._company_id, "limit": filter_.limit}
        if not filter_.channels and filter_.endpoint_id is None:
            is_dead = " OR a.state = 'dead'" if "dead" in filter_.states else ""
            clauses.append(f"(a.channel <> 'webhook'{is_dead})")
        for column, allowed in (("state", filter_.states), ("channel", filter_.channels)):
            if allowed:
                clauses.append(f"a.{column} = ANY(:{column})")
                values[column] = list(allowed)
        for name in ("campaign_id", "endpoint_id"):
            if getattr(filter_, name) is not None:
                clauses.append(f"a.{name} = :{name}")
                values[name] = getattr(filter_, name)
        if filter_.customer_id is not None:
            clauses.append(f"r.customer_id = {SURVIVOR}")
            values["customer_id"] = filter_.customer_id
        count = NOT_COUNTED
        if filter_.is_counted:
            conditions = "".join(f" AND {clause}" for clause in clauses)
            count = await count_rows(self._connection, f"{_ROWS}{conditions}", values)
        if filter_.after is not None:
            clauses.append("(a.created_at, a.id) < (CAST(:at AS timestamptz), CAST(:id AS uuid))")
            values |= {"at": filter_.after[0], "id": filter_.after[1]}
        conditions = "".join(f" AND {clause}" for clause in clauses)
        rows = await self._connection.execute(
            text(f"{_SELECT}{conditions} ORDER BY a.created_at DESC, a.id DESC LIMIT :limit"), values
        )
        return [_to_log_row(row) for row in rows], count

    async def count_dead(self) -> int:
        """Counts the dead actions, webhook deliveries included."""
        return int(await self._connection.scalar(_COUNT_DEAD, {"company_id": self._company_id}) or 0)

    async def list_by_campaign(
        self, relationship_ids: Sequence[int], campaign_ids: Sequence[int]
    ) -> dict[int, list[DeliveryLogRow]]:
        """Lists the steps of campaigns of these relationships, in order, by campaign."""
        rows = await self._connection.execute(
            _LIST_BY_CAMPAIGN,
            {
                "company_id": self._company_id,
                "relationship_ids": list(relationship_ids),
                "campaign_ids": list(campaign_ids),
            },
        )
        steps: dict[int, list[DeliveryLogRow]] = {id_: [] for id_ in campaign_ids}
        for row in rows:
            steps[row.campaign_id].append(_to_log_row(row))
        return steps

    async def find(self, id_: str) -> DeliveryLogRow | None:
        """Finds an action by id."""
        row = (
            await self._connection.execute(_FIND, {"company_id": self._company_id, "id": id_})
        ).one_or_none()
        return None if row is None else _to_log_row(row)

    async def find_by_request(self, relationship_id: int, request_key: str) -> DeliveryLogRow | None:
        """Finds the action that a person requested with an idempotency key."""
        row = (
            await self._connection.execute(
                _FIND_BY_REQUEST,
                {
                    "company_id": self._company_id,
                    "relationship_id": relationship_id,
                    "request_key": request_key,
                },
            )
        ).one_or_none()
        return None if row is None else _to_log_row(row)

    async def list_requested(
        self, relationship_ids: Sequence[int], request_key: str
    ) -> dict[int, tuple[str, str | None]]:
        """Lists state and reason of the actions that were requested with a key, by relationship id."""
        rows = await self._connection.execute(
            _LIST_REQUESTED,
            {
                "company_id": self._company_id,
                "relationship_ids": list(relationship_ids),
                "request_key": request_key,
            },
        )
        return {row.relationship_id: (row.state, row.reason) for row in rows}

    async def list_done_steps(self, relationship_ids: Sequence[int]) -> dict[int, frozenset[StepKey]]:
        """Lists the steps of stage actions that are done, by relationship id."""
        rows = await self._connection.execute(
            _LIST_DONE_STEPS, {"company_id": self._company_id, "relationship_ids": list(relationship_ids)}
        )
        done: dict[int, set[StepKey]] = {}
        for row in rows:
            done.setdefault(row.relationship_id, set()).add((row.stage, row.name, row.number))
        return {id_: frozenset(steps) for id_, steps in done.items()}

    async def list_attempts(self, id_: str) -> list[StoredAttempt]:
        """Lists the attempts of an action, oldest first."""
        rows = await self._connection.execute(_ATTEMPTS, {"company_id": self._company_id, "id": id_})
        return [StoredAttempt(*row) for row in rows]

    async def retry(self, id_: str, now: datetime, *, is_simulated: bool) -> bool:
        """Makes an action due at once that is dead or had no address; returns False if it is neither.

        `is_simulated`: the company has a test clock.
        """
        values = {"company_id": self._company_id, "id": id_, "now": now, "is_simulated": is_simulated}
        changed = await self._connection.execute(_RETRY, values)
        return changed.rowcount == 1


def _to_log_row(row: Row) -> DeliveryLogRow:
    values = dict(row._mapping)
    values |= {
        "id": str(row.id),
        "channel": Channel(row.channel),
        "step": to_step(row.step, row.channel),
    }
    return DeliveryLogRow(**values)
