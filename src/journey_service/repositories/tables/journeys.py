"""Tables of journeys: relationships and the ledger of transitions."""

from typing import TypeVar

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from journey_service.repositories.tables.columns import company, instant, metadata, money, times

_T = TypeVar("_T")


def _key(name: str, kind: TypeEngine[_T] | type[TypeEngine[_T]], value: str) -> Column[_T]:
    """Returns a column that the database computes from others of the row."""
    return Column(name, kind, Computed(value, persisted=True), nullable=False)


customer_relationships = Table(
    "customer_relationships",
    metadata,
    company(),
    Column("id", BigInteger, Identity(always=False), nullable=False),
    Column("customer_id", BigInteger, nullable=False),
    Column("current_stage", String(50), nullable=False),
    instant("stage_entered_at", nullable=False),
    Column("previous_stage", String(50)),
    Column("version", BigInteger, nullable=False),
    money("lifetime_value"),
    Column("total_appointments", Integer, nullable=False, server_default=text("0")),
    Column("total_missed", Integer, nullable=False, server_default=text("0")),
    instant("first_appointment_at"),
    instant("last_appointment_at"),
    instant("last_event_at"),
    money("appointments_value"),
    money("payments_value"),
    money("refunds_value"),
    times("recent_completed"),
    times("recent_missed"),
    times("recent_long_calls"),
    times("recent_tickets"),
    # Times of the appointments of bookings without an outcome, past ones included.
    times("open_bookings"),
    Column("last_progress_stage", String(50)),
    Column("stages_held", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    instant("pin_until"),
    Column("pin_state", JSONB),
    Column("risk_score", Numeric(3, 2), nullable=False, server_default=text("0")),
    Column("engagement_score", Numeric(3, 2), nullable=False, server_default=text("0")),
    instant("scored_at"),
    # Chance to churn, and the cumulative hazards it was computed from, with their time.
    Column("churn_probability", Numeric(5, 4)),
    Column("churn_hazards", JSONB),
    instant("next_evaluation_at"),
    Column("map_version", Integer, nullable=False, server_default=text("1")),
    Column("owner", String(255)),
    Column("notes", Text),
    Column("metadata", JSONB),
    # Sort keys of the customer list. Row-level security permits index conditions on integers and times, which cannot
    # leak rows of other companies by an error, but none on numerics or expressions.
    _key("risk_key", Integer, "(risk_score * 100::numeric)::integer"),
    _key("engagement_key", Integer, "(engagement_score * 100::numeric)::integer"),
    _key("lifetime_value_key", BigInteger, "(lifetime_value * 1000::numeric)::bigint"),
    _key(
        "last_appointment_key",
        DateTime(timezone=True),
        "coalesce(last_appointment_at, '1899-12-31 00:00:00+00'::timestamp with time zone)",
    ),
    _key(
        "expected_loss_key",
        BigInteger,
        "coalesce(churn_probability * greatest(lifetime_value, 0::numeric) * 1000::numeric, 0::numeric)::bigint",
    ),
    instant("created_at", now=True),
    instant("updated_at", now=True),
    PrimaryKeyConstraint("company_id", "id"),
    UniqueConstraint("company_id", "customer_id", name="unique_company_customer"),
    ForeignKeyConstraint(["company_id", "customer_id"], ["customers.company_id", "customers.customer_id"]),
    CheckConstraint("version >= 1", name="version"),
    # Each order of the list, stage by stage: lists of all customers merge the stages. The indexes begin with the stage
    # because facts and stages correlate: in the order of all customers, those of a stage may all come last.
    Index("idx_stage", "company_id", "current_stage", "stage_entered_at", "customer_id"),
    Index("idx_stage_risk", "company_id", "current_stage", "risk_key", "customer_id"),
    Index("ix_stage_engagement", "company_id", "current_stage", "engagement_key", "customer_id"),
    # The number of appointments is a filter of the list, compared in the index.
    Index(
        "ix_stage_lifetime_value",
        "company_id",
        "current_stage",
        "lifetime_value_key",
        "customer_id",
        "total_appointments",
    ),
    Index("ix_stage_last_appointment", "company_id", "current_stage", "last_appointment_key", "customer_id"),
    Index("ix_stage_expected_loss", "company_id", "current_stage", "expected_loss_key", "customer_id"),
    # Filters of the customer list.
    Index("ix_owned_customers", "company_id", "owner", postgresql_where=text("owner IS NOT NULL")),
    Index("ix_pinned_customers", "company_id", "customer_id", postgresql_where=text("pin_until IS NOT NULL")),
    # Due customers of each company.
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
    company(),
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("relationship_id", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("from_stage", String(50)),
    Column("to_stage", String(50), nullable=False),
    instant("transitioned_at", nullable=False),
    instant("recorded_at", now=True),
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
    # The kind of move by the map that decided it, and when the stage it left was entered.
    Column("motion", String(7), nullable=False),
    instant("since"),
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
    CheckConstraint("motion IN ('opening', 'entry', 'down', 'lapse', 'return', 'remap')", name="motion"),
    CheckConstraint("(since IS NULL) = (seq = 1)", name="since"),
    # Covers the queries of metrics over ranges of days.
    Index(
        "idx_transition_days",
        "company_id",
        "transitioned_at",
        postgresql_include=["relationship_id", "from_stage", "to_stage", "motion", "since"],
    ),
    Index("idx_customer_time", "company_id", "relationship_id", text("transitioned_at DESC")),
)
