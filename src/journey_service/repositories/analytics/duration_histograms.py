"""Durations of stage visits: cumulative histograms in stage_visit_durations, and single visits from the ledger."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta, tzinfo
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.analytics.date_ranges import DateRange
from journey_service.domain.analytics.duration_histograms import EndedVisits, Histogram
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
_HISTOGRAMS: Final = text(
    f"SELECT from_stage, {TENTHS} AS tenths, count(*) AS number FROM journey_transitions"
    f" WHERE company_id = :company_id AND {within('transitioned_at')} AND from_stage IS NOT NULL GROUP BY 1, 2"
)
_TOTALS: Final = text(
    f"SELECT from_stage, count(*) AS number, sum({_MICROS}) AS duration_micros FROM journey_transitions"
    f" WHERE company_id = :company_id AND {within('transitioned_at')} AND from_stage IS NOT NULL GROUP BY 1"
)
_BUCKET_EDGES: Final = text(
    f"SELECT w.ordinal, max({_MICROS}) FILTER (WHERE {TENTHS} <= w.low) AS below,"
    f" min({_MICROS}) FILTER (WHERE {TENTHS} >= w.high) AS above FROM journey_transitions t"
    " JOIN unnest(CAST(:stages AS text[]), CAST(:lows AS int[]), CAST(:highs AS int[])) WITH ORDINALITY"
    " AS w(stage, low, high, ordinal) ON w.stage = t.from_stage"
    f" WHERE t.company_id = :company_id AND {within('t.transitioned_at')} GROUP BY w.ordinal"
)
_LAST_VALID_DAY: Final = text(
    "SELECT (SELECT max(metric_date) FROM journey_stage_metrics WHERE company_id = :company_id) AS last,"
    " (SELECT min(day) FROM journey_rollups WHERE company_id = :company_id AND kind = 'dirty_day')"
    " AS first_dirty_day"
)
_GET_CUMULATIVE: Final = text(
    "SELECT s.key, last.duration_tenths, last.cumulative_counts FROM unnest(CAST(:stages AS text[])) s(key)"
    " CROSS JOIN LATERAL (SELECT duration_tenths, cumulative_counts FROM stage_visit_durations"
    " WHERE company_id = :company_id AND stage_key = s.key AND day <= CAST(:day AS date)"
    " ORDER BY day DESC LIMIT 1) last"
)
_DELETE: Final = text(
    "DELETE FROM stage_visit_durations WHERE company_id = :company_id AND day >= CAST(:first AS date)"
    " AND day <= CAST(:last AS date)"
)
_INSERT: Final = text(
    "INSERT INTO stage_visit_durations (company_id, stage_key, day, duration_tenths, cumulative_counts)"
    " VALUES (:company_id, :stage, :day, CAST(:duration_tenths AS int[]), CAST(:cumulative_counts AS bigint[]))"
)


class DurationHistograms:
    """The histograms of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def get_last_valid_day(self) -> date | None:
        """Returns the last day whose histograms are valid: before the first dirty day; None without snapshots."""
        row = (await self._connection.execute(_LAST_VALID_DAY, self._scope)).one()
        last: date | None = row.last
        return (
            last
            if last is None or row.first_dirty_day is None
            else min(last, row.first_dirty_day - timedelta(days=1))
        )

    async def get_cumulative(self, day: date, stages: Sequence[str]) -> dict[str, Histogram]:
        """Returns by stage the histogram of all visits that ended up to and including a day that has snapshots."""
        rows = await self._connection.execute(
            _GET_CUMULATIVE, {**self._scope, "day": day, "stages": list(stages)}
        )
        return {row.key: dict(zip(row.duration_tenths, row.cumulative_counts, strict=True)) for row in rows}

    async def count_ended_by_day(self, days: DateRange, zone: tzinfo) -> list[EndedVisits]:
        """Counts visits that ended within a range of local days, by day, stage and bucket, from the ledger."""
        rows = await self._connection.execute(_ENDED, {**self._scope, **range_parameters(days, zone)})
        return [EndedVisits(row.day, row.from_stage, row.tenths, row.number) for row in rows]

    async def get_histograms(self, days: DateRange, zone: tzinfo) -> dict[str, Histogram]:
        """Returns by stage the histogram of visits that ended within a range of local days, from the ledger."""
        rows = await self._connection.execute(_HISTOGRAMS, {**self._scope, **range_parameters(days, zone)})
        histograms: dict[str, dict[int, int]] = {}
        for row in rows:
            histograms.setdefault(row.from_stage, {})[row.tenths] = row.number
        return dict(histograms)

    async def get_totals(self, days: DateRange, zone: tzinfo) -> dict[str, tuple[int, int]]:
        """Returns by stage the number and total microseconds of visits that ended within a range of local days."""
        rows = await self._connection.execute(_TOTALS, {**self._scope, **range_parameters(days, zone)})
        return {row.from_stage: (row.number, int(row.duration_micros)) for row in rows}

    async def get_bucket_edges(
        self, days: DateRange, zone: tzinfo, buckets: Sequence[tuple[str, int, int]]
    ) -> list[tuple[int, int]]:
        """Returns two durations in microseconds for each (stage, low bucket, high bucket) in `buckets`.

        They are the longest duration in the low or a lower bucket, and the shortest in the high or a higher bucket, of
        visits that ended within a range of local days.
        """
        parameters = {
            "stages": [stage for stage, _, _ in buckets],
            "lows": [low for _, low, _ in buckets],
            "highs": [high for _, _, high in buckets],
        }
        rows = await self._connection.execute(
            _BUCKET_EDGES, {**self._scope, **parameters, **range_parameters(days, zone)}
        )
        edges = {row.ordinal: (row.below, row.above) for row in rows}
        return [edges[ordinal] for ordinal in range(1, len(buckets) + 1)]

    async def replace(self, days: DateRange, histograms: Mapping[tuple[date, str], Histogram]) -> None:
        """Replaces the histograms of a range of days."""
        await self._connection.execute(_DELETE, {**self._scope, **days._asdict()})
        rows = [
            {
                **self._scope,
                "stage": stage,
                "day": day,
                "duration_tenths": sorted(histogram),
                "cumulative_counts": [histogram[tenths] for tenths in sorted(histogram)],
            }
            for (day, stage), histogram in histograms.items()
        ]
        if rows:
            await self._connection.execute(_INSERT, rows)

    @property
    def _scope(self) -> dict[str, Any]:
        return {"company_id": self._company_id}
