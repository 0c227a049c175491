"""Explanations: why a customer is in a stage, upcoming moves, and what is missing for each stage."""

from dataclasses import dataclass

from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.domain.journeys.explanation.forecast import Forecast, build_forecast
from journey_service.domain.journeys.relationship import Relationship, Transition
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.journeys.map_history import load_map_history


@dataclass(frozen=True, slots=True)
class Explanation:
    """A customer's journey, its last transition, and the forecast."""

    context: CompanyContext
    relationship: Relationship
    last: Transition
    forecast: Forecast


async def explain(database: Database, company_id: int, customer_id: int) -> Explanation:
    """Explains a customer as of the company's now; writes nothing. Raises CustomerNotFoundError."""

    async def unit(uow: UnitOfWork) -> tuple[CompanyContext, Relationship, Transition]:
        return await _load(uow, customer_id)

    context, relationship, last = await database.run(company_id, unit)
    return Explanation(
        context, relationship, last, build_forecast(relationship, context.rulebook, context.now)
    )


async def _load(uow: UnitOfWork, customer_id: int) -> tuple[CompanyContext, Relationship, Transition]:
    context = await uow.companies.get_context()
    stored = await uow.relationships.find(customer_id)
    if stored is None:
        raise CustomerNotFoundError(customer_id)
    # Read by its seq: a later transition may be committed between the two queries.
    version = stored.relationship.version
    [entry] = await uow.transitions.page(stored.id, before=version + 1, limit=1)
    # A customer not yet migrated to the current map is explained as if migrated.
    journey = (await load_map_history(uow, context)).journey(stored.relationship, context.rulebook)
    return (
        context,
        journey.relationship,
        journey.new_transitions[-1] if journey.new_transitions else entry.transition,
    )
