"""What stages do: actions and their attempts, campaigns, tasks, templates, endpoints, and news for others.

Revision ID: 5b0f92d7c3ae
Revises: e8b3a5d1c960
Create Date: 2026-11-26 12:20:00
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "5b0f92d7c3ae"
down_revision = "e8b3a5d1c960"
branch_labels = None
depends_on = None

COMPANY = "NULLIF(current_setting('app.company_id', true), '')::bigint"
TABLES = (
    "message_templates",
    "retention_campaigns",
    "webhook_endpoints",
    "outbound_events",
    "journey_actions",
    "action_attempts",
    "journey_tasks",
)
# Which work is due, of every company, and nothing else of anybody.
DUE = {
    "journey_actions": "company_id, state, ready_at, finished_at",
    "outbound_events": "company_id, id, position",
}


def upgrade() -> None:
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
        "webhook_endpoints",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("events", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("former_secret", sa.LargeBinary(), nullable=True),
        sa.Column("former_until", sa.DateTime(timezone=True), nullable=True),
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
        "outbound_events",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("relationship_id", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.String(length=20), nullable=False),
        sa.Column("transition_seq", sa.BigInteger(), nullable=True),
        sa.Column("task_id", sa.BigInteger(), nullable=True),
        sa.Column("campaign_id", sa.BigInteger(), nullable=True),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["company_id", "relationship_id"],
            ["customer_relationships.company_id", "customer_relationships.id"],
            name=op.f("fk_outbound_events_customer_relationships"),
        ),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_outbound_events")),
    )
    op.create_index("idx_customer_outbound_events", "outbound_events", ["company_id", "relationship_id"], unique=False)
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
        "ix_due_deliveries",
        "journey_actions",
        ["company_id", "endpoint_id", "ready_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('pending', 'leased') AND endpoint_id IS NOT NULL"),
    )
    op.create_index(
        "ix_due_actions",
        "journey_actions",
        ["company_id", "ready_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('pending', 'leased') AND ready_at IS NOT NULL"),
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
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "ended_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("outcome", sa.String(length=8), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
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
    op.create_index("idx_tasks_due", "journey_tasks", ["company_id", "status", "due_at", "id"], unique=False)
    op.add_column(
        "companies", sa.Column("delivers", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column(
        "companies",
        sa.Column(
            "stage_actions",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
    )
    op.add_column("customer_relationships", sa.Column("owner", sa.String(length=255), nullable=True))
    op.add_column("customers", sa.Column("language", sa.String(length=16), nullable=True))
    op.add_column(
        "imports", sa.Column("runs_actions", sa.Boolean(), server_default=sa.text("false"), nullable=False)
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
    op.execute("GRANT SELECT (delivers) ON companies TO journey_dispatcher")
    for table, columns in DUE.items():
        op.execute(f"CREATE POLICY dispatcher ON {table} FOR SELECT TO journey_dispatcher USING (true)")
        op.execute(f"GRANT SELECT ({columns}) ON {table} TO journey_dispatcher")


def downgrade() -> None:
    op.drop_column("imports", "runs_actions")
    op.drop_column("customers", "language")
    op.drop_column("customer_relationships", "owner")
    op.drop_column("companies", "stage_actions")
    op.drop_column("companies", "delivers")
    for table in (
        "journey_tasks",
        "action_attempts",
        "journey_actions",
        "outbound_events",
        "webhook_endpoints",
        "retention_campaigns",
        "message_templates",
    ):
        op.drop_table(table)
