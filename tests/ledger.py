"""Invariants of a company's journeys, checked by queries of the database."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.companies.policy import DEFAULT_POLICY
from journey_service.domain.events.event import Event
from journey_service.domain.journeys.facts import NO_FACTS, fold_facts
from journey_service.repositories.database import Database
from journey_service.repositories.journeys.relationship_rows import COLUMNS, to_stored_relationship
from journey_service.repositories.unit_of_work import UnitOfWork

BROKEN_CHAIN = """
SELECT relationship_id, seq, from_stage FROM (
  SELECT relationship_id, seq, from_stage, transitioned_at,
         lag(to_stage) OVER w AS came_from, lag(seq) OVER w AS before, lag(transitioned_at) OVER w AS earlier
  FROM journey_transitions WHERE company_id = :company WINDOW w AS (PARTITION BY relationship_id ORDER BY seq)
) AS moves
WHERE (before IS NULL AND (seq <> 1 OR from_stage IS NOT NULL))
   OR (before IS NOT NULL AND (seq <> before + 1 OR from_stage IS DISTINCT FROM came_from
                               OR transitioned_at < earlier))
"""
WRONG_HEAD = """
SELECT r.customer_id FROM customer_relationships r LEFT JOIN LATERAL (
  SELECT to_stage, seq, transitioned_at FROM journey_transitions t
  WHERE t.company_id = r.company_id AND t.relationship_id = r.id ORDER BY seq DESC LIMIT 1) t ON true
WHERE r.company_id = :company AND (r.version IS DISTINCT FROM t.seq OR r.current_stage IS DISTINCT FROM t.to_stage
                                   OR r.stage_entered_at IS DISTINCT FROM t.transitioned_at)
"""
EVENTS = """
SELECT source, event_id, relationship_id, type, occurred_at,
  CAST(amount * (SELECT currency_units FROM companies WHERE id = :company) AS bigint) AS cents, call_duration,
  booking_id, scheduled_for, reported_at, retracts_source, retracts_id, tie_break
FROM journey_events WHERE company_id = :company ORDER BY random()
"""


async def find_violations(database: Database, company_id: int) -> list[str]:
    """Returns violated invariants: broken chains, wrong heads, facts that are not the fold of the events."""

    async def unit(uow: UnitOfWork) -> list[str]:
        connection: AsyncConnection = uow._connection
        company = {"company": company_id, "company_id": company_id}
        violations = [f"broken chain: {row}" for row in await connection.execute(text(BROKEN_CHAIN), company)]
        violations += [f"wrong head: {row}" for row in await connection.execute(text(WRONG_HEAD), company)]
        events: dict[int, list[Event]] = {}
        for row in await connection.execute(text(EVENTS), company):
            event = Event(
                *(row.source, row.event_id, 0, row.type, row.occurred_at, row.cents, row.call_duration),
                booking_id=row.booking_id,
                scheduled_for=row.scheduled_for,
                reported_at=row.reported_at,
                retracts=row.retracts_id and (row.retracts_source, row.retracts_id),
                tie_break=row.tie_break,
            )
            events.setdefault(row.relationship_id, []).append(event)
        rows = await connection.execute(
            text(f"SELECT {COLUMNS} FROM customer_relationships r WHERE r.company_id = :company"), company
        )
        for row in rows:
            expected = fold_facts(events[row.id], DEFAULT_POLICY) if row.id in events else NO_FACTS
            actual = to_stored_relationship(row).relationship.facts
            if actual != expected:
                violations.append(f"facts of customer {row.customer_id}: {actual} is not {expected}")
        return violations

    return await database.run(company_id, unit, timeout_ms=60_000)


async def rows(database: Database, company_id: int, sql: str, **values: object) -> list[Any]:
    """Returns the rows of a query, as the company sees them."""

    async def unit(uow: UnitOfWork) -> list[Any]:
        return list(
            await uow._connection.execute(
                text(sql), {"company": company_id, "company_id": company_id, **values}
            )
        )

    return await database.run(company_id, unit, timeout_ms=60_000)


async def journeys(database: Database, company_id: int) -> dict[int, list[tuple[Any, ...]]]:
    """Returns the moves of every customer in order, as comparable values."""
    moves: dict[int, list[tuple[Any, ...]]] = {}
    for row in await rows(
        database,
        company_id,
        "SELECT r.customer_id, t.seq, t.from_stage, t.to_stage, t.transitioned_at, t.trigger_type,"
        " t.trigger_event FROM journey_transitions t JOIN customer_relationships r"
        " ON r.company_id = t.company_id AND r.id = t.relationship_id WHERE t.company_id = :company"
        " ORDER BY r.customer_id, t.seq",
    ):
        moves.setdefault(row[0], []).append(tuple(row[1:]))
    return moves
