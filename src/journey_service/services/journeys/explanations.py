"""Why a customer is where they are, what will move them, and what is missing for each stage."""

from dataclasses import dataclass

from journey_service.domain.actions.company_context import Desk
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.domain.journeys.explanation.forecast import Outlook, look_ahead
from journey_service.domain.journeys.relationship import Relationship, Transition
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import Work
from journey_service.services.journeys.map_history import adoptions


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where a customer stands, the move that led there, and what lies ahead."""

    desk: Desk
    relationship: Relationship
    last: Transition
    outlook: Outlook


async def explain(database: Database, company_id: int, customer_id: int) -> Explanation:
    """Explain a customer as of the company's now; nothing is written. Raises CustomerNotFoundError."""

    async def unit(work: Work) -> tuple[Desk, Relationship, Transition]:
        return await _load(work, customer_id)

    desk, relationship, last = await database.run(company_id, unit)
    return Explanation(desk, relationship, last, look_ahead(relationship, desk.rulebook, desk.now))


async def _load(work: Work, customer_id: int) -> tuple[Desk, Relationship, Transition]:
    desk = await work.companies.desk()
    standing = await work.relationships.find(customer_id)
    if standing is None:
        raise CustomerNotFoundError(customer_id)
    # Named by its number: a later move may be committed between the two readings.
    version = standing.relationship.version
    [entry] = await work.transitions.page(standing.id, before=version + 1, limit=1)
    # Whoever has yet to go over to the map in force is told of as if they had.
    journey = (await adoptions(work, desk)).journey(standing.relationship, desk.rulebook)
    return desk, journey.relationship, journey.written[-1] if journey.written else entry.transition
