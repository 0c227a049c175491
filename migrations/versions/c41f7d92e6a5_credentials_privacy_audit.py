"""Credentials that rotate, sessions of browsers, the audit log, consents with a past, and erasure.

Revision ID: c41f7d92e6a5
Revises: 9d27c5f0b813
Create Date: 2026-11-26 09:30:00
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "c41f7d92e6a5"
down_revision = "9d27c5f0b813"
branch_labels = None
depends_on = None

COMPANY = "NULLIF(current_setting('app.company_id', true), '')::bigint"
# What may be done with each new table by the service; ledgers are read and added to, no more.
RIGHTS = {
    "browser_sessions": "SELECT, INSERT, UPDATE, DELETE",
    "sign_in_links": "SELECT, INSERT, UPDATE, DELETE",
    "consent_changes": "SELECT, INSERT",
    "audit_log": "SELECT, INSERT",
    "erasure_tombstones": "SELECT, INSERT",
}
ERASER = "journey_eraser"
# The only changes that ledgers ever see, each a function of its own, each bound to the company of the transaction.
FUNCTIONS = {
    "erase_transitions(relationship bigint, seqs bigint[], causes text[])": (
        "void",
        """
        UPDATE public.journey_transitions t SET notes = NULL, performed_by = NULL, request = NULL, cause_id = new.cause
        FROM unnest(seqs, causes) AS new(seq, cause)
        WHERE t.company_id = NULLIF(current_setting('app.company_id', true), '')::bigint
          AND t.relationship_id = relationship AND t.seq = new.seq
        """,
    ),
    "erase_events(relationship bigint, sources text[], ids text[], new_sources text[], new_ids text[],"
    " bookings text[], contents bytea[])": (
        "void",
        """
        UPDATE public.journey_events e
        SET source = new.new_source, event_id = new.new_id, booking_id = new.booking, content_hash = new.content, metadata = NULL
        FROM unnest(sources, ids, new_sources, new_ids, bookings, contents)
          AS new(source, id, new_source, new_id, booking, content)
        WHERE e.company_id = NULLIF(current_setting('app.company_id', true), '')::bigint
          AND e.relationship_id = relationship AND e.source = new.source AND e.event_id = new.id
        """,
    ),
    "rename_consents(old_id bigint, new_id bigint)": (
        "void",
        """
        UPDATE public.consent_changes SET customer_id = new_id
        WHERE company_id = NULLIF(current_setting('app.company_id', true), '')::bigint AND customer_id = old_id
        """,
    ),
    "rename_in_audit(old_id bigint, new_id bigint, naming text)": (
        "void",
        """
        UPDATE public.audit_log a
        SET customer_id = CASE WHEN customer_id = old_id THEN new_id ELSE customer_id END,
            request_id = NULL, reason = NULL
        WHERE company_id = NULLIF(current_setting('app.company_id', true), '')::bigint
          AND (customer_id = old_id OR a.reason ~* naming OR a.request_id ~* naming)
        """,
    ),
    "clear_event_details(before timestamptz, most integer)": (
        "bigint",
        """
        WITH old AS (
          SELECT source, event_id FROM public.journey_events
          WHERE company_id = NULLIF(current_setting('app.company_id', true), '')::bigint
            AND metadata IS NOT NULL AND occurred_at < before
          ORDER BY occurred_at LIMIT most),
        done AS (
          UPDATE public.journey_events e SET metadata = NULL FROM old
          WHERE e.company_id = NULLIF(current_setting('app.company_id', true), '')::bigint
            AND e.source = old.source AND e.event_id = old.event_id RETURNING 1)
        SELECT count(*) FROM done
        """,
    ),
    "prune_audit(before timestamptz, most integer)": (
        "bigint",
        """
        WITH old AS (
          SELECT id FROM public.audit_log
          WHERE company_id = NULLIF(current_setting('app.company_id', true), '')::bigint
            AND at < least(before, clock_timestamp() - interval '30 days') -- whoever asks: the newest stay
          ORDER BY at LIMIT most),
        done AS (
          DELETE FROM public.audit_log a USING old
          WHERE a.company_id = NULLIF(current_setting('app.company_id', true), '')::bigint
            AND a.id = old.id RETURNING 1)
        SELECT count(*) FROM done
        """,
    ),
}


def _signature(declared: str) -> str:
    name, arguments = declared.rstrip(")").split("(")
    return f"{name}({', '.join(argument.split()[1] for argument in arguments.split(', '))})"


def _instant(name: str, *, nullable: bool = True, now: bool = False) -> sa.Column:
    default = sa.text("clock_timestamp()") if now else None
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable and not now, server_default=default)


def _company() -> sa.Column:
    return sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False)


def _of_company(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["company_id"], ["companies.id"], name=op.f(f"fk_{table}_companies"))


def upgrade() -> None:
    op.add_column("customers", _instant("anonymized_at"))
    op.add_column("imports", sa.Column("erased", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column(
        "api_keys", sa.Column("role", sa.String(length=8), server_default=sa.text("'service'"), nullable=False)
    )
    op.add_column("api_keys", _instant("last_used_at"))
    op.add_column("api_keys", sa.Column("rotated_from", sa.String(length=64), nullable=True))
    _create_tables()
    for table, rights in RIGHTS.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant ON {table} USING (company_id = {COMPANY}) WITH CHECK (company_id = {COMPANY})"
        )
        op.execute(f"GRANT {rights} ON {table} TO journey_app")
        op.execute(f"GRANT SELECT ON {table} TO journey_readonly")
    op.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO journey_app")
    _create_eraser()


def _create_tables() -> None:
    op.create_table(
        "consent_changes",
        _company(),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.String(length=8), nullable=False),
        sa.Column("was", sa.String(length=9), nullable=False),
        sa.Column("status", sa.String(length=9), nullable=False),
        _instant("at", nullable=False),
        sa.Column("source", sa.String(length=255), nullable=False),
        _instant("recorded_at", now=True),
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
    op.create_index("idx_customer_consents", "consent_changes", ["company_id", "customer_id", "id"], unique=False)
    op.create_table(
        "browser_sessions",
        _company(),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("role", sa.String(length=8), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("key_id", sa.String(length=64), nullable=True),
        _instant("created_at", now=True),
        _instant("seen_at", now=True),
        _instant("expires_at", nullable=False),
        _instant("ended_at"),
        sa.ForeignKeyConstraint(
            ["company_id", "key_id"],
            ["api_keys.company_id", "api_keys.key_id"],
            name=op.f("fk_browser_sessions_api_keys"),
        ),
        _of_company("browser_sessions"),
        sa.PrimaryKeyConstraint("company_id", "token_hash", name=op.f("pk_browser_sessions")),
    )
    op.create_table(
        "sign_in_links",
        _company(),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("role", sa.String(length=8), nullable=False),
        _instant("created_at", now=True),
        _instant("expires_at", nullable=False),
        _instant("used_at"),
        _of_company("sign_in_links"),
        sa.PrimaryKeyConstraint("company_id", "token_hash", name=op.f("pk_sign_in_links")),
    )
    op.create_table(
        "audit_log",
        _company(),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        _instant("at", now=True),
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
        _of_company("audit_log"),
        sa.PrimaryKeyConstraint("company_id", "id", name=op.f("pk_audit_log")),
    )
    op.create_index(
        "idx_audited_customers",
        "audit_log",
        ["company_id", "customer_id", "id"],
        unique=False,
        postgresql_where=sa.text("customer_id IS NOT NULL"),
    )
    op.create_index("idx_audited_at", "audit_log", ["company_id", "at"], unique=False)
    op.create_table(
        "erasure_tombstones",
        _company(),
        sa.Column("customer_hmac", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.LargeBinary(), nullable=False),
        _instant("erased_at", now=True),
        _of_company("erasure_tombstones"),
        sa.PrimaryKeyConstraint("company_id", "customer_hmac", name=op.f("pk_erasure_tombstones")),
    )
    op.create_index("idx_tombstone_keys", "erasure_tombstones", ["company_id", "key_id"], unique=False)


def _create_eraser() -> None:
    op.execute(
        f"""
        DO $$ BEGIN
          CREATE ROLE {ERASER} NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END $$
        """
    )
    op.execute(
        f"""
        DO $$ BEGIN
          IF NOT pg_has_role(current_user, '{ERASER}', 'MEMBER') THEN GRANT {ERASER} TO CURRENT_USER; END IF;
        END $$
        """
    )
    op.execute(f"GRANT USAGE ON SCHEMA public TO {ERASER}")
    op.execute(
        f"GRANT SELECT, UPDATE (notes, performed_by, request, cause_id) ON journey_transitions TO {ERASER}"
    )
    op.execute(
        f"GRANT SELECT, UPDATE (source, event_id, booking_id, content_hash, metadata) ON journey_events TO {ERASER}"
    )
    op.execute(f"GRANT SELECT, UPDATE (customer_id) ON consent_changes TO {ERASER}")
    op.execute(f"GRANT SELECT, UPDATE (customer_id, request_id, reason), DELETE ON audit_log TO {ERASER}")
    op.execute(f"GRANT CREATE ON SCHEMA public TO {ERASER}")
    for declared, (result, body) in FUNCTIONS.items():
        signature = _signature(declared)
        op.execute(
            f"CREATE FUNCTION {declared} RETURNS {result} LANGUAGE sql SECURITY DEFINER"
            f" SET search_path = pg_catalog, public AS $$ {body} $$"
        )
        op.execute(f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {signature} TO journey_app")
        op.execute(f"ALTER FUNCTION {signature} OWNER TO {ERASER}")
    op.execute(f"REVOKE CREATE ON SCHEMA public FROM {ERASER}")


def downgrade() -> None:
    for declared in FUNCTIONS:
        op.execute(f"DROP FUNCTION {_signature(declared)}")
    for table in reversed(RIGHTS):
        op.drop_table(table)
    op.drop_column("api_keys", "rotated_from")
    op.drop_column("api_keys", "last_used_at")
    op.drop_column("api_keys", "role")
    op.drop_column("imports", "erased")
    op.drop_column("customers", "anonymized_at")
    op.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {ERASER}")
    op.execute(f"REVOKE ALL ON SCHEMA public FROM {ERASER}")
