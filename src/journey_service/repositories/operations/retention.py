"""Deletes data whose retention period is over, in batches."""

from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_EVENT_DETAILS: Final = text("SELECT clear_event_details(CAST(:before AS timestamptz), :limit)")
_IMPORT_ERRORS: Final = text(
    "WITH old AS (SELECT e.import_id, e.line, e.pointer FROM import_errors e JOIN imports i"
    " ON i.company_id = e.company_id AND i.id = e.import_id WHERE e.company_id = :company_id"
    " AND i.finished_at < clock_timestamp() - make_interval(days => :days) LIMIT :limit)"
    " DELETE FROM import_errors e USING old WHERE e.company_id = :company_id AND e.import_id = old.import_id"
    " AND e.line = old.line AND e.pointer = old.pointer"
)
_JOB_DETAILS: Final = text(
    "WITH old AS (SELECT id FROM jobs WHERE company_id = :company_id AND status IN ('done', 'failed')"
    " AND finished_at < clock_timestamp() - make_interval(days => :days)"
    " AND (parameters <> '{}'::jsonb OR result IS NOT NULL OR cursor IS NOT NULL) ORDER BY id LIMIT :limit)"
    " UPDATE jobs j SET parameters = '{}'::jsonb, result = NULL, cursor = NULL FROM old"
    " WHERE j.company_id = :company_id AND j.id = old.id"
)


class DataRetention:
    """The retention of one company's data."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def clear_event_details(self, before: datetime, *, limit: int) -> int:
        """Clears the metadata of events before an instant; returns of how many."""
        return int(
            (await self._connection.execute(_EVENT_DETAILS, {"before": before, "limit": limit})).scalar_one()
        )

    async def delete_import_errors(self, *, days: int, limit: int) -> int:
        """Deletes the line errors of imports that finished more than `days` ago; returns how many."""
        return (
            await self._connection.execute(
                _IMPORT_ERRORS, {"company_id": self._company_id, "days": days, "limit": limit}
            )
        ).rowcount

    async def clear_job_details(self, *, days: int, limit: int) -> int:
        """Clears parameters, cursors and results of jobs that ended `days` ago; returns of how many."""
        return (
            await self._connection.execute(
                _JOB_DETAILS, {"company_id": self._company_id, "days": days, "limit": limit}
            )
        ).rowcount
