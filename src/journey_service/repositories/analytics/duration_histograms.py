"""How long visits have lasted: cumulated histograms of ended days, and, from the ledger, what has ended since."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.analytics.date_ranges import DateRange
from journey_service.domain.analytics.duration_histograms import Cells, EndedVisits
from journey_service.repositories.analytics.date_range_sql import local_day, range_parameters, within

# By floating point, which is exact for all but centuries, and then by whole numbers: a tenth of a day is 8,640,000,000
# microseconds; half of one is added, so that cutting off rounds half up.
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
_EDGES: Final = text(
    f"SELECT w.place, max({_MICROS}) FILTER (WHERE {TENTHS} <= w.low) AS below,"
    f" min({_MICROS}) FILTER (WHERE {TENTHS} >= w.high) AS above FROM journey_transitions t"
    " JOIN unnest(CAST(:stages AS text[]), CAST(:lows AS int[]), CAST(:highs AS int[])) WITH ORDINALITY"
    " AS w(stage, low, high, place) ON w.stage = t.from_stage"
    f" WHERE t.company_id = :company_id AND {within('t.transitioned_at')} GROUP BY w.place"
)
_SETTLED: Final = text(
    "SELECT (SELECT max(metric_date) FROM journey_stage_metrics WHERE company_id = :company_id) AS last,"
    " (SELECT min(day) FROM journey_rollups WHERE company_id = :company_id AND kind = 'late') AS late"
)
_UP_TO: Final = text(
    "SELECT s.key, last.tenths, last.numbers FROM unnest(CAST(:stages AS text[])) s(key) CROSS JOIN LATERAL"
    " (SELECT tenths, numbers FROM stage_visit_durations WHERE company_id = :company_id AND stage_key = s.key"
    " AND day <= CAST(:day AS date) ORDER BY day DESC LIMIT 1) last"
)
_CLEAR: Final = text(
    "DELETE FROM stage_visit_durations WHERE company_id = :company_id AND day >= CAST(:first AS date)"
    " AND day <= CAST(:last AS date)"
)
_WRITE: Final = text(
    "INSERT INTO stage_visit_durations (company_id, stage_key, day, tenths, numbers)"
    " VALUES (:company_id, :stage, :day, CAST(:tenths AS int[]), CAST(:numbers AS bigint[]))"
)


class VisitDurations:
    """The histograms of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def get_last_valid_day(self) -> date | None:
        """The last day whose histograms hold: those from a mark on are to be taken anew. None: no day's do."""
        row = (await self._connection.execute(_SETTLED, self._scope)).one()
        last: date | None = row.last
        return last if last is None or row.late is None else min(last, row.late - timedelta(days=1))

    async def get_cumulated(self, day: date, stages: Sequence[str]) -> dict[str, Cells]:
        """The histograms of all visits that had ended when a day did, by stage; only snapshots' days are known."""
        rows = await self._connection.execute(_UP_TO, {**self._scope, "day": day, "stages": list(stages)})
        return {row.key: dict(zip(row.tenths, row.numbers, strict=True)) for row in rows}

    async def count_ended_by_day(self, days: DateRange, zone: str) -> list[EndedVisits]:
        """The visits that ended in local days, day by day, as the ledger has them."""
        rows = await self._connection.execute(_ENDED, {**self._scope, **range_parameters(days, zone)})
        return [EndedVisits(row.day, row.from_stage, row.tenths, row.number) for row in rows]

    async def get_histograms(self, days: DateRange, zone: str) -> dict[str, Cells]:
        """The same as histograms by stage, whatever the day."""
        rows = await self._connection.execute(_CELLS, {**self._scope, **range_parameters(days, zone)})
        found: dict[str, dict[int, int]] = {}
        for row in rows:
            found.setdefault(row.from_stage, {})[row.tenths] = row.number
        return dict(found)

    async def get_totals(self, days: DateRange, zone: str) -> dict[str, tuple[int, int]]:
        """How many visits ended in local days, by stage, and how long they had lasted in all, in microseconds."""
        rows = await self._connection.execute(_TOTALS, {**self._scope, **range_parameters(days, zone)})
        return {row.from_stage: (row.number, int(row.micros)) for row in rows}

    async def get_cell_edges(
        self, days: DateRange, zone: str, wanted: Sequence[tuple[str, int, int]]
    ) -> list[tuple[int, int]]:
        """For each stage, and two cells of it: the longest visit up to the one, and the shortest from the other on.

        Of those that ended in local days, in microseconds.
        """
        told = {
            "stages": [stage for stage, _, _ in wanted],
            "lows": [low for _, low, _ in wanted],
            "highs": [high for _, _, high in wanted],
        }
        rows = await self._connection.execute(_EDGES, {**self._scope, **told, **range_parameters(days, zone)})
        found = {row.place: (row.below, row.above) for row in rows}
        return [found[place] for place in range(1, len(wanted) + 1)]

    async def replace(self, days: DateRange, cumulated: Mapping[tuple[date, str], Cells]) -> None:
        """Write the histograms of days, in place of what there was of them."""
        await self._connection.execute(_CLEAR, {**self._scope, **days._asdict()})
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
            await self._connection.execute(_WRITE, rows)

    @property
    def _scope(self) -> dict[str, Any]:
        return {"company_id": self._company_id}
