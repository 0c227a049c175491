"""Counts the rows of a list: up to a limit exactly, beyond it by the planner's estimate."""

from collections.abc import Mapping

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.row_counts import MAX_COUNTED, RowCount


async def count_rows(connection: AsyncConnection, rows: str, values: Mapping[str, object]) -> RowCount:
    """Counts the rows of `FROM ... WHERE ...`. Reads at most MAX_COUNTED + 1 of them."""
    counted = f"SELECT count(*) FROM (SELECT 1 {rows} LIMIT {MAX_COUNTED + 1}) counted"
    total = int(await connection.scalar(text(counted), values) or 0)
    if total <= MAX_COUNTED:
        return RowCount(total=total)
    plan = await connection.scalar(text(f"EXPLAIN (FORMAT JSON) SELECT 1 {rows}"), values)
    [top] = orjson.loads(plan) if isinstance(plan, str) else plan
    return RowCount(estimate=max(total, int(top["Plan"]["Plan Rows"])))
