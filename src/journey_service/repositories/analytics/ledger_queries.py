"""Metrics that the rollups cannot give: queries of the ledgers and of customers, and revenue from the rollups.

Ranges are local days of the company, both ends included.
"""

from collections.abc import Mapping
from datetime import date, datetime, tzinfo
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.analytics.date_ranges import DateRange
from journey_service.domain.analytics.funnels import CohortMembers
from journey_service.repositories.analytics.date_range_sql import (
    local_time,
    offset_parameters,
    range_parameters,
    within,
)
from journey_service.repositories.tables.columns import NOT_MERGED

COHORT: Final = (
    "SELECT o.relationship_id, coalesce(max(w.rank), -1) AS rank,"
    " CAST(:now AS timestamptz) < o.transitioned_at + make_interval(hours => 24 * CAST(:window AS int)) AS is_open"
    " FROM journey_transitions o LEFT JOIN (journey_transitions t"
    "   JOIN unnest(CAST(:entered AS text[]), CAST(:ranks AS int[])) AS w(entered, rank) ON w.entered = t.to_stage)"
    " ON t.company_id = o.company_id AND t.relationship_id = o.relationship_id AND t.motion IN ('opening', 'entry')"
    " AND t.transitioned_at < o.transitioned_at + make_interval(hours => 24 * CAST(:window AS int))"
    " WHERE o.company_id = :company_id AND o.motion = 'opening'"
    f" AND {within('o.transitioned_at')} GROUP BY o.relationship_id, o.transitioned_at"
)
APPOINTMENTS_BY_MONTH: Final = (
    "SELECT DISTINCT f.id AS relationship_id, f.cohort, CAST(extract(year FROM e.at) * 12 + extract(month FROM e.at)"
    " AS int) - 1 - f.cohort AS month FROM (SELECT id, CAST(extract(year FROM at) * 12 + extract(month FROM at) AS int)"
    f" - 1 AS cohort FROM (SELECT id, {local_time('first_appointment_at')} AS at"
    "   FROM customer_relationships r WHERE r.company_id = :company_id"
    f"   AND {within('r.first_appointment_at')}) a) f"
    f" CROSS JOIN LATERAL (SELECT {local_time('occurred_at')} AS at FROM counted_events"
    "   WHERE company_id = :company_id AND relationship_id = f.id AND type = 'appointment_completed') e"
)
_COUNT_BY_RANK: Final = text(
    "SELECT rank, count(*) AS number FROM (SELECT t.relationship_id, max(w.rank) AS rank FROM journey_transitions t"
    " JOIN unnest(CAST(:entered AS text[]), CAST(:ranks AS int[])) AS w(entered, rank) ON w.entered = t.to_stage"
    f" WHERE t.company_id = :company_id AND {within('t.transitioned_at')}"
    " AND t.motion IN ('opening', 'entry') GROUP BY t.relationship_id) h GROUP BY rank"
)
_COUNT_FLOWS: Final = text(
    "SELECT from_stage, to_stage, count(*) AS number FROM (SELECT DISTINCT relationship_id, from_stage, to_stage"
    f" FROM journey_transitions WHERE company_id = :company_id AND {within('transitioned_at')}"
    " AND from_stage IS NOT NULL) w GROUP BY from_stage, to_stage"
)
_COUNT_COHORT: Final = text(
    f"SELECT rank, is_open, count(*) AS number FROM ({COHORT}) c GROUP BY rank, is_open"
)
_COUNT_BY_RISK: Final = text(
    "SELECT CAST(coalesce(risk_score, 0) * 100 AS int) AS risk, count(*) AS number FROM customer_relationships"
    f" WHERE company_id = :company_id AND {NOT_MERGED} GROUP BY 1"
)
_COUNT_RETENTION: Final = text(
    f"SELECT cohort, month, count(*) AS number FROM ({APPOINTMENTS_BY_MONTH}) v GROUP BY cohort, month"
)
ACTION_OUTCOME: Final = (
    "CASE WHEN state = 'cancelled' AND reason = 'no_channel' THEN 'skipped' ELSE state END"
)
"""Outcome of an action in the automation report."""
_COUNT_ACTIONS: Final = text(
    f"SELECT name, {ACTION_OUTCOME} AS outcome, count(*) AS number FROM journey_actions"
    f" WHERE company_id = :company_id AND channel <> 'webhook' AND {within('planned_at')} GROUP BY 1, 2"
)
_FIRST_DAY: Final = text(
    "SELECT least((SELECT min(day) FROM journey_rollups WHERE company_id = :company_id AND kind = 'flow'),"
    " (SELECT min(day) FROM journey_rollups WHERE company_id = :company_id AND kind = 'revenue')) AS first"
)
_FIRST_APPOINTMENT: Final = text(
    "SELECT min(first_appointment_at) FROM customer_relationships WHERE company_id = :company_id"
)
_REVENUE_OF_DAYS: Final = text(
    "SELECT coalesce(sum(appointments), 0) AS appointments, coalesce(sum(payments), 0) AS payments"
    " FROM journey_rollups WHERE company_id = :company_id AND kind = 'revenue'"
    " AND day >= CAST(:first AS date) AND day <= CAST(:last AS date)"
)
_REVENUE_OF_ALL_TIME: Final = text(
    "SELECT coalesce(sum(appointments), 0) AS appointments, coalesce(sum(payments), 0) AS payments FROM ("
    " SELECT appointments, payments FROM journey_rollups WHERE company_id = :company_id AND kind = 'revenue_total'"
    " UNION ALL SELECT appointments, payments FROM journey_rollups"
    "   WHERE company_id = :company_id AND kind = 'revenue' AND is_unmerged) m"
)


class LedgerQueries:
    """The metric queries of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def get_first_day(self) -> date | None:
        """Returns the first local day with a move or with revenue, from journey_rollups; None without any."""
        first: date | None = await self._connection.scalar(_FIRST_DAY, {"company_id": self._company_id})
        return first

    async def get_first_appointment_at(self) -> datetime | None:
        """Returns the time of the first completed appointment of any customer; None without any."""
        first: datetime | None = await self._connection.scalar(
            _FIRST_APPOINTMENT, {"company_id": self._company_id}
        )
        return first

    async def get_revenue(self, days: DateRange | None = None) -> dict[str, Decimal]:
        """Returns the revenue by source from journey_rollups, of a range of days or, for None, of all days."""
        values = {"company_id": self._company_id}
        if days is None:
            row = (await self._connection.execute(_REVENUE_OF_ALL_TIME, values)).one()
        else:
            row = (await self._connection.execute(_REVENUE_OF_DAYS, {**values, **days._asdict()})).one()
        return {"appointments": row.appointments, "payments": row.payments}

    async def count_by_highest_rank(
        self, days: DateRange, zone: tzinfo, ranks: Mapping[str, int]
    ) -> dict[int, int]:
        """Counts customers by the highest rank of the stages that they entered within the range."""
        rows = await self._connection.execute(
            _COUNT_BY_RANK, {**self._parameters(days, zone), **_rank_parameters(ranks)}
        )
        return {row.rank: row.number for row in rows}

    async def count_cohort(
        self, days: DateRange, zone: tzinfo, ranks: Mapping[str, int], *, window_days: int, now: datetime
    ) -> list[CohortMembers]:
        """Counts customers whose journey opened within the range, by the highest rank reached within `window` days."""
        parameters = {
            **self._parameters(days, zone),
            **_rank_parameters(ranks),
            "window": window_days,
            "now": now,
        }
        rows = await self._connection.execute(_COUNT_COHORT, parameters)
        return [CohortMembers(row.rank, row.is_open, row.number) for row in rows]

    async def count_flows(self, days: DateRange, zone: tzinfo) -> dict[tuple[str, str], int]:
        """Counts distinct customers by from-stage and to-stage of their moves within the range."""
        rows = await self._connection.execute(_COUNT_FLOWS, self._parameters(days, zone))
        return {(row.from_stage, row.to_stage): row.number for row in rows}

    async def count_by_risk(self) -> dict[int, int]:
        """Counts customers by stored risk score in hundredths."""
        rows = await self._connection.execute(_COUNT_BY_RISK, {"company_id": self._company_id})
        return {row.risk: row.number for row in rows}

    async def count_retention(self, days: DateRange, zone: tzinfo) -> dict[tuple[int, int], int]:
        """Counts customers by (cohort, later month): they had an appointment that many months after their first one.

        The cohort is the month of the first appointment, as the number of months since the year 0.
        """
        # Later appointments may be at any time, so the time zone offsets of all days are needed.
        rows = await self._connection.execute(
            _COUNT_RETENTION, {**self._parameters(days, zone), **offset_parameters(zone)}
        )
        return {(row.cohort, row.month): row.number for row in rows}

    async def count_actions(self, days: DateRange, zone: tzinfo) -> dict[tuple[str, str], int]:
        """Counts actions planned within the range by name and state, without webhook deliveries.

        The state of those that were cancelled because their channel has no receiver is `skipped`.
        """
        rows = await self._connection.execute(_COUNT_ACTIONS, self._parameters(days, zone))
        return {(row.name, row.outcome): row.number for row in rows}

    def _parameters(self, days: DateRange, zone: tzinfo) -> dict[str, Any]:
        return {"company_id": self._company_id, **range_parameters(days, zone)}


def _rank_parameters(ranks: Mapping[str, int]) -> dict[str, Any]:
    return {"entered": list(ranks), "ranks": list(ranks.values())}
