"""Reconciliation queries: compute the same metric in two ways and list where the results differ.

Run them in one repeatable-read transaction. Each returns the number of differences and the first of them,
as values by name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, tzinfo
from typing import Any, Final

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.journeys.facts import MAX_KEPT_TIMES
from journey_service.repositories.analytics.date_range_sql import local_day, offset_parameters
from journey_service.repositories.analytics.duration_histograms import TENTHS

_SIZES: Final = text(
    "SELECT (SELECT count(*) FROM customer_relationships WHERE company_id = :company_id) AS customers,"
    " (SELECT count(*) FROM journey_transitions WHERE company_id = :company_id) AS transitions,"
    " (SELECT count(*) FROM journey_transitions WHERE company_id = :company_id AND from_stage IS NULL) AS openings,"
    " (SELECT coalesce(sum(total), 0) FROM journey_rollups WHERE company_id = :company_id AND kind = 'flow'"
    "   AND motion <> 'opening') AS flows"
)
_CHAINS: Final = """
WITH moves AS (
  SELECT relationship_id, seq, from_stage, to_stage, transitioned_at, lag(to_stage) OVER w AS came_from,
    lag(seq) OVER w AS before, lag(transitioned_at) OVER w AS earlier, lead(seq) OVER w AS later
  FROM journey_transitions WHERE company_id = :company_id WINDOW w AS (PARTITION BY relationship_id ORDER BY seq)),
problems AS (
  SELECT relationship_id AS id, seq, CASE
      WHEN before IS NULL THEN 'the first transition does not open the journey'
      WHEN seq <> before + 1 THEN 'the previous transition is missing'
      WHEN from_stage IS DISTINCT FROM came_from THEN 'leaves another stage than the previous transition entered'
      ELSE 'is dated before the previous transition' END AS problem
  FROM moves WHERE (before IS NULL AND (seq <> 1 OR from_stage IS NOT NULL))
    OR (before IS NOT NULL AND (seq <> before + 1 OR from_stage IS DISTINCT FROM came_from
      OR transitioned_at < earlier))
  UNION ALL
  SELECT r.id, coalesce(last.seq, 0), 'the customer is not in the stage of the last transition'
  FROM customer_relationships r LEFT JOIN moves last ON last.relationship_id = r.id AND last.later IS NULL
  WHERE r.company_id = :company_id AND (r.version, r.current_stage, r.stage_entered_at)
    IS DISTINCT FROM (last.seq, last.to_stage, last.transitioned_at))
SELECT r.customer_id, problems.seq, problems.problem FROM problems
LEFT JOIN customer_relationships r ON r.company_id = :company_id AND r.id = problems.id
"""
_STAGES: Final = """
SELECT stage, ledger, stored, open_visits FROM (
  SELECT stage, sum(ledger) AS ledger, sum(stored) AS stored, sum(visits) AS open_visits FROM (
    SELECT to_stage AS stage, 1 AS ledger, 0 AS stored, 0 AS visits FROM journey_transitions
      WHERE company_id = :company_id
    UNION ALL SELECT from_stage, -1, 0, 0 FROM journey_transitions
      WHERE company_id = :company_id AND from_stage IS NOT NULL
    UNION ALL SELECT current_stage, 0, 1, 0 FROM customer_relationships WHERE company_id = :company_id
    UNION ALL SELECT to_stage, 0, 0, 1 FROM (SELECT DISTINCT ON (relationship_id) to_stage FROM journey_transitions
      WHERE company_id = :company_id ORDER BY relationship_id, seq DESC) last) counts GROUP BY stage) sums
WHERE ledger <> stored OR stored <> open_visits
"""
# The transition that ends a visit stores when the visit began.
_VISITS: Final = """
SELECT r.customer_id, t.seq, t.since, before.transitioned_at AS began FROM journey_transitions t
JOIN customer_relationships r ON r.company_id = t.company_id AND r.id = t.relationship_id
LEFT JOIN journey_transitions before ON before.company_id = t.company_id
  AND before.relationship_id = t.relationship_id AND before.seq = t.seq - 1
WHERE t.company_id = :company_id AND t.since IS DISTINCT FROM before.transitioned_at
"""
_SUMS: Final = """
WITH sums AS (SELECT day, key, motion, sum(total) AS total, sum(duration_micros) AS duration_micros,
    sum(moved_at_micros_sum) AS moved_at_micros_sum
    FROM journey_rollups WHERE company_id = :company_id AND kind = '{kind}' GROUP BY day, key, motion),
  ledger AS ({ledger})
SELECT coalesce(l.day, s.day) AS day, coalesce(l.key, s.key) AS key, coalesce(l.motion, s.motion) AS motion,
  CAST(coalesce(l.total, 0) AS bigint) AS ledger, CAST(coalesce(s.total, 0) AS bigint) AS sums FROM ledger l
FULL JOIN sums s ON (s.day, s.key, s.motion) = (l.day, l.key, l.motion)
WHERE (coalesce(l.total, 0), coalesce(l.duration_micros, 0), coalesce(l.moved_at_micros_sum, 0))
  <> (coalesce(s.total, 0), coalesce(s.duration_micros, 0), coalesce(s.moved_at_micros_sum, 0))
"""
_FLOWS: Final = _SUMS.format(
    kind="flow",
    ledger=f"SELECT {local_day('transitioned_at')} AS day,"
    " coalesce(from_stage, '') || '>' || to_stage AS key, motion, count(*) AS total,"
    " coalesce(sum(extract(epoch FROM transitioned_at - since)) * 1000000, 0) AS duration_micros,"
    " sum(extract(epoch FROM transitioned_at)) * 1000000 AS moved_at_micros_sum"
    " FROM journey_transitions WHERE company_id = :company_id GROUP BY 1, 2, 3",
)
_LAST_OCCURRENCES: Final = (
    "SELECT "
    + local_day("at")
    + " AS day, key, '' AS motion, count(*) AS total, 0 AS duration_micros, 0 AS moved_at_micros_sum"
    " FROM ({last_occurrences}) last GROUP BY 1, 2"
)
_LAST_FLOWS: Final = _SUMS.format(
    kind="last_flow",
    ledger=_LAST_OCCURRENCES.format(
        last_occurrences="SELECT from_stage || '>' || to_stage AS key, max(transitioned_at) AS at"
        " FROM journey_transitions WHERE company_id = :company_id AND from_stage IS NOT NULL"
        " GROUP BY relationship_id, 1"
    ),
)
_REACHED: Final = _SUMS.format(
    kind="stage_reached",
    ledger=_LAST_OCCURRENCES.format(
        last_occurrences="SELECT w.key, max(transitioned_at) AS at FROM journey_transitions t"
        " JOIN unnest(CAST(:entered AS text[]), CAST(:reached AS text[])) AS w(entered, key)"
        " ON w.entered = t.to_stage WHERE t.company_id = :company_id AND t.motion IN ('opening', 'entry')"
        " GROUP BY t.relationship_id, 1"
    ),
)
# Compares the totals of all days with the sums of the merged rows of the single days.
_TOTALS: Final = """
WITH days AS (SELECT CASE kind WHEN 'flow' THEN 'moves' ELSE 'revenue' END AS kind, key, motion, sum(total) AS total,
    sum(duration_micros) AS duration_micros, sum(moved_at_micros_sum) AS moved_at_micros_sum,
    sum(appointments) AS appointments, sum(payments) AS payments
    FROM journey_rollups WHERE company_id = :company_id AND kind IN ('flow', 'revenue') AND NOT is_unmerged
    GROUP BY 1, 2, 3),
  totals AS (SELECT CASE kind WHEN 'flow_total' THEN 'moves' ELSE 'revenue' END AS kind, key, motion, total,
    duration_micros, moved_at_micros_sum, appointments, payments FROM journey_rollups
    WHERE company_id = :company_id AND kind IN ('flow_total', 'revenue_total'))
SELECT kind, key, motion, CAST(coalesce(d.total, 0) AS bigint) AS by_day,
  CAST(coalesce(t.total, 0) AS bigint) AS of_all_days
FROM days d FULL JOIN totals t USING (kind, key, motion)
WHERE (coalesce(d.total, 0), coalesce(d.duration_micros, 0), coalesce(d.moved_at_micros_sum, 0),
    coalesce(d.appointments, 0), coalesce(d.payments, 0))
  <> (coalesce(t.total, 0), coalesce(t.duration_micros, 0), coalesce(t.moved_at_micros_sum, 0),
    coalesce(t.appointments, 0), coalesce(t.payments, 0))
"""
# Compares the number of visits of every histogram, and the buckets of the last histogram of each stage.
_DURATIONS: Final = """
WITH visits AS (SELECT from_stage AS stage, {DAY} AS day, {TENTHS} AS tenths
    FROM journey_transitions WHERE company_id = :company_id AND from_stage IS NOT NULL),
  ended AS (SELECT stage, day, sum(count(*)) OVER (PARTITION BY stage ORDER BY day) AS number FROM visits
    WHERE day <= CAST(:until AS date) GROUP BY stage, day),
  known AS (SELECT stage_key AS stage, day, duration_tenths, cumulative_counts FROM stage_visit_durations
    WHERE company_id = :company_id AND day <= CAST(:until AS date)),
  last AS (SELECT DISTINCT ON (stage) stage, day, duration_tenths, cumulative_counts FROM known
    ORDER BY stage, day DESC),
  buckets AS (SELECT stage, day, b.tenths, b.number
    FROM last, unnest(duration_tenths, cumulative_counts) b(tenths, number)),
  counted AS (SELECT v.stage, last.day, v.tenths, count(*) AS number FROM visits v JOIN last ON last.stage = v.stage
    WHERE v.day <= last.day GROUP BY 1, 2, 3)
SELECT coalesce(k.stage, e.stage) AS stage, coalesce(k.day, e.day) AS day, NULL AS days,
    CAST(coalesce(k.number, 0) AS bigint) AS histogram, CAST(coalesce(e.number, 0) AS bigint) AS ledger
  FROM (SELECT stage, day, (SELECT sum(n) FROM unnest(cumulative_counts) n) AS number FROM known) k
  FULL JOIN ended e ON (e.stage, e.day) = (k.stage, k.day) WHERE k.number IS DISTINCT FROM e.number
UNION ALL SELECT coalesce(c.stage, l.stage), coalesce(c.day, l.day), coalesce(c.tenths, l.tenths) / 10.0,
    coalesce(c.number, 0), coalesce(l.number, 0)
  FROM buckets c FULL JOIN counted l ON (l.stage, l.tenths) = (c.stage, c.tenths)
  WHERE c.number IS DISTINCT FROM l.number
""".replace("{TENTHS}", TENTHS).replace("{DAY}", local_day("transitioned_at"))
_REVENUE: Final = """
WITH sums AS (SELECT day, key AS stage, sum(appointments) AS appointments, sum(payments) AS payments
    FROM journey_rollups WHERE company_id = :company_id AND kind = 'revenue' GROUP BY 1, 2),
  ledger AS (SELECT {DAY} AS day, stage,
    coalesce(sum(amount) FILTER (WHERE type = 'appointment_completed'), 0) AS appointments,
    coalesce(sum(amount) FILTER (WHERE type = 'payment_received'), 0)
      - coalesce(sum(amount) FILTER (WHERE type = 'payment_refunded'), 0) AS payments
    FROM counted_events WHERE company_id = :company_id GROUP BY 1, 2)
SELECT coalesce(l.day, s.day) AS day, coalesce(l.stage, s.stage) AS stage, coalesce(l.appointments, 0)
  AS appointments, coalesce(s.appointments, 0) AS summed_appointments, coalesce(l.payments, 0) AS payments,
  coalesce(s.payments, 0) AS summed_payments
FROM ledger l FULL JOIN sums s ON (s.day, s.stage) = (l.day, l.stage)
WHERE (coalesce(l.appointments, 0), coalesce(l.payments, 0)) <> (coalesce(s.appointments, 0), coalesce(s.payments, 0))
""".replace("{DAY}", local_day("occurred_at"))


def _newest(condition: str) -> str:
    """Returns SQL for the newest instants of the events that match a condition, ascending."""
    return (
        "ARRAY(SELECT t FROM unnest((array_agg(e.occurred_at ORDER BY e.occurred_at DESC)"
        f" FILTER (WHERE {condition}))[1:{MAX_KEPT_TIMES}]) t ORDER BY t)"
    )


def _precedence(event: str, rank: int) -> str:
    """Returns SQL for the key by which an event that books (0) or cancels (3) a booking counts."""
    return (
        f"(coalesce({event}.reported_at, {event}.occurred_at), {rank}, {event}.tie_break,"
        f' {event}.source COLLATE "C", {event}.event_id COLLATE "C")'
    )


# The newest time of each booking, unless it is completed or missed, or was cancelled later. Of its outcomes one counts.
_OPEN_BOOKINGS: Final = (
    "ARRAY(SELECT t FROM (SELECT t FROM (SELECT DISTINCT ON (b.booking_id) b.booking_id, b.scheduled_for AS t,"
    " EXISTS (SELECT 1 FROM counted_events o WHERE o.company_id = :company_id AND o.relationship_id = r.id"
    " AND o.booking_id = b.booking_id AND (o.type IN ('appointment_completed', 'appointment_missed')"
    f" OR (o.type = 'appointment_cancelled' AND {_precedence('o', 3)} > {_precedence('b', 0)}))) AS is_ended"
    " FROM counted_events b WHERE b.company_id = :company_id AND b.relationship_id = r.id"
    " AND b.type = 'appointment_booked' AND b.booking_id IS NOT NULL AND b.scheduled_for IS NOT NULL"
    f" ORDER BY b.booking_id, {_precedence('b', 0)} DESC) newest WHERE NOT is_ended"
    f" ORDER BY t DESC LIMIT {MAX_KEPT_TIMES}) kept ORDER BY t)"
)
_COMPLETED: Final = "e.type = 'appointment_completed'"
_MISSED: Final = "e.type = 'appointment_missed'"
_FOLDED: Final[Mapping[str, str]] = {
    "total_appointments": f"count(*) FILTER (WHERE {_COMPLETED})",
    "total_missed": f"count(*) FILTER (WHERE {_MISSED})",
    "appointments_value": f"coalesce(sum(e.amount) FILTER (WHERE {_COMPLETED}), 0)",
    "payments_value": "coalesce(sum(e.amount) FILTER (WHERE e.type = 'payment_received'), 0)",
    "refunds_value": "coalesce(sum(e.amount) FILTER (WHERE e.type = 'payment_refunded'), 0)",
    "first_appointment_at": f"min(e.occurred_at) FILTER (WHERE {_COMPLETED})",
    "last_appointment_at": f"max(e.occurred_at) FILTER (WHERE {_COMPLETED})",
    "last_event_at": "max(e.occurred_at)",
    "recent_completed": _newest(_COMPLETED),
    "recent_missed": _newest(_MISSED),
    "recent_tickets": _newest("e.type = 'ticket_opened'"),
    "recent_long_calls": _newest(
        "e.type = 'call_received' AND coalesce(e.call_duration, 0) > CAST(:long_call_seconds AS int)"
    ),
    "open_bookings": _OPEN_BOOKINGS,
}
"""The SQL that computes each stored fact from the customer's events."""

# While a policy change is being applied, long calls and lifetime values are not compared.
_FACTS: Final = """
SELECT customer_id, array_to_string(facts, ', ') AS facts FROM (
  SELECT r.customer_id, array_remove(ARRAY[{comparisons},
    CASE WHEN CAST(:is_settled AS boolean) AND r.lifetime_value IS DISTINCT FROM
      CASE WHEN CAST(:from_payments AS boolean) THEN r.payments_value - r.refunds_value ELSE r.appointments_value END
      THEN 'lifetime_value' END], NULL) AS facts
  FROM customer_relationships r CROSS JOIN LATERAL (SELECT {folds} FROM counted_events e
    WHERE e.company_id = :company_id AND e.relationship_id = r.id) folded
  WHERE r.company_id = :company_id) compared WHERE cardinality(facts) > 0
""".format(
    comparisons=", ".join(
        f"CASE WHEN r.{name} IS DISTINCT FROM folded.{name}"
        f"{' AND CAST(:is_settled AS boolean)' if name == 'recent_long_calls' else ''} THEN '{name}' END"
        for name in _FOLDED
    ),
    folds=", ".join(f"{fold} AS {name}" for name, fold in _FOLDED.items()),
)


def _with_count(sql: str, order: str, beyond: str = "") -> TextClause:
    """Returns a statement with the first rows of a query, each with the number of all rows."""
    return text(
        f"SELECT *, count(*) OVER () AS number FROM ({sql}) matches {beyond} ORDER BY {order} LIMIT :limit"
    )


_STATEMENTS: Final[Mapping[str, TextClause]] = {
    "chains": _with_count(_CHAINS, "customer_id, seq"),
    "stages": _with_count(_STAGES, "stage"),
    "visits": _with_count(_VISITS, "customer_id, seq"),
    "reached": _with_count(_REACHED, "day, key"),
    "flows": _with_count(_FLOWS, "day, key, motion"),
    "last_flows": _with_count(_LAST_FLOWS, "day, key"),
    "totals": _with_count(_TOTALS, "kind, key, motion"),
    "durations": _with_count(_DURATIONS, "day, stage, days"),
    "facts": _with_count(_FACTS, "customer_id", "WHERE customer_id > :after"),
    "revenue": _with_count(_REVENUE, "day, stage"),
}


@dataclass(frozen=True, slots=True)
class Mismatches:
    """The number of differences, and the first of them: the compared values by name."""

    number: int
    first: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class LedgerSizes:
    """The number of rows that are compared."""

    customers: int
    transitions: int
    openings: int
    flows: int


class ReconciliationQueries:
    """The reconciliation queries of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def get_sizes(self) -> LedgerSizes:
        """Returns the number of rows that are compared."""
        row = (await self._connection.execute(_SIZES, {"company_id": self._company_id})).one()
        return LedgerSizes(row.customers, row.transitions, row.openings, int(row.flows))

    async def check_chains(self, *, limit: int) -> Mismatches:
        """Lists transitions that do not follow each other, and customers who are not in the last stage."""
        return await self._run("chains", limit=limit)

    async def compare_stages(self, *, limit: int) -> Mismatches:
        """Lists stages whose number of customers differs by ledger, relationships and open visits."""
        return await self._run("stages", limit=limit)

    async def check_visits(self, *, limit: int) -> Mismatches:
        """Lists transitions whose visit begins at another instant than the transition before them."""
        return await self._run("visits", limit=limit)

    async def compare_reached(
        self, *, zone: tzinfo, reached_by: Mapping[str, Sequence[str]], limit: int
    ) -> Mismatches:
        """Lists days on which rollups and ledger differ in customers who last reached a stage."""
        pairs = [(entered, key) for entered, keys in reached_by.items() for key in keys]
        parameters = {"entered": [entered for entered, _ in pairs], "reached": [key for _, key in pairs]}
        return await self._run("reached", limit=limit, **offset_parameters(zone), **parameters)

    async def compare_flows(self, *, zone: tzinfo, limit: int) -> Mismatches:
        """Lists days on which the moves of rollups and ledger differ."""
        return await self._run("flows", limit=limit, **offset_parameters(zone))

    async def compare_last_flows(self, *, zone: tzinfo, limit: int) -> Mismatches:
        """Lists days on which rollups and ledger differ in customers who last took a flow."""
        return await self._run("last_flows", limit=limit, **offset_parameters(zone))

    async def compare_totals(self, *, limit: int) -> Mismatches:
        """Lists totals of all days that differ from the sum of the days."""
        return await self._run("totals", limit=limit)

    async def compare_durations(self, *, zone: tzinfo, until: date, limit: int) -> Mismatches:
        """Lists histograms of visit durations that differ from the ledger, until a day."""
        return await self._run("durations", limit=limit, **offset_parameters(zone), until=until)

    async def compare_facts(
        self,
        *,
        long_call_seconds: int,
        from_payments: bool,
        is_settled: bool,
        limit: int,
        after: int = -(2**63),
    ) -> Mismatches:
        """Lists customers whose stored facts differ from the facts computed from their events.

        With `is_settled` long calls and lifetime values are compared too; without it a policy change is pending.
        """
        return await self._run(
            "facts",
            limit=limit,
            after=after,
            long_call_seconds=long_call_seconds,
            from_payments=from_payments,
            is_settled=is_settled,
        )

    async def compare_revenue(self, *, zone: tzinfo, limit: int) -> Mismatches:
        """Lists days and stages whose revenue of rollups and events differ."""
        return await self._run("revenue", limit=limit, **offset_parameters(zone))

    async def _run(self, name: str, **parameters: object) -> Mismatches:
        rows = await self._connection.execute(
            _STATEMENTS[name], {"company_id": self._company_id, **parameters}
        )
        examples = [dict(row._mapping) for row in rows]
        return Mismatches(
            examples[0]["number"] if examples else 0,
            [{name: value for name, value in row.items() if name != "number"} for row in examples],
        )
