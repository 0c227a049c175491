"""Creates a company with a long ledger directly in the database: about ten moves per customer in three years."""

from datetime import datetime

import asyncpg

# Each customer moves up, moves to a risk stage, returns, and moves to a risk stage again, with days between.
PATH = (
    (None, "prospect", "opening"),
    ("prospect", "lead", "entry"),
    ("lead", "customer", "entry"),
    ("customer", "regular", "entry"),
    ("regular", "at_risk", "lapse"),
    ("at_risk", "regular", "return"),
    ("regular", "vip", "entry"),
    ("vip", "at_risk", "lapse"),
    ("at_risk", "vip", "return"),
    ("vip", "at_risk", "lapse"),
    ("at_risk", "churned", "lapse"),
    ("churned", "vip", "return"),
)


async def make_ledger(owner: asyncpg.Connection, company_id: int, customers: int, now: datetime) -> None:
    """Inserts customers and their moves, as the service would have stored them; a quarter has an incomplete history."""
    await owner.execute(
        "INSERT INTO customers (company_id, customer_id, name, email) SELECT $1::bigint, n, 'Customer ' || n,"
        " 'c' || n || '@example.com' FROM generate_series(1, $2::bigint) n",
        company_id,
        customers,
    )
    steps = ", ".join(
        f"({seq}, {_text(from_stage)}, {_text(to_stage)}, {_text(motion)})"
        for seq, (from_stage, to_stage, motion) in enumerate(PATH, 1)
    )
    await owner.execute(
        "CREATE TEMP TABLE moves AS SELECT * FROM (SELECT n AS customer_id, s.seq, s.from_stage, s.to_stage, s.motion,"  # noqa: S608  # names of this module only
        " $2::timestamptz - interval '1095 days' + (n * 7919) % 1085 * interval '1 day'"
        "   + (s.seq - 1) * (2 + n * 31 % 17) * interval '1 day'"
        "   + (hashint8(n * 100 + s.seq) & 2147483647) % 86400 * interval '1 second' AS at"
        f" FROM generate_series(1, $1::bigint) n CROSS JOIN (VALUES {steps}) AS s(seq, from_stage, to_stage, motion)"
        " WHERE n % 4 <> 0 OR s.seq <= 1 + n / 4 % 12) m WHERE at <= $2",
        customers,
        now,
    )
    await owner.execute(
        "INSERT INTO customer_relationships (company_id, customer_id, current_stage, stage_entered_at, version,"
        " total_appointments, appointments_value, lifetime_value, last_appointment_at, last_progress_stage,"
        " stages_held, risk_score, engagement_score, scored_at, created_at)"
        " SELECT DISTINCT ON (customer_id) $1::bigint, customer_id, to_stage, at, seq, seq::int, 50, 50, at,"
        "   'prospect', ARRAY['prospect'], ((customer_id * 13) % 101) / 100.0, 0.5, $2::timestamptz, at"
        " FROM moves ORDER BY customer_id, seq DESC",
        company_id,
        now,
    )
    await owner.execute(
        "INSERT INTO journey_transitions (company_id, relationship_id, seq, from_stage, to_stage, transitioned_at,"
        " recorded_at, trigger_type, map_version, cause_kind, cause_id, motion, since)"
        " SELECT $1::bigint, r.id, m.seq, m.from_stage, m.to_stage, m.at, m.at, 'automatic', 1, 'made', m.seq::text,"
        "   m.motion, lag(m.at) OVER (PARTITION BY m.customer_id ORDER BY m.seq)"
        " FROM moves m JOIN customer_relationships r ON r.company_id = $1 AND r.customer_id = m.customer_id",
        company_id,
    )
    await owner.execute("DROP TABLE moves")
    await owner.execute("VACUUM ANALYZE")


def _text(value: str | None) -> str:
    return "NULL" if value is None else f"'{value}'"
