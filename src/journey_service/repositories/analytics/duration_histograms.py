"""Durations of stage visits: cumulated histograms of past days, and later visits from the ledger."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.analytics.date_ranges import DateRange
from journey_service.domain.analytics.duration_histograms import Cells, EndedVisits
from journey_service.repositories.analytics.date_range_sql import local_day, range_parameters, within

# In floating point, which is exact for durations below centuries, then in whole numbers: a tenth of a day is
# 8,640,000,000 microseconds; half of it is added, so that truncation rounds half up.
_MICROS: Final = "CAST(greatest(date_part('epoch', transitioned_at - since), 0) * 1000000 AS bigint)"
TENTHS: Final = f"CAST(({_MICROS} + 4320000000) / 8640000000 AS int)"
_ENDED: Final = text(
    f"SELECT from_stage, {local_day('transitioned_at')} AS day, {TENTHS} AS tenths,"
    f" count(*) AS number FROM journey_transitions WHERE company_id = :company_id AND {within('transitioned_at')}"
    " AND from_stage IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 2"
)
_CELLS: Final = text(
    f"SELECT from_stage, {TENTHS} AS tenths, count(*) AS number FROM journey_transitions"
    f" WHERE company_id = :company_id AND {within('transitioned_at')} AND from_stage IS NOT NULL GROUP BY 1, 2"
)
_TOTALS: Final = text(
    f"SELECT from_stage, count(*) AS number, sum({_MICROS}) AS micros FROM journey_transitions"
    f" WHERE company_id = :company_id AND {within('transitioned_at')} AND from_stage IS NOT NULL GROUP BY 1"
)
_CELL_EDGES: Final = text(
    f"SELECT w.ordinal, max({_MICROS}) FILTER (WHERE {TENTHS} <= w.low) AS below,"
    f" min({_MICROS}) FILTER (WHERE {TENTHS} >= w.high) AS above FROM journey_transitions t"
    " JOIN unnest(CAST(:stages AS text[]), CAST(:lows AS int[]), CAST(:highs AS int[])) WITH ORDINALITY"
    " AS w(stage, low, high, ordinal) ON w.stage = t.from_stage"
    f" WHERE t.company_id = :company_id AND {within('t.transitioned_at')} GROUP BY w.ordinal"
)
_LAST_VALID_DAY: Final = text(
    "SELECT (SELECT max(metric_date) FROM journey_stage_metrics WHERE company_id = :company_id) AS last,"
    " (SELECT min(day) FROM journey_rollups WHERE company_id = :company_id AND kind = 'late') AS late"
)
_GET_CUMULATED: Final = text(
    "SELECT s.key, last.tenths, last.numbers FROM unnest(CAST(:stages AS text[])) s(key) CROSS JOIN LATERAL"
    " (SELECT tenths, numbers FROM stage_visit_durations WHERE company_id = :company_id AND stage_key = s.key"
    " AND day <= CAST(:day AS date) ORDER BY day DESC LIMIT 1) last"
)
_DELETE: Final = text(
    "DELETE FROM stage_visit_durations WHERE company_id = :company_id AND day >= CAST(:first AS date)"
    " AND day <= CAST(:last AS date)"
)
_INSERT: Final = text(
    "INSERT INTO stage_visit_durations (company_id, stage_key, day, tenths, numbers)"
    " VALUES (:company_id, :stage, :day, CAST(:tenths AS int[]), CAST(:numbers AS bigint[]))"
)


class VisitDurations:
    """The histograms of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def get_last_valid_day(self) -> date | None:
        """Returns the last day with valid histograms: before the first dirty day. None without one."""
        row = (await self._connection.execute(_LAST_VALID_DAY, self._scope)).one()
        last: date | None = row.last
        return last if last is None or row.late is None else min(last, row.late - timedelta(days=1))

    async def get_cumulated(self, day: date, stages: Sequence[str]) -> dict[str, Cells]:
        """Returns the histograms of the visits that ended until a day with snapshots, by stage."""
        rows = await self._connection.execute(
            _GET_CUMULATED, {**self._scope, "day": day, "stages": list(stages)}
        )
        return {row.key: dict(zip(row.tenths, row.numbers, strict=True)) for row in rows}

    async def count_ended_by_day(self, days: DateRange, zone: str) -> list[EndedVisits]:
        """Counts visits that ended within local days, by day, stage and cell, from the ledger."""
        rows = await self._connection.execute(_ENDED, {**self._scope, **range_parameters(days, zone)})
        return [EndedVisits(row.day, row.from_stage, row.tenths, row.number) for row in rows]

    async def get_histograms(self, days: DateRange, zone: str) -> dict[str, Cells]:
        """Returns the histograms of visits that ended within local days, by stage, from the ledger."""
        rows = await self._connection.execute(_CELLS, {**self._scope, **range_parameters(days, zone)})
        histograms: dict[str, dict[int, int]] = {}
        for row in rows:
            histograms.setdefault(row.from_stage, {})[row.tenths] = row.number
        return dict(histograms)

    async def get_totals(self, days: DateRange, zone: str) -> dict[str, tuple[int, int]]:
        """Returns number and total microseconds of visits that ended within local days, by stage."""
        rows = await self._connection.execute(_TOTALS, {**self._scope, **range_parameters(days, zone)})
        return {row.from_stage: (row.number, int(row.micros)) for row in rows}

    async def get_cell_edges(
        self, days: DateRange, zone: str, cells: Sequence[tuple[str, int, int]]
    ) -> list[tuple[int, int]]:
        """Returns the visits next to two cells: the longest up to the one, the shortest from the other.

        For each (stage, low cell, high cell) of visits that ended within local days; in microseconds.
        """
        parameters = {
            "stages": [stage for stage, _, _ in cells],
            "lows": [low for _, low, _ in cells],
            "highs": [high for _, _, high in cells],
        }
        rows = await self._connection.execute(
            _CELL_EDGES, {**self._scope, **parameters, **range_parameters(days, zone)}
        )
        edges = {row.ordinal: (row.below, row.above) for row in rows}
        return [edges[ordinal] for ordinal in range(1, len(cells) + 1)]

    async def replace(self, days: DateRange, cumulated: Mapping[tuple[date, str], Cells]) -> None:
        """Replaces the histograms of days."""
        await self._connection.execute(_DELETE, {**self._scope, **days._asdict()})
        rows = [
            {
                **self._scope,
                "stage": stage,
                "day": day,
                "tenths": sorted(cells),
                "numbers": [cells[tenths] for tenths in sorted(cells)],
            }
            for (day, stage), cells in cumulated.items()
        ]
        if rows:
            await self._connection.execute(_INSERT, rows)

    @property
    def _scope(self) -> dict[str, Any]:
        return {"company_id": self._company_id}
