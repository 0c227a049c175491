"""A company full of customers, made by the database itself: a million in a minute."""

from datetime import datetime

import asyncpg


async def make_crowd(owner: asyncpg.Connection, company_id: int, customers: int, now: datetime) -> None:
    """Customers with one to six visits within the last year, as if the service had seen them all."""
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
        " trigger_type, map_version, cause_kind, cause_id) SELECT company_id, id, seq,"
        " CASE seq WHEN 2 THEN 'prospect' END, CASE seq WHEN 1 THEN 'prospect' ELSE 'customer' END, stage_entered_at,"
        " 'system', 1, 'made', seq::text FROM customer_relationships, generate_series(1, 2) seq",
    )
    await owner.execute("VACUUM ANALYZE")
