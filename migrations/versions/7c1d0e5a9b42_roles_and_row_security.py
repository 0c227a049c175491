"""Database roles, and the row-level security that keeps tenants apart.

Revision ID: 7c1d0e5a9b42
Revises: b9b5f1c618f7
Create Date: 2026-11-22 13:50:00
"""

from alembic import op

revision = "7c1d0e5a9b42"
down_revision = "b9b5f1c618f7"
branch_labels = None
depends_on = None

COMPANY = "NULLIF(current_setting('app.company_id', true), '')::bigint"
TABLES = (
    "stage_map_versions",
    "customer_journey_stages",
    "customers",
    "customer_relationships",
    "journey_transitions",
    "journey_events",
    "api_keys",
    "imports",
    "import_lines",
    "import_errors",
)
# What was told and what was decided is never rewritten.
LEDGERS = ("journey_transitions", "journey_events", "stage_map_versions")
ROLES = ("journey_app", "journey_dispatcher", "journey_keyring", "journey_readonly")
OPERATORS = 0


def upgrade() -> None:
    for role in ROLES:
        # Roles belong to the cluster: another database of it may have brought them already.
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
    for table, column in [("companies", "id"), *((table, "company_id") for table in TABLES)]:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant ON {table} USING ({column} = {COMPANY}) WITH CHECK ({column} = {COMPANY})"
        )
        rights = "SELECT, INSERT" if table in LEDGERS else "SELECT, INSERT, UPDATE, DELETE"
        op.execute(f"GRANT {rights} ON {table} TO journey_app")
        op.execute(f"GRANT SELECT ON {table} TO journey_readonly")
    op.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO journey_app")

    # The dispatcher reads which work is due, of every company, and nothing else of anybody.
    op.execute("CREATE POLICY dispatcher ON companies FOR SELECT TO journey_dispatcher USING (true)")
    op.execute(
        "GRANT SELECT (id, name, timezone, currency, clock_at, map_version, created_at) ON companies"
        " TO journey_dispatcher"
    )
    op.execute("CREATE POLICY dispatcher ON imports FOR SELECT TO journey_dispatcher USING (true)")
    op.execute(
        "GRANT SELECT (company_id, id, status, created_at, lease_until) ON imports TO journey_dispatcher"
    )
    op.execute(
        "CREATE POLICY dispatcher ON customer_relationships FOR SELECT TO journey_dispatcher USING (true)"
    )
    op.execute(
        "GRANT SELECT (company_id, id, customer_id, next_evaluation_at) ON customer_relationships"
        " TO journey_dispatcher"
    )

    op.execute("GRANT SELECT ON alembic_version TO journey_dispatcher")

    # A credential is looked up before its company is known: through this one function.
    op.execute("CREATE POLICY keyring ON api_keys FOR SELECT TO journey_keyring USING (true)")
    op.execute("GRANT SELECT ON api_keys TO journey_keyring")
    op.execute(
        """
        CREATE FUNCTION api_key_by_id(wanted text) RETURNS SETOF api_keys
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public
        AS $$ SELECT * FROM public.api_keys WHERE key_id = wanted AND revoked_at IS NULL $$
        """
    )
    op.execute("REVOKE ALL ON FUNCTION api_key_by_id(text) FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION api_key_by_id(text) TO journey_app")
    op.execute("GRANT CREATE ON SCHEMA public TO journey_keyring")
    op.execute("ALTER FUNCTION api_key_by_id(text) OWNER TO journey_keyring")
    op.execute("REVOKE CREATE ON SCHEMA public FROM journey_keyring")

    # The house of the operators' own keys.
    op.execute(f"SELECT set_config('app.company_id', '{OPERATORS}', true)")
    op.execute(
        "INSERT INTO companies (id, name, timezone, currency, map_version, policy)"
        f" VALUES ({OPERATORS}, 'operators', 'UTC', 'XXX', 0, '{{}}')"
    )


def downgrade() -> None:
    op.execute(f"SELECT set_config('app.company_id', '{OPERATORS}', true)")
    op.execute(f"DELETE FROM api_keys WHERE company_id = {OPERATORS}")
    op.execute(f"DELETE FROM companies WHERE id = {OPERATORS}")
    op.execute("DROP FUNCTION api_key_by_id(text)")
    for policy, table in (
        ("keyring", "api_keys"),
        ("dispatcher", "customer_relationships"),
        ("dispatcher", "imports"),
        ("dispatcher", "companies"),
    ):
        op.execute(f"DROP POLICY {policy} ON {table}")
    for table in ("companies", *TABLES):
        op.execute(f"DROP POLICY tenant ON {table}")
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
    # The roles themselves may serve other databases of the cluster, so they stay; their rights here go.
    for role in ROLES:
        op.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}")
        op.execute(f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {role}")
        op.execute(f"REVOKE ALL ON SCHEMA public FROM {role}")
