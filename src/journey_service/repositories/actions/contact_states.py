"""Contact states: what decides on messages to customers, and their open tasks and running campaigns, without locks."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.actions.contact_policy import ContactState, Reachability
from journey_service.domain.actions.records import CustomerActions, OpenTask, RunningCampaign
from journey_service.domain.actions.stage_actions import Channel
from journey_service.repositories.tables import Row

_GET_MANY: Final = text(
    "SELECT r.id, r.customer_id, r.open_bookings, c.consents, c.email ~ '@' IS TRUE AS has_email,"
    " c.phone ~ '[0-9]' IS TRUE AS has_phone,"
    " CAST((SELECT jsonb_object_agg(s.channel, s.number) FROM (SELECT channel, count(*) AS number FROM journey_actions"
    "   WHERE company_id = r.company_id AND relationship_id = r.id AND reserved_at > CAST(:since AS timestamptz)"
    "   GROUP BY channel) s) AS text) AS sent,"
    " ARRAY(SELECT DISTINCT a.channel FROM journey_actions a WHERE a.company_id = r.company_id"
    "   AND a.relationship_id = r.id AND a.transition_seq IS NULL AND a.channel <> 'webhook'"
    "   AND a.state IN ('pending', 'leased')) AS pending,"
    " EXISTS (SELECT 1 FROM journey_tasks t WHERE t.company_id = r.company_id AND t.relationship_id = r.id"
    "   AND t.status = 'open' AND t.channel = 'call') AS has_open_call,"
    " t.id AS task_id, t.channel AS task_channel, t.assignee, t.due_at,"
    " k.id AS campaign_id, k.type AS campaign_type, k.started_at"
    " FROM customer_relationships r JOIN customers c ON c.company_id = r.company_id AND c.customer_id = r.customer_id"
    " LEFT JOIN LATERAL (SELECT id, channel, assignee, due_at FROM journey_tasks WHERE company_id = r.company_id"
    "   AND relationship_id = r.id AND status = 'open' ORDER BY due_at, id LIMIT 1) t ON true"
    " LEFT JOIN LATERAL (SELECT id, type, started_at FROM retention_campaigns WHERE company_id = r.company_id"
    "   AND relationship_id = r.id AND ended_at IS NULL ORDER BY id DESC LIMIT 1) k ON true"
    " WHERE r.company_id = :company_id AND r.id = ANY(CAST(:ids AS bigint[]))"
)


class ContactStates:
    """The contact states of one company's customers."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def get_many(
        self, relationship_ids: Sequence[int], *, since: datetime
    ) -> dict[int, CustomerActions]:
        """Returns contact state, earliest open task and latest running campaign by relationship id, in one query.

        Messages counted after `since` count under the frequency cap.
        """
        values = {"company_id": self._company_id, "ids": list(relationship_ids), "since": since}
        rows = await self._connection.execute(_GET_MANY, values)
        return {row.id: _to_customer_actions(row) for row in rows}


def _to_customer_actions(row: Row) -> CustomerActions:
    statuses = {channel: consent["status"] for channel, consent in row.consents.items()}
    state = ContactState(
        Reachability(statuses, row.has_email, row.has_phone),
        {} if row.sent is None else orjson.loads(row.sent),
        is_erased=row.customer_id < 0,
        has_open_call=row.has_open_call,
        pending_requests=frozenset(row.pending),
        open_bookings=tuple(row.open_bookings),
    )
    task = (
        None
        if row.task_id is None
        else OpenTask(row.task_id, Channel(row.task_channel), row.assignee, row.due_at)
    )
    campaign = (
        None
        if row.campaign_id is None
        else RunningCampaign(row.campaign_id, row.campaign_type, row.started_at)
    )
    return CustomerActions(row.customer_id, state, task, campaign)
