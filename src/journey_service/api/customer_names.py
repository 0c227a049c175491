"""Names and refs of customers: those that a body names, and those in a stored result.

Results hold ids only, so that an erasure needs to change nothing else.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from journey_service.api.authentication import Caller
from journey_service.api.dependencies import AppState
from journey_service.domain.customers.references import parse_written_ref
from journey_service.domain.json_values import UncheckedJson
from journey_service.services.customers.names import NO_NAMES, CustomerNames, list_names
from journey_service.services.customers.references import find_number, find_numbers


async def named_customers(
    app_state: AppState, caller: Caller, customers: Sequence[int | str] | None
) -> list[int] | None:
    """Returns the ids of the customers in `customer_ids` of a body. Raises InvalidInputError."""
    if customers is None:
        return None
    return await find_numbers(app_state.database, caller.company_id, customers, "/customer_ids")


async def named_customer(app_state: AppState, caller: Caller, customer: int | str) -> int:
    """Returns the id of the customer in a request. Raises CustomerNotFoundError."""
    if isinstance(customer, int):
        return customer
    ref = parse_written_ref(customer, "")
    assert ref is not None  # it was checked when the request was read
    return await find_number(app_state.database, caller.company_id, ref)


async def names_in(
    app_state: AppState, caller: Caller, result: Mapping[str, Any] | None
) -> Mapping[int, CustomerNames]:
    """Returns the names of the customers in a result, by id; none if the caller may not read customers."""
    ids = set(_ids_in(result)) if caller.sees_names else set()
    return await list_names(app_state.database, caller.company_id, sorted(ids)) if ids else {}


def with_names(value: UncheckedJson, names: Mapping[int, CustomerNames]) -> UncheckedJson:
    """Returns a result with `customer_ref` and `customer_name` next to each `customer_id`."""
    if isinstance(value, Mapping):
        named = {name: with_names(inner, names) for name, inner in value.items()}
        if "customer_id" in value:
            found = names.get(value["customer_id"], NO_NAMES)
            named |= {"customer_ref": found.customer_ref, "customer_name": found.name}
        return named
    return [with_names(inner, names) for inner in value] if isinstance(value, list) else value


def _ids_in(value: object) -> Iterator[int]:
    if isinstance(value, Mapping):
        if isinstance(value.get("customer_id"), int):
            yield value["customer_id"]
        for inner in value.values():
            yield from _ids_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _ids_in(inner)
