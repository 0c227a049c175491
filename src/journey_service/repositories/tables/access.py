"""Tables of API keys, browser sessions, sign-in links and the audit log."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from journey_service.repositories.tables.columns import company, instant, metadata, of_company

api_keys = Table(
    "api_keys",
    metadata,
    company(),
    Column("key_id", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("role", String(8), nullable=False, server_default=text("'service'")),
    Column("secret_hash", LargeBinary, nullable=False),
    # Empty: all scopes of the role.
    Column("scopes", ARRAY(Text), nullable=False),
    instant("created_at", now=True),
    instant("expires_at"),
    instant("revoked_at"),
    instant("last_used_at"),
    Column("rotated_from", String(64)),
    # Rate limits of the key; null: those of the settings.
    Column("requests_per_second", Integer),
    Column("events_per_second", Integer),
    PrimaryKeyConstraint("company_id", "key_id"),
    of_company(),
    # For the lookup of a credential before its company is known, which one function does.
    Index("ix_live_api_keys", "key_id", postgresql_where=text("revoked_at IS NULL")),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    company(),
    Column("key", String(255), nullable=False),
    Column("request_hash", LargeBinary, nullable=False),
    # The response, sealed; null until it is stored, and after an erasure.
    Column("status", SmallInteger),
    Column("content_type", Text),
    Column("etag", Text),
    Column("body", LargeBinary),
    instant("created_at", now=True),
    PrimaryKeyConstraint("company_id", "key"),
    of_company(),
    Index("ix_old_idempotency_keys", "company_id", "created_at"),
)

browser_sessions = Table(
    "browser_sessions",
    metadata,
    company(),
    Column("token_hash", LargeBinary, nullable=False),
    Column("actor", String(255), nullable=False),
    Column("role", String(8), nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    # The key it was opened with; the session ends with that key.
    Column("key_id", String(64)),
    instant("created_at", now=True),
    instant("last_used_at", now=True),
    instant("expires_at", nullable=False),
    instant("ended_at"),
    # Of an operator's session: the company that its requests act for, and why.
    Column("chosen_company_id", BigInteger),
    Column("reason", String(255)),
    PrimaryKeyConstraint("company_id", "token_hash"),
    ForeignKeyConstraint(["company_id", "key_id"], ["api_keys.company_id", "api_keys.key_id"]),
    of_company(),
)

sign_in_links = Table(
    "sign_in_links",
    metadata,
    company(),
    Column("token_hash", LargeBinary, nullable=False),
    Column("actor", String(255), nullable=False),
    Column("role", String(8), nullable=False),
    instant("created_at", now=True),
    instant("expires_at", nullable=False),
    instant("used_at"),
    PrimaryKeyConstraint("company_id", "token_hash"),
    of_company(),
)

audit_log = Table(
    "audit_log",
    metadata,
    company(),
    Column("id", BigInteger, Identity(always=True), nullable=False),
    instant("at", now=True),
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
    of_company(),
    Index(
        "idx_audited_customers",
        "company_id",
        "customer_id",
        "id",
        postgresql_where=text("customer_id IS NOT NULL"),
    ),
    Index("idx_audited_at", "company_id", "at"),
    Index("idx_sign_ins", "company_id", "at", "actor", postgresql_where=text("action = 'session.create'")),
)
