"""What the tables are made of: one catalogue, and the columns that many of them have."""

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

Row: TypeAlias = Any
"""A result row. The columns depend on the statement, so its attributes are not typed."""

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


def instant(name: str, *, nullable: bool = True, now: bool = False) -> Column[object]:
    """A column of instants; `now`: filled with that of writing."""
    default = func.clock_timestamp() if now else None
    return Column(name, DateTime(timezone=True), nullable=nullable and not now, server_default=default)


def company() -> Column[int]:
    """The company a row belongs to."""
    return Column("company_id", BigInteger, nullable=False, autoincrement=False)


def times(name: str) -> Column[object]:
    """A bounded, sorted array of instants."""
    return Column(name, ARRAY(DateTime(timezone=True)), nullable=False, server_default=text("'{}'"))


def money(name: str) -> Column[object]:
    """An amount in the company's currency."""
    return Column(name, Numeric(15, 3), nullable=False, server_default=text("0"))


def of_company() -> ForeignKeyConstraint:
    """The reference to the company itself."""
    return ForeignKeyConstraint(["company_id"], ["companies.id"])
