"""Tables of actions, tasks, campaigns, templates, webhook endpoints and outbound events."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
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
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from journey_service.repositories.tables.columns import company, instant, metadata, of_company

message_templates = Table(
    "message_templates",
    metadata,
    company(),
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("key", String(50), nullable=False),
    Column("channel", String(10), nullable=False),
    Column("language", String(16), nullable=False),
    Column("subject", Text),
    Column("body", Text, nullable=False),
    Column("html", Text),
    Column("author", String(255), nullable=False),
    instant("created_at", now=True),
    instant("updated_at", now=True),
    PrimaryKeyConstraint("company_id", "id"),
    UniqueConstraint("company_id", "key", "language", name="unique_template"),
    of_company(),
)

retention_campaigns = Table(
    "retention_campaigns",
    metadata,
    company(),
    Column("id", BigInteger, Identity(always=False), nullable=False),
    Column("relationship_id", BigInteger, nullable=False),
    Column("type", String(50), nullable=False),
    Column("transition_seq", BigInteger, nullable=False),
    Column("scheduled_actions", JSONB, nullable=False),
    instant("started_at", nullable=False),
    instant("ended_at"),
    Column("end_reason", String(20)),
    # The relationship whose stage started it, if the customer was merged since: `transition_seq` counts there.
    Column("merged_from", BigInteger),
    instant("created_at", now=True),
    PrimaryKeyConstraint("company_id", "id"),
    ForeignKeyConstraint(
        ["company_id", "relationship_id"], ["customer_relationships.company_id", "customer_relationships.id"]
    ),
    CheckConstraint("(ended_at IS NULL) = (end_reason IS NULL)", name="ended"),
    Index("idx_customer_campaigns", "company_id", "relationship_id", "type", "id"),
    # At most one campaign of a type runs for a customer.
    Index(
        "unique_running_campaign",
        "company_id",
        "relationship_id",
        "type",
        unique=True,
        postgresql_where=text("ended_at IS NULL"),
    ),
)

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    company(),
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("url", Text, nullable=False),
    Column("description", Text),
    Column("events", ARRAY(Text), nullable=False),
    # Encrypted: see vault.py.
    Column("secret", LargeBinary, nullable=False),
    Column("previous_secret", LargeBinary),
    instant("previous_expires_at"),
    Column("is_enabled", Boolean, nullable=False, server_default=text("true")),
    Column("disabled_reason", String(20)),
    instant("failing_since"),
    instant("last_disabled_at"),
    instant("created_at", now=True),
    instant("updated_at", now=True),
    PrimaryKeyConstraint("company_id", "id"),
    of_company(),
)

outbound_events = Table(
    "outbound_events",
    metadata,
    company(),
    Column("id", BigInteger, Identity(always=True), nullable=False),
    # NULL for the progress of a job, a disabled endpoint, and a task about no customer.
    Column("relationship_id", BigInteger),
    Column("type", String(20), nullable=False),
    Column("transition_seq", BigInteger),
    Column("task_id", BigInteger),
    Column("campaign_id", BigInteger),
    Column("action_id", UUID(as_uuid=False)),
    Column("job_id", BigInteger),
    Column("endpoint_id", BigInteger),
    # Assigned after the commit, one publisher at a time: readers in this order miss nothing.
    Column("position", BigInteger),
    instant("created_at", now=True),
    PrimaryKeyConstraint("company_id", "id"),
    ForeignKeyConstraint(
        ["company_id", "relationship_id"], ["customer_relationships.company_id", "customer_relationships.id"]
    ),
    # A task may be about no customer.
    CheckConstraint(
        "num_nonnulls(relationship_id, job_id, endpoint_id) = 1 OR (task_id IS NOT NULL"
        " AND num_nonnulls(relationship_id, job_id, endpoint_id) = 0)",
        name="subject",
    ),
    Index(
        "unique_outbound_event_position",
        "company_id",
        "position",
        unique=True,
        postgresql_where=text("position IS NOT NULL"),
    ),
    Index("ix_unpublished_outbound_events", "company_id", "id", postgresql_where=text("position IS NULL")),
    Index("idx_customer_outbound_events", "company_id", "relationship_id"),
)

journey_actions = Table(
    "journey_actions",
    metadata,
    company(),
    Column("id", UUID(as_uuid=False), nullable=False, server_default=text("gen_random_uuid()")),
    # NULL for the delivery of an outbound event that is about no customer.
    Column("relationship_id", BigInteger),
    Column("transition_seq", BigInteger),
    Column("stage", String(50), nullable=False),
    Column("name", String(64), nullable=False),
    Column("number", SmallInteger, nullable=False),
    Column("channel", String(10), nullable=False),
    Column("step", JSONB, nullable=False),
    Column("is_stage_bound", Boolean, nullable=False),
    # The test clock was advanced past the due time: the action may be delivered.
    Column("is_released_by_test_clock", Boolean, nullable=False, server_default=text("false")),
    Column("campaign_id", BigInteger),
    Column("endpoint_id", BigInteger),
    Column("outbound_event_id", BigInteger),
    Column("note", Text),
    Column("actor", String(255)),
    Column("request_key", String(255)),
    # In the company's time.
    instant("planned_at", nullable=False),
    instant("due_at", nullable=False),
    instant("reserved_at"),
    instant("finished_at"),
    # Database time from which a worker may claim the action: it is due, is to be retried, or its lease has expired.
    instant("ready_at"),
    Column("state", String(9), nullable=False, server_default=text("'pending'")),
    Column("reason", String(20)),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("lease_token", Text),
    Column("last_error", Text),
    Column("last_status", Integer),
    instant("created_at", now=True),
    instant("updated_at", now=True),
    PrimaryKeyConstraint("company_id", "id"),
    UniqueConstraint(
        "company_id", "relationship_id", "transition_seq", "name", "number", name="unique_stage_action"
    ),
    ForeignKeyConstraint(
        ["company_id", "relationship_id"], ["customer_relationships.company_id", "customer_relationships.id"]
    ),
    ForeignKeyConstraint(
        ["company_id", "campaign_id"], ["retention_campaigns.company_id", "retention_campaigns.id"]
    ),
    ForeignKeyConstraint(
        ["company_id", "endpoint_id"], ["webhook_endpoints.company_id", "webhook_endpoints.id"]
    ),
    CheckConstraint("state IN ('pending', 'leased', 'done', 'cancelled', 'dead')", name="state"),
    CheckConstraint("channel = 'webhook' OR relationship_id IS NOT NULL", name="customer"),
    CheckConstraint("(state = 'leased') = (lease_token IS NOT NULL)", name="leased"),
    Index(
        "ix_due_actions",
        "company_id",
        "ready_at",
        postgresql_where=text("state IN ('pending', 'leased') AND ready_at IS NOT NULL"),
    ),
    # Due deliveries of each endpoint.
    Index(
        "ix_due_deliveries",
        "company_id",
        "endpoint_id",
        "ready_at",
        postgresql_where=text("state IN ('pending', 'leased') AND endpoint_id IS NOT NULL"),
    ),
    # Pending actions of companies with a test clock.
    Index(
        "ix_waiting_actions",
        "company_id",
        "due_at",
        postgresql_where=text("state = 'pending' AND ready_at IS NULL"),
    ),
    Index("idx_customer_actions", "company_id", "relationship_id", "channel", "reserved_at"),
    Index("idx_listed_actions", "company_id", "created_at", "id"),
    Index("idx_dead_actions", "company_id", "created_at", "id", postgresql_where=text("state = 'dead'")),
    Index(
        "unique_outbound_event_delivery",
        "company_id",
        "outbound_event_id",
        "endpoint_id",
        unique=True,
        postgresql_where=text("outbound_event_id IS NOT NULL"),
    ),
    Index(
        "unique_action_request",
        "company_id",
        "relationship_id",
        "request_key",
        unique=True,
        postgresql_where=text("request_key IS NOT NULL"),
    ),
    postgresql_with={"fillfactor": "70", "autovacuum_vacuum_scale_factor": "0.01"},
)

action_attempts = Table(
    "action_attempts",
    metadata,
    company(),
    Column("action_id", UUID(as_uuid=False), nullable=False),
    Column("number", Integer, nullable=False),
    Column("relationship_id", BigInteger),
    instant("started_at", nullable=False),
    instant("ended_at", now=True),
    Column("outcome", String(8), nullable=False),
    Column("status", Integer),
    Column("response", Text),
    PrimaryKeyConstraint("company_id", "action_id", "number"),
    ForeignKeyConstraint(["company_id", "action_id"], ["journey_actions.company_id", "journey_actions.id"]),
    CheckConstraint("outcome IN ('done', 'failed', 'refused')", name="outcome"),
    Index("idx_customer_attempts", "company_id", "relationship_id"),
)

journey_tasks = Table(
    "journey_tasks",
    metadata,
    company(),
    Column("id", BigInteger, Identity(always=False), nullable=False),
    # NULL for a task about no customer, as is the stage.
    Column("relationship_id", BigInteger),
    Column("action_id", UUID(as_uuid=False)),
    Column("campaign_id", BigInteger),
    Column("transition_seq", BigInteger),
    Column("channel", String(10), nullable=False),
    Column("name", String(64), nullable=False),
    Column("title", String(255), nullable=False),
    Column("stage", String(50)),
    Column("assignee", String(255)),
    Column("note", Text),
    Column("is_stage_bound", Boolean, nullable=False),
    instant("due_at", nullable=False),
    Column("status", String(9), nullable=False, server_default=text("'open'")),
    Column("reason", String(20)),
    Column("outcome", Text),
    # The Idempotency-Key of the request that created the task.
    Column("request_key", String(255)),
    Column("closed_by", String(255)),
    instant("closed_at"),
    instant("created_at", nullable=False),
    instant("updated_at", now=True),
    Column("version", BigInteger, nullable=False, server_default=text("1")),
    # The version in which each field changed last, for fields that have changed.
    Column("changed_in", JSONB, nullable=False, server_default=text("'{}'")),
    PrimaryKeyConstraint("company_id", "id"),
    ForeignKeyConstraint(
        ["company_id", "relationship_id"], ["customer_relationships.company_id", "customer_relationships.id"]
    ),
    ForeignKeyConstraint(["company_id", "action_id"], ["journey_actions.company_id", "journey_actions.id"]),
    # One action creates one task, however often it is attempted.
    UniqueConstraint("company_id", "action_id", name="unique_task_of_action"),
    CheckConstraint("(relationship_id IS NULL) = (stage IS NULL)", name="customer"),
    CheckConstraint("status IN ('open', 'done', 'dismissed', 'closed')", name="status"),
    Index(
        "unique_task_request",
        "company_id",
        "request_key",
        unique=True,
        postgresql_where=text("request_key IS NOT NULL"),
    ),
    Index("idx_tasks_due", "company_id", "status", "due_at", "id"),
    Index("idx_assigned_tasks", "company_id", "assignee", "status", "due_at"),
    Index("idx_customer_tasks", "company_id", "relationship_id", "status"),
)
