"""Conditions of lists on attributes of customers, and the customers that an index finds by them."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.customers.attributes import AttributeFilter

MAX_ATTRIBUTED: Final = 20_000
"""Customers of a filter that are found by its index; with more, the customers are compared in the order of the list."""
_ONLY_INDEXES: Final = text("SELECT set_config('enable_seqscan', 'off', true)")
_ALL_SCANS: Final = text("SELECT set_config('enable_seqscan', 'on', true)")
_NAMES: Final = text(
    "WITH RECURSIVE names AS ((SELECT attribute FROM customer_attributes WHERE company_id = :company_id"
    "   ORDER BY attribute LIMIT 1) UNION ALL SELECT (SELECT k.attribute FROM customer_attributes k"
    "   WHERE k.company_id = :company_id AND k.attribute > n.attribute ORDER BY k.attribute LIMIT 1)"
    "   FROM names n WHERE n.attribute IS NOT NULL)"
    " SELECT attribute FROM names WHERE attribute IS NOT NULL LIMIT :limit"
)


def compare_attribute(filter_: AttributeFilter, number: int) -> tuple[str, Mapping[str, object]]:
    """Returns the condition on a profile `c`, and its values. `number` is the index of the filter in its list.

    The value is read by the key of each customer that is compared: as a join, it could be planned the other way round.
    """
    compared = (
        f"(SELECT {_comparison(filter_, number)} FROM customer_attributes k WHERE k.company_id = c.company_id"
        f" AND k.customer_id = c.customer_id AND k.attribute = :attribute_{number}) IS TRUE"
    )
    return compared, _values(filter_, number)


async def find_attributed(
    connection: AsyncConnection, values: Mapping[str, Any], filters: Sequence[AttributeFilter]
) -> list[int] | None:
    """Returns the ids of the customers that match the filter with the fewest customers, by its index.

    None without filters, and if each of them matches more than MAX_ATTRIBUTED. `values` are those of the list.
    """
    fewest: list[int] | None = None
    await connection.execute(_ONLY_INDEXES)
    for number, filter_ in enumerate(filters):
        most = MAX_ATTRIBUTED + 1 if fewest is None else max(1, len(fewest))
        found = await connection.scalar(
            text(f"SELECT array_agg(customer_id) FROM ({_find(filter_, number)} LIMIT {most}) k"),
            {"company_id": values["company_id"], **_values(filter_, number)},
        )
        if len(found or ()) < most:
            fewest = sorted(found or ())
    await connection.execute(_ALL_SCANS)
    return fewest


async def list_attribute_names(
    connection: AsyncConnection, values: Mapping[str, Any], limit: int
) -> list[str]:
    """Returns the names of the attributes that customers of a company have, in order; at most `limit`.

    Each name is looked up by an index after the one before, so that the time does not depend on the customers.
    """
    await connection.execute(_ONLY_INDEXES)
    names = await connection.scalars(_NAMES, {**values, "limit": limit})
    await connection.execute(_ALL_SCANS)
    return list(names.all())


def _find(filter_: AttributeFilter, number: int) -> str:
    return (
        "SELECT k.customer_id FROM customer_attributes k WHERE k.company_id = :company_id"
        f" AND k.attribute = :attribute_{number} AND {_comparison(filter_, number)}"
    )


def _comparison(filter_: AttributeFilter, number: int) -> str:
    if filter_.operator == ":":
        return f"k.value_text = ANY(CAST(:texts_{number} AS text[]))"
    column, type_ = (
        ("value_number", "double precision") if isinstance(filter_.value, Decimal) else ("value_date", "date")
    )
    return f"k.{column} {filter_.operator} CAST(:compared_{number} AS {type_})"


def _values(filter_: AttributeFilter, number: int) -> dict[str, object]:
    value: object = filter_.value
    if isinstance(value, tuple):
        return {f"attribute_{number}": filter_.name, f"texts_{number}": list(value)}
    # A number of at most 15 digits is exact as a double.
    compared = float(value) if isinstance(value, Decimal) else value
    return {f"attribute_{number}": filter_.name, f"compared_{number}": compared}
