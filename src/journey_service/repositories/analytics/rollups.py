"""Sums kept with the writes: loose rows, one transaction's each, added up with the others of their key in time.

Whoever reads sums up what there is: a loose row counts from its own commit on, and tightening changes no figure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.analytics.rollups import FLOW, REACH, Rollup
from journey_service.domain.journeys.relationship import Motion
from journey_service.repositories.analytics.date_range_sql import local_day, offset_parameters
from journey_service.repositories.tables import Row

REVENUE: Final = "revenue"
MOVES: Final = "flow"
LAST_FLOW: Final = "last_flow"
LATE: Final = "late"
"""A mark, and no sum: something was written about a day that had ended."""
# Sums of all days together are kept beside those of each day: `moved` of `flow`, `paid` of `money`. A loose row is in
# neither yet.
_ALL_DAYS: Final = "date '1970-01-01'"

_LASTS: Final = text(
    "SELECT relationship_id, from_stage, to_stage, motion, max(transitioned_at) AS at FROM journey_transitions"
    " WHERE company_id = :company_id AND relationship_id = ANY(CAST(:ids AS bigint[]))"
    " GROUP BY relationship_id, from_stage, to_stage, motion"
)
_ADD: Final = text(
    "INSERT INTO journey_rollups (company_id, kind, day, key, motion, number, micros, at_micros, appointments,"
    " payments) SELECT :company_id, t.* FROM unnest(CAST(:kind AS text[]), CAST(:day AS date[]), CAST(:key AS text[]),"
    " CAST(:motion AS text[]), CAST(:number AS bigint[]), CAST(:micros AS numeric[]), CAST(:at_micros AS numeric[]),"
    " CAST(:appointments AS numeric[]), CAST(:payments AS numeric[])) AS t"
)
_BASE: Final = (
    "INSERT INTO journey_rollups AS base (company_id, kind, day, key, motion, number, micros, at_micros, appointments,"
    " payments, is_unmerged) SELECT :company_id, {kind}, {day}, key, motion, sum(number), sum(micros), sum(at_micros),"
    " sum(appointments), sum(payments), false FROM {rows} GROUP BY 2, 3, key, motion"
)
_ADDED: Final = (
    f"{_BASE} ON CONFLICT (company_id, kind, day, key, motion) WHERE NOT is_unmerged DO UPDATE"
    " SET number = base.number + excluded.number, micros = base.micros + excluded.micros,"
    " at_micros = base.at_micros + excluded.at_micros, appointments = base.appointments + excluded.appointments,"
    " payments = base.payments + excluded.payments"
)
_TOTAL: Final = "CASE kind WHEN 'flow' THEN 'moved' ELSE 'paid' END"
# Whoever tightens holds the company's row: one at a time.
_TIGHTEN: Final = text(
    "WITH loose AS (DELETE FROM journey_rollups r USING (SELECT id FROM journey_rollups WHERE company_id = :company_id"
    "   AND is_unmerged ORDER BY id LIMIT :most) chosen WHERE r.company_id = :company_id AND r.id = chosen.id"
    "   RETURNING r.kind, r.day, r.key, r.motion, r.number, r.micros, r.at_micros, r.appointments, r.payments),"
    f" days AS ({_ADDED.format(kind='kind', day='day', rows='loose')}),"
    " totals AS ("
    + _ADDED.format(kind=_TOTAL, day=_ALL_DAYS, rows="loose WHERE kind IN ('flow', 'revenue')")
    + ") SELECT count(*) FROM loose"
)
_COUNT_TOTALS: Final = text(
    _BASE.format(
        kind=_TOTAL,
        day=_ALL_DAYS,
        rows="journey_rollups WHERE company_id = :company_id AND kind IN ('flow', 'revenue')",
    )
)
_CLEAR: Final = text("DELETE FROM journey_rollups WHERE company_id = :company_id AND kind <> 'late'")
_COUNT_MOVES: Final = text(
    "INSERT INTO journey_rollups (company_id, kind, day, key, motion, number, micros, at_micros, is_unmerged)"
    f" SELECT :company_id, 'flow', {local_day('transitioned_at')},"
    " coalesce(from_stage, '') || '>' || to_stage, motion, count(*),"
    " coalesce(sum(extract(epoch FROM transitioned_at - since)) * 1000000, 0),"
    " sum(extract(epoch FROM transitioned_at)) * 1000000, false"
    " FROM journey_transitions WHERE company_id = :company_id GROUP BY 3, 4, 5"
)
_COUNT_LAST_FLOWS: Final = text(
    "INSERT INTO journey_rollups (company_id, kind, day, key, number, is_unmerged)"
    f" SELECT :company_id, 'last_flow', {local_day('at')}, key, count(*), false"
    " FROM (SELECT relationship_id, from_stage || '>' || to_stage AS key, max(transitioned_at) AS at"
    " FROM journey_transitions WHERE company_id = :company_id AND from_stage IS NOT NULL GROUP BY 1, 2) l GROUP BY 3, 4"
)
_COUNT_REACHED: Final = text(
    "INSERT INTO journey_rollups (company_id, kind, day, key, number, is_unmerged)"
    f" SELECT :company_id, 'reach', {local_day('at')}, key, count(*), false"
    " FROM (SELECT relationship_id, w.key, max(transitioned_at) AS at FROM journey_transitions t"
    " JOIN unnest(CAST(:entered AS text[]), CAST(:reached AS text[])) AS w(entered, key) ON w.entered = t.to_stage"
    " WHERE t.company_id = :company_id AND t.motion IN ('opening', 'entry') GROUP BY 1, 2) l GROUP BY 3, 4"
)
_COUNT_REVENUE: Final = text(
    "INSERT INTO journey_rollups (company_id, kind, day, key, number, appointments, payments, is_unmerged)"
    f" SELECT :company_id, 'revenue', {local_day('occurred_at')}, stage, count(*),"
    " coalesce(sum(amount) FILTER (WHERE type = 'appointment_completed'), 0),"
    " coalesce(sum(amount) FILTER (WHERE type = 'payment_received'), 0)"
    "   - coalesce(sum(amount) FILTER (WHERE type = 'payment_refunded'), 0), false"
    " FROM journey_events WHERE company_id = :company_id AND amount <> 0"
    " AND type IN ('appointment_completed', 'payment_received', 'payment_refunded') GROUP BY 3, 4"
)
_COUNTED: Final = text("UPDATE companies SET rollup_version = :version WHERE id = :company_id")
_MOVES_BETWEEN: Final = text(
    "SELECT key, motion, sum(number) AS number, sum(micros) AS micros, sum(at_micros) AS at_micros"
    " FROM journey_rollups WHERE company_id = :company_id AND kind = 'flow'"
    " AND day >= CAST(:first AS date) AND day <= CAST(:last AS date)"
    " GROUP BY key, motion HAVING sum(number) <> 0"
)
_MOVES_EVER: Final = text(
    "SELECT key, motion, sum(number) AS number, sum(micros) AS micros, sum(at_micros) AS at_micros FROM ("
    " SELECT key, motion, number, micros, at_micros FROM journey_rollups"
    "   WHERE company_id = :company_id AND kind = 'moved'"
    " UNION ALL SELECT key, motion, number, micros, at_micros FROM journey_rollups"
    "   WHERE company_id = :company_id AND kind = 'flow' AND is_unmerged) m"
    " GROUP BY key, motion HAVING sum(number) <> 0"
)
_SINCE: Final = text(
    "SELECT key, sum(number) AS number FROM journey_rollups WHERE company_id = :company_id"
    " AND kind = CAST(:kind AS text) AND day >= CAST(:first AS date) GROUP BY key HAVING sum(number) <> 0"
)


@dataclass(frozen=True, slots=True)
class MoveTotals:
    """Moves of one kind between two stages (None: from nowhere).

    `micros` is how long the visits they ended had lasted in all, `at_micros` when the moves were (since 1970), both in
    microseconds.
    """

    from_stage: str | None
    to_stage: str
    motion: Motion
    number: int
    micros: int
    at_micros: int


@dataclass(frozen=True, slots=True)
class StageRevenue:
    """Revenue of a day credited to a stage, by either source."""

    day: date
    stage: str
    appointments: Decimal
    payments: Decimal


class Rollups:
    """The sums of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def get_last_occurrences(
        self, ids: Sequence[int], rollup: Rollup
    ) -> dict[int, dict[tuple[str, str], datetime]]:
        """When customers who are held were last where, by the id of the relationship, as a rollup asks it."""
        if not ids:
            return {}
        rows = await self._connection.execute(_LASTS, {**self._scope, "ids": list(ids)})
        found: dict[int, dict[tuple[str, str], datetime]] = {}
        for row in rows:
            last = found.setdefault(row.relationship_id, {})
            for did in rollup.occurrences_by(Motion(row.motion), row.from_stage, row.to_stage):
                last[did] = max(last.get(did, row.at), row.at)
        return found

    async def add(self, rollup: Rollup, *, late: date | None = None) -> None:
        """Write the differences that moves make, and from which day on that comes late, if it does."""
        rows = [
            (
                MOVES,
                flow.day,
                f"{flow.from_stage}>{flow.to_stage}",
                flow.motion.value,
                sums.moves,
                sums.micros,
                sums.at_micros,
            )
            for flow, sums in rollup.flows.items()
        ]
        rows += [
            (LAST_FLOW if last.kind == FLOW else REACH, last.day, last.key, "", number, 0, 0)
            for last, number in rollup.last_occurrences.items()
        ]
        await self._add([(*row, Decimal(0), Decimal(0)) for row in rows] + _mark(late))

    async def add_revenue(
        self, money: Iterable[tuple[StageRevenue, int]], *, late: date | None = None
    ) -> None:
        """Write revenue, each with the number of events that it is from; likewise."""
        rows = [
            (REVENUE, m.day, m.stage, "", number, 0, 0, m.appointments, m.payments) for m, number in money
        ]
        await self._add(rows + _mark(late))

    async def merge(self, *, most: int) -> int:
        """Add loose rows up with the others of their keys; returns how many there were. The company is held."""
        found = await self._connection.scalar(_TIGHTEN, {**self._scope, "most": most})
        return int(found or 0)

    async def rebuild(self, version: int, zone: str, reached_by: Mapping[str, Sequence[str]]) -> None:
        """Count everything anew from the ledgers, while nobody else of the company writes."""
        pairs = [(entered, key) for entered, keys in reached_by.items() for key in keys]
        told = {**self._scope, **offset_parameters(zone)}
        await self._connection.execute(_CLEAR, self._scope)
        for statement in (_COUNT_MOVES, _COUNT_LAST_FLOWS, _COUNT_REVENUE):
            await self._connection.execute(statement, told)
        await self._connection.execute(
            _COUNT_REACHED,
            {**told, "entered": [entered for entered, _ in pairs], "reached": [key for _, key in pairs]},
        )
        await self._connection.execute(_COUNT_TOTALS, self._scope)
        await self.set_version(version)

    async def set_version(self, version: int) -> None:
        """Note by which version of the map stages are counted as reached; 0: they are to be counted anew."""
        await self._connection.execute(_COUNTED, {**self._scope, "version": version})

    async def list_moves(self, first: date, last: date) -> list[MoveTotals]:
        """Moves within local days, both included."""
        rows = await self._connection.execute(_MOVES_BETWEEN, {**self._scope, "first": first, "last": last})
        return [_to_moves(row) for row in rows]

    async def list_all_moves(self) -> list[MoveTotals]:
        """All moves there have been."""
        rows = await self._connection.execute(_MOVES_EVER, self._scope)
        return [_to_moves(row) for row in rows]

    async def count_since(self, kind: str, first: date) -> dict[str, int]:
        """Customers who have reached stages (`reach`), or gone ways (`way`), since a day, by key."""
        rows = await self._connection.execute(_SINCE, {**self._scope, "kind": kind, "first": first})
        return {row.key: int(row.number) for row in rows}

    async def _add(self, rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            return
        names = ("kind", "day", "key", "motion", "number", "micros", "at_micros", "appointments", "payments")
        columns = zip(*rows, strict=True)
        await self._connection.execute(
            _ADD, {**self._scope, **{name: list(column) for name, column in zip(names, columns, strict=True)}}
        )

    @property
    def _scope(self) -> dict[str, Any]:
        return {"company_id": self._company_id}


def _mark(late: date | None) -> list[tuple[Any, ...]]:
    return [] if late is None else [(LATE, late, "", "", 1, 0, 0, Decimal(0), Decimal(0))]


def _to_moves(row: Row) -> MoveTotals:
    from_stage, to_stage = row.key.split(">")
    return MoveTotals(
        from_stage or None,
        to_stage,
        Motion(row.motion),
        int(row.number),
        int(row.micros),
        int(row.at_micros),
    )
