"""Reads of one customer's journey: current state, state as of an instant, scores, transitions."""

from dataclasses import dataclass, replace
from datetime import datetime

from journey_service.domain.calendar import check_not_future
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.domain.journeys import scoring
from journey_service.domain.journeys.errors import NoJourneyYetError
from journey_service.domain.journeys.facts import NO_FACTS, fold
from journey_service.domain.journeys.records import TransitionRecord
from journey_service.domain.journeys.relationship import Relationship
from journey_service.repositories.database import Database
from journey_service.repositories.journeys.relationships import StoredRelationship
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.journeys.view import JourneyView, build_view


@dataclass(frozen=True, slots=True)
class ScoreExplanations:
    """Both scores of a customer, explained, at `as_of`."""

    as_of: datetime
    engagement: scoring.ScoreExplanation
    risk: scoring.ScoreExplanation


async def get_journey(database: Database, company_id: int, customer_id: int) -> JourneyView:
    """Where a customer stands, with scores computed at the company's now. Raises CustomerNotFoundError."""

    async def unit(uow: UnitOfWork) -> JourneyView:
        return await load_view(uow, customer_id)

    return await database.run(company_id, unit)


async def get_past_journey(
    database: Database, company_id: int, customer_id: int, as_of: datetime
) -> JourneyView:
    """Where a customer stood at a past instant, in the words of the map in force then.

    The stage is the ledger's; facts and scores are those of the events that had occurred, whenever they were told.
    Pins and notes have no history, and are left out. Raises CustomerNotFoundError, NoJourneyYetError, and
    InvalidInputError for an instant that is yet to come.
    """

    async def unit(uow: UnitOfWork) -> JourneyView:
        seen = await load_view(uow, customer_id)
        check_not_future(as_of, seen.context.now)
        stored, present = seen.stored, seen.context
        entry = await uow.transitions.at(stored.id, as_of)
        if entry is None:
            raise NoJourneyYetError(customer_id)
        move = entry.transition
        facts = NO_FACTS
        for event in await uow.events.of(stored.id, customer_id, until=as_of):
            facts = fold(facts, event, present.rulebook.policy)
        then = Relationship(
            customer_id=customer_id,
            current_stage=move.to_stage,
            stage_entered_at=move.transitioned_at,
            version=move.seq,
            facts=facts,
            previous_stage=move.from_stage,
        )
        stage_map = await uow.stage_maps.in_force(as_of)
        if move.to_stage not in stage_map.by_key:  # dated before the version that brought the stage
            stage_map = await uow.stage_maps.get(move.map_version)
        context = replace(
            present,
            company=replace(present.company, map_version=stage_map.version),
            rulebook=present.rulebook._replace(stage_map=stage_map),
        )
        return build_view(context, StoredRelationship(stored.id, then, created_at=stored.created_at), as_of)

    return await database.run(company_id, unit)


async def get_scores(database: Database, company_id: int, customer_id: int) -> ScoreExplanations:
    """Both scores with every factor. Raises CustomerNotFoundError."""
    seen = await get_journey(database, company_id, customer_id)
    facts, policy = seen.stored.relationship.facts, seen.context.rulebook.policy
    return ScoreExplanations(
        seen.as_of,
        scoring.explain_engagement(facts, policy, seen.as_of),
        scoring.explain_risk(facts, policy, seen.as_of),
    )


async def list_transitions(
    database: Database, company_id: int, customer_id: int, *, before: int | None, limit: int
) -> tuple[JourneyView, list[TransitionRecord]]:
    """A journey's ledger, newest first, with a seq below `before`. Raises CustomerNotFoundError."""

    async def unit(uow: UnitOfWork) -> tuple[JourneyView, list[TransitionRecord]]:
        seen = await load_view(uow, customer_id)
        return seen, await uow.transitions.page(seen.stored.id, before=before, limit=limit)

    return await database.run(company_id, unit)


async def load_view(uow: UnitOfWork, customer_id: int) -> JourneyView:
    """Loads one customer's journey as it is stored. Raises CustomerNotFoundError."""
    context = await uow.companies.context()
    stored = await uow.relationships.find(customer_id)
    if stored is None:
        raise CustomerNotFoundError(customer_id)
    return build_view(context, stored, context.now)
