"""Names of the customers in a stored result: results hold ids only, so that an erasure needs to change nothing else."""

from collections.abc import Iterator, Mapping
from typing import Any

from journey_service.api.authentication import Caller
from journey_service.api.dependencies import AppState
from journey_service.services.customers.names import list_names


async def names_in(
    app_state: AppState, caller: Caller, result: Mapping[str, Any] | None
) -> Mapping[int, str]:
    """Returns the names of the customers in a result, by id; none if the caller may not read customers."""
    ids = set(_ids_in(result)) if caller.sees_names else set()
    return await list_names(app_state.database, caller.company_id, sorted(ids)) if ids else {}


def with_names(value: Any, names: Mapping[int, str]) -> Any:  # noqa: ANN401  # any JSON value
    """Returns a result with `customer_name` next to each `customer_id`."""
    if isinstance(value, Mapping):
        named = {name: with_names(inner, names) for name, inner in value.items()}
        return named | {"customer_name": names.get(value["customer_id"])} if "customer_id" in value else named
    return [with_names(inner, names) for inner in value] if isinstance(value, list) else value


def _ids_in(value: Any) -> Iterator[int]:  # noqa: ANN401  # any JSON value
    if isinstance(value, Mapping):
        if isinstance(value.get("customer_id"), int):
            yield value["customer_id"]
        for inner in value.values():
            yield from _ids_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _ids_in(inner)
