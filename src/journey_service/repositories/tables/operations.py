"""Tables of jobs, imports and nightly runs."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from journey_service.repositories.tables.columns import company, instant, metadata, of_company

event_sources = Table(
    "event_sources",
    metadata,
    company(),
    Column("key", String(16), nullable=False),
    Column("name", String(255), nullable=False),
    # The source of its events: part of their keys, so that it never changes.
    Column("event_source", String(255), nullable=False),
    Column("signature", JSONB, nullable=False),
    Column("mapping", JSONB, nullable=False),
    # Encrypted: see vault.py.
    Column("secret", LargeBinary, nullable=False),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    instant("failed_at"),
    instant("created_at", now=True),
    instant("updated_at", now=True),
    PrimaryKeyConstraint("company_id", "key"),
    of_company(),
)

imports = Table(
    "imports",
    metadata,
    company(),
    # From the sequence of the jobs: imports and jobs share one range of ids.
    Column("id", BigInteger, nullable=False, autoincrement=False),
    Column("content_hash", LargeBinary),
    Column("status", String(8), nullable=False),
    Column("kind", String(9), nullable=False, server_default=text("'events'")),
    # The system that the file comes from, if the caller names it.
    Column("source", String(255)),
    instant("until"),
    Column("runs_actions", Boolean, nullable=False, server_default=text("false")),
    Column("on_changed", String(7), nullable=False, server_default=text("'hold'")),
    # A file that is only checked: its rows are deleted when the response is sent.
    Column("is_dry_run", Boolean, nullable=False, server_default=text("false")),
    Column("lines", BigInteger, nullable=False, server_default=text("0")),
    Column("staged", BigInteger, nullable=False, server_default=text("0")),
    Column("done", BigInteger, nullable=False, server_default=text("0")),
    Column("applied", BigInteger, nullable=False, server_default=text("0")),
    Column("duplicates", BigInteger, nullable=False, server_default=text("0")),
    Column("changed", BigInteger, nullable=False, server_default=text("0")),
    Column("late", BigInteger, nullable=False, server_default=text("0")),
    Column("later", BigInteger, nullable=False, server_default=text("0")),
    Column("erased", BigInteger, nullable=False, server_default=text("0")),
    Column("transitions", BigInteger, nullable=False, server_default=text("0")),
    Column("failed_lines", BigInteger, nullable=False, server_default=text("0")),
    Column("file_format", JSONB, nullable=False, server_default=text("'{}'")),
    Column("header", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("ignored_columns", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("cursor", JSONB),
    Column("error", Text),
    Column("actor", String(255), nullable=False),
    Column("lease_token", Text),
    instant("lease_until"),
    instant("created_at", now=True),
    instant("finished_at"),
    PrimaryKeyConstraint("company_id", "id"),
    of_company(),
    CheckConstraint("status IN ('reading', 'queued', 'running', 'done', 'failed')", name="status"),
    CheckConstraint("kind IN ('events', 'customers')", name="kind"),
    CheckConstraint("on_changed IN ('hold', 'add', 'replace')", name="on_changed"),
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
    company(),
    Column("import_id", BigInteger, nullable=False),
    Column("customer_id", BigInteger, nullable=False),
    instant("occurred_at", nullable=False),
    Column("line", BigInteger, nullable=False),
    Column("type", String(32), nullable=False),
    # Lines are applied in an order that is the same in every database.
    Column("source", String(255, collation="C"), nullable=False),
    # Without an id of its own (`has_id`), a line has its content key here.
    Column("event_id", String(255, collation="C"), nullable=False),
    Column("has_id", Boolean, nullable=False),
    Column("amount_cents", BigInteger, nullable=False),
    Column("call_duration", Integer),
    Column("booking_id", String(255)),
    instant("scheduled_for"),
    instant("reported_at"),
    Column("retracts_source", String(255)),
    Column("retracts_id", String(255)),
    Column("metadata", JSONB),
    # The fields of the profile that the line names.
    Column("profile", JSONB),
    # The cells as the file has them, as a JSON array.
    Column("cells", Text),
    # The id of the customer as text, if the line has one; `customer_id` is then its number, or a reserved one.
    Column("customer_ref", String(200)),
    PrimaryKeyConstraint(
        "company_id", "import_id", "customer_id", "occurred_at", "source", "event_id", "line"
    ),
    ForeignKeyConstraint(["company_id", "import_id"], ["imports.company_id", "imports.id"]),
    Index(
        "ix_import_line_refs",
        "company_id",
        "import_id",
        "customer_ref",
        postgresql_where=text("customer_ref IS NOT NULL"),
    ),
)

import_errors = Table(
    "import_errors",
    metadata,
    company(),
    Column("import_id", BigInteger, nullable=False),
    Column("line", BigInteger, nullable=False),
    Column("pointer", Text, nullable=False),
    Column("message", Text, nullable=False),
    # The customer, if the line names one, and the cells as the file has them, as a JSON array.
    Column("customer_id", BigInteger),
    Column("cells", Text),
    PrimaryKeyConstraint("company_id", "import_id", "line", "pointer"),
    ForeignKeyConstraint(["company_id", "import_id"], ["imports.company_id", "imports.id"]),
)

jobs = Table(
    "jobs",
    metadata,
    company(),
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
    # The Idempotency-Key of the request that created the job, and the hash of the request.
    Column("request_key", String(255)),
    Column("request_hash", LargeBinary),
    Column("lease_token", Text),
    instant("lease_until"),
    instant("created_at", now=True),
    instant("started_at"),
    instant("finished_at"),
    PrimaryKeyConstraint("company_id", "id"),
    of_company(),
    CheckConstraint("status IN ('queued', 'running', 'done', 'failed')", name="status"),
    Index(
        "unique_job_request",
        "company_id",
        "kind",
        "request_key",
        unique=True,
        postgresql_where=text("request_key IS NOT NULL"),
    ),
    Index(
        "ix_due_jobs",
        "created_at",
        "company_id",
        "id",
        postgresql_where=text("status IN ('queued', 'running')"),
    ),
)

nightly_runs = Table(
    "nightly_runs",
    metadata,
    company(),
    Column("local_date", Date, nullable=False),
    instant("due_at", nullable=False),
    Column("job_id", BigInteger, nullable=False),
    instant("created_at", now=True),
    PrimaryKeyConstraint("company_id", "local_date"),
    ForeignKeyConstraint(["company_id", "job_id"], ["jobs.company_id", "jobs.id"]),
)
