"""Customers in the path of a request: an id, or a ref that is replaced by its number before the route reads it."""

from typing import Annotated, Final

from fastapi import Depends, Request

from journey_service.domain.customers.references import parse_written_ref
from journey_service.services.customers.references import find_number, find_or_reserve_number

_FOR_NEW_CUSTOMERS: Final = frozenset(("upsert_customer", "anonymize_customer"))
"""Operations that take a ref which no customer has: it is a new customer's, or an erased one's."""
_PARAMETER: Final = "customer_id"
_NEW_REF: Final = "new_customer_ref"


async def resolve_customer(request: Request, company_id: int) -> None:
    """Replaces a ref in the path of a request by the customer's number.

    Raises InvalidInputError, CustomerNotFoundError.
    """
    value = request.path_params.get(_PARAMETER)
    ref = parse_written_ref(value, f"path/{_PARAMETER}") if isinstance(value, str) else None
    if ref is None:
        return
    database = request.app.state.app_state.database
    if request.scope["route"].name in _FOR_NEW_CUSTOMERS:
        number = await find_or_reserve_number(database, company_id, ref)
        request.scope[_NEW_REF] = ref
    else:
        number = await find_number(database, company_id, ref)
    request.path_params[_PARAMETER] = str(number)


async def _path_ref(request: Request) -> str | None:
    ref: str | None = request.scope.get(_NEW_REF)
    return ref


PathRef = Annotated[str | None, Depends(_path_ref)]
"""The ref that the path names, for operations that take a new one."""
