"""Explanations: why a customer is in a stage, upcoming moves, and what is missing for each stage."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.domain.journeys.explanation.forecast import Forecast, build_forecast
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Relationship, Transition
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.journeys.map_history import load_map_history
from journey_service.services.journeys.reading import load_past_view


@dataclass(frozen=True, slots=True)
class JourneyExplanation:
    """A customer's journey, its last transition, and the forecast."""

    context: CompanyContext
    relationship: Relationship
    customer_ref: str | None
    last: Transition
    forecast: Forecast


_Loaded: TypeAlias = tuple[CompanyContext, Relationship, str | None, Transition]
"""Context, relationship, ref and last transition of a customer."""


async def explain(
    database: Database, company_id: int, customer_id: int, as_of: datetime | None = None
) -> JourneyExplanation:
    """Explains a customer as of an instant or the company's now; writes nothing.

    A past explanation has no pin, because pins have no history. Raises CustomerNotFoundError, JourneyNotStartedError,
    and InvalidInputError for a future instant.
    """

    async def unit(uow: UnitOfWork) -> _Loaded:
        return await (_load(uow, customer_id) if as_of is None else _load_past(uow, customer_id, as_of))

    context, relationship, ref, last = await database.run(company_id, unit)
    forecast = build_forecast(relationship, context.rulebook, context.now if as_of is None else as_of)
    return JourneyExplanation(context, relationship, ref, last, forecast)


async def _load_past(uow: UnitOfWork, customer_id: int, as_of: datetime) -> _Loaded:
    view, entry = await load_past_view(uow, customer_id, as_of)
    relationship, rulebook = view.stored.relationship, view.context.rulebook
    # The past time of the next evaluation is not stored; it follows from the decision.
    Journey(relationship, rulebook).schedule_first_evaluation(as_of)
    return view.context, relationship, view.stored.customer_ref, entry.transition


async def _load(uow: UnitOfWork, customer_id: int) -> _Loaded:
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
        stored.customer_ref,
        journey.new_transitions[-1] if journey.new_transitions else entry.transition,
    )
