"""Table journey_rollups: sums per local day, inserted with the changes they count, merged by the worker.

Readers add up all rows of a key, merged and unmerged. Merging therefore changes no metric.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.analytics.rollups import FLOW, STAGE_REACHED, Rollup
from journey_service.domain.journeys.relationship import Motion
from journey_service.repositories.analytics.date_range_sql import local_day, offset_parameters
from journey_service.repositories.tables import Row

REVENUE: Final = "revenue"
LAST_FLOW: Final = "last_flow"
DIRTY_DAY: Final = "dirty_day"
"""Row that marks a past local day as dirty: data of that day were written after its snapshot."""
# `flow_total` and `revenue_total` are the sums of `flow` and `revenue` over all days, without unmerged rows. Their day
# is _ALL_DAYS.
_ALL_DAYS: Final = "date '1970-01-01'"

_LAST_OCCURRENCES: Final = text(
    "SELECT relationship_id, from_stage, to_stage, motion, max(transitioned_at) AS at FROM journey_transitions"
    " WHERE company_id = :company_id AND relationship_id = ANY(CAST(:ids AS bigint[]))"
    " GROUP BY relationship_id, from_stage, to_stage, motion"
)
_ADD: Final = text(
    "INSERT INTO journey_rollups (company_id, kind, day, key, motion, total, duration_micros, moved_at_micros_sum,"
    " appointments, payments) SELECT :company_id, t.* FROM unnest(CAST(:kind AS text[]), CAST(:day AS date[]),"
    " CAST(:key AS text[]), CAST(:motion AS text[]), CAST(:total AS bigint[]), CAST(:duration_micros AS numeric[]),"
    " CAST(:moved_at_micros_sum AS numeric[]), CAST(:appointments AS numeric[]), CAST(:payments AS numeric[])) AS t"
)
_INSERT_SUMS: Final = (
    "INSERT INTO journey_rollups AS base (company_id, kind, day, key, motion, total, duration_micros,"
    " moved_at_micros_sum, appointments, payments, is_unmerged) SELECT :company_id, {kind}, {day}, key, motion,"
    " sum(total), sum(duration_micros), sum(moved_at_micros_sum), sum(appointments), sum(payments), false FROM {rows}"
    " GROUP BY 2, 3, key, motion"
)
_ADD_SUMS: Final = (
    f"{_INSERT_SUMS} ON CONFLICT (company_id, kind, day, key, motion) WHERE NOT is_unmerged DO UPDATE"
    " SET total = base.total + excluded.total, duration_micros = base.duration_micros + excluded.duration_micros,"
    " moved_at_micros_sum = base.moved_at_micros_sum + excluded.moved_at_micros_sum,"
    " appointments = base.appointments + excluded.appointments, payments = base.payments + excluded.payments"
)
_TOTAL_KIND: Final = "CASE kind WHEN 'flow' THEN 'flow_total' ELSE 'revenue_total' END"
# The company's row is locked: one merge at a time.
_MERGE: Final = text(
    "WITH unmerged AS (DELETE FROM journey_rollups r USING (SELECT id FROM journey_rollups"
    "   WHERE company_id = :company_id AND is_unmerged ORDER BY id LIMIT :limit) chosen"
    "   WHERE r.company_id = :company_id AND r.id = chosen.id"
    "   RETURNING r.kind, r.day, r.key, r.motion, r.total, r.duration_micros, r.moved_at_micros_sum,"
    "     r.appointments, r.payments),"
    f" days AS ({_ADD_SUMS.format(kind='kind', day='day', rows='unmerged')}),"
    " totals AS ("
    + _ADD_SUMS.format(kind=_TOTAL_KIND, day=_ALL_DAYS, rows="unmerged WHERE kind IN ('flow', 'revenue')")
    + ") SELECT count(*) FROM unmerged"
)
_COUNT_TOTALS: Final = text(
    _INSERT_SUMS.format(
        kind=_TOTAL_KIND,
        day=_ALL_DAYS,
        rows="journey_rollups WHERE company_id = :company_id AND kind IN ('flow', 'revenue')",
    )
)
_DELETE: Final = text("DELETE FROM journey_rollups WHERE company_id = :company_id AND kind <> 'dirty_day'")
_COUNT_MOVES: Final = text(
    "INSERT INTO journey_rollups (company_id, kind, day, key, motion, total, duration_micros, moved_at_micros_sum,"
    " is_unmerged)"
    f" SELECT :company_id, 'flow', {local_day('transitioned_at')},"
    " coalesce(from_stage, '') || '>' || to_stage, motion, count(*),"
    " coalesce(sum(extract(epoch FROM transitioned_at - since)) * 1000000, 0),"
    " sum(extract(epoch FROM transitioned_at)) * 1000000, false"
    " FROM journey_transitions WHERE company_id = :company_id GROUP BY 3, 4, 5"
)
_COUNT_LAST_FLOWS: Final = text(
    "INSERT INTO journey_rollups (company_id, kind, day, key, total, is_unmerged)"
    f" SELECT :company_id, 'last_flow', {local_day('at')}, key, count(*), false"
    " FROM (SELECT relationship_id, from_stage || '>' || to_stage AS key, max(transitioned_at) AS at"
    " FROM journey_transitions WHERE company_id = :company_id AND from_stage IS NOT NULL GROUP BY 1, 2) l GROUP BY 3, 4"
)
_COUNT_REACHED: Final = text(
    "INSERT INTO journey_rollups (company_id, kind, day, key, total, is_unmerged)"
    f" SELECT :company_id, 'stage_reached', {local_day('at')}, key, count(*), false"
    " FROM (SELECT relationship_id, w.key, max(transitioned_at) AS at FROM journey_transitions t"
    " JOIN unnest(CAST(:entered AS text[]), CAST(:reached AS text[])) AS w(entered, key) ON w.entered = t.to_stage"
    " WHERE t.company_id = :company_id AND t.motion IN ('opening', 'entry') GROUP BY 1, 2) l GROUP BY 3, 4"
)
_COUNT_REVENUE: Final = text(
    "INSERT INTO journey_rollups (company_id, kind, day, key, total, appointments, payments, is_unmerged)"
    f" SELECT :company_id, 'revenue', {local_day('occurred_at')}, stage, count(*),"
    " coalesce(sum(amount) FILTER (WHERE type = 'appointment_completed'), 0),"
    " coalesce(sum(amount) FILTER (WHERE type = 'payment_received'), 0)"
    "   - coalesce(sum(amount) FILTER (WHERE type = 'payment_refunded'), 0), false"
    " FROM counted_events WHERE company_id = :company_id AND amount <> 0"
    " AND type IN ('appointment_completed', 'payment_received', 'payment_refunded') GROUP BY 3, 4"
)
_SET_VERSION: Final = text("UPDATE companies SET rollup_version = :version WHERE id = :company_id")
_MOVES_OF_DAYS: Final = text(
    "SELECT key, motion, sum(total) AS total, sum(duration_micros) AS duration_micros,"
    " sum(moved_at_micros_sum) AS moved_at_micros_sum FROM journey_rollups WHERE company_id = :company_id"
    " AND kind = 'flow' AND day >= CAST(:first AS date) AND day <= CAST(:last AS date)"
    " GROUP BY key, motion HAVING sum(total) <> 0"
)
_ALL_MOVES: Final = text(
    "SELECT key, motion, sum(total) AS total, sum(duration_micros) AS duration_micros,"
    " sum(moved_at_micros_sum) AS moved_at_micros_sum FROM ("
    " SELECT key, motion, total, duration_micros, moved_at_micros_sum FROM journey_rollups"
    "   WHERE company_id = :company_id AND kind = 'flow_total'"
    " UNION ALL SELECT key, motion, total, duration_micros, moved_at_micros_sum FROM journey_rollups"
    "   WHERE company_id = :company_id AND kind = 'flow' AND is_unmerged) m"
    " GROUP BY key, motion HAVING sum(total) <> 0"
)
_COUNT_SINCE: Final = text(
    "SELECT key, sum(total) AS total FROM journey_rollups WHERE company_id = :company_id"
    " AND kind = CAST(:kind AS text) AND day >= CAST(:first AS date) GROUP BY key HAVING sum(total) <> 0"
)


@dataclass(frozen=True, slots=True)
class StoredMoves:
    """Number of moves of one kind between two stages. `from_stage` None: journeys that opened.

    `duration_micros` is the total duration of the stage visits that these moves ended. `moved_at_micros_sum` is the sum
    of the times of the moves since 1970. Both are in microseconds.
    """

    from_stage: str | None
    to_stage: str
    motion: Motion
    number: int
    duration_micros: int
    moved_at_micros_sum: int


@dataclass(frozen=True, slots=True)
class StageRevenue:
    """Revenue of one local day that is credited to one stage, by source, in the company's currency."""

    day: date
    stage: str
    appointments: Decimal
    payments: Decimal


class Rollups:
    """The rollups of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def get_last_occurrences(
        self, ids: Sequence[int], rollup: Rollup
    ) -> dict[int, dict[tuple[str, str], datetime]]:
        """Returns when customers last reached each stage and last made each move, by relationship id.

        The relationships must be locked.
        """
        if not ids:
            return {}
        rows = await self._connection.execute(_LAST_OCCURRENCES, {**self._scope, "ids": list(ids)})
        occurrences: dict[int, dict[tuple[str, str], datetime]] = {}
        for row in rows:
            last = occurrences.setdefault(row.relationship_id, {})
            for occurrence in rollup.occurrences_by(Motion(row.motion), row.from_stage, row.to_stage):
                last[occurrence] = max(last.get(occurrence, row.at), row.at)
        return occurrences

    async def add(
        self, rollup: Rollup, revenue: Iterable[tuple[StageRevenue, int]] = (), *, late: date | None = None
    ) -> None:
        """Inserts the differences of `rollup`, and revenue with its numbers of events, as unmerged rows.

        `late` is the earliest past local day that they change; it is marked as dirty.
        """
        moves = [
            (
                FLOW,
                flow.day,
                f"{flow.from_stage}>{flow.to_stage}",
                flow.motion.value,
                sums.moves,
                sums.duration_micros,
                sums.moved_at_micros_sum,
            )
            for flow, sums in rollup.flows.items()
        ]
        moves += [
            (LAST_FLOW if last.kind == FLOW else STAGE_REACHED, last.day, last.key, "", number, 0, 0)
            for last, number in rollup.last_occurrences.items()
        ]
        rows = [(*row, Decimal(0), Decimal(0)) for row in moves]
        rows += [(REVENUE, m.day, m.stage, "", n, 0, 0, m.appointments, m.payments) for m, n in revenue]
        await self._add(rows + _dirty_day_rows(late))

    async def merge(self, *, limit: int) -> int:
        """Adds up to `limit` unmerged rows to the merged rows of the same keys; returns how many.

        The company's row must be locked.
        """
        count = await self._connection.scalar(_MERGE, {**self._scope, "limit": limit})
        return int(count or 0)

    async def rebuild(self, version: int, zone: tzinfo, reached_by: Mapping[str, Sequence[str]]) -> None:
        """Rebuilds every rollup from the ledgers, except dirty days. The transaction must be exclusive."""
        pairs = [(entered, key) for entered, keys in reached_by.items() for key in keys]
        parameters = {**self._scope, **offset_parameters(zone)}
        await self._connection.execute(_DELETE, self._scope)
        for statement in (_COUNT_MOVES, _COUNT_LAST_FLOWS, _COUNT_REVENUE):
            await self._connection.execute(statement, parameters)
        await self._connection.execute(
            _COUNT_REACHED,
            {
                **parameters,
                "entered": [entered for entered, _ in pairs],
                "reached": [key for _, key in pairs],
            },
        )
        await self._connection.execute(_COUNT_TOTALS, self._scope)
        await self.set_version(version)

    async def set_version(self, version: int) -> None:
        """Sets the map version that defines which stages count as reached; 0: rebuild the rollups."""
        await self._connection.execute(_SET_VERSION, {**self._scope, "version": version})

    async def list_moves(self, first: date, last: date) -> list[StoredMoves]:
        """Lists the totals of the moves from `first` to `last`, both included, in local days."""
        rows = await self._connection.execute(_MOVES_OF_DAYS, {**self._scope, "first": first, "last": last})
        return [_to_moves(row) for row in rows]

    async def list_all_moves(self) -> list[StoredMoves]:
        """Lists the totals of the moves of all days."""
        rows = await self._connection.execute(_ALL_MOVES, self._scope)
        return [_to_moves(row) for row in rows]

    async def count_since(self, kind: str, first: date) -> dict[str, int]:
        """Counts customers whose last occurrence was on `first` or a later local day, by key.

        `kind` is `stage_reached` (the key is a stage) or `last_flow` (the key is two stages).
        """
        rows = await self._connection.execute(_COUNT_SINCE, {**self._scope, "kind": kind, "first": first})
        return {row.key: int(row.total) for row in rows}

    async def _add(self, rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            return
        names = (
            *("kind", "day", "key", "motion", "total", "duration_micros", "moved_at_micros_sum"),
            *("appointments", "payments"),
        )
        columns = zip(*rows, strict=True)
        await self._connection.execute(
            _ADD, {**self._scope, **{name: list(column) for name, column in zip(names, columns, strict=True)}}
        )

    @property
    def _scope(self) -> dict[str, Any]:
        return {"company_id": self._company_id}


def _dirty_day_rows(late: date | None) -> list[tuple[Any, ...]]:
    return [] if late is None else [(DIRTY_DAY, late, "", "", 1, 0, 0, Decimal(0), Decimal(0))]


def _to_moves(row: Row) -> StoredMoves:
    from_stage, to_stage = row.key.split(">")
    return StoredMoves(
        from_stage or None,
        to_stage,
        Motion(row.motion),
        int(row.total),
        int(row.duration_micros),
        int(row.moved_at_micros_sum),
    )
