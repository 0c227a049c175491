"""Names of customers, for lists that hold ids only, and of their attributes, for tables."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork


class CustomerNames(NamedTuple):
    """The name of a customer, and the id as text; None if unknown."""

    name: str | None
    customer_ref: str | None


NO_NAMES: Final = CustomerNames(None, None)


async def list_names(
    database: Database, company_id: int, customer_ids: Sequence[int]
) -> Mapping[int, CustomerNames]:
    """Returns the names of the known customers by id."""

    async def unit(uow: UnitOfWork) -> Mapping[int, CustomerNames]:
        profiles = await uow.customers.get_many(customer_ids)
        return {id_: CustomerNames(profile.name, profile.customer_ref) for id_, profile in profiles.items()}

    return await database.run(company_id, unit)


async def list_attribute_names(database: Database, company_id: int, *, limit: int) -> Sequence[str]:
    """Returns the names of the attributes that customers of the company have, in order; at most `limit`."""

    async def unit(uow: UnitOfWork) -> Sequence[str]:
        return await uow.customer_list.list_attribute_names(limit=limit)

    return await database.run(company_id, unit)
