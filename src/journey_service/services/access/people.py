"""People: names of employees to whom tasks can be assigned."""

from collections.abc import Sequence
from typing import Final

from journey_service.domain.access.actors import assignee_of
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork

SIGNED_IN_DAYS: Final = 30
"""Days for which a user who has signed in is listed."""
MAX_PEOPLE: Final = 1_000
"""Names in the list; further names, in alphabetical order, are left out."""


async def list_people(database: Database, company_id: int) -> Sequence[str]:
    """Lists the names of assignees, of owners, and of users who have signed in. Raises CompanyNotFoundError."""

    async def unit(uow: UnitOfWork) -> Sequence[str]:
        await uow.companies.get_context()
        signed_in = await uow.people.list_signed_in(days=SIGNED_IN_DAYS, limit=MAX_PEOPLE)
        names = (
            await uow.people.list_assignees(limit=MAX_PEOPLE)
            | await uow.people.list_owners(limit=MAX_PEOPLE)
            | {assignee_of(actor) for actor in signed_in}
        )
        return sorted(names, key=lambda name: (name.casefold(), name))[:MAX_PEOPLE]

    return await database.run(company_id, unit)
