"""Creates a company with many customers directly in the database: a million per minute."""

from datetime import datetime

import asyncpg


async def make_crowd(owner: asyncpg.Connection, company_id: int, customers: int, now: datetime) -> None:
    """Inserts customers with one to six visits within the last year, as the service would have stored them."""
    await owner.execute(
        "INSERT INTO customers (company_id, customer_id) SELECT $1::bigint, n FROM generate_series(1, $2::bigint) n",
        company_id,
        customers,
    )
    await owner.execute(
        "INSERT INTO customer_relationships (company_id, customer_id, current_stage, stage_entered_at, version,"
        " total_appointments, appointments_value, lifetime_value, first_appointment_at, last_appointment_at,"
        " last_event_at, recent_completed, last_progress_stage, stages_held, risk_score, engagement_score, scored_at,"
        " next_evaluation_at)"
        " SELECT $1::bigint, n, 'customer', v.times[1], 2, cardinality(v.times), 50, 50, v.times[1],"
        " v.times[cardinality(v.times)], v.times[cardinality(v.times)], v.times, 'customer',"
        " ARRAY['customer', 'prospect'], 0, 0.5, $3::timestamptz, $3::timestamptz + interval '10 years'"
        " FROM generate_series(1, $2::bigint) n, LATERAL (SELECT array_agg(t ORDER BY t) FROM (SELECT $3::timestamptz"
        " - ((n * 7 + k * 61) % 360) * interval '1 day' - (n % 1440) * interval '1 minute' AS t"
        " FROM generate_series(0, n % 6) k) x) v(times)",
        company_id,
        customers,
        now,
    )
    await owner.execute(
        "INSERT INTO journey_transitions (company_id, relationship_id, seq, from_stage, to_stage, transitioned_at,"
        " trigger_type, map_version, cause_kind, cause_id, motion, since) SELECT company_id, id, seq,"
        " CASE seq WHEN 2 THEN 'prospect' END, CASE seq WHEN 1 THEN 'prospect' ELSE 'customer' END, stage_entered_at,"
        " 'system', 1, 'made', seq::text, CASE seq WHEN 1 THEN 'opening' ELSE 'entry' END,"
        " CASE seq WHEN 2 THEN stage_entered_at END FROM customer_relationships, generate_series(1, 2) seq",
    )
    await owner.execute("VACUUM ANALYZE")


async def run_due(owner: asyncpg.Connection, company_id: int, now: datetime) -> None:
    """Moves every customer to the stage of the default rules at `now`, so that only new rules cause moves."""
    await owner.execute(
        "UPDATE customer_relationships SET current_stage = s.stage, last_progress_stage = s.progress,"
        " stages_held = ARRAY['prospect', s.progress], next_evaluation_at = s.next_at"
        " FROM (SELECT id, CASE WHEN last_appointment_at <= $2::timestamptz - interval '181 days' THEN 'churned'"
        " WHEN last_appointment_at <= $2::timestamptz - interval '91 days' THEN 'at_risk' ELSE progress END AS stage,"
        " progress, CASE WHEN last_appointment_at <= $2::timestamptz - interval '181 days' THEN NULL"
        " WHEN last_appointment_at <= $2::timestamptz - interval '91 days'"
        " THEN last_appointment_at + interval '181 days'"
        " ELSE last_appointment_at + interval '91 days' END AS next_at"
        " FROM (SELECT id, last_appointment_at, CASE WHEN total_appointments >= 3 THEN 'regular' ELSE 'customer' END"
        " AS progress FROM customer_relationships WHERE company_id = $1) r) s"
        " WHERE customer_relationships.company_id = $1 AND customer_relationships.id = s.id",
        company_id,
        now,
    )
    await owner.execute(
        "UPDATE journey_transitions t SET to_stage = r.current_stage FROM customer_relationships r"
        " WHERE t.company_id = $1 AND r.company_id = $1 AND r.id = t.relationship_id AND t.seq = 2",
        company_id,
    )
    await owner.execute("VACUUM ANALYZE")
