"""Outbound events: inserted with the change itself, published afterwards, read in order of position.

Row ids are assigned before the commit, so a reader in order of id would miss rows that commit late.
Positions are assigned after the commit, under a lock of the company: a reader that has read up to a
position has read everything before it. Events of one customer are in the order in which they happened,
because each transaction locks the customer's row.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.actions.action import OutboundEventType
from journey_service.domain.actions.records import OutboundEventRecord, ReplayedEvents, ReplayRequest
from journey_service.domain.stages.reasons import StageReason
from journey_service.repositories.journeys.transitions import reasons_from_json
from journey_service.repositories.tables import Row

# An advisory lock: the company's row is locked by every transaction that uses a test clock.
_LOCK: Final = text(
    "SELECT pg_advisory_xact_lock(hashtextextended('outbound_events:' || CAST(:company_id AS bigint), 0))"
)
_PUBLISH: Final = text(
    "WITH next AS (SELECT id, row_number() OVER (ORDER BY id) AS number FROM (SELECT id FROM outbound_events"
    "   WHERE company_id = :company_id AND position IS NULL ORDER BY id LIMIT :limit) unpublished)"
    " UPDATE outbound_events n SET position = CAST(:last AS bigint) + next.number FROM next"
    " WHERE n.company_id = :company_id AND n.id = next.id RETURNING n.id, n.position"
)
# To every enabled endpoint that subscribes to the type, without events of customers erased in the meantime.
_FAN_OUT: Final = text(
    "INSERT INTO journey_actions (company_id, relationship_id, transition_seq, stage, name, number, channel, step,"
    " is_stage_bound, endpoint_id, outbound_event_id, planned_at, due_at, ready_at, state, finished_at)"
    " SELECT n.company_id, n.relationship_id, NULL, coalesce(r.current_stage, ''), n.type, 0, 'webhook', '{}', false,"
    " e.id, n.id,"
    " :now, :now, CASE WHEN :delivers_messages THEN clock_timestamp() END,"
    " CASE WHEN :delivers_messages THEN 'pending' ELSE 'done' END,"
    " CASE WHEN :delivers_messages THEN NULL ELSE CAST(:now AS timestamptz) END"
    " FROM outbound_events n JOIN webhook_endpoints e ON e.company_id = n.company_id AND e.is_enabled"
    "   AND n.type = ANY(e.events) AND e.id IS DISTINCT FROM n.endpoint_id"
    " LEFT JOIN customer_relationships r ON r.company_id = n.company_id AND r.id = n.relationship_id"
    " WHERE n.company_id = :company_id AND n.id = ANY(CAST(:ids AS bigint[]))"
    " AND (n.relationship_id IS NULL OR r.customer_id >= 0) ORDER BY n.id, e.id"
)
# The delivery of an event to an endpoint keeps its id, which is the id of the message.
_REPLAY: Final = text(
    "WITH missing AS (SELECT n.id, n.relationship_id, n.type, n.created_at, coalesce(r.current_stage, '') AS stage"
    "   FROM outbound_events n LEFT JOIN customer_relationships r"
    "     ON r.company_id = n.company_id AND r.id = n.relationship_id"
    "   LEFT JOIN journey_actions a ON a.company_id = n.company_id AND a.outbound_event_id = n.id"
    "     AND a.endpoint_id = :endpoint_id"
    "   WHERE n.company_id = :company_id AND n.position IS NOT NULL AND n.created_at >= :since"
    "   AND n.type = ANY(CAST(:types AS text[])) AND n.endpoint_id IS DISTINCT FROM :endpoint_id"
    "   AND (n.relationship_id IS NULL OR r.customer_id >= 0)"
    "   AND (a.id IS NULL OR a.state = ANY(CAST(:states AS text[])))"
    "   ORDER BY n.created_at, n.id LIMIT :limit),"
    " sent AS (INSERT INTO journey_actions (company_id, relationship_id, transition_seq, stage, name, number, channel,"
    "   step, is_stage_bound, endpoint_id, outbound_event_id, planned_at, due_at, ready_at, state, finished_at)"
    "   SELECT :company_id, relationship_id, NULL, stage, type, 0, 'webhook', '{}', false, :endpoint_id, id,"
    "   :now, :now, CASE WHEN :delivers_messages THEN clock_timestamp() END,"
    "   CASE WHEN :delivers_messages THEN 'pending' ELSE 'done' END,"
    "   CASE WHEN :delivers_messages THEN NULL ELSE CAST(:now AS timestamptz) END"
    "   FROM missing ORDER BY created_at, id"
    "   ON CONFLICT (company_id, outbound_event_id, endpoint_id) WHERE outbound_event_id IS NOT NULL"
    "   DO UPDATE SET state = excluded.state, ready_at = excluded.ready_at, finished_at = excluded.finished_at,"
    "   reason = NULL, attempts = 0, updated_at = clock_timestamp()"
    "   WHERE journey_actions.state = ANY(CAST(:states AS text[])) RETURNING id)"
    " SELECT (SELECT count(*) FROM missing) AS found, (SELECT max(created_at) FROM missing) AS last,"
    " (SELECT count(*) FROM sent) AS sent"
)
_ADD_DISABLED_ENDPOINT: Final = text(
    "INSERT INTO outbound_events (company_id, type, endpoint_id) VALUES (:company_id, 'endpoint.disabled', :id)"
)
_COLUMNS: Final = (
    "SELECT n.company_id, n.id, n.position, n.type, n.created_at, r.customer_id, p.customer_ref, t.seq,"
    " t.from_stage, t.to_stage,"
    " t.transitioned_at, t.recorded_at, t.trigger_type, t.trigger_event, t.performed_by, t.reasons, t.map_version,"
    " t.is_silent, k.id AS task_id, k.title, k.channel, k.name, k.stage, k.assignee, k.due_at,"
    " k.created_at AS task_created_at, k.status AS task_status, k.reason AS task_reason, k.version AS task_version,"
    " k.closed_at, a.id AS action_id, a.channel AS action_channel, a.name AS action_name, a.number, a.state,"
    " a.stage AS action_stage, a.reason AS action_reason, a.campaign_id AS action_campaign_id, a.finished_at,"
    " j.id AS job_id, j.kind, j.status AS job_status, j.done, j.total, j.counts,"
    " e.id AS endpoint_id, e.description, e.disabled_reason, e.failing_since, e.last_disabled_at,"
    " c.id AS campaign_id, c.type AS campaign_type, c.started_at,"
    " c.ended_at, c.end_reason FROM outbound_events n"
    " LEFT JOIN customer_relationships r ON r.company_id = n.company_id AND r.id = n.relationship_id"
    " LEFT JOIN customers p ON p.company_id = r.company_id AND p.customer_id = r.customer_id"
    " LEFT JOIN journey_transitions t ON t.company_id = n.company_id AND t.relationship_id = n.relationship_id"
    "   AND t.seq = n.transition_seq"
    " LEFT JOIN journey_tasks k ON k.company_id = n.company_id AND k.id = n.task_id"
    " LEFT JOIN journey_actions a ON a.company_id = n.company_id AND a.id = n.action_id"
    " LEFT JOIN jobs j ON j.company_id = n.company_id AND j.id = n.job_id"
    " LEFT JOIN webhook_endpoints e ON e.company_id = n.company_id AND e.id = n.endpoint_id"
    " LEFT JOIN retention_campaigns c ON c.company_id = n.company_id AND c.id = n.campaign_id"
    " WHERE n.company_id = :company_id AND (n.job_id IS NOT NULL OR e.id IS NOT NULL OR r.customer_id >= 0"
    "   OR (n.relationship_id IS NULL AND k.id IS NOT NULL))"
)
_LIST_AFTER: Final = text(f"{_COLUMNS} AND n.position > :after ORDER BY n.position LIMIT :limit")
_GET_MANY: Final = text(f"{_COLUMNS} AND n.id = ANY(CAST(:ids AS bigint[]))")
_LAST_POSITION: Final = text(
    "SELECT coalesce(max(position), 0) FROM outbound_events WHERE company_id = :company_id"
)
_HAS_UNPUBLISHED: Final = text(
    "SELECT EXISTS (SELECT 1 FROM outbound_events WHERE company_id = :company_id AND position IS NULL)"
)
# Events with deliveries that are pending or may be retried are kept, with all their deliveries.
_DELETE_OLD: Final = text(
    "WITH old AS MATERIALIZED (SELECT id FROM outbound_events n WHERE company_id = :company_id"
    # The latest is kept: new positions continue from it.
    "   AND position < (SELECT max(position) FROM outbound_events WHERE company_id = :company_id)"
    "   AND created_at < clock_timestamp() - make_interval(days => :days) AND NOT EXISTS (SELECT 1"
    "   FROM journey_actions a WHERE a.company_id = n.company_id AND a.outbound_event_id = n.id"
    "   AND a.state IN ('pending', 'leased', 'dead')) ORDER BY position LIMIT :limit),"
    " attempts AS (DELETE FROM action_attempts t USING journey_actions a, old WHERE t.company_id = :company_id"
    "   AND a.company_id = t.company_id AND a.id = t.action_id AND a.outbound_event_id = old.id),"
    " deliveries AS (DELETE FROM journey_actions a USING old"
    "   WHERE a.company_id = :company_id AND a.outbound_event_id = old.id)"
    " DELETE FROM outbound_events n USING old WHERE n.company_id = :company_id AND n.id = old.id"
)


class OutboundEvents:
    """The outbound events of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def publish(self, *, limit: int, now: datetime, delivers_messages: bool) -> int:
        """Assigns positions to unpublished events and creates their deliveries; returns how many.

        Without `delivers_messages`, the deliveries are recorded as done and not sent.
        """
        await self._connection.execute(_LOCK, self._scope)
        rows = (
            await self._connection.execute(
                _PUBLISH, {**self._scope, "limit": limit, "last": await self.get_last_position()}
            )
        ).all()
        if rows:
            ids = [row.id for row in rows]
            await self._connection.execute(
                _FAN_OUT, {**self._scope, "ids": ids, "now": now, "delivers_messages": delivers_messages}
            )
        return len(rows)

    async def replay(
        self, request: ReplayRequest, *, limit: int, now: datetime, delivers_messages: bool
    ) -> ReplayedEvents:
        """Makes up to `limit` deliveries of an endpoint due again, oldest event first.

        Those that wait for their delivery are left alone. Without `delivers_messages`, they are recorded as done.
        """
        states = ["dead", "cancelled", *(["done"] if request.includes_delivered else [])]
        values = {
            **self._scope,
            "endpoint_id": request.endpoint_id,
            "types": list(request.types),
            "since": request.since,
            "states": states,
            "limit": limit,
            "now": now,
            "delivers_messages": delivers_messages,
        }
        row = (await self._connection.execute(_REPLAY, values)).one()
        return ReplayedEvents(row.sent, row.last if row.found == limit else None)

    async def add_disabled_endpoint(self, endpoint_id: int) -> None:
        """Adds the event of an endpoint that the service has disabled."""
        await self._connection.execute(_ADD_DISABLED_ENDPOINT, {**self._scope, "id": endpoint_id})

    async def get_last_position(self) -> int:
        """Returns the position of the latest event; 0 if there is none."""
        position = await self._connection.scalar(_LAST_POSITION, self._scope)
        return position or 0

    async def has_unpublished(self) -> bool:
        """Returns whether any event has no position yet."""
        return bool(await self._connection.scalar(_HAS_UNPUBLISHED, self._scope))

    async def list_after(self, position: int, *, limit: int) -> list[OutboundEventRecord]:
        """Lists the next events after a position."""
        rows = await self._connection.execute(_LIST_AFTER, {**self._scope, "after": position, "limit": limit})
        return [_to_record(row) for row in rows]

    async def get_many(self, ids: Sequence[int]) -> dict[int, OutboundEventRecord]:
        """Returns events by id, without those of erased customers."""
        rows = await self._connection.execute(_GET_MANY, {**self._scope, "ids": list(ids)})
        return {row.id: _to_record(row) for row in rows}

    async def delete_old(self, *, days: int, limit: int) -> int:
        """Deletes events older than `days` and their deliveries; returns how many."""
        deleted = await self._connection.execute(_DELETE_OLD, {**self._scope, "days": days, "limit": limit})
        return deleted.rowcount

    @property
    def _scope(self) -> dict[str, Any]:
        return {"company_id": self._company_id}


def _to_record(row: Row) -> OutboundEventRecord:
    if row.job_id is not None:
        return OutboundEventRecord(row.id, row.position or 0, row.type, row.created_at, None, _job_data(row))
    if row.endpoint_id is not None:
        endpoint = _endpoint_data(row)
        return OutboundEventRecord(row.id, row.position or 0, row.type, row.created_at, None, endpoint)
    data: dict[str, Any] = {
        "company_id": row.company_id,
        "customer_id": row.customer_id,
        "customer_ref": row.customer_ref,
    }
    if row.action_id is not None:
        data |= _action_data(row)
    if row.seq is not None:
        data |= _transition_data(row)
    if row.task_id is not None:
        data |= _task_data(row)
    if row.campaign_id is not None:
        data |= _campaign_data(row)
    return OutboundEventRecord(row.id, row.position or 0, row.type, row.created_at, row.customer_id, data)


def _campaign_data(row: Row) -> dict[str, Any]:
    return {
        "campaign_id": row.campaign_id,
        "type": row.campaign_type,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "reason": row.end_reason,
    }


def _action_data(row: Row) -> dict[str, Any]:
    return {
        "action_id": str(row.action_id),
        "channel": row.action_channel,
        "name": row.action_name,
        "step": row.number,
        "stage": row.action_stage,
        "state": row.state,
        "reason": row.action_reason,
        "campaign_id": row.action_campaign_id,
        "finished_at": row.finished_at,
    }


def _transition_data(row: Row) -> dict[str, Any]:
    names = (
        *("seq", "from_stage", "to_stage", "transitioned_at", "recorded_at", "trigger_type"),
        *("trigger_event", "performed_by", "map_version", "is_silent"),
    )
    reasons = reasons_from_json(row.reasons)
    return {
        **{name: getattr(row, name) for name in names},
        "rule": _rule(reasons, row),
        "reasons": [_to_plain(reason) for reason in reasons],
    }


def _task_data(row: Row) -> dict[str, Any]:
    data = {
        "task_id": row.task_id,
        **{name: getattr(row, name) for name in ("title", "channel", "name", "stage", "assignee")},
        "due_at": row.due_at,
        "created_at": row.task_created_at,
    }
    if row.type == OutboundEventType.TASK_CHANGED:
        data |= {
            "status": row.task_status,
            "reason": row.task_reason,
            "closed_at": row.closed_at,
            "version": row.task_version,
        }
    return data


def _job_data(row: Row) -> dict[str, Any]:
    return {
        "company_id": row.company_id,
        "job_id": row.job_id,
        "kind": row.kind,
        "status": row.job_status,
        **{name: getattr(row, name) for name in ("done", "total", "counts")},
    }


def _endpoint_data(row: Row) -> dict[str, Any]:
    return {
        "company_id": row.company_id,
        "endpoint_id": row.endpoint_id,
        "description": row.description,
        "reason": row.disabled_reason,
        "failing_since": row.failing_since,
        "disabled_at": row.last_disabled_at,
    }


def _to_plain(value: object) -> object:
    if hasattr(value, "_asdict"):
        return {name: _to_plain(inner) for name, inner in value._asdict().items()}
    return [_to_plain(inner) for inner in value] if isinstance(value, tuple) else value


def _rule(reasons: Sequence[StageReason], row: Row) -> object:
    """Returns the rule that moved the customer, with its values; None for a manual move."""
    if row.trigger_type != "automatic":
        return None
    rules = (rule for stage in reasons if stage.stage == row.to_stage for rule in stage.rules if rule.held)
    return _to_plain(next(rules, None))
