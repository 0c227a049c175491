"""Roles and row-level security: the database itself isolates tenants.

Revision ID: 5d1c7e90ab34
Revises: af23e0cb206b
Create Date: 2026-11-29 10:20:00
"""

from alembic import op

revision = "5d1c7e90ab34"
down_revision = "af23e0cb206b"
branch_labels = None
depends_on = None

COMPANY = "NULLIF(current_setting('app.company_id', true), '')::bigint"
READ = "SELECT"
APPEND = "SELECT, INSERT"
"""Ledgers: the service inserts rows and never changes them."""
UPDATE = "SELECT, INSERT, UPDATE"
ALL = "SELECT, INSERT, UPDATE, DELETE"
RIGHTS = {
    "companies": ALL,
    "stage_map_versions": APPEND,
    "customer_journey_stages": ALL,
    "customers": ALL,
    "customer_attributes": ALL,
    "consent_changes": APPEND,
    "mailbox_withdrawals": UPDATE,
    "customer_relationships": ALL,
    "journey_transitions": APPEND,
    "event_sources": ALL,
    "journey_events": APPEND,
    "erasure_tombstones": APPEND,
    "api_keys": ALL,
    "idempotency_keys": ALL,
    "browser_sessions": ALL,
    "sign_in_links": ALL,
    "audit_log": APPEND,
    "imports": ALL,
    "import_lines": ALL,
    "import_errors": ALL,
    "jobs": UPDATE,
    "nightly_runs": UPDATE,
    "message_templates": ALL,
    "retention_campaigns": ALL,
    "webhook_endpoints": ALL,
    "outbound_events": ALL,
    "journey_actions": ALL,
    "action_attempts": ALL,
    "journey_tasks": ALL,
    "journey_rollups": ALL,
    "stage_visit_durations": ALL,
    "journey_stage_metrics": ALL,
    "churn_models": ALL,
    "churn_samples": ALL,
    "churn_calibration": ALL,
}
# Columns that the dispatcher reads in every company to find due work. It reads nothing else.
DISPATCHER_COLUMNS = {
    "companies": "id, name, timezone, former_zones, currency, clock_at, delivers_messages, map_version, migrated_version,"
    " rollup_version, next_nightly_run_at, scored_at, created_at",
    "imports": "company_id, id, status, created_at, lease_until",
    "jobs": "company_id, id, kind, status, created_at, lease_until, finished_at",
    "customer_relationships": "company_id, id, customer_id, next_evaluation_at",
    "journey_actions": "company_id, state, ready_at, finished_at",
    "outbound_events": "company_id, id, position",
    "webhook_endpoints": "company_id, is_enabled, disabled_reason",
    "journey_rollups": "company_id, id, is_unmerged",
}
ROLES = ("journey_app", "journey_dispatcher", "journey_keyring", "journey_eraser", "journey_searcher", "journey_readonly")
OPERATORS = 0


def upgrade() -> None:
    for role in ROLES:
        # Roles belong to the cluster: a migration of another database may have created them.
        op.execute(
            f"""
            DO $$ BEGIN
              CREATE ROLE {role} NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
            EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
            END $$
            """
        )
        op.execute(
            f"""
            DO $$ BEGIN
              IF NOT pg_has_role(current_user, '{role}', 'MEMBER') THEN GRANT {role} TO CURRENT_USER; END IF;
            END $$
            """
        )
        op.execute(f"GRANT USAGE ON SCHEMA public TO {role}")
    for table, rights in RIGHTS.items():
        column = "id" if table == "companies" else "company_id"
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant ON {table} USING ({column} = {COMPANY}) WITH CHECK ({column} = {COMPANY})"
        )
        op.execute(f"GRANT {rights} ON {table} TO journey_app")
        op.execute(f"GRANT {READ} ON {table} TO journey_readonly")
    op.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO journey_app")
    for table, columns in DISPATCHER_COLUMNS.items():
        op.execute(f"CREATE POLICY dispatcher ON {table} FOR SELECT TO journey_dispatcher USING (true)")
        op.execute(f"GRANT SELECT ({columns}) ON {table} TO journey_dispatcher")
    op.execute("GRANT SELECT ON alembic_version TO journey_dispatcher")
    # The company of the operators' keys.
    op.execute(f"SELECT set_config('app.company_id', '{OPERATORS}', true)")
    op.execute(
        "INSERT INTO companies (id, name, timezone, currency, map_version, policy)"
        f" VALUES ({OPERATORS}, 'operators', 'UTC', 'XXX', 0, '{{}}')"
    )


def downgrade() -> None:
    op.execute(f"SELECT set_config('app.company_id', '{OPERATORS}', true)")
    op.execute(f"DELETE FROM api_keys WHERE company_id = {OPERATORS}")
    op.execute(f"DELETE FROM companies WHERE id = {OPERATORS}")
    for table in DISPATCHER_COLUMNS:
        op.execute(f"DROP POLICY dispatcher ON {table}")
    for table in RIGHTS:
        op.execute(f"DROP POLICY tenant ON {table}")
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
    # Other databases of the cluster may use the roles: they stay and lose their rights in this database.
    for role in ROLES:
        op.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}")
        op.execute(f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {role}")
        op.execute(f"REVOKE ALL ON SCHEMA public FROM {role}")
