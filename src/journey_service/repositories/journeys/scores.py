"""Stored scores, updated in batches: the SQL equivalent of `domain.journeys.scoring`.

Scoring one customer at a time would load every row for the few whose scores have changed. The expressions
below are the same integer arithmetic in hundredths, with halves rounded up; a property test compares them
with the domain.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.companies.policy import CompanyPolicy
from journey_service.repositories.tables.columns import CURRENCY_UNITS, NOT_MERGED


class ScorePage(NamedTuple):
    """A page of compared customers: how many, the last relationship id, and whose scores changed."""

    seen: int
    last_id: int | None
    changed: list[int]


_READ: Final = (
    "r.id, r.scored_at, r.engagement_score, r.risk_score, r.last_appointment_at, r.recent_completed,"
    " r.recent_missed, r.recent_long_calls, r.recent_tickets,"
    " CASE WHEN CAST(:from_payments AS boolean) THEN r.payments_value - r.refunds_value"
    f" ELSE r.appointments_value END * {CURRENCY_UNITS} AS lifetime_cents"
)

# {rows} are rows of _READ. The arrays ascend, so `width_bucket` counts the instants at or before a limit by binary
# search; t lies in the last n days when t > now - n days.
_SCORED: Final = """
SELECT rows.id,
  CASE WHEN is_new THEN CAST(:initial_engagement AS int) ELSE least(100, CAST(div(
    200 * ((CAST(:frequency AS numeric) * least(c_frequency, CAST(:frequency_target AS int))
        + CAST(:recency AS numeric) * CASE WHEN days IS NULL THEN 0
            ELSE greatest(0, CAST(:horizon AS int) - days) END
        + CAST(:monetary AS numeric) * greatest(0, least(lifetime_cents, CAST(:target_cents AS numeric))))
      * (good + bad + 2) + CAST(:quality AS numeric) * (good + 1))
    + CAST(:whole AS numeric) * 10000 * (good + bad + 2),
    CAST(:whole AS numeric) * 20000 * (good + bad + 2)) AS int)) END AS engagement,
  CASE WHEN is_new THEN CAST(:initial_risk AS int) ELSE least(100, (2 * (
      CASE WHEN days > CAST(:inactive_days AS int) THEN CAST(:inactive AS int) ELSE 0 END
    + CASE WHEN days > CAST(:very_inactive_days AS int) THEN CAST(:very_inactive AS int) ELSE 0 END
    + CASE WHEN c_before > 0 AND (c_recent - c_before) * CAST(:trend_whole AS bigint)
        < CAST(:trend_part AS bigint) * c_before THEN CAST(:trend AS int) ELSE 0 END
    + CASE WHEN m_missed > 0 AND m_missed * CAST(:missed_whole AS bigint)
        > CAST(:missed_part AS bigint) * (m_missed + c_missed) THEN CAST(:missed AS int) ELSE 0 END
    + CASE WHEN k_tickets > 0 THEN CAST(:tickets AS int) ELSE 0 END) + 100) / 200) END AS risk
FROM (SELECT r.id, r.lifetime_cents,
    CASE WHEN r.last_appointment_at IS NOT NULL
      THEN CAST(greatest(0, extract(day FROM CAST(:now AS timestamptz) - r.last_appointment_at)) AS int) END AS days,
    r.c - width_bucket(:frequency_from, r.recent_completed) AS c_frequency,
    r.c - width_bucket(:missed_from, r.recent_completed) AS c_missed,
    r.c - width_bucket(:trend_from, r.recent_completed) AS c_recent,
    width_bucket(:trend_from, r.recent_completed) - width_bucket(:trend_before, r.recent_completed) AS c_before,
    r.m - width_bucket(:missed_from, r.recent_missed) AS m_missed,
    r.k - width_bucket(:tickets_from, r.recent_tickets) AS k_tickets,
    r.c - width_bucket(:quality_from, r.recent_completed)
      + r.l - width_bucket(:quality_from, r.recent_long_calls) AS good,
    r.m - width_bucket(:quality_from, r.recent_missed)
      + r.k - width_bucket(:quality_from, r.recent_tickets) AS bad,
    r.c + r.m + r.l + r.k = 0 AS is_new
  FROM (SELECT *, cardinality(recent_completed) AS c, cardinality(recent_missed) AS m,
      cardinality(recent_long_calls) AS l, cardinality(recent_tickets) AS k FROM {rows} stored
    WHERE scored_at IS NULL OR scored_at < :now OFFSET 0) r OFFSET 0) rows
"""
_IS_CHANGED: Final = (
    "({a}.engagement, {a}.risk) IS DISTINCT FROM"
    " (CAST({b}.engagement_score * 100 AS int), CAST({b}.risk_score * 100 AS int))"
)

_PAGE: Final = text(
    f"WITH page AS MATERIALIZED (SELECT {_READ} FROM customer_relationships r"
    f" WHERE r.company_id = :company_id AND r.id > :after AND {NOT_MERGED} ORDER BY r.id LIMIT :limit)"
    " SELECT (SELECT count(*) FROM page) AS seen, (SELECT max(id) FROM page) AS last_id,"
    f" ARRAY(SELECT scored.id FROM ({_SCORED.format(rows='page')}) scored JOIN page ON page.id = scored.id"
    f" WHERE {_IS_CHANGED.format(a='scored', b='page')}) AS changed"
)
# In the order in which every transaction locks customers, which excludes deadlocks.
_LOCK: Final = text(
    "SELECT id FROM customer_relationships WHERE company_id = :company_id AND id = ANY(CAST(:ids AS bigint[]))"
    " ORDER BY customer_id FOR NO KEY UPDATE"
)
_LOCKED_ROWS: Final = (
    f"(SELECT {_READ} FROM customer_relationships r WHERE r.company_id = :company_id"
    f" AND r.id = ANY(CAST(:ids AS bigint[])) AND {NOT_MERGED})"
)
_UPDATE: Final = text(
    "UPDATE customer_relationships r SET engagement_score = scored.engagement / 100.0,"
    " risk_score = scored.risk / 100.0, scored_at = :now, updated_at = clock_timestamp()"
    f" FROM ({_SCORED.format(rows=_LOCKED_ROWS)}) scored WHERE r.company_id = :company_id"
    f" AND r.id = scored.id AND {_IS_CHANGED.format(a='scored', b='r')}"
)
_IDS: Final = text(
    "SELECT id FROM customer_relationships WHERE company_id = :company_id"
    " AND customer_id = ANY(CAST(:customer_ids AS bigint[]))"
)


class Scores:
    """The stored scores of one company's customers."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def compare_page(
        self, after: int, *, limit: int, as_of: datetime, policy: CompanyPolicy
    ) -> ScorePage:
        """Compares the next customers after the relationship id `after`, without locking them.

        `changed` are those whose stored scores were written before `as_of` and differ as of then.
        """
        row = (
            await self._connection.execute(
                _PAGE, {**self._parameters(policy, as_of), "after": after, "limit": limit}
            )
        ).one()
        return ScorePage(row.seen, row.last_id, list(row.changed))

    async def update(self, ids: Sequence[int], *, as_of: datetime, policy: CompanyPolicy) -> int:
        """Locks relationships and writes their scores as of `as_of`; returns how many changed.

        Scores written at or after `as_of` are kept: a later transaction wrote them.
        """
        if not ids:
            return 0
        await self._connection.execute(_LOCK, {"company_id": self._company_id, "ids": ids})
        updated = await self._connection.execute(_UPDATE, {**self._parameters(policy, as_of), "ids": ids})
        return updated.rowcount

    async def get_relationship_ids(self, customer_ids: Sequence[int]) -> list[int]:
        """Returns the relationship ids of customers."""
        relationship_ids = await self._connection.scalars(
            _IDS, {"company_id": self._company_id, "customer_ids": customer_ids}
        )
        return list(relationship_ids.all())

    def _parameters(self, policy: CompanyPolicy, now: datetime) -> dict[str, Any]:
        scoring = policy.scoring
        numbers = scoring.numbers
        target, horizon, cents = scoring.frequency_target, scoring.recency_horizon_days, policy.target_cents
        return {
            "company_id": self._company_id,
            "now": now,
            "from_payments": policy.revenue_source == "payments",
            "initial_engagement": numbers.initial_engagement,
            "initial_risk": numbers.initial_risk,
            "frequency": Decimal(numbers.frequency * horizon * cents),
            "recency": Decimal(numbers.recency * target * cents),
            "monetary": Decimal(numbers.monetary * target * horizon),
            "quality": Decimal(numbers.quality * target * horizon * cents),
            "whole": Decimal(target * horizon * cents),
            "frequency_target": target,
            "horizon": horizon,
            "target_cents": Decimal(cents),
            "inactive_days": scoring.inactive_days,
            "very_inactive_days": scoring.very_inactive_days,
            "inactive": numbers.inactive,
            "very_inactive": numbers.very_inactive,
            "trend": numbers.trend,
            "trend_part": numbers.trend_below[0],
            "trend_whole": numbers.trend_below[1],
            "missed": numbers.missed,
            "missed_part": numbers.missed_rate[0],
            "missed_whole": numbers.missed_rate[1],
            "tickets": numbers.tickets,
            "frequency_from": now - numbers.frequency_window,
            "quality_from": now - numbers.quality_window,
            "missed_from": now - numbers.missed_window,
            "trend_from": now - numbers.trend_window,
            "trend_before": now - 2 * numbers.trend_window,
            "tickets_from": now - numbers.tickets_window,
        }
