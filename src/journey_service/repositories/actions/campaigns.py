"""Campaigns of customers, for lists and look-ups."""

from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.actions.records import CampaignFilter, StoredCampaign

_SELECT: Final = (
    "SELECT k.id, r.customer_id, k.relationship_id, k.type, k.transition_seq, k.started_at, k.ended_at,"
    " k.end_reason AS reason FROM retention_campaigns k JOIN customer_relationships r"
    " ON r.company_id = k.company_id AND r.id = k.relationship_id WHERE k.company_id = :company_id"
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
        if filter_.types:
            clauses.append("k.type = ANY(:types)")
            values["types"] = list(filter_.types)
        if filter_.customer_id is not None:
            clauses.append("r.customer_id = :customer_id")
            values["customer_id"] = filter_.customer_id
        if filter_.before is not None:
            clauses.append("k.id < :before")
            values["before"] = filter_.before
        conditions = "".join(f" AND {clause}" for clause in clauses)
        rows = await self._connection.execute(
            text(f"{_SELECT}{conditions} ORDER BY k.id DESC LIMIT :limit"), values
        )
        return [StoredCampaign(**row._mapping) for row in rows]

    async def find(self, id_: int) -> StoredCampaign | None:
        """Finds a campaign by id."""
        row = (
            await self._connection.execute(_FIND, {"company_id": self._company_id, "id": id_})
        ).one_or_none()
        return None if row is None else StoredCampaign(**row._mapping)
