"""The option `--customer`: an id, or a ref written `ref:<percent-encoded>`, and the ids that such values stand for."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from journey_service.domain.customers.references import REF_PREFIX, parse_written_ref
from journey_service.domain.errors import FieldError, InvalidInputError
from journey_service.domain.events.event import MAX_ID
from journey_service.repositories.database import Database
from journey_service.services.customers.references import find_filtered, find_number, find_numbers

_HELP = "id, or ref:<customer_ref>"


def _checked(value: str) -> str:
    try:
        is_valid = parse_written_ref(value, "--customer") is not None or (
            value.isascii() and value.isdecimal() and int(value) <= MAX_ID
        )
    except InvalidInputError as error:
        raise typer.BadParameter(error.errors[0].message) from error
    if not is_valid:
        raise typer.BadParameter(
            f"{value!r} is neither an id of 0 to {MAX_ID} nor {REF_PREFIX}<customer_ref>"
        )
    return value


def _option(help_text: str) -> Any:  # noqa: ANN401  # what typer.Option returns
    return typer.Option("--customer", parser=_checked, metavar="CUSTOMER", help=help_text)


CustomerOption = Annotated[str, _option(f"The customer's {_HELP}.")]
CustomersOption = Annotated[
    list[str] | None, _option(f"Only these customers ({_HELP}); repeat the option for several.")
]
CustomerFilterOption = Annotated[str | None, _option(f"Only what is about this customer ({_HELP}).")]


def check_customers(company_id: int | None, customers: Sequence[str]) -> None:
    """Checks that customers are given with their company. Raises InvalidInputError."""
    if customers and company_id is None:
        raise InvalidInputError.at("--customer", "requires --company")


async def find_customer(database: Database, company_id: int, customer: str) -> int:
    """Returns the id of a customer. Raises CustomerNotFoundError for a ref that no customer has."""
    ref = parse_written_ref(customer, "--customer")
    return int(customer) if ref is None else await find_number(database, company_id, ref)


async def find_customers(database: Database, company_id: int | None, customers: Sequence[str]) -> list[int]:
    """Returns the ids of customers, each once. Raises InvalidInputError for refs that no customer has."""
    if company_id is None:
        return []
    named = [_id_or_ref(each) for each in dict.fromkeys(customers)]
    with customers_named(named):
        ids = await find_numbers(database, company_id, named, "/customer_ids")
    return list(dict.fromkeys(ids))


async def find_filter(database: Database, company_id: int, customer: str | None) -> int | None:
    """Returns the id by which a list is filtered. An unknown ref has an id that matches no customer."""
    return await find_filtered(database, company_id, None if customer is None else _id_or_ref(customer))


@contextmanager
def customers_named(customers: Sequence[int | str]) -> Iterator[None]:
    """Replaces list indexes in errors by the customers of the command line."""
    names = {f"/customer_ids/{index}": customer for index, customer in enumerate(customers)}
    try:
        yield
    except InvalidInputError as error:
        raise InvalidInputError(
            [
                FieldError(f"--customer {names[each.pointer]}", each.message)
                if each.pointer in names
                else each
                for each in error.errors
            ]
        ) from error


def _id_or_ref(customer: str) -> int | str:
    return customer if customer.startswith(REF_PREFIX) else int(customer)
