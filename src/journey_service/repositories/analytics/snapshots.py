"""Table journey_stage_metrics: daily snapshots of each stage, and the rollups or ledgers they are computed from.

A dirty day is a past day whose data changed after its snapshot. The snapshots of that day and of all later days must be
computed again. Dirty days are rows of journey_rollups with the kind `dirty_day`, so one statement inserts them together
with the rollups.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.analytics.date_ranges import DateRange
from journey_service.domain.analytics.snapshots import DailyFlow, SnapshotMetrics, SnapshotPosition
from journey_service.domain.journeys.relationship import Motion
from journey_service.domain.stages.stage_map import MERGED_STAGE
from journey_service.repositories.analytics.date_range_sql import local_day, offset_parameters

_DIRTY: Final = "company_id = :company_id AND kind = 'dirty_day'"
_POP_DIRTY_DAYS: Final = text(
    f"WITH deleted AS (DELETE FROM journey_rollups WHERE {_DIRTY} AND day <= CAST(:until AS date)"
    " RETURNING day) SELECT min(day) FROM deleted"
)
_MARK_DIRTY: Final = text(
    "INSERT INTO journey_rollups (company_id, kind, day, key, total) VALUES (:company_id, 'dirty_day', :day, '', 1)"
)
_BOUNDS: Final = text(
    "SELECT (SELECT min(metric_date) FROM journey_stage_metrics WHERE company_id = :company_id) AS first,"
    " (SELECT max(metric_date) FROM journey_stage_metrics WHERE company_id = :company_id) AS last,"
    " (SELECT min(day) FROM journey_rollups"
    "   WHERE company_id = :company_id AND kind IN ('flow', 'revenue')) AS first_rollup,"
    f" (SELECT min(day) FROM journey_rollups WHERE {_DIRTY}) AS first_dirty_day"
)
# All days before the first are combined into one, because only the customers per stage at its end are needed.
_FLOWS: Final = text(
    "SELECT greatest(day, CAST(:first AS date) - 1) AS day, split_part(key, '>', 1) AS from_stage,"
    " split_part(key, '>', 2) AS to_stage, motion, sum(total) AS total, sum(duration_micros) AS duration_micros"
    " FROM journey_rollups WHERE company_id = :company_id AND kind = 'flow' AND day <= CAST(:last AS date)"
    " GROUP BY 1, 2, 3, 4 HAVING sum(total) <> 0"
)
_LEDGER_FLOWS: Final = text(
    f"SELECT greatest({local_day('transitioned_at')}, CAST(:first AS date) - 1) AS day,"
    " coalesce(from_stage, '') AS from_stage, to_stage, motion, count(*) AS total,"
    " coalesce(sum(extract(epoch FROM transitioned_at - since)) * 1000000, 0) AS duration_micros"
    " FROM journey_transitions WHERE company_id = :company_id"
    f" AND {local_day('transitioned_at')} <= CAST(:last AS date)"
    " GROUP BY 1, 2, 3, 4"
)
_REVENUE: Final = text(
    "SELECT day, key AS stage, sum(CASE WHEN CAST(:from_payments AS boolean) THEN payments ELSE appointments END)"
    " AS revenue FROM journey_rollups WHERE company_id = :company_id AND kind = 'revenue'"
    " AND day >= CAST(:first AS date) AND day <= CAST(:last AS date) GROUP BY 1, 2"
)
_LEDGER_REVENUE: Final = text(
    f"SELECT {local_day('occurred_at')} AS day, stage, sum(CASE type"
    " WHEN 'payment_refunded' THEN -amount ELSE amount END) AS revenue FROM counted_events"
    " WHERE company_id = :company_id AND type = ANY(CASE WHEN CAST(:from_payments AS boolean)"
    " THEN ARRAY['payment_received', 'payment_refunded'] ELSE ARRAY['appointment_completed'] END)"
    f" AND {local_day('occurred_at')} >= CAST(:first AS date)"
    f" AND {local_day('occurred_at')} <= CAST(:last AS date) GROUP BY 1, 2"
)
_LIST: Final = text(
    "SELECT metric_date, stage_key, customer_count, ended_visits, avg_time_in_stage, conversion_rate, revenue,"
    " revision, computed_at FROM journey_stage_metrics WHERE company_id = :company_id"
    " AND metric_date >= CAST(:first AS date) AND metric_date <= CAST(:last AS date)"
    " AND (cardinality(CAST(:stages AS text[])) = 0 OR stage_key = ANY(CAST(:stages AS text[])))"
    " ORDER BY metric_date, stage_key"
)
_UPSERT: Final = text(
    "INSERT INTO journey_stage_metrics AS stored (company_id, metric_date, stage_key, customer_count,"
    " ended_visits, avg_time_in_stage, conversion_rate, revenue) SELECT :company_id, t.*"
    " FROM unnest(CAST(:days AS date[]),"
    " CAST(:stages AS text[]), CAST(:customers AS bigint[]), CAST(:ended AS bigint[]), CAST(:times AS numeric[]),"
    " CAST(:rates AS numeric[]), CAST(:revenue AS numeric[])) AS t"
    " ON CONFLICT (company_id, stage_key, metric_date) DO UPDATE SET customer_count = excluded.customer_count,"
    " ended_visits = excluded.ended_visits, avg_time_in_stage = excluded.avg_time_in_stage,"
    " conversion_rate = excluded.conversion_rate,"
    " revenue = excluded.revenue, revision = stored.revision + 1, computed_at = clock_timestamp()"
)
# The customers at the end of a day must be those at its start plus entries minus exits. Dirty days are not checked.
_LIST_GAPS: Final = text(
    "WITH flows AS (SELECT day, key, total FROM journey_rollups"
    "   WHERE company_id = :company_id AND kind = 'flow'),"
    " moved AS (SELECT day, stage, sum(entered) AS entered, sum(gone) AS gone FROM ("
    "   SELECT day, split_part(key, '>', 2) AS stage, total AS entered, 0 AS gone FROM flows"
    "   UNION ALL SELECT day, split_part(key, '>', 1), 0, total FROM flows) f"
    f"   WHERE stage NOT IN ('', '{MERGED_STAGE}') GROUP BY 1, 2),"
    " known AS (SELECT metric_date AS day, stage_key AS stage, customer_count AS closing FROM journey_stage_metrics"
    "   WHERE company_id = :company_id),"
    " bounds AS (SELECT min(day) AS first, max(day) AS last FROM known),"
    " days AS (SELECT coalesce(k.day, m.day) AS day, coalesce(k.stage, m.stage) AS stage, coalesce(closing, 0)"
    "   AS closing, coalesce(entered, 0) AS entered, coalesce(gone, 0) AS gone FROM known k"
    "   FULL JOIN moved m ON m.day = k.day AND m.stage = k.stage),"
    " balances AS (SELECT day, stage, coalesce(lag(closing) OVER w, 0) AS opening, entered, gone, closing FROM days"
    "   WINDOW w AS (PARTITION BY stage ORDER BY day))"
    " SELECT balances.day, stage, opening, entered, gone, closing, count(*) OVER () AS number FROM balances, bounds"
    " WHERE opening + entered - gone <> closing AND day BETWEEN bounds.first AND bounds.last"
    f" AND day < coalesce((SELECT min(day) FROM journey_rollups WHERE {_DIRTY}), 'infinity')"
    " ORDER BY day, stage LIMIT :limit"
)


_LAST_CHECK: Final = text(
    "SELECT status FROM jobs WHERE company_id = :company_id AND kind IN ('check_metrics', 'rebuild_metrics')"
    " AND status IN ('done', 'failed') ORDER BY finished_at DESC LIMIT 1"
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Metrics of one stage on one local day, as stored. `revision` is 1, and increases with every change."""

    day: date
    stage: str
    metrics: SnapshotMetrics
    revision: int
    computed_at: datetime


@dataclass(frozen=True, slots=True)
class SnapshotBounds:
    """First and last day with a snapshot, first day with a rollup, and first dirty day; each None if there is none."""

    first: date | None
    last: date | None
    first_rollup: date | None
    first_dirty_day: date | None


@dataclass(frozen=True, slots=True)
class ContinuityGap:
    """Day and stage whose `closing` customers differ from `opening` plus `entered` minus `left`."""

    day: date
    stage: str
    opening: int
    entered: int
    left: int
    closing: int


@dataclass(frozen=True, slots=True)
class MetricSource:
    """Source of metrics: the rollups if `ledger_zone` is None, else the ledgers by local days of that time zone.

    `from_payments`: revenue is the payments minus refunds, not the amounts of completed appointments.
    """

    from_payments: bool
    ledger_zone: tzinfo | None = None


class Snapshots:
    """The snapshots of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def mark_dirty(self, day: date) -> None:
        """Marks a local day as dirty."""
        await self._connection.execute(_MARK_DIRTY, {**self._scope, "day": day})

    async def pop_dirty_days(self, until: date) -> date | None:
        """Deletes the dirty days up to and including `until`; returns the earliest of them, None without any."""
        earliest: date | None = await self._connection.scalar(
            _POP_DIRTY_DAYS, {**self._scope, "until": until}
        )
        return earliest

    async def get_bounds(self) -> SnapshotBounds:
        """Returns the first and last days of the stored snapshots and rollups."""
        row = (await self._connection.execute(_BOUNDS, self._scope)).one()
        return SnapshotBounds(row.first, row.last, row.first_rollup, row.first_dirty_day)

    async def get_flows(
        self, first: date, last: date, source: MetricSource
    ) -> tuple[dict[str, int], list[DailyFlow]]:
        """Returns the customers per stage at the start of `first`, and the flows of the days up to `last`."""
        rows = await self._read(_FLOWS, _LEDGER_FLOWS, first, last, source)
        opening: dict[str, int] = {}
        flows = []
        for row in rows:
            number = int(row.total)
            if row.day >= first:
                motion = Motion(row.motion)
                flow = DailyFlow(
                    row.day, row.from_stage or None, row.to_stage, motion, number, int(row.duration_micros)
                )
                flows.append(flow)
                continue
            opening[row.to_stage] = opening.get(row.to_stage, 0) + number
            if row.from_stage:
                opening[row.from_stage] = opening.get(row.from_stage, 0) - number
        return opening, flows

    async def get_revenue(
        self, first: date, last: date, source: MetricSource
    ) -> dict[SnapshotPosition, Decimal]:
        """Returns the revenue by local day and stage, in the company's currency."""
        rows = await self._read(_REVENUE, _LEDGER_REVENUE, first, last, source)
        return {(row.day, row.stage): row.revenue for row in rows}

    async def list_between(self, first: date, last: date, stages: Sequence[str] = ()) -> list[Snapshot]:
        """Lists the snapshots from `first` to `last`, both included, oldest first; without `stages`, of all stages."""
        rows = await self._connection.execute(
            _LIST, {**self._scope, "first": first, "last": last, "stages": list(stages)}
        )
        return [
            Snapshot(
                row.metric_date,
                row.stage_key,
                SnapshotMetrics(
                    row.customer_count,
                    row.ended_visits,
                    row.avg_time_in_stage,
                    row.conversion_rate,
                    row.revenue,
                ),
                row.revision,
                row.computed_at,
            )
            for row in rows
        ]

    async def upsert(self, metrics: Mapping[SnapshotPosition, SnapshotMetrics]) -> None:
        """Inserts snapshots; replaces stored ones of the same day and stage, and increases their revision by one."""
        if not metrics:
            return
        values = list(metrics.values())
        await self._connection.execute(
            _UPSERT,
            {
                **self._scope,
                "days": [day for day, _ in metrics],
                "stages": [stage for _, stage in metrics],
                "customers": [each.customers for each in values],
                "ended": [each.ended for each in values],
                "times": [each.avg_time for each in values],
                "rates": [each.conversion for each in values],
                "revenue": [each.revenue for each in values],
            },
        )

    async def list_gaps(self, *, limit: int) -> tuple[int, list[ContinuityGap]]:
        """Returns the number of gaps before the first dirty day, and the first `limit` of them."""
        rows = (await self._connection.execute(_LIST_GAPS, {**self._scope, "limit": limit})).all()
        gaps = [
            ContinuityGap(
                row.day, row.stage, int(row.opening), int(row.entered), int(row.gone), int(row.closing)
            )
            for row in rows
        ]
        return (rows[0].number if rows else 0), gaps

    async def has_failed_check(self) -> bool:
        """Returns whether the latest finished check or rebuild of snapshots failed."""
        status: str | None = await self._connection.scalar(_LAST_CHECK, self._scope)
        return status == "failed"

    async def _read(
        self, sums: TextClause, ledger: TextClause, first: date, last: date, source: MetricSource
    ) -> Sequence[Any]:
        statement = sums if source.ledger_zone is None else ledger
        parameters: dict[str, object] = {**self._scope, "first": first, "last": last}
        if statement in (_REVENUE, _LEDGER_REVENUE):
            parameters["from_payments"] = source.from_payments
        if source.ledger_zone is not None:
            parameters |= offset_parameters(source.ledger_zone, DateRange(first, last))
        return (await self._connection.execute(statement, parameters)).all()

    @property
    def _scope(self) -> dict[str, Any]:
        return {"company_id": self._company_id}
