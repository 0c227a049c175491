"""The log of deliveries: what was sent, what was not and why, every attempt of it; and dead letters tried again."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.actions.records import ActionFilter, DeliveryLogRow, StoredAttempt
from journey_service.domain.actions.stage_actions import Channel
from journey_service.repositories.actions.action_plans import to_step
from journey_service.repositories.tables import Row

_LISTED: Final = (
    "SELECT a.id, r.customer_id, a.transition_seq, a.stage, a.name, a.number, a.channel, a.step, a.campaign_id,"
    " a.endpoint_id, n.type AS event_type, t.id AS task_id, a.actor, a.note, a.state, a.reason, a.attempts,"
    " a.planned_at, a.due_at, a.ready_at, a.finished_at, a.last_error, a.last_status, a.created_at"
    " FROM journey_actions a JOIN customer_relationships r ON r.company_id = a.company_id AND r.id = a.relationship_id"
    " LEFT JOIN outbound_events n ON n.company_id = a.company_id AND n.id = a.outbound_event_id"
    " LEFT JOIN journey_tasks t ON t.company_id = a.company_id AND t.action_id = a.id"
    " WHERE a.company_id = :company_id"
)
_ONE: Final = text(f"{_LISTED} AND a.id = CAST(:id AS uuid)")
_OF_REQUEST: Final = text(
    f"{_LISTED} AND a.relationship_id = :relationship_id AND a.request_key = :request_key"
)
# By customer, as that is what there is an index for.
_OF_CAMPAIGNS: Final = text(
    f"{_LISTED} AND a.relationship_id = ANY(CAST(:relationship_ids AS bigint[]))"
    " AND a.campaign_id = ANY(CAST(:campaign_ids AS bigint[])) ORDER BY a.name, a.number"
)
_ATTEMPTS: Final = text(
    "SELECT number, begun_at, ended_at, outcome, status, answer FROM action_attempts"
    " WHERE company_id = :company_id AND action_id = CAST(:id AS uuid) ORDER BY number"
)
# Tried anew, as if for the first time: the attempts made stay on record.
_RETRY: Final = text(
    "UPDATE journey_actions SET state = 'pending', ready_at = clock_timestamp(), finished_at = NULL, attempts = 0,"
    " due_at = planned_at,"
    " updated_at = clock_timestamp() WHERE company_id = :company_id AND id = CAST(:id AS uuid) AND state = 'dead'"
)


class DeliveryLog:
    """The log of deliveries of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def page(self, wanted: ActionFilter) -> list[DeliveryLogRow]:
        """Actions, newest first; news for endpoints only where these, or dead letters, are asked for."""
        clauses: list[str] = []
        values: dict[str, Any] = {"company_id": self._company_id, "limit": wanted.limit}
        if not wanted.channels and wanted.endpoint_id is None:
            is_dead = " OR a.state = 'dead'" if "dead" in wanted.states else ""
            clauses.append(f"(a.channel <> 'webhook'{is_dead})")
        for column, allowed in (("state", wanted.states), ("channel", wanted.channels)):
            if allowed:
                clauses.append(f"a.{column} = ANY(:{column})")
                values[column] = list(allowed)
        for name in ("campaign_id", "endpoint_id"):
            if getattr(wanted, name) is not None:
                clauses.append(f"a.{name} = :{name}")
                values[name] = getattr(wanted, name)
        if wanted.customer_id is not None:
            clauses.append("r.customer_id = :customer_id")
            values["customer_id"] = wanted.customer_id
        if wanted.after is not None:
            clauses.append("(a.created_at, a.id) < (CAST(:at AS timestamptz), CAST(:id AS uuid))")
            values |= {"at": wanted.after[0], "id": wanted.after[1]}
        conditions = "".join(f" AND {clause}" for clause in clauses)
        rows = await self._connection.execute(
            text(f"{_LISTED}{conditions} ORDER BY a.created_at DESC, a.id DESC LIMIT :limit"), values
        )
        return [_to_listed(row) for row in rows]

    async def list_by_campaign(
        self, relationship_ids: Sequence[int], campaign_ids: Sequence[int]
    ) -> dict[int, list[DeliveryLogRow]]:
        """The steps of campaigns of these relationships, in their order, by campaign."""
        rows = await self._connection.execute(
            _OF_CAMPAIGNS,
            {
                "company_id": self._company_id,
                "relationship_ids": list(relationship_ids),
                "campaign_ids": list(campaign_ids),
            },
        )
        found: dict[int, list[DeliveryLogRow]] = {id_: [] for id_ in campaign_ids}
        for row in rows:
            found[row.campaign_id].append(_to_listed(row))
        return found

    async def find(self, id_: str) -> DeliveryLogRow | None:
        """One action."""
        row = (
            await self._connection.execute(_ONE, {"company_id": self._company_id, "id": id_})
        ).one_or_none()
        return None if row is None else _to_listed(row)

    async def find_by_request(self, relationship_id: int, request_key: str) -> DeliveryLogRow | None:
        """What a person asked for with a key before."""
        row = (
            await self._connection.execute(
                _OF_REQUEST,
                {
                    "company_id": self._company_id,
                    "relationship_id": relationship_id,
                    "request_key": request_key,
                },
            )
        ).one_or_none()
        return None if row is None else _to_listed(row)

    async def list_attempts(self, id_: str) -> list[StoredAttempt]:
        """The attempts of an action, the first one first."""
        rows = await self._connection.execute(_ATTEMPTS, {"company_id": self._company_id, "id": id_})
        return [StoredAttempt(*row) for row in rows]

    async def retry(self, id_: str) -> bool:
        """Have a dead action tried again at once; False if it is not dead."""
        changed = await self._connection.execute(_RETRY, {"company_id": self._company_id, "id": id_})
        return changed.rowcount == 1


def _to_listed(row: Row) -> DeliveryLogRow:
    told = dict(row._mapping)
    told |= {
        "id": str(row.id),
        "channel": Channel(row.channel),
        "step": to_step(row.step, row.channel),
    }
    return DeliveryLogRow(**told)
