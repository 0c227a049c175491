"""The scores of the customer journey guide as it prints them: one customer at a time, with a query for each number."""

from datetime import datetime, timedelta
from typing import Final

import asyncpg

BATCH: Final = 100
"""Customers that the guide reads at once (`chunk(100)`)."""
_PAGE: Final = (
    "SELECT id, customer_id, lifetime_value, last_appointment_at FROM customer_relationships WHERE company_id = $1"
    " AND current_stage NOT IN ('churned', 'at_risk') AND id > $2 ORDER BY id LIMIT $3"
)
_COUNT: Final = (
    "SELECT count(*) FROM journey_events WHERE company_id = $1 AND relationship_id = $2 AND type = $3"
    " AND occurred_at > $4 AND occurred_at <= $5"
)
_LAST: Final = (
    "SELECT max(occurred_at) FROM journey_events WHERE company_id = $1 AND relationship_id = $2"
    " AND type = 'appointment_completed'"
)
_UPDATE: Final = (
    "UPDATE customer_relationships SET risk_score = $3, engagement_score = $4"
    " WHERE company_id = $1 AND id = $2"
)


class GuideScores:
    """`UpdateCustomerRiskScores` of the guide: its loop, its queries, and an UPDATE for each customer.

    The guide leaves open how some numbers are computed; each is one query over the events of the customer. Moves to the
    stage `at_risk` are left out.
    """

    def __init__(self, connection: asyncpg.Connection, company_id: int, now: datetime) -> None:
        self._connection = connection
        self._company_id = company_id
        self._now = now

    async def update(self, customers: int) -> int:
        """Updates the scores of the first customers; returns their number."""
        done, after = 0, 0
        while done < customers:
            rows = await self._connection.fetch(_PAGE, self._company_id, after, min(BATCH, customers - done))
            if not rows:
                break
            for row in rows:
                risk = await self._risk(row["id"])
                engagement = await self._engagement(row["id"], float(row["lifetime_value"]))
                await self._connection.execute(_UPDATE, self._company_id, row["id"], risk, engagement)
            done, after = done + len(rows), rows[-1]["id"]
        return done

    async def _risk(self, relationship_id: int) -> float:
        days = await self._days_inactive(relationship_id)
        missed = await self._count(relationship_id, "appointment_missed", 90)
        completed = await self._count(relationship_id, "appointment_completed", 90)
        recent = await self._count(relationship_id, "appointment_completed", 60)
        before = await self._count(relationship_id, "appointment_completed", 120) - recent
        await self._count(relationship_id, "ticket_opened", 90)  # read by the guide, and not used
        risk = 0.3 * (days > 60) + 0.3 * (days > 90)  # noqa: PLR2004  # the guide's numbers
        if missed and missed / (missed + completed) > 0.2:  # noqa: PLR2004  # the guide's number
            risk += 0.2
        if before and (recent - before) / before < -0.3:  # noqa: PLR2004  # the guide's number
            risk += 0.2
        return round(min(1.0, risk), 2)

    async def _engagement(self, relationship_id: int, lifetime_value: float) -> float:
        visits = await self._count(relationship_id, "appointment_completed", 180)
        days = await self._days_inactive(relationship_id)
        calls = await self._count(relationship_id, "call_received", 180)
        return round(
            0.3 * min(1.0, visits / 6)
            + 0.3 * max(0.0, 1 - days / 180)
            + 0.2 * min(1.0, lifetime_value / 1_000)
            + 0.2 * min(1.0, calls / 3),
            2,
        )

    async def _days_inactive(self, relationship_id: int) -> int:
        last = await self._connection.fetchval(_LAST, self._company_id, relationship_id)
        return 0 if last is None else (self._now - last).days

    async def _count(self, relationship_id: int, event_type: str, days: int) -> int:
        since = self._now - timedelta(days=days)
        found: int = await self._connection.fetchval(
            _COUNT, self._company_id, relationship_id, event_type, since, self._now
        )
        return found


async def insert_visits(connection: asyncpg.Connection, company_id: int, customers: int) -> None:
    """Inserts the visits of the first customers as events, which the guide's queries count."""
    await connection.execute(
        "INSERT INTO journey_events (company_id, source, event_id, relationship_id, type, occurred_at, content_hash,"
        " stage) SELECT company_id, 'bench', id || '-' || number, id, 'appointment_completed', at, '', current_stage"
        " FROM (SELECT * FROM customer_relationships WHERE company_id = $1 ORDER BY id LIMIT $2) r,"
        " unnest(recent_completed) WITH ORDINALITY v(at, number)",
        company_id,
        customers,
    )
    await connection.execute("VACUUM ANALYZE journey_events")
