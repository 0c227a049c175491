"""Tables: every table of the service with its keys, checks, and indexes.

Revision ID: af23e0cb206b
Revises: none
Create Date: 2026-11-29 10:15:00
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "af23e0cb206b"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "companies",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("clock_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivers_messages", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("next_nightly_run_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("scored_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("map_version", sa.Integer(), nullable=False),
        sa.Column("migrated_version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("policy", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "stage_actions",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column("rollup_version", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_companies")),
    )
    op.create_table(
        "api_keys",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("role", sa.String(length=8), server_default=sa.text("'service'"), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rotated_from", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["company_id"], ["companies.id"], name=op.f("fk_api_keys_companies")),
        sa.PrimaryKeyConstraint("company_id", "key_id", name=op.f("pk_api_keys")),
    )
    op.create_index(
        "ix_live_api_keys",
        "api_keys",
        ["key_id"],
        unique=False,
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
    op.create_table(
        "audit_log",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("is_operator", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=True),
        sa.Column("target", sa.String(length=255), nullable=True),
        sa.Column("reason", sa.String(length=255), nullable=True),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.Column("address", sa.String(length=45), nullable=True),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("before_hash", sa.LargeBinary(), nullable=True),
        sa.Column("after_hash", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["company_id"], ["companies.id"], name=op.f("fk_audit_log_companies")),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_audit_log")),
    )
    op.create_index("idx_audited_at", "audit_log", ["company_id", "at"], unique=False)
    op.create_index(
        "idx_sign_ins",
        "audit_log",
        ["company_id", "at", "actor"],
        unique=False,
        postgresql_where=sa.text("action = 'session.create'"),
    )
    op.create_index(
        "idx_audited_customers",
        "audit_log",
        ["company_id", "customer_id", "id"],
        unique=False,
        postgresql_where=sa.text("customer_id IS NOT NULL"),
    )
    op.create_table(
        "customer_journey_stages",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("stage_key", sa.String(length=50), nullable=False),
        sa.Column("stage_name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("order_index", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("color", sa.String(length=7), nullable=True),
        sa.Column("icon", sa.String(length=50), nullable=True),
        sa.Column("auto_transition_rules", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("retention_days", sa.Integer(), nullable=True),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("kind IN ('progress', 'risk')", name=op.f("ck_customer_journey_stages_kind")),
        sa.ForeignKeyConstraint(
            ["company_id"], ["companies.id"], name=op.f("fk_customer_journey_stages_companies")
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_customer_journey_stages")),
        sa.UniqueConstraint("company_id", "stage_key", name="unique_company_stage"),
    )
    op.create_index(
        "idx_company_order", "customer_journey_stages", ["company_id", "order_index"], unique=False
    )
    op.create_table(
        "customers",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("customer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("language", sa.String(length=16), nullable=True),
        sa.Column(
            "consents",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("anonymized_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "customer_id BETWEEN -9007199254740991 AND 9007199254740991",
            name=op.f("ck_customers_customer_id"),
        ),
        sa.ForeignKeyConstraint(["company_id"], ["companies.id"], name=op.f("fk_customers_companies")),
        sa.PrimaryKeyConstraint("company_id", "customer_id", name=op.f("pk_customers")),
    )
    op.create_table(
        "erasure_tombstones",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("customer_hmac", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.LargeBinary(), nullable=False),
        sa.Column(
            "erased_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["companies.id"], name=op.f("fk_erasure_tombstones_companies")
        ),
        sa.PrimaryKeyConstraint("company_id", "customer_hmac", name=op.f("pk_erasure_tombstones")),
    )
    op.create_index("idx_tombstone_keys", "erasure_tombstones", ["company_id", "key_id"], unique=False)
    op.create_table(
        "imports",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=True),
        sa.Column("status", sa.String(length=8), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("runs_actions", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("lines", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("staged", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("done", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("applied", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("duplicates", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("late", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("later", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("erased", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("transitions", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("failed_lines", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("cursor", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("lease_token", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('reading', 'queued', 'running', 'done', 'failed')", name=op.f("ck_imports_status")
        ),
        sa.ForeignKeyConstraint(["company_id"], ["companies.id"], name=op.f("fk_imports_companies")),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_imports")),
    )
    op.create_index(
        "ix_due_imports",
        "imports",
        ["created_at", "company_id", "id"],
        unique=False,
        postgresql_where=sa.text("status IN ('queued', 'running')"),
    )
    op.create_table(
        "jobs",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=8), nullable=False),
        sa.Column("parameters", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("cursor", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column(
            "counts", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False
        ),
        sa.Column("done", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("request_key", sa.String(length=255), nullable=True),
        sa.Column("request_hash", sa.LargeBinary(), nullable=True),
        sa.Column("lease_token", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
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
    op.create_index(
        "unique_job_request",
        "jobs",
        ["company_id", "kind", "request_key"],
        unique=True,
        postgresql_where=sa.text("request_key IS NOT NULL"),
    )
    op.create_table(
        "journey_rollups",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", sa.String(length=13), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("key", sa.String(length=101), nullable=False),
        sa.Column("motion", sa.String(length=7), server_default=sa.text("''"), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("duration_micros", sa.Numeric(precision=30, scale=0), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "moved_at_micros_sum", sa.Numeric(precision=30, scale=0), server_default=sa.text("0"), nullable=False
        ),
        sa.Column(
            "appointments", sa.Numeric(precision=21, scale=3), server_default=sa.text("0"), nullable=False
        ),
        sa.Column("payments", sa.Numeric(precision=21, scale=3), server_default=sa.text("0"), nullable=False),
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
        sa.Column("ended_visits", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("avg_time_in_stage", sa.Numeric(precision=10, scale=2), nullable=True),
        sa.Column("conversion_rate", sa.Numeric(precision=5, scale=2), nullable=True),
        sa.Column("revenue", sa.Numeric(precision=21, scale=3), server_default=sa.text("0"), nullable=False),
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
        "message_templates",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("key", sa.String(length=50), nullable=False),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.Column("language", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("html", sa.Text(), nullable=True),
        sa.Column("author", sa.String(length=255), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["companies.id"], name=op.f("fk_message_templates_companies")
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_message_templates")),
        sa.UniqueConstraint("company_id", "key", "language", name="unique_template"),
    )
    op.create_table(
        "sign_in_links",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("role", sa.String(length=8), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["company_id"], ["companies.id"], name=op.f("fk_sign_in_links_companies")),
        sa.PrimaryKeyConstraint("company_id", "token_hash", name=op.f("pk_sign_in_links")),
    )
    op.create_table(
        "stage_map_versions",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("stages", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("author", sa.String(length=255), nullable=False),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "activation", sa.String(length=20), server_default=sa.text("'future_only'"), nullable=False
        ),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column(
            "findings",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'"),
            nullable=False,
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "activation IN ('future_only', 'current_silent', 'current_with_actions')",
            name=op.f("ck_stage_map_versions_activation"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["companies.id"], name=op.f("fk_stage_map_versions_companies")
        ),
        sa.PrimaryKeyConstraint("company_id", "version", name=op.f("pk_stage_map_versions")),
    )
    op.create_table(
        "stage_visit_durations",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("stage_key", sa.String(length=50), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("duration_tenths", sa.ARRAY(sa.Integer()), nullable=False),
        sa.Column("cumulative_counts", sa.ARRAY(sa.BigInteger()), nullable=False),
        sa.CheckConstraint(
            "cardinality(duration_tenths) = cardinality(cumulative_counts)",
            name=op.f("ck_stage_visit_durations_counts"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["companies.id"], name=op.f("fk_stage_visit_durations_companies")
        ),
        sa.PrimaryKeyConstraint("company_id", "stage_key", "day", name=op.f("pk_stage_visit_durations")),
    )
    op.create_table(
        "webhook_endpoints",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("events", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("previous_secret", sa.LargeBinary(), nullable=True),
        sa.Column("previous_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("is_enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("disabled_reason", sa.String(length=20), nullable=True),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["companies.id"], name=op.f("fk_webhook_endpoints_companies")
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_webhook_endpoints")),
    )
    op.create_table(
        "browser_sessions",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("role", sa.String(length=8), nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("key_id", sa.String(length=64), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "last_used_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["company_id", "key_id"],
            ["api_keys.company_id", "api_keys.key_id"],
            name=op.f("fk_browser_sessions_api_keys"),
        ),
        sa.ForeignKeyConstraint(["company_id"], ["companies.id"], name=op.f("fk_browser_sessions_companies")),
        sa.PrimaryKeyConstraint("company_id", "token_hash", name=op.f("pk_browser_sessions")),
    )
    op.create_table(
        "consent_changes",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.String(length=8), nullable=False),
        sa.Column("previous_status", sa.String(length=9), nullable=False),
        sa.Column("status", sa.String(length=9), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.String(length=255), nullable=False),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "status IN ('granted', 'withdrawn', 'unknown')", name=op.f("ck_consent_changes_status")
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "customer_id"],
            ["customers.company_id", "customers.customer_id"],
            name=op.f("fk_consent_changes_customers"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_consent_changes")),
    )
    op.create_index(
        "idx_customer_consents", "consent_changes", ["company_id", "customer_id", "id"], unique=False
    )
    op.create_table(
        "customer_relationships",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("current_stage", sa.String(length=50), nullable=False),
        sa.Column("stage_entered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("previous_stage", sa.String(length=50), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "lifetime_value", sa.Numeric(precision=15, scale=3), server_default=sa.text("0"), nullable=False
        ),
        sa.Column("total_appointments", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("total_missed", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("first_appointment_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_appointment_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_event_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "appointments_value",
            sa.Numeric(precision=15, scale=3),
            server_default=sa.text("0"),
            nullable=False,
        ),
        sa.Column(
            "payments_value", sa.Numeric(precision=15, scale=3), server_default=sa.text("0"), nullable=False
        ),
        sa.Column(
            "refunds_value", sa.Numeric(precision=15, scale=3), server_default=sa.text("0"), nullable=False
        ),
        sa.Column(
            "recent_completed",
            sa.ARRAY(sa.DateTime(timezone=True)),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column(
            "recent_missed",
            sa.ARRAY(sa.DateTime(timezone=True)),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column(
            "recent_long_calls",
            sa.ARRAY(sa.DateTime(timezone=True)),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column(
            "recent_tickets",
            sa.ARRAY(sa.DateTime(timezone=True)),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column("last_progress_stage", sa.String(length=50), nullable=True),
        sa.Column("stages_held", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("pin_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("pin_state", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("risk_score", sa.Numeric(precision=3, scale=2), nullable=True),
        sa.Column("engagement_score", sa.Numeric(precision=3, scale=2), nullable=True),
        sa.Column("scored_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_evaluation_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("map_version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("owner", sa.String(length=255), nullable=True),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("version >= 1", name=op.f("ck_customer_relationships_version")),
        sa.ForeignKeyConstraint(
            ["company_id", "customer_id"],
            ["customers.company_id", "customers.customer_id"],
            name=op.f("fk_customer_relationships_customers"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_customer_relationships")),
        sa.UniqueConstraint("company_id", "customer_id", name="unique_company_customer"),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index(
        "idx_risk",
        "customer_relationships",
        ["company_id", sa.literal_column("risk_score DESC"), "customer_id"],
        unique=False,
    )
    op.create_index(
        "idx_owners",
        "customer_relationships",
        ["company_id", "owner"],
        unique=False,
        postgresql_where=sa.text("owner IS NOT NULL"),
    )
    op.create_index("idx_stage", "customer_relationships", ["company_id", "current_stage"], unique=False)
    op.create_index(
        "idx_stage_risk",
        "customer_relationships",
        ["company_id", "current_stage", "risk_score"],
        unique=False,
    )
    op.create_index(
        "ix_due_relationships",
        "customer_relationships",
        ["company_id", "next_evaluation_at"],
        unique=False,
        postgresql_where=sa.text("next_evaluation_at IS NOT NULL"),
    )
    op.create_table(
        "import_errors",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("import_id", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("pointer", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["company_id", "import_id"],
            ["imports.company_id", "imports.id"],
            name=op.f("fk_import_errors_imports"),
        ),
        sa.PrimaryKeyConstraint("company_id", "import_id", "line", "pointer", name=op.f("pk_import_errors")),
    )
    op.create_table(
        "import_lines",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("import_id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("source", sa.String(length=255), nullable=True),
        sa.Column("event_id", sa.String(length=255), nullable=True),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("call_duration", sa.Integer(), nullable=True),
        sa.Column("booking_id", sa.String(length=255), nullable=True),
        sa.Column("scheduled_for", sa.DateTime(timezone=True), nullable=True),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.ForeignKeyConstraint(
            ["company_id", "import_id"],
            ["imports.company_id", "imports.id"],
            name=op.f("fk_import_lines_imports"),
        ),
        sa.PrimaryKeyConstraint(
            "company_id", "import_id", "customer_id", "occurred_at", "line", name=op.f("pk_import_lines")
        ),
    )
    op.create_table(
        "nightly_runs",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("local_date", sa.Date(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "job_id"], ["jobs.company_id", "jobs.id"], name=op.f("fk_nightly_runs_jobs")
        ),
        sa.PrimaryKeyConstraint("company_id", "local_date", name=op.f("pk_nightly_runs")),
    )
    op.create_table(
        "journey_events",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("source", sa.String(length=255), nullable=False),
        sa.Column("event_id", sa.String(length=255), nullable=False),
        sa.Column("relationship_id", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=15, scale=3), server_default=sa.text("0"), nullable=False),
        sa.Column("call_duration", sa.Integer(), nullable=True),
        sa.Column("booking_id", sa.String(length=255), nullable=True),
        sa.Column("scheduled_for", sa.DateTime(timezone=True), nullable=True),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("stage", sa.String(length=50), nullable=False),
        sa.Column("transition_seq", sa.BigInteger(), nullable=True),
        sa.Column("is_late", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.ForeignKeyConstraint(
            ["company_id", "relationship_id"],
            ["customer_relationships.company_id", "customer_relationships.id"],
            name=op.f("fk_journey_events_customer_relationships"),
        ),
        sa.PrimaryKeyConstraint("company_id", "source", "event_id", name=op.f("pk_journey_events")),
    )
    op.create_index(
        "idx_relationship_events",
        "journey_events",
        ["company_id", "relationship_id", "occurred_at"],
        unique=False,
    )
    op.create_index(
        "ix_kept_event_details",
        "journey_events",
        ["company_id", "occurred_at"],
        unique=False,
        postgresql_where=sa.text("metadata IS NOT NULL"),
    )
    op.create_table(
        "journey_transitions",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("relationship_id", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("from_stage", sa.String(length=50), nullable=True),
        sa.Column("to_stage", sa.String(length=50), nullable=False),
        sa.Column("transitioned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("trigger_type", sa.String(length=9), nullable=False),
        sa.Column("trigger_event", sa.String(length=255), nullable=True),
        sa.Column("performed_by", sa.BigInteger(), nullable=True),
        sa.Column("actor", sa.String(length=255), nullable=True),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("reasons", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("request", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("map_version", sa.Integer(), nullable=False),
        sa.Column("is_silent", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("cause_kind", sa.String(length=16), nullable=False),
        sa.Column("cause_id", sa.Text(), nullable=False),
        sa.Column("motion", sa.String(length=7), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "motion IN ('opening', 'entry', 'down', 'lapse', 'return', 'remap')",
            name=op.f("ck_journey_transitions_motion"),
        ),
        sa.CheckConstraint(
            "trigger_type IN ('manual', 'automatic', 'system')",
            name=op.f("ck_journey_transitions_trigger_type"),
        ),
        sa.CheckConstraint("(from_stage IS NULL) = (seq = 1)", name=op.f("ck_journey_transitions_opening")),
        sa.CheckConstraint("(since IS NULL) = (seq = 1)", name=op.f("ck_journey_transitions_since")),
        sa.CheckConstraint("from_stage IS DISTINCT FROM to_stage", name=op.f("ck_journey_transitions_moves")),
        sa.ForeignKeyConstraint(
            ["company_id", "relationship_id"],
            ["customer_relationships.company_id", "customer_relationships.id"],
            name=op.f("fk_journey_transitions_customer_relationships"),
        ),
        sa.PrimaryKeyConstraint("company_id", "relationship_id", "seq", name=op.f("pk_journey_transitions")),
        sa.UniqueConstraint(
            "company_id", "relationship_id", "cause_kind", "cause_id", name="unique_transition_cause"
        ),
    )
    op.create_index(
        "idx_customer_time",
        "journey_transitions",
        ["company_id", "relationship_id", sa.literal_column("transitioned_at DESC")],
        unique=False,
    )
    op.create_index(
        "idx_transition_days",
        "journey_transitions",
        ["company_id", "transitioned_at"],
        unique=False,
        postgresql_include=["relationship_id", "from_stage", "to_stage", "motion", "since"],
    )
    op.create_table(
        "outbound_events",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("relationship_id", sa.BigInteger(), nullable=True),
        sa.Column("type", sa.String(length=20), nullable=False),
        sa.Column("transition_seq", sa.BigInteger(), nullable=True),
        sa.Column("task_id", sa.BigInteger(), nullable=True),
        sa.Column("campaign_id", sa.BigInteger(), nullable=True),
        sa.Column("action_id", sa.UUID(as_uuid=False), nullable=True),
        sa.Column("job_id", sa.BigInteger(), nullable=True),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "num_nonnulls(relationship_id, job_id) = 1", name=op.f("ck_outbound_events_subject")
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "relationship_id"],
            ["customer_relationships.company_id", "customer_relationships.id"],
            name=op.f("fk_outbound_events_customer_relationships"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_outbound_events")),
    )
    op.create_index(
        "idx_customer_outbound_events", "outbound_events", ["company_id", "relationship_id"], unique=False
    )
    op.create_index(
        "ix_unpublished_outbound_events",
        "outbound_events",
        ["company_id", "id"],
        unique=False,
        postgresql_where=sa.text("position IS NULL"),
    )
    op.create_index(
        "unique_outbound_event_position",
        "outbound_events",
        ["company_id", "position"],
        unique=True,
        postgresql_where=sa.text("position IS NOT NULL"),
    )
    op.create_table(
        "retention_campaigns",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("relationship_id", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.String(length=50), nullable=False),
        sa.Column("transition_seq", sa.BigInteger(), nullable=False),
        sa.Column("scheduled_actions", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("end_reason", sa.String(length=20), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "(ended_at IS NULL) = (end_reason IS NULL)", name=op.f("ck_retention_campaigns_ended")
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "relationship_id"],
            ["customer_relationships.company_id", "customer_relationships.id"],
            name=op.f("fk_retention_campaigns_customer_relationships"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_retention_campaigns")),
    )
    op.create_index(
        "idx_customer_campaigns",
        "retention_campaigns",
        ["company_id", "relationship_id", "type", "id"],
        unique=False,
    )
    op.create_index(
        "unique_running_campaign",
        "retention_campaigns",
        ["company_id", "relationship_id", "type"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "journey_actions",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.UUID(as_uuid=False), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("relationship_id", sa.BigInteger(), nullable=False),
        sa.Column("transition_seq", sa.BigInteger(), nullable=True),
        sa.Column("stage", sa.String(length=50), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("number", sa.SmallInteger(), nullable=False),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.Column("step", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("is_stage_bound", sa.Boolean(), nullable=False),
        sa.Column("is_released_by_test_clock", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=True),
        sa.Column("endpoint_id", sa.BigInteger(), nullable=True),
        sa.Column("outbound_event_id", sa.BigInteger(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("actor", sa.String(length=255), nullable=True),
        sa.Column("request_key", sa.String(length=255), nullable=True),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reserved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ready_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("state", sa.String(length=9), server_default=sa.text("'pending'"), nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_token", sa.Text(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "(state = 'leased') = (lease_token IS NOT NULL)", name=op.f("ck_journey_actions_leased")
        ),
        sa.CheckConstraint(
            "state IN ('pending', 'leased', 'done', 'cancelled', 'dead')",
            name=op.f("ck_journey_actions_state"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "campaign_id"],
            ["retention_campaigns.company_id", "retention_campaigns.id"],
            name=op.f("fk_journey_actions_retention_campaigns"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "endpoint_id"],
            ["webhook_endpoints.company_id", "webhook_endpoints.id"],
            name=op.f("fk_journey_actions_webhook_endpoints"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "relationship_id"],
            ["customer_relationships.company_id", "customer_relationships.id"],
            name=op.f("fk_journey_actions_customer_relationships"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_journey_actions")),
        sa.UniqueConstraint(
            "company_id", "relationship_id", "transition_seq", "name", "number", name="unique_stage_action"
        ),
        postgresql_with={"fillfactor": "70", "autovacuum_vacuum_scale_factor": "0.01"},
    )
    op.create_index(
        "idx_customer_actions",
        "journey_actions",
        ["company_id", "relationship_id", "channel", "reserved_at"],
        unique=False,
    )
    op.create_index(
        "idx_dead_actions",
        "journey_actions",
        ["company_id", "created_at", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'dead'"),
    )
    op.create_index("idx_listed_actions", "journey_actions", ["company_id", "created_at", "id"], unique=False)
    op.create_index(
        "ix_due_actions",
        "journey_actions",
        ["company_id", "ready_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('pending', 'leased') AND ready_at IS NOT NULL"),
    )
    op.create_index(
        "ix_due_deliveries",
        "journey_actions",
        ["company_id", "endpoint_id", "ready_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('pending', 'leased') AND endpoint_id IS NOT NULL"),
    )
    op.create_index(
        "ix_waiting_actions",
        "journey_actions",
        ["company_id", "due_at"],
        unique=False,
        postgresql_where=sa.text("state = 'pending' AND ready_at IS NULL"),
    )
    op.create_index(
        "unique_action_request",
        "journey_actions",
        ["company_id", "relationship_id", "request_key"],
        unique=True,
        postgresql_where=sa.text("request_key IS NOT NULL"),
    )
    op.create_index(
        "unique_outbound_event_delivery",
        "journey_actions",
        ["company_id", "outbound_event_id", "endpoint_id"],
        unique=True,
        postgresql_where=sa.text("outbound_event_id IS NOT NULL"),
    )
    op.create_table(
        "action_attempts",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("action_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("relationship_id", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "ended_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("outcome", sa.String(length=8), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("response", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('done', 'failed', 'refused')", name=op.f("ck_action_attempts_outcome")
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "action_id"],
            ["journey_actions.company_id", "journey_actions.id"],
            name=op.f("fk_action_attempts_journey_actions"),
        ),
        sa.PrimaryKeyConstraint("company_id", "action_id", "number", name=op.f("pk_action_attempts")),
    )
    op.create_index(
        "idx_customer_attempts", "action_attempts", ["company_id", "relationship_id"], unique=False
    )
    op.create_table(
        "journey_tasks",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("relationship_id", sa.BigInteger(), nullable=False),
        sa.Column("action_id", sa.UUID(as_uuid=False), nullable=True),
        sa.Column("campaign_id", sa.BigInteger(), nullable=True),
        sa.Column("transition_seq", sa.BigInteger(), nullable=True),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("title", sa.String(length=255), nullable=False),
        sa.Column("stage", sa.String(length=50), nullable=False),
        sa.Column("assignee", sa.String(length=255), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("is_stage_bound", sa.Boolean(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.String(length=9), server_default=sa.text("'open'"), nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("closed_by", sa.String(length=255), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column(
            "changed_in",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "status IN ('open', 'done', 'dismissed', 'closed')", name=op.f("ck_journey_tasks_status")
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "action_id"],
            ["journey_actions.company_id", "journey_actions.id"],
            name=op.f("fk_journey_tasks_journey_actions"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "relationship_id"],
            ["customer_relationships.company_id", "customer_relationships.id"],
            name=op.f("fk_journey_tasks_customer_relationships"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_journey_tasks")),
        sa.UniqueConstraint("company_id", "action_id", name="unique_task_of_action"),
    )
    op.create_index(
        "idx_customer_tasks", "journey_tasks", ["company_id", "relationship_id", "status"], unique=False
    )
    op.create_index(
        "idx_assigned_tasks",
        "journey_tasks",
        ["company_id", "assignee", "status", "due_at"],
        unique=False,
    )
    op.create_index("idx_tasks_due", "journey_tasks", ["company_id", "status", "due_at", "id"], unique=False)


def downgrade() -> None:
    op.drop_index("idx_tasks_due", table_name="journey_tasks")
    op.drop_index("idx_assigned_tasks", table_name="journey_tasks")
    op.drop_index("idx_customer_tasks", table_name="journey_tasks")
    op.drop_table("journey_tasks")
    op.drop_index("idx_customer_attempts", table_name="action_attempts")
    op.drop_table("action_attempts")
    op.drop_index(
        "unique_outbound_event_delivery",
        table_name="journey_actions",
        postgresql_where=sa.text("outbound_event_id IS NOT NULL"),
    )
    op.drop_index(
        "unique_action_request",
        table_name="journey_actions",
        postgresql_where=sa.text("request_key IS NOT NULL"),
    )
    op.drop_index(
        "ix_waiting_actions",
        table_name="journey_actions",
        postgresql_where=sa.text("state = 'pending' AND ready_at IS NULL"),
    )
    op.drop_index(
        "ix_due_deliveries",
        table_name="journey_actions",
        postgresql_where=sa.text("state IN ('pending', 'leased') AND endpoint_id IS NOT NULL"),
    )
    op.drop_index(
        "ix_due_actions",
        table_name="journey_actions",
        postgresql_where=sa.text("state IN ('pending', 'leased') AND ready_at IS NOT NULL"),
    )
    op.drop_index("idx_listed_actions", table_name="journey_actions")
    op.drop_index(
        "idx_dead_actions", table_name="journey_actions", postgresql_where=sa.text("state = 'dead'")
    )
    op.drop_index("idx_customer_actions", table_name="journey_actions")
    op.drop_table("journey_actions")
    op.drop_index(
        "unique_running_campaign",
        table_name="retention_campaigns",
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.drop_index("idx_customer_campaigns", table_name="retention_campaigns")
    op.drop_table("retention_campaigns")
    op.drop_index(
        "unique_outbound_event_position",
        table_name="outbound_events",
        postgresql_where=sa.text("position IS NOT NULL"),
    )
    op.drop_index(
        "ix_unpublished_outbound_events",
        table_name="outbound_events",
        postgresql_where=sa.text("position IS NULL"),
    )
    op.drop_index("idx_customer_outbound_events", table_name="outbound_events")
    op.drop_table("outbound_events")
    op.drop_index(
        "idx_transition_days",
        table_name="journey_transitions",
        postgresql_include=["relationship_id", "from_stage", "to_stage", "motion", "since"],
    )
    op.drop_index("idx_customer_time", table_name="journey_transitions")
    op.drop_table("journey_transitions")
    op.drop_index(
        "ix_kept_event_details", table_name="journey_events", postgresql_where=sa.text("metadata IS NOT NULL")
    )
    op.drop_index("idx_relationship_events", table_name="journey_events")
    op.drop_table("journey_events")
    op.drop_table("nightly_runs")
    op.drop_table("import_lines")
    op.drop_table("import_errors")
    op.drop_index(
        "ix_due_relationships",
        table_name="customer_relationships",
        postgresql_where=sa.text("next_evaluation_at IS NOT NULL"),
    )
    op.drop_index("idx_stage_risk", table_name="customer_relationships")
    op.drop_index("idx_stage", table_name="customer_relationships")
    op.drop_index(
        "idx_owners",
        table_name="customer_relationships",
        postgresql_where=sa.text("owner IS NOT NULL"),
    )
    op.drop_index("idx_risk", table_name="customer_relationships")
    op.drop_table("customer_relationships")
    op.drop_index("idx_customer_consents", table_name="consent_changes")
    op.drop_table("consent_changes")
    op.drop_table("browser_sessions")
    op.drop_table("webhook_endpoints")
    op.drop_table("stage_visit_durations")
    op.drop_table("stage_map_versions")
    op.drop_table("sign_in_links")
    op.drop_table("message_templates")
    op.drop_index("idx_company_date", table_name="journey_stage_metrics")
    op.drop_table("journey_stage_metrics")
    op.drop_index("unique_rollup", table_name="journey_rollups", postgresql_where=sa.text("NOT is_unmerged"))
    op.drop_index(
        "ix_unmerged_rollups", table_name="journey_rollups", postgresql_where=sa.text("is_unmerged")
    )
    op.drop_index("idx_rollups", table_name="journey_rollups")
    op.drop_table("journey_rollups")
    op.drop_index(
        "unique_job_request", table_name="jobs", postgresql_where=sa.text("request_key IS NOT NULL")
    )
    op.drop_index(
        "ix_due_jobs", table_name="jobs", postgresql_where=sa.text("status IN ('queued', 'running')")
    )
    op.drop_table("jobs")
    op.drop_index(
        "ix_due_imports", table_name="imports", postgresql_where=sa.text("status IN ('queued', 'running')")
    )
    op.drop_table("imports")
    op.drop_index("idx_tombstone_keys", table_name="erasure_tombstones")
    op.drop_table("erasure_tombstones")
    op.drop_table("customers")
    op.drop_index("idx_company_order", table_name="customer_journey_stages")
    op.drop_table("customer_journey_stages")
    op.drop_index(
        "idx_audited_customers", table_name="audit_log", postgresql_where=sa.text("customer_id IS NOT NULL")
    )
    op.drop_index(
        "idx_sign_ins", table_name="audit_log", postgresql_where=sa.text("action = 'session.create'")
    )
    op.drop_index("idx_audited_at", table_name="audit_log")
    op.drop_table("audit_log")
    op.drop_index("ix_live_api_keys", table_name="api_keys", postgresql_where=sa.text("revoked_at IS NULL"))
    op.drop_table("api_keys")
    op.drop_table("companies")
