"""Work that takes its time: jobs, nightly runs, and what tells the worker which company is due.

Revision ID: 4e8a61c27f10
Revises: 7c1d0e5a9b42
Create Date: 2026-11-22 16:40:00
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "4e8a61c27f10"
down_revision = "7c1d0e5a9b42"
branch_labels = None
depends_on = None

COMPANY = "NULLIF(current_setting('app.company_id', true), '')::bigint"
TABLES = ("jobs", "scoring_runs")


def upgrade() -> None:
    # When the next nightly run is due, and as of when every stored score was last known to hold.
    op.add_column("companies", sa.Column("next_nightly_run_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("companies", sa.Column("scored_at", sa.DateTime(timezone=True), nullable=True))

    op.create_table(
        "jobs",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=8), nullable=False),
        sa.Column("parameters", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("cursor", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("counts", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("done", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("lease_token", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status IN ('queued', 'running', 'done', 'failed')", name=op.f("ck_jobs_status")),
        sa.ForeignKeyConstraint(["company_id"], ["companies.id"], name=op.f("fk_jobs_companies")),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_jobs")),
    )
    op.create_index(
        "ix_due_jobs",
        "jobs",
        ["created_at", "company_id", "id"],
        unique=False,
        postgresql_where=sa.text("status IN ('queued', 'running')"),
    )
    # Imports are long work too, and are asked for as jobs: their ids come from the same sequence.
    op.execute("SELECT setval('jobs_id_seq', last_value, is_called) FROM imports_id_seq")
    op.execute("ALTER TABLE imports ALTER COLUMN id DROP IDENTITY")

    op.create_table(
        "scoring_runs",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("local_date", sa.Date(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["company_id", "job_id"], ["jobs.company_id", "jobs.id"], name=op.f("fk_scoring_runs_jobs")
        ),
        sa.PrimaryKeyConstraint("company_id", "local_date", name=op.f("pk_scoring_runs")),
    )

    # Each company's due customers in the order they fall due: the sweep looks at every company apart, so that
    # neither a busy one nor one whose clock stands still keeps the others waiting.
    op.drop_index(
        "ix_due_relationships",
        table_name="customer_relationships",
        postgresql_where=sa.text("next_evaluation_at IS NOT NULL"),
    )
    op.create_index(
        "ix_due_relationships",
        "customer_relationships",
        ["company_id", "next_evaluation_at"],
        unique=False,
        postgresql_where=sa.text("next_evaluation_at IS NOT NULL"),
    )

    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant ON {table} USING (company_id = {COMPANY}) WITH CHECK (company_id = {COMPANY})"
        )
        op.execute(f"GRANT SELECT, INSERT, UPDATE ON {table} TO journey_app")
        op.execute(f"GRANT SELECT ON {table} TO journey_readonly")
    op.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO journey_app")
    op.execute("CREATE POLICY dispatcher ON jobs FOR SELECT TO journey_dispatcher USING (true)")
    op.execute(
        "GRANT SELECT (company_id, id, kind, status, created_at, lease_until, finished_at) ON jobs TO journey_dispatcher"
    )
    op.execute("GRANT SELECT (next_nightly_run_at, scored_at) ON companies TO journey_dispatcher")


def downgrade() -> None:
    op.execute("DROP POLICY dispatcher ON jobs")
    op.drop_index(
        "ix_due_relationships",
        table_name="customer_relationships",
        postgresql_where=sa.text("next_evaluation_at IS NOT NULL"),
    )
    op.create_index(
        "ix_due_relationships",
        "customer_relationships",
        ["next_evaluation_at", "company_id", "id"],
        unique=False,
        postgresql_where=sa.text("next_evaluation_at IS NOT NULL"),
    )
    op.drop_table("scoring_runs")
    op.drop_index(
        "ix_due_jobs",
        table_name="jobs",
        postgresql_where=sa.text("status IN ('queued', 'running')"),
    )
    op.execute("ALTER TABLE imports ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY")
    op.execute(
        "SELECT setval('imports_id_seq', j.last_value, j.is_called) FROM jobs_id_seq j"
    )
    op.drop_table("jobs")
    op.drop_column("companies", "scored_at")
    op.drop_column("companies", "next_nightly_run_at")
