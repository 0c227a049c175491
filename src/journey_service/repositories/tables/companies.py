"""Tables of companies, the versions of their stage maps, and current stages."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from journey_service.repositories.tables.columns import company, instant, metadata, of_company

companies = Table(
    "companies",
    metadata,
    Column("id", BigInteger, Identity(always=False), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("timezone", String(64), nullable=False),
    # Time zones before a correction, with their ends.
    Column("former_zones", JSONB, nullable=False, server_default=text("'[]'")),
    Column("currency", String(3), nullable=False),
    # Smallest units in one unit of the currency: 100 cents are one euro.
    Column("currency_units", Integer, nullable=False, server_default=text("100")),
    instant("clock_at"),
    # Whether actions that fall due by a test clock are delivered.
    Column("delivers_messages", Boolean, nullable=False, server_default=text("false")),
    instant("next_nightly_run_at"),
    instant("scored_at"),
    Column("map_version", Integer, nullable=False),
    Column("migrated_version", Integer, nullable=False, server_default=text("1")),
    Column("policy", JSONB, nullable=False),
    # Actions on entering a stage, by its key, where the company has set them.
    Column("stage_actions", JSONB, nullable=False, server_default=text("'{}'")),
    # The map version of the rollups; 0: they have to be rebuilt.
    Column("rollup_version", Integer, nullable=False, server_default=text("0")),
    # The model whose predictions are shown; null: none.
    Column("churn_model_id", BigInteger),
    instant("created_at", now=True),
    instant("updated_at", now=True),
)

stage_map_versions = Table(
    "stage_map_versions",
    metadata,
    company(),
    Column("version", Integer, nullable=False),
    Column("stages", JSONB, nullable=False),
    Column("author", String(255), nullable=False),
    instant("activated_at"),
    Column("activation", String(20), nullable=False, server_default=text("'future_only'")),
    Column("notes", Text),
    Column("findings", JSONB, nullable=False, server_default=text("'[]'")),
    instant("created_at", now=True),
    CheckConstraint(
        "activation IN ('future_only', 'current_silent', 'current_with_actions')", name="activation"
    ),
    PrimaryKeyConstraint("company_id", "version"),
    of_company(),
)

customer_journey_stages = Table(
    "customer_journey_stages",
    metadata,
    company(),
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
    instant("created_at", now=True),
    instant("updated_at", now=True),
    PrimaryKeyConstraint("company_id", "id"),
    UniqueConstraint("company_id", "stage_key", name="unique_company_stage"),
    CheckConstraint("kind IN ('progress', 'risk')", name="kind"),
    of_company(),
    Index("idx_company_order", "company_id", "order_index"),
)
