"""Every table, as the migrations leave it. `company_id` leads every key."""

from typing import Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

OPERATORS: Final = 0
"""The company under which the operators' own keys are kept; no customer belongs to it."""

metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def _instant(name: str, *, nullable: bool = True, now: bool = False) -> Column[object]:
    default = func.clock_timestamp() if now else None
    return Column(name, DateTime(timezone=True), nullable=nullable and not now, server_default=default)


def _company() -> Column[int]:
    return Column("company_id", BigInteger, nullable=False, autoincrement=False)


def _times(name: str) -> Column[object]:
    return Column(name, ARRAY(DateTime(timezone=True)), nullable=False, server_default=text("'{}'"))


def _money(name: str) -> Column[object]:
    return Column(name, Numeric(14, 2), nullable=False, server_default=text("0"))


def _of_company() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["company_id"], ["companies.id"])


companies = Table(
    "companies",
    metadata,
    Column("id", BigInteger, Identity(always=False), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("timezone", String(64), nullable=False),
    Column("currency", String(3), nullable=False),
    _instant("clock_at"),
    _instant("next_night_at"),
    _instant("scored_at"),
    Column("map_version", Integer, nullable=False),
    Column("adopted_version", Integer, nullable=False, server_default=text("1")),
    Column("policy", JSONB, nullable=False),
    _instant("created_at", now=True),
    _instant("updated_at", now=True),
)

stage_map_versions = Table(
    "stage_map_versions",
    metadata,
    _company(),
    Column("version", Integer, nullable=False),
    Column("stages", JSONB, nullable=False),
    Column("author", String(255), nullable=False),
    _instant("activated_at"),
    Column("activation", String(20), nullable=False, server_default=text("'future_only'")),
    Column("notes", Text),
    Column("findings", JSONB, nullable=False, server_default=text("'[]'")),
    _instant("created_at", now=True),
    CheckConstraint(
        "activation IN ('future_only', 'current_silent', 'current_with_actions')", name="activation"
    ),
    PrimaryKeyConstraint("company_id", "version"),
    _of_company(),
)

customer_journey_stages = Table(
    "customer_journey_stages",
    metadata,
    _company(),
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("stage_key", String(50), nullable=False),
    Column("stage_name", String(255), nullable=False),
    Column("description", Text),
    Column("order_index", Integer, nullable=False),
    Column("kind", String(8), nullable=False),
    Column("color", String(7)),
    Column("icon", String(50)),
    Column("auto_transition_rules", JSONB),
    Column("retention_days", Integer),
    Column("is_active", Boolean, nullable=False, server_default=text("true")),
    _instant("created_at", now=True),
    _instant("updated_at", now=True),
    PrimaryKeyConstraint("company_id", "id"),
    UniqueConstraint("company_id", "stage_key", name="unique_company_stage"),
    CheckConstraint("kind IN ('progress', 'risk')", name="kind"),
    _of_company(),
    Index("idx_company_order", "company_id", "order_index"),
)

customers = Table(
    "customers",
    metadata,
    _company(),
    Column("customer_id", BigInteger, nullable=False, autoincrement=False),
    Column("name", Text),
    Column("email", Text),
    Column("phone", Text),
    Column("consents", JSONB, nullable=False, server_default=text("'{}'")),
    _instant("created_at", now=True),
    _instant("updated_at", now=True),
    _instant("anonymized_at"),
    PrimaryKeyConstraint("company_id", "customer_id"),
    _of_company(),
)

consent_changes = Table(
    "consent_changes",
    metadata,
    _company(),
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("customer_id", BigInteger, nullable=False),
    Column("channel", String(8), nullable=False),
    Column("was", String(9), nullable=False),
    Column("status", String(9), nullable=False),
    _instant("at", nullable=False),
    Column("source", String(255), nullable=False),
    _instant("recorded_at", now=True),
    PrimaryKeyConstraint("company_id", "id"),
    ForeignKeyConstraint(["company_id", "customer_id"], ["customers.company_id", "customers.customer_id"]),
    CheckConstraint("status IN ('granted', 'withdrawn', 'unknown')", name="status"),
    Index("idx_customer_consents", "company_id", "customer_id", "id"),
)

customer_relationships = Table(
    "customer_relationships",
    metadata,
    _company(),
    Column("id", BigInteger, Identity(always=False), nullable=False),
    Column("customer_id", BigInteger, nullable=False),
    Column("current_stage", String(50), nullable=False),
    _instant("stage_entered_at", nullable=False),
    Column("previous_stage", String(50)),
    Column("version", BigInteger, nullable=False),
    _money("lifetime_value"),
    Column("total_appointments", Integer, nullable=False, server_default=text("0")),
    Column("total_missed", Integer, nullable=False, server_default=text("0")),
    _instant("first_appointment_at"),
    _instant("last_appointment_at"),
    _instant("last_event_at"),
    _money("appointments_value"),
    _money("payments_value"),
    _money("refunds_value"),
    _times("recent_completed"),
    _times("recent_missed"),
    _times("recent_long_calls"),
    _times("recent_tickets"),
    Column("last_progress_stage", String(50)),
    Column("stages_held", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    _instant("pin_until"),
    Column("pin_memory", JSONB),
    Column("risk_score", Numeric(3, 2)),
    Column("engagement_score", Numeric(3, 2)),
    _instant("scored_at"),
    _instant("next_evaluation_at"),
    Column("map_version", Integer, nullable=False, server_default=text("1")),
    Column("notes", Text),
    Column("metadata", JSONB),
    _instant("created_at", now=True),
    _instant("updated_at", now=True),
    PrimaryKeyConstraint("company_id", "id"),
    UniqueConstraint("company_id", "customer_id", name="unique_company_customer"),
    ForeignKeyConstraint(["company_id", "customer_id"], ["customers.company_id", "customers.customer_id"]),
    CheckConstraint("version >= 1", name="version"),
    Index("idx_stage", "company_id", "current_stage"),
    Index("idx_risk", "company_id", "risk_score"),
    Index("idx_stage_risk", "company_id", "current_stage", "risk_score"),
    # Who falls due, company by company.
    Index(
        "ix_due_relationships",
        "company_id",
        "next_evaluation_at",
        postgresql_where=text("next_evaluation_at IS NOT NULL"),
    ),
    postgresql_with={"fillfactor": "80"},
)

journey_transitions = Table(
    "journey_transitions",
    metadata,
    _company(),
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("relationship_id", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("from_stage", String(50)),
    Column("to_stage", String(50), nullable=False),
    _instant("transitioned_at", nullable=False),
    _instant("recorded_at", now=True),
    Column("trigger_type", String(9), nullable=False),
    Column("trigger_event", String(255)),
    Column("performed_by", BigInteger),
    Column("actor", String(255)),
    Column("notes", Text),
    Column("reasons", JSONB),
    Column("request", JSONB),
    Column("map_version", Integer, nullable=False),
    Column("is_silent", Boolean, nullable=False, server_default=text("false")),
    Column("cause_kind", String(16), nullable=False),
    Column("cause_id", Text, nullable=False),
    PrimaryKeyConstraint("company_id", "relationship_id", "seq"),
    UniqueConstraint(
        "company_id", "relationship_id", "cause_kind", "cause_id", name="unique_transition_cause"
    ),
    ForeignKeyConstraint(
        ["company_id", "relationship_id"], ["customer_relationships.company_id", "customer_relationships.id"]
    ),
    CheckConstraint("from_stage IS DISTINCT FROM to_stage", name="moves"),
    CheckConstraint("(from_stage IS NULL) = (seq = 1)", name="opening"),
    CheckConstraint("trigger_type IN ('manual', 'automatic', 'system')", name="trigger_type"),
    Index("idx_customer_time", "company_id", "relationship_id", text("transitioned_at DESC")),
)

journey_events = Table(
    "journey_events",
    metadata,
    _company(),
    Column("source", String(255), nullable=False),
    Column("event_id", String(255), nullable=False),
    Column("relationship_id", BigInteger, nullable=False),
    Column("type", String(32), nullable=False),
    _instant("occurred_at", nullable=False),
    _instant("recorded_at", now=True),
    Column("content_hash", LargeBinary, nullable=False),
    Column("amount", Numeric(14, 2), nullable=False, server_default=text("0")),
    Column("call_duration", Integer),
    Column("booking_id", String(255)),
    _instant("scheduled_for"),
    Column("metadata", JSONB),
    Column("stage", String(50), nullable=False),
    Column("transition_seq", BigInteger),
    PrimaryKeyConstraint("company_id", "source", "event_id"),
    ForeignKeyConstraint(
        ["company_id", "relationship_id"], ["customer_relationships.company_id", "customer_relationships.id"]
    ),
    Index("idx_relationship_events", "company_id", "relationship_id", "occurred_at"),
    # What is to be cleared once its time is over.
    Index(
        "ix_kept_event_details",
        "company_id",
        "occurred_at",
        postgresql_where=text("metadata IS NOT NULL"),
    ),
)

api_keys = Table(
    "api_keys",
    metadata,
    _company(),
    Column("key_id", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("role", String(8), nullable=False, server_default=text("'service'")),
    Column("secret_hash", LargeBinary, nullable=False),
    # Empty: what the role may do.
    Column("scopes", ARRAY(Text), nullable=False),
    _instant("created_at", now=True),
    _instant("expires_at"),
    _instant("revoked_at"),
    _instant("last_used_at"),
    Column("rotated_from", String(64)),
    PrimaryKeyConstraint("company_id", "key_id"),
    _of_company(),
    # A credential arrives before its company is known: read by the key-lookup function alone.
    Index("ix_live_api_keys", "key_id", postgresql_where=text("revoked_at IS NULL")),
)

browser_sessions = Table(
    "browser_sessions",
    metadata,
    _company(),
    Column("token_hash", LargeBinary, nullable=False),
    Column("actor", String(255), nullable=False),
    Column("role", String(8), nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    # The key it was opened with: it ends with that key.
    Column("key_id", String(64)),
    _instant("created_at", now=True),
    _instant("seen_at", now=True),
    _instant("expires_at", nullable=False),
    _instant("ended_at"),
    PrimaryKeyConstraint("company_id", "token_hash"),
    ForeignKeyConstraint(["company_id", "key_id"], ["api_keys.company_id", "api_keys.key_id"]),
    _of_company(),
)

sign_in_links = Table(
    "sign_in_links",
    metadata,
    _company(),
    Column("token_hash", LargeBinary, nullable=False),
    Column("actor", String(255), nullable=False),
    Column("role", String(8), nullable=False),
    _instant("created_at", now=True),
    _instant("expires_at", nullable=False),
    _instant("used_at"),
    PrimaryKeyConstraint("company_id", "token_hash"),
    _of_company(),
)

audit_log = Table(
    "audit_log",
    metadata,
    _company(),
    Column("id", BigInteger, Identity(always=True), nullable=False),
    _instant("at", now=True),
    Column("actor", String(255), nullable=False),
    Column("is_operator", Boolean, nullable=False, server_default=text("false")),
    Column("action", String(64), nullable=False),
    Column("customer_id", BigInteger),
    Column("target", String(255)),
    Column("reason", String(255)),
    Column("request_id", String(64)),
    Column("address", String(45)),
    Column("detail", JSONB),
    Column("before_hash", LargeBinary),
    Column("after_hash", LargeBinary),
    PrimaryKeyConstraint("company_id", "id"),
    _of_company(),
    Index(
        "idx_audited_customers",
        "company_id",
        "customer_id",
        "id",
        postgresql_where=text("customer_id IS NOT NULL"),
    ),
    Index("idx_audited_at", "company_id", "at"),
)

erasure_tombstones = Table(
    "erasure_tombstones",
    metadata,
    _company(),
    Column("customer_hmac", LargeBinary, nullable=False),
    # Which secret it was made with: under another one nobody would be recognised.
    Column("key_id", LargeBinary, nullable=False),
    _instant("erased_at", now=True),
    PrimaryKeyConstraint("company_id", "customer_hmac"),
    _of_company(),
    Index("idx_tombstone_keys", "company_id", "key_id"),
)

imports = Table(
    "imports",
    metadata,
    _company(),
    # From the sequence of the jobs: long work is asked for by one kind of id, whatever it is.
    Column("id", BigInteger, nullable=False, autoincrement=False),
    Column("content_hash", LargeBinary),
    Column("status", String(8), nullable=False),
    _instant("until"),
    Column("lines", BigInteger, nullable=False, server_default=text("0")),
    Column("staged", BigInteger, nullable=False, server_default=text("0")),
    Column("done", BigInteger, nullable=False, server_default=text("0")),
    Column("applied", BigInteger, nullable=False, server_default=text("0")),
    Column("duplicates", BigInteger, nullable=False, server_default=text("0")),
    Column("late", BigInteger, nullable=False, server_default=text("0")),
    Column("later", BigInteger, nullable=False, server_default=text("0")),
    Column("erased", BigInteger, nullable=False, server_default=text("0")),
    Column("transitions", BigInteger, nullable=False, server_default=text("0")),
    Column("failed_lines", BigInteger, nullable=False, server_default=text("0")),
    Column("cursor", JSONB),
    Column("error", Text),
    Column("actor", String(255), nullable=False),
    Column("lease_token", Text),
    _instant("lease_until"),
    _instant("created_at", now=True),
    _instant("finished_at"),
    PrimaryKeyConstraint("company_id", "id"),
    _of_company(),
    CheckConstraint("status IN ('reading', 'queued', 'running', 'done', 'failed')", name="status"),
    Index(
        "ix_due_imports",
        "created_at",
        "company_id",
        "id",
        postgresql_where=text("status IN ('queued', 'running')"),
    ),
)

import_lines = Table(
    "import_lines",
    metadata,
    _company(),
    Column("import_id", BigInteger, nullable=False),
    Column("customer_id", BigInteger, nullable=False),
    _instant("occurred_at", nullable=False),
    Column("line", BigInteger, nullable=False),
    Column("type", String(32), nullable=False),
    Column("source", String(255)),
    Column("event_id", String(255)),
    Column("amount_cents", BigInteger, nullable=False),
    Column("call_duration", Integer),
    Column("booking_id", String(255)),
    _instant("scheduled_for"),
    Column("metadata", JSONB),
    PrimaryKeyConstraint("company_id", "import_id", "customer_id", "occurred_at", "line"),
    ForeignKeyConstraint(["company_id", "import_id"], ["imports.company_id", "imports.id"]),
)

import_errors = Table(
    "import_errors",
    metadata,
    _company(),
    Column("import_id", BigInteger, nullable=False),
    Column("line", BigInteger, nullable=False),
    Column("pointer", Text, nullable=False),
    Column("message", Text, nullable=False),
    PrimaryKeyConstraint("company_id", "import_id", "line", "pointer"),
    ForeignKeyConstraint(["company_id", "import_id"], ["imports.company_id", "imports.id"]),
)

jobs = Table(
    "jobs",
    metadata,
    _company(),
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("status", String(8), nullable=False),
    Column("parameters", JSONB, nullable=False),
    Column("cursor", JSONB),
    Column("counts", JSONB, nullable=False, server_default=text("'{}'")),
    Column("done", BigInteger, nullable=False, server_default=text("0")),
    Column("total", BigInteger),
    Column("error", Text),
    Column("result", JSONB),
    Column("actor", String(255), nullable=False),
    Column("lease_token", Text),
    _instant("lease_until"),
    _instant("created_at", now=True),
    _instant("started_at"),
    _instant("finished_at"),
    PrimaryKeyConstraint("company_id", "id"),
    _of_company(),
    CheckConstraint("status IN ('queued', 'running', 'done', 'failed')", name="status"),
    Index(
        "ix_due_jobs",
        "created_at",
        "company_id",
        "id",
        postgresql_where=text("status IN ('queued', 'running')"),
    ),
)

scoring_runs = Table(
    "scoring_runs",
    metadata,
    _company(),
    Column("local_date", Date, nullable=False),
    _instant("due_at", nullable=False),
    Column("job_id", BigInteger, nullable=False),
    _instant("created_at", now=True),
    PrimaryKeyConstraint("company_id", "local_date"),
    ForeignKeyConstraint(["company_id", "job_id"], ["jobs.company_id", "jobs.id"]),
)
