"""Campaigns of customers, for lists and look-ups."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.actions.records import (
    CampaignCounts,
    CampaignFilter,
    CampaignStepCounts,
    StoredCampaign,
)
from journey_service.domain.actions.stage_actions import Channel
from journey_service.repositories.tables.columns import SURVIVOR

_SELECT: Final = (
    "SELECT k.id, r.customer_id, c.customer_ref, c.name AS customer_name, k.relationship_id, k.type,"
    " k.transition_seq, k.started_at,"
    " k.ended_at, k.end_reason AS reason FROM retention_campaigns k JOIN customer_relationships r"
    " ON r.company_id = k.company_id AND r.id = k.relationship_id"
    " JOIN customers c ON c.company_id = r.company_id AND c.customer_id = r.customer_id"
    " WHERE k.company_id = :company_id"
)
# A campaign ends with the transition after the one that started it, unless it ends earlier.
_IS_ENDED_BY_RETURN: Final = (
    "(k.ended_at IS NOT NULL AND k.end_reason = 'left_stage' AND EXISTS (SELECT 1 FROM journey_transitions t"
    " WHERE t.company_id = k.company_id AND t.relationship_id = coalesce(k.merged_from, k.relationship_id)"
    " AND t.seq = k.transition_seq + 1"
    " AND t.motion = 'return'))"
)
_OF_TYPES: Final = "(cardinality(CAST(:types AS text[])) = 0 OR k.type = ANY(CAST(:types AS text[])))"
_COUNT: Final = text(
    "SELECT count(*) FILTER (WHERE k.ended_at IS NULL) AS running,"
    f" count(*) FILTER (WHERE {_IS_ENDED_BY_RETURN}) AS ended_by_return"
    f" FROM retention_campaigns k WHERE k.company_id = :company_id AND {_OF_TYPES}"
)
_COUNT_STEPS: Final = text(
    "SELECT a.number, a.channel, count(*) FILTER (WHERE a.state IN ('pending', 'leased')) AS due,"
    " count(*) FILTER (WHERE a.state = 'done') AS done, count(*) FILTER (WHERE a.state = 'cancelled') AS cancelled,"
    " count(*) FILTER (WHERE a.state = 'dead') AS dead FROM retention_campaigns k JOIN journey_actions a"
    " ON a.company_id = k.company_id AND a.relationship_id = k.relationship_id AND a.campaign_id = k.id"
    f" WHERE k.company_id = :company_id AND k.ended_at IS NULL AND {_OF_TYPES}"
    " GROUP BY a.number, a.channel ORDER BY a.number, a.channel"
)
_COUNT_RUNNING: Final = text(
    "SELECT count(*) FROM retention_campaigns WHERE company_id = :company_id AND ended_at IS NULL"
)
_FIND: Final = text(f"{_SELECT} AND k.id = :id")


class Campaigns:
    """The campaigns of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def page(self, filter_: CampaignFilter) -> list[StoredCampaign]:
        """Returns the campaigns that match, newest first."""
        clauses: list[str] = []
        values: dict[str, Any] = {"company_id": self._company_id, "limit": filter_.limit}
        if filter_.is_running is not None:
            clauses.append(f"k.ended_at IS {'' if filter_.is_running else 'NOT '}NULL")
        if filter_.is_ended_by_return is not None:
            clauses.append(
                _IS_ENDED_BY_RETURN if filter_.is_ended_by_return else f"NOT {_IS_ENDED_BY_RETURN}"
            )
        if filter_.types:
            clauses.append("k.type = ANY(:types)")
            values["types"] = list(filter_.types)
        if filter_.customer_id is not None:
            clauses.append(f"r.customer_id = {SURVIVOR}")
            values["customer_id"] = filter_.customer_id
        if filter_.before is not None:
            clauses.append("k.id < :before")
            values["before"] = filter_.before
        conditions = "".join(f" AND {clause}" for clause in clauses)
        rows = await self._connection.execute(
            text(f"{_SELECT}{conditions} ORDER BY k.id DESC LIMIT :limit"), values
        )
        return [StoredCampaign(**row._mapping) for row in rows]

    async def count(self, types: Sequence[str]) -> CampaignCounts:
        """Counts the campaigns of some types, or of all without any, and the steps of the running ones."""
        values = {"company_id": self._company_id, "types": list(types)}
        counts = (await self._connection.execute(_COUNT, values)).one()
        steps = await self._connection.execute(_COUNT_STEPS, values)
        return CampaignCounts(
            counts.running,
            counts.ended_by_return,
            [CampaignStepCounts(**{**row._mapping, "channel": Channel(row.channel)}) for row in steps],
        )

    async def count_running(self) -> int:
        """Counts the campaigns that have not ended."""
        return int(await self._connection.scalar(_COUNT_RUNNING, {"company_id": self._company_id}) or 0)

    async def find(self, id_: int) -> StoredCampaign | None:
        """Finds a campaign by id."""
        row = (
            await self._connection.execute(_FIND, {"company_id": self._company_id, "id": id_})
        ).one_or_none()
        return None if row is None else StoredCampaign(**row._mapping)
