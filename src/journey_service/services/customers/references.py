"""Finds the numbers of customers who are named by text."""

from collections.abc import Iterable, Mapping, Sequence

from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.domain.customers.references import (
    NO_REFS,
    CustomerName,
    ResolvedRefs,
    parse_written_ref,
    written_ref,
)
from journey_service.domain.errors import FieldError, InvalidInputError
from journey_service.domain.events.event import MAX_CUSTOMER_ID, NO_CUSTOMER_ID
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork


async def resolve_refs(
    uow: UnitOfWork, customers: Iterable[CustomerName], *, reserved: Mapping[str, int] | None = None
) -> ResolvedRefs:
    """Returns the numbers of all refs that the names have; no statement is executed without a ref.

    A ref that no customer has gets the id that is given with it, if that customer has no ref, else a number of
    `reserved`, else one that is reserved now.
    """
    names = [name for name in customers if name.customer_ref is not None]
    if not names:
        return NO_REFS
    refs = {name.customer_ref for name in names if name.customer_ref is not None}
    known = await uow.customer_refs.find_many(refs)
    given = await _given_ids(uow, [name for name in names if name.customer_ref not in known])
    ids = {**(reserved or {}), **given, **known}
    missing = sorted(refs - ids.keys())
    if missing:
        ids |= zip(missing, await uow.customer_refs.reserve_numbers(len(missing)), strict=True)
    return ResolvedRefs(ids, {ids[ref]: ref for ref in refs if ref not in known})


async def _given_ids(uow: UnitOfWork, names: Iterable[CustomerName]) -> dict[str, int]:
    """Returns the ids that come with new refs; an id has one ref, and a ref one id: the first that is named."""
    given: dict[str, int] = {}
    for customer_id, ref in names:
        if customer_id is not None and ref is not None and customer_id not in given.values():
            given.setdefault(ref, customer_id)
    taken = await uow.customer_refs.list_of(given.values())
    return {ref: id_ for ref, id_ in given.items() if id_ <= MAX_CUSTOMER_ID and id_ not in taken}


async def find_number(database: Database, company_id: int, ref: str) -> int:
    """Returns the number of the customer with a ref. Raises CustomerNotFoundError."""
    number = await _find(database, company_id, ref)
    if number is None:
        raise CustomerNotFoundError(written_ref(ref))
    return number


async def find_filtered(database: Database, company_id: int, customer: int | str | None) -> int | None:
    """Returns the id of a filter: an id, or a ref as it is written in place of one. No customer has an unknown ref."""
    if not isinstance(customer, str):
        return customer
    ref = parse_written_ref(customer, "query/customer_id")
    assert ref is not None  # any other text is no filter
    number = await _find(database, company_id, ref)
    return NO_CUSTOMER_ID if number is None else number


async def list_customer_ids(database: Database, company_id: int, customer_id: int) -> list[int]:
    """Lists the ids that lead to the same customer as an id, which is alone if no customer has it."""

    async def unit(uow: UnitOfWork) -> list[int]:
        return await uow.merges.list_ids_or_own(customer_id)

    return await database.run(company_id, unit)


async def _find(database: Database, company_id: int, ref: str) -> int | None:
    async def unit(uow: UnitOfWork) -> int | None:
        return (await uow.customer_refs.find_many([ref])).get(ref)

    return await database.run(company_id, unit)


async def find_numbers(
    database: Database, company_id: int, customers: Sequence[int | str], pointer: str
) -> list[int]:
    """Returns the ids of customers, given by id or by a ref as it is written in place of one.

    Raises InvalidInputError with the position after the pointer of each ref that no customer has.
    """
    refs = {each: parse_written_ref(each, pointer) or "" for each in customers if isinstance(each, str)}
    if not refs:
        return [each for each in customers if isinstance(each, int)]

    async def unit(uow: UnitOfWork) -> dict[str, int]:
        return await uow.customer_refs.find_many(set(refs.values()))

    known = await database.run(company_id, unit)
    errors = [
        FieldError(f"{pointer}/{at}", "is the ref of no customer")
        for at, each in enumerate(customers)
        if isinstance(each, str) and refs[each] not in known
    ]
    if errors:
        raise InvalidInputError(errors)
    return [known[refs[each]] if isinstance(each, str) else each for each in customers]


async def find_or_reserve_number(database: Database, company_id: int, ref: str) -> int:
    """Returns the number of the customer with a ref, or one that is reserved for a new customer."""

    async def unit(uow: UnitOfWork) -> int:
        return (await resolve_refs(uow, [CustomerName(None, ref)])).ids[ref]

    return await database.run(company_id, unit)
