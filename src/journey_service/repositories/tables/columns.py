"""The metadata of all tables, and constructors of columns that many of them share."""

from typing import Any, Final, TypeAlias

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    DateTime,
    ForeignKeyConstraint,
    MetaData,
    Numeric,
    func,
    text,
)

from journey_service.domain.stages.stage_map import MERGED_STAGE

Row: TypeAlias = Any
"""A result row. The columns depend on the statement, so its attributes are not typed."""

OPERATORS: Final = 0
"""The id of the company that holds the operators' keys; it has no customers."""

metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def instant(name: str, *, nullable: bool = True, now: bool = False) -> Column[object]:
    """Returns a column of instants; with `now` it defaults to the time of the insert."""
    default = func.clock_timestamp() if now else None
    return Column(name, DateTime(timezone=True), nullable=nullable and not now, server_default=default)


def company() -> Column[int]:
    """Returns the column of the company a row belongs to."""
    return Column("company_id", BigInteger, nullable=False, autoincrement=False)


def times(name: str) -> Column[object]:
    """Returns a column of a bounded, sorted array of instants."""
    return Column(name, ARRAY(DateTime(timezone=True)), nullable=False, server_default=text("'{}'"))


def money(name: str) -> Column[object]:
    """Returns a column of an amount in the company's currency."""
    return Column(name, Numeric(15, 3), nullable=False, server_default=text("0"))


CURRENCY_UNITS: Final = "(SELECT currency_units FROM companies WHERE id = :company_id)"
"""SQL for the number of smallest units in one unit of the company's currency; evaluated once in a statement."""


def of_company() -> ForeignKeyConstraint:
    """Returns the foreign key to the company."""
    return ForeignKeyConstraint(["company_id"], ["companies.id"])


SURVIVOR: Final = (
    "coalesce((SELECT merged_into FROM customers WHERE company_id = :company_id AND customer_id = :customer_id"
    " AND merged_into IS NOT NULL), CAST(:customer_id AS bigint))"
)
"""SQL for the customer to whom the id `:customer_id` leads: the survivor, if the customer was merged into another."""
NOT_MERGED: Final = f"current_stage <> '{MERGED_STAGE}'"
"""SQL for relationships of customers who were not merged into another one."""
