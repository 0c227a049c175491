"""Tables of customers, the ledger of their events, and tombstones."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Date,
    Double,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from journey_service.repositories.tables.columns import company, instant, metadata, of_company

customers = Table(
    "customers",
    metadata,
    company(),
    Column("customer_id", BigInteger, nullable=False, autoincrement=False),
    # The id of the customer as text, if the caller has such ids; `customer_id` is then a number of the service.
    Column("customer_ref", String(200)),
    Column("name", Text),
    Column("first_name", Text),
    Column("email", Text),
    Column("phone", Text),
    # In international form if the country is known.
    Column("phone_digits", Text),
    Column("language", String(35)),
    # When each field was last named by a source, by the time of what named it: an older event does not replace it.
    Column("field_times", JSONB, nullable=False, server_default=text("'{}'")),
    Column("consents", JSONB, nullable=False, server_default=text("'{}'")),
    Column("attributes", JSONB, nullable=False, server_default=text("'{}'")),
    instant("created_at", now=True),
    instant("updated_at", now=True),
    instant("anonymized_at"),
    # The customer that this one was merged into, permanently; never a merged customer itself.
    Column("merged_into", BigInteger),
    # Sort key, and the text that the search looks through: both fold letters, see migrations. No search finds a merged
    # customer.
    Column(
        "name_key",
        Text(collation="C"),
        Computed("coalesce(fold_text(name), fold_text(first_name), '')", persisted=True),
        nullable=False,
    ),
    Column(
        "search",
        Text,
        Computed(
            "CASE WHEN merged_into IS NULL THEN search_text(customer_id, customer_ref,"
            " coalesce(name, first_name), email, phone, phone_digits) ELSE '' END",
            persisted=True,
        ),
        nullable=False,
    ),
    # The address as mailboxes compare, without case and outer blanks. That of a merged customer is the survivor's.
    Column(
        "mailbox",
        Text,
        Computed(
            "CASE WHEN merged_into IS NULL THEN lower(btrim(email)) ELSE NULL::text END", persisted=True
        ),
    ),
    PrimaryKeyConstraint("company_id", "customer_id"),
    of_company(),
    # Whole numbers that every JSON parser represents exactly: up to 2^53 - 1.
    CheckConstraint("customer_id BETWEEN -9007199254740991 AND 9007199254740991", name="customer_id"),
    ForeignKeyConstraint(["company_id", "merged_into"], ["customers.company_id", "customers.customer_id"]),
    CheckConstraint("merged_into <> customer_id", name="merged_into"),
    # Merged customers by their id, and those of each survivor.
    Index(
        "ix_merged_customers",
        "company_id",
        "customer_id",
        postgresql_include=["merged_into"],
        postgresql_where=text("merged_into IS NOT NULL"),
    ),
    Index(
        "ix_merged_groups",
        "company_id",
        "merged_into",
        postgresql_where=text("merged_into IS NOT NULL"),
    ),
    Index(
        "ix_customer_refs",
        "company_id",
        "customer_ref",
        unique=True,
        postgresql_where=text("customer_ref IS NOT NULL"),
    ),
    Index(
        "ix_customer_mailboxes",
        "company_id",
        "mailbox",
        "customer_id",
        postgresql_where=text("mailbox IS NOT NULL"),
    ),
    Index(
        "ix_customer_phones",
        "company_id",
        "phone_digits",
        "customer_id",
        postgresql_where=text("phone_digits IS NOT NULL AND merged_into IS NULL"),
    ),
    Index("ix_customers_by_name", "company_id", "name_key", "customer_id"),
    # Without a pending list, which every search would read in full.
    Index(
        "ix_customer_search",
        "company_id",
        "search",
        postgresql_using="gin",
        postgresql_ops={"search": "gin_trgm_ops"},
        postgresql_with={"fastupdate": "off"},
    ),
)

# The attributes of customers one by one, by which lists are filtered. A trigger keeps them equal to the column
# `attributes` of the customer. Row-level security permits index conditions on these types, but none on JSON.
customer_attributes = Table(
    "customer_attributes",
    metadata,
    company(),
    Column("customer_id", BigInteger, nullable=False),
    Column("attribute", Text(collation="C"), nullable=False),
    # Every value as text: numbers without exponent, `true` and `false`, dates as `2026-01-31`.
    Column("value_text", Text(collation="C"), nullable=False),
    Column("value_number", Double),
    Column("value_date", Date),
    PrimaryKeyConstraint("company_id", "customer_id", "attribute"),
    ForeignKeyConstraint(
        ["company_id", "customer_id"], ["customers.company_id", "customers.customer_id"], ondelete="CASCADE"
    ),
    Index("ix_attribute_texts", "company_id", "attribute", "value_text", "customer_id"),
    Index(
        "ix_attribute_numbers",
        "company_id",
        "attribute",
        "value_number",
        "customer_id",
        postgresql_where=text("value_number IS NOT NULL"),
    ),
    Index(
        "ix_attribute_dates",
        "company_id",
        "attribute",
        "value_date",
        "customer_id",
        postgresql_where=text("value_date IS NOT NULL"),
    ),
)

consent_changes = Table(
    "consent_changes",
    metadata,
    company(),
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("customer_id", BigInteger, nullable=False),
    Column("channel", String(8), nullable=False),
    Column("previous_status", String(9), nullable=False),
    Column("status", String(9), nullable=False),
    instant("at", nullable=False),
    Column("source", String(255), nullable=False),
    # How and when the person granted the consent.
    Column("method", String(13)),
    instant("granted_at"),
    instant("recorded_at", now=True),
    PrimaryKeyConstraint("company_id", "id"),
    ForeignKeyConstraint(["company_id", "customer_id"], ["customers.company_id", "customers.customer_id"]),
    CheckConstraint("status IN ('granted', 'withdrawn', 'unknown')", name="status"),
    Index("idx_customer_consents", "company_id", "customer_id", "id"),
)

# Mailboxes that unsubscribed: a keyed hash of the address.
mailbox_withdrawals = Table(
    "mailbox_withdrawals",
    metadata,
    company(),
    Column("mailbox_hmac", LargeBinary, nullable=False),
    Column("key_id", LargeBinary, nullable=False),
    instant("withdrawn_at", nullable=False),
    PrimaryKeyConstraint("company_id", "mailbox_hmac"),
    of_company(),
    Index("idx_mailbox_keys", "company_id", "key_id"),
)


journey_events = Table(
    "journey_events",
    metadata,
    company(),
    Column("source", String(255), nullable=False),
    Column("event_id", String(255), nullable=False),
    Column("relationship_id", BigInteger, nullable=False),
    Column("type", String(32), nullable=False),
    instant("occurred_at", nullable=False),
    instant("recorded_at", now=True),
    Column("content_hash", LargeBinary, nullable=False),
    Column("amount", Numeric(15, 3), nullable=False, server_default=text("0")),
    Column("call_duration", Integer),
    Column("booking_id", String(255)),
    instant("scheduled_for"),
    instant("reported_at"),
    Column("retracts_source", String(255)),
    Column("retracts_id", String(255)),
    # Order of the events of an erased customer: that of the sources and ids which their hashes replace.
    Column("tie_break", Integer, nullable=False, server_default=text("0")),
    Column("metadata", JSONB),
    Column("stage", String(50), nullable=False),
    Column("transition_seq", BigInteger),
    # The relationship that decided the event, if that of a merged customer did: `transition_seq` counts there.
    Column("merged_from", BigInteger),
    # Whether a later event or move of the customer was known when it was applied.
    Column("is_late", Boolean, nullable=False, server_default=text("false")),
    PrimaryKeyConstraint("company_id", "source", "event_id"),
    ForeignKeyConstraint(
        ["company_id", "relationship_id"], ["customer_relationships.company_id", "customer_relationships.id"]
    ),
    Index("idx_relationship_events", "company_id", "relationship_id", "occurred_at"),
    Index(
        "ix_booking_events",
        "company_id",
        "relationship_id",
        "booking_id",
        postgresql_where=text("booking_id IS NOT NULL"),
    ),
    Index(
        "ix_retractions",
        "company_id",
        "retracts_source",
        "retracts_id",
        "relationship_id",
        postgresql_where=text("retracts_id IS NOT NULL"),
    ),
    # Event details that retention clears.
    Index(
        "ix_kept_event_details",
        "company_id",
        "occurred_at",
        postgresql_where=text("metadata IS NOT NULL"),
    ),
)

erasure_tombstones = Table(
    "erasure_tombstones",
    metadata,
    company(),
    Column("customer_hmac", LargeBinary, nullable=False),
    # The secret of the hash: another secret would match no customer.
    Column("key_id", LargeBinary, nullable=False),
    instant("erased_at", now=True),
    PrimaryKeyConstraint("company_id", "customer_hmac"),
    of_company(),
    Index("idx_tombstone_keys", "company_id", "key_id"),
)
