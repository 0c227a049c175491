"""Tables of rollups, visit-duration histograms, daily snapshots, and churn models with their calibration."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Double,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from journey_service.repositories.tables.columns import company, instant, metadata, of_company

journey_rollups = Table(
    "journey_rollups",
    metadata,
    company(),
    Column("id", BigInteger, Identity(always=True), nullable=False),
    # flow: moves of a day. last_flow: customers who made a move for the last time on that day. stage_reached: customers
    # who reached a stage for the last time on that day. revenue: amounts of a day. flow_total, revenue_total: sums of
    # flow and revenue over all days. dirty_day: the day's data changed after its snapshot.
    Column("kind", String(13), nullable=False),
    Column("day", Date, nullable=False),
    Column("key", String(101), nullable=False),
    Column("motion", String(7), nullable=False, server_default=text("''")),
    # Moves, customers or events, by kind.
    Column("total", BigInteger, nullable=False),
    # Total duration of the stage visits that the moves ended.
    Column("duration_micros", Numeric(30, 0), nullable=False, server_default=text("0")),
    # Sum of the times of the moves, in microseconds since 1970. It yields the age of open visits.
    Column("moved_at_micros_sum", Numeric(30, 0), nullable=False, server_default=text("0")),
    Column("appointments", Numeric(21, 3), nullable=False, server_default=text("0")),
    Column("payments", Numeric(21, 3), nullable=False, server_default=text("0")),
    # Inserted by a transaction, and not yet merged into the row of its key.
    Column("is_unmerged", Boolean, nullable=False, server_default=text("true")),
    PrimaryKeyConstraint("company_id", "id"),
    of_company(),
    Index("idx_rollups", "company_id", "kind", "day"),
    Index("ix_unmerged_rollups", "company_id", "id", postgresql_where=text("is_unmerged")),
    Index(
        "unique_rollup",
        "company_id",
        "kind",
        "day",
        "key",
        "motion",
        unique=True,
        postgresql_where=text("NOT is_unmerged"),
    ),
)

# Cumulative histograms of stage visits: for each duration in tenths of a day, the number of visits that ended up to and
# including the day. Only days on which a visit ended have a row.
stage_visit_durations = Table(
    "stage_visit_durations",
    metadata,
    company(),
    Column("stage_key", String(50), nullable=False),
    Column("day", Date, nullable=False),
    Column("duration_tenths", ARRAY(Integer), nullable=False),
    Column("cumulative_counts", ARRAY(BigInteger), nullable=False),
    PrimaryKeyConstraint("company_id", "stage_key", "day"),
    of_company(),
    CheckConstraint("cardinality(duration_tenths) = cardinality(cumulative_counts)", name="counts"),
)

journey_stage_metrics = Table(
    "journey_stage_metrics",
    metadata,
    company(),
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("stage_key", String(50), nullable=False),
    Column("metric_date", Date, nullable=False),
    Column("customer_count", Integer, nullable=False, server_default=text("0")),
    Column("ended_visits", Integer, nullable=False, server_default=text("0")),
    Column("avg_time_in_stage", Numeric(10, 2)),
    Column("conversion_rate", Numeric(5, 2)),
    Column("revenue", Numeric(21, 3), nullable=False, server_default=text("0")),
    Column("revision", Integer, nullable=False, server_default=text("1")),
    instant("computed_at", now=True),
    PrimaryKeyConstraint("company_id", "id"),
    UniqueConstraint("company_id", "stage_key", "metric_date", name="unique_company_stage_date"),
    of_company(),
    Index("idx_company_date", "company_id", "metric_date"),
)

# Fitted models, the newest of each company. They hold sums and coefficients of many customers.
churn_models = Table(
    "churn_models",
    metadata,
    company(),
    Column("id", BigInteger, Identity(always=True), nullable=False),
    # Version of the form of the parameters.
    Column("version", Integer, nullable=False),
    Column("fitted_on", Date, nullable=False),
    Column("sampled_customers", Integer, nullable=False),
    Column("parameters", JSONB, nullable=False),
    # Back-test on the company; null: too few customers.
    Column("quality", JSONB),
    Column("is_shown", Boolean, nullable=False),
    instant("fitted_at", nullable=False),
    PrimaryKeyConstraint("company_id", "id"),
    of_company(),
)

# Predictions that wait for what happens: of a sample of customers, once a month.
churn_samples = Table(
    "churn_samples",
    metadata,
    company(),
    Column("month", Date, nullable=False),
    Column("relationship_id", BigInteger, nullable=False),
    instant("predicted_at", nullable=False),
    # Chance of no visit in the days of the horizon.
    Column("probability", Double, nullable=False),
    PrimaryKeyConstraint("company_id", "month", "relationship_id"),
    ForeignKeyConstraint(
        ["company_id", "relationship_id"],
        ["customer_relationships.company_id", "customer_relationships.id"],
        ondelete="CASCADE",
    ),
)

# Predicted and realised shares of the samples whose horizon has ended, by bins of equally many customers.
churn_calibration = Table(
    "churn_calibration",
    metadata,
    company(),
    Column("month", Date, nullable=False),
    Column("bin", Integer, nullable=False),
    Column("customers", Integer, nullable=False),
    Column("predicted", Double, nullable=False),
    Column("realised", Double, nullable=False),
    PrimaryKeyConstraint("company_id", "month", "bin"),
    of_company(),
)
