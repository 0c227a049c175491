"""Names of customers, for lists that hold ids only."""

from collections.abc import Mapping, Sequence

from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork


async def list_names(database: Database, company_id: int, customer_ids: Sequence[int]) -> Mapping[int, str]:
    """Returns the names of customers by id, without those whose name is unknown."""

    async def unit(uow: UnitOfWork) -> Mapping[int, str]:
        profiles = await uow.customers.get_many(customer_ids)
        return {id_: profile.name for id_, profile in profiles.items() if profile.name is not None}

    return await database.run(company_id, unit)
