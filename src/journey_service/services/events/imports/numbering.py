"""Numbers of the customers whom lines of an import name by text."""

from collections.abc import Sequence
from typing import TypeAlias

from journey_service.domain.customers.references import CustomerName, ResolvedRefs
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events.content_keys import with_customer
from journey_service.domain.events.files.customer_lines import CustomerLine
from journey_service.domain.events.files.import_table import InvalidLineError
from journey_service.domain.events.parsing import ImportLine
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.customers.references import resolve_refs

Line: TypeAlias = ImportLine | CustomerLine


async def number_lines(
    uow: UnitOfWork, import_id: int, lines: Sequence[Line]
) -> tuple[list[Line], list[InvalidLineError]]:
    """Returns lines with the numbers of their customers, and lines whose id and ref disagree.

    A ref that no customer has gets a reserved number, the same one in all lines of the import.
    """
    names = {line.number: _customer_of(line) for line in lines}
    refs = {name.customer_ref for name in names.values() if name.customer_ref is not None}
    if not refs:
        return list(lines), []
    reserved = await uow.import_lines.find_numbers(import_id, refs)
    resolved = await resolve_refs(uow, names.values(), reserved=reserved)
    numbered: list[Line] = []
    refused = []
    for line in lines:
        number = resolved.number_of(names[line.number])
        if isinstance(number, InvalidInputError):
            refused.append(InvalidLineError(line.number, tuple(number.errors), line.cells))
        else:
            numbered.append(_with_number(line, number))
    return numbered, refused


async def resolve_staged(uow: UnitOfWork, customers: Sequence[tuple[int, str | None]]) -> ResolvedRefs:
    """Returns the present numbers of the refs of staged lines: a ref may have become that of another customer since.

    `customers` are (staged number, ref) of the lines. A ref that no customer has keeps its staged number.
    """
    return await resolve_refs(
        uow,
        [CustomerName(None, ref) for _, ref in customers],
        reserved={ref: number for number, ref in customers if ref is not None},
    )


def _customer_of(line: Line) -> CustomerName:
    return line.event.customer if isinstance(line, ImportLine) else line.customer


def _with_number(line: Line, number: int) -> Line:
    if isinstance(line, CustomerLine):
        return line._replace(customer_id=number)
    return line._replace(event=with_customer(line.event, number, has_id=line.has_id))
