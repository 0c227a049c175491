"""What moves mean, sums kept with the writes, snapshots of days, and the guide's summary.

Revision ID: a7c2e94b16d5
Revises: 5b0f92d7c3ae
Create Date: 2026-11-26 13:20:00
"""

import sqlalchemy as sa
from alembic import op

revision = "a7c2e94b16d5"
down_revision = "5b0f92d7c3ae"
branch_labels = None
depends_on = None

COMPANY = "NULLIF(current_setting('app.company_id', true), '')::bigint"
TABLES = ("journey_rollups", "journey_stage_metrics", "stage_visit_durations")
# Every company's rows are read and written here, by the owner, who otherwise sees none.
LOCKED = ("journey_transitions", "stage_map_versions")
# By the map that each move was decided under; a stage that it does not know was archived in it.
BACKFILL = """
    WITH stages AS (
      SELECT v.company_id, v.version, s.value ->> 'key' AS key, s.value ->> 'kind' AS kind,
        CAST(s.value ->> 'order' AS int) AS place
      FROM stage_map_versions v, jsonb_array_elements(v.stages) s),
    visits AS (
      SELECT company_id, relationship_id, seq,
        lag(transitioned_at) OVER (PARTITION BY company_id, relationship_id ORDER BY seq) AS since
      FROM journey_transitions)
    UPDATE journey_transitions t SET since = v.since, motion = CASE
        WHEN t.from_stage IS NULL THEN 'opening'
        WHEN t.trigger_type = 'system' THEN 'remap'
        WHEN t_to.kind = 'risk' THEN 'lapse'
        WHEN t_from.kind IS DISTINCT FROM 'progress' THEN 'return'
        WHEN t_to.place > t_from.place THEN 'entry' ELSE 'down' END
    FROM visits v
      JOIN journey_transitions me ON (me.company_id, me.relationship_id, me.seq)
        = (v.company_id, v.relationship_id, v.seq)
      LEFT JOIN stages t_to ON (t_to.company_id, t_to.version, t_to.key)
        = (me.company_id, me.map_version, me.to_stage)
      LEFT JOIN stages t_from ON (t_from.company_id, t_from.version, t_from.key)
        = (me.company_id, me.map_version, me.from_stage)
    WHERE (t.company_id, t.relationship_id, t.seq) = (v.company_id, v.relationship_id, v.seq)
"""


def upgrade() -> None:
    op.create_table(
        "journey_rollups",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", sa.String(length=5), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("key", sa.String(length=101), nullable=False),
        sa.Column("motion", sa.String(length=7), server_default=sa.text("''"), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("micros", sa.Numeric(precision=30, scale=0), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "at_micros", sa.Numeric(precision=30, scale=0), server_default=sa.text("0"), nullable=False
        ),
        sa.Column(
            "appointments", sa.Numeric(precision=20, scale=2), server_default=sa.text("0"), nullable=False
        ),
        sa.Column("payments", sa.Numeric(precision=20, scale=2), server_default=sa.text("0"), nullable=False),
        sa.Column("is_unmerged", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.ForeignKeyConstraint(["company_id"], ["companies.id"], name=op.f("fk_journey_rollups_companies")),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_journey_rollups")),
    )
    op.create_index("idx_rollups", "journey_rollups", ["company_id", "kind", "day"], unique=False)
    op.create_index(
        "ix_unmerged_rollups",
        "journey_rollups",
        ["company_id", "id"],
        unique=False,
        postgresql_where=sa.text("is_unmerged"),
    )
    op.create_index(
        "unique_rollup",
        "journey_rollups",
        ["company_id", "kind", "day", "key", "motion"],
        unique=True,
        postgresql_where=sa.text("NOT is_unmerged"),
    )
    op.create_table(
        "journey_stage_metrics",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("stage_key", sa.String(length=50), nullable=False),
        sa.Column("metric_date", sa.Date(), nullable=False),
        sa.Column("customer_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("avg_time_in_stage", sa.Numeric(precision=10, scale=2), nullable=True),
        sa.Column("conversion_rate", sa.Numeric(precision=5, scale=2), nullable=True),
        sa.Column("revenue", sa.Numeric(precision=20, scale=2), server_default=sa.text("0"), nullable=False),
        sa.Column("revision", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column(
            "computed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["companies.id"], name=op.f("fk_journey_stage_metrics_companies")
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_journey_stage_metrics")),
        sa.UniqueConstraint("company_id", "stage_key", "metric_date", name="unique_company_stage_date"),
    )
    op.create_index("idx_company_date", "journey_stage_metrics", ["company_id", "metric_date"], unique=False)
    op.create_table(
        "stage_visit_durations",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("stage_key", sa.String(length=50), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("tenths", sa.ARRAY(sa.Integer()), nullable=False),
        sa.Column("numbers", sa.ARRAY(sa.BigInteger()), nullable=False),
        sa.CheckConstraint(
            "cardinality(tenths) = cardinality(numbers)", name=op.f("ck_stage_visit_durations_numbers")
        ),
        sa.ForeignKeyConstraint(["company_id"], ["companies.id"], name=op.f("fk_stage_visit_durations_companies")),
        sa.PrimaryKeyConstraint("company_id", "stage_key", "day", name=op.f("pk_stage_visit_durations")),
    )
    op.add_column(
        "companies", sa.Column("rollup_version", sa.Integer(), server_default=sa.text("0"), nullable=False)
    )
    op.add_column("journey_transitions", sa.Column("motion", sa.String(length=7), nullable=True))
    op.add_column("journey_transitions", sa.Column("since", sa.DateTime(timezone=True), nullable=True))
    op.execute("SET LOCAL statement_timeout = 0")
    for table in LOCKED:
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.execute(BACKFILL)
    for table in LOCKED:
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.alter_column("journey_transitions", "motion", nullable=False)
    op.create_check_constraint(
        op.f("ck_journey_transitions_motion"),
        "journey_transitions",
        "motion IN ('opening', 'entry', 'down', 'lapse', 'return', 'remap')",
    )
    op.create_check_constraint(
        op.f("ck_journey_transitions_since"), "journey_transitions", "(since IS NULL) = (seq = 1)"
    )
    op.create_index(
        "idx_transition_days",
        "journey_transitions",
        ["company_id", "transitioned_at"],
        unique=False,
        postgresql_include=["relationship_id", "from_stage", "to_stage", "motion", "since"],
    )
    # The list of those at risk is read in its order.
    op.drop_index("idx_risk", table_name="customer_relationships")
    op.create_index(
        "idx_risk",
        "customer_relationships",
        ["company_id", sa.text("risk_score DESC"), "customer_id"],
        unique=False,
    )
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant ON {table} USING (company_id = {COMPANY}) WITH CHECK (company_id = {COMPANY})"
        )
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO journey_app")
        op.execute(f"GRANT SELECT ON {table} TO journey_readonly")
    op.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO journey_app")
    op.execute("CREATE POLICY dispatcher ON journey_rollups FOR SELECT TO journey_dispatcher USING (true)")
    op.execute("GRANT SELECT (company_id, id, is_unmerged) ON journey_rollups TO journey_dispatcher")
    op.execute("GRANT SELECT (rollup_version) ON companies TO journey_dispatcher")
    # The guide's summary. It asks as whoever reads it, so that row-level security holds.
    op.execute(
        "CREATE VIEW journey_analytics_summary WITH (security_invoker = true) AS"
        " SELECT company_id, current_stage, count(*) AS customer_count, avg(lifetime_value) AS avg_ltv,"
        " avg(risk_score) AS avg_risk FROM customer_relationships GROUP BY company_id, current_stage"
    )
    op.execute("GRANT SELECT ON journey_analytics_summary TO journey_app, journey_readonly")


def downgrade() -> None:
    op.execute("DROP VIEW journey_analytics_summary")
    op.drop_index("idx_risk", table_name="customer_relationships")
    op.create_index("idx_risk", "customer_relationships", ["company_id", "risk_score"], unique=False)
    op.drop_index("idx_transition_days", table_name="journey_transitions")
    op.drop_constraint(op.f("ck_journey_transitions_since"), "journey_transitions")
    op.drop_constraint(op.f("ck_journey_transitions_motion"), "journey_transitions")
    op.drop_column("journey_transitions", "since")
    op.drop_column("journey_transitions", "motion")
    op.drop_column("companies", "rollup_version")
    op.drop_table("stage_visit_durations")
    op.drop_index("idx_company_date", table_name="journey_stage_metrics")
    op.drop_table("journey_stage_metrics")
    op.drop_index("unique_rollup", table_name="journey_rollups", postgresql_where=sa.text("NOT is_unmerged"))
    op.drop_index("ix_unmerged_rollups", table_name="journey_rollups", postgresql_where=sa.text("is_unmerged"))
    op.drop_index("idx_rollups", table_name="journey_rollups")
    op.drop_table("journey_rollups")
