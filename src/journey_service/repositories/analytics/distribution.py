"""Counts customers by stage, now or at an earlier instant."""

from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.stages.stage_map import MERGED_STAGE
from journey_service.repositories.tables.columns import NOT_MERGED

_NOW: Final = text(
    "SELECT current_stage AS stage, count(*) AS customers FROM customer_relationships"
    f" WHERE company_id = :company_id AND {NOT_MERGED} GROUP BY current_stage"
)
_FLOWS: Final = text(
    "SELECT from_stage, to_stage, count(*) AS moves FROM journey_transitions"
    " WHERE company_id = :company_id AND transitioned_at <= :as_of GROUP BY from_stage, to_stage"
)


class StageDistribution:
    """The number of customers in each stage of one company, without merged ones; empty stages are omitted."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def count_now(self) -> dict[str, int]:
        """Counts customers by their current stage."""
        rows = await self._connection.execute(_NOW, {"company_id": self._company_id})
        return {row.stage: row.customers for row in rows}

    async def count_at(self, as_of: datetime) -> dict[str, int]:
        """Counts customers by stage at an instant: entries minus exits up to it."""
        rows = await self._connection.execute(_FLOWS, {"company_id": self._company_id, "as_of": as_of})
        customers: dict[str, int] = {}
        for row in rows:
            customers[row.to_stage] = customers.get(row.to_stage, 0) + row.moves
            if row.from_stage is not None:
                customers[row.from_stage] = customers.get(row.from_stage, 0) - row.moves
        return {stage: number for stage, number in customers.items() if number and stage != MERGED_STAGE}
