"""Reads of one customer's journey: current state, state as of an instant, scores, transitions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.calendar import check_not_future
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.domain.events.counting import counted_events
from journey_service.domain.events.event import Event
from journey_service.domain.journeys import scoring
from journey_service.domain.journeys.errors import JourneyNotStartedError
from journey_service.domain.journeys.facts import fold_facts
from journey_service.domain.journeys.records import TransitionRecord
from journey_service.domain.journeys.relationship import Relationship
from journey_service.domain.journeys.score_history import (
    HistoryPoint,
    RequestedHistory,
    compute_history,
    history_instants,
)
from journey_service.domain.stages.stage_map import StageKind
from journey_service.repositories.database import Database
from journey_service.repositories.journeys.relationship_rows import StoredRelationship
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.journeys.view import JourneyView, build_view


@dataclass(frozen=True, slots=True)
class ScoreExplanations:
    """Explanations of both scores of a customer, as of `as_of`."""

    as_of: datetime
    engagement: scoring.ScoreExplanation
    risk: scoring.ScoreExplanation


async def get_journey(database: Database, company_id: int, customer_id: int) -> JourneyView:
    """Returns a customer's journey, with scores as of the company's now. Raises CustomerNotFoundError."""

    async def unit(uow: UnitOfWork) -> JourneyView:
        return await load_view(uow, customer_id)

    return await database.run(company_id, unit)


async def get_past_journey(
    database: Database, company_id: int, customer_id: int, as_of: datetime
) -> JourneyView:
    """Returns a customer's journey as of a past instant, with the stage map that was in force then.

    The stage comes from the ledger. Facts and scores come from the events that had occurred by then, including those
    received later. Pins and notes have no history and are omitted.

    Raises CustomerNotFoundError, JourneyNotStartedError, and InvalidInputError for a future instant.
    """

    async def unit(uow: UnitOfWork) -> JourneyView:
        view, _ = await load_past_view(uow, customer_id, as_of)
        return view

    return await database.run(company_id, unit)


async def load_past_view(
    uow: UnitOfWork, customer_id: int, as_of: datetime
) -> tuple[JourneyView, TransitionRecord]:
    """Loads a customer's journey as of a past instant, and the transition into the stage of that instant.

    Raises CustomerNotFoundError, JourneyNotStartedError, and InvalidInputError for a future instant.
    """
    present_view = await load_view(uow, customer_id)
    check_not_future(as_of, present_view.context.now)
    stored, present = present_view.stored, present_view.context
    entry = await uow.transitions.find_at(stored.id, as_of)
    if entry is None:
        raise JourneyNotStartedError(customer_id)
    transition = entry.transition
    facts = fold_facts(await _list_counted(uow, stored, customer_id, as_of), present.rulebook.policy)
    currency = present.rulebook.policy.currency
    stage_map = await uow.stage_maps.get_in_force(as_of, currency)
    if transition.to_stage not in stage_map.by_key:  # dated before the version that added the stage
        stage_map = await uow.stage_maps.get(transition.map_version, currency)
    progress = await _progress_stages(uow, present, stored.id, as_of)
    past = Relationship(
        customer_id=customer_id,
        current_stage=transition.to_stage,
        stage_entered_at=transition.transitioned_at,
        version=transition.seq,
        facts=facts,
        previous_stage=transition.from_stage,
        last_progress=progress[-1] if progress else None,
        stages_held=frozenset(progress),
        map_version=stage_map.version,
    )
    context = replace(
        present,
        company=replace(present.company, map_version=stage_map.version),
        rulebook=present.rulebook._replace(stage_map=stage_map),
    )
    stored_past = StoredRelationship(stored.id, past, stored.customer_ref, created_at=stored.created_at)
    return build_view(context, stored_past, as_of), entry


async def _list_counted(
    uow: UnitOfWork, stored: StoredRelationship, customer_id: int, until: datetime
) -> list[Event]:
    """Lists the events that count by all that is known today and that had occurred by an instant."""
    events = await uow.events.list_by_customer(stored.id, customer_id)
    return [event for event in counted_events(events) if event.occurred_at <= until]


async def _progress_stages(
    uow: UnitOfWork, context: CompanyContext, relationship_id: int, until: datetime
) -> list[str]:
    """Returns the progress stages that a customer entered until an instant, in order."""
    progress = []
    for entered in await uow.transitions.list_stages(relationship_id, until=until):
        stage_map = await uow.stage_maps.get(entered.map_version, context.rulebook.policy.currency)
        stage = stage_map.by_key.get(entered.to_stage)
        if stage is not None and stage.kind is StageKind.PROGRESS:
            progress.append(stage.key)
    return progress


async def get_scores(
    database: Database, company_id: int, customer_id: int, as_of: datetime | None = None
) -> ScoreExplanations:
    """Returns both scores with every factor, as of an instant or the company's now.

    Raises CustomerNotFoundError, JourneyNotStartedError, and InvalidInputError for a future instant.
    """
    if as_of is None:
        journey = await get_journey(database, company_id, customer_id)
    else:
        journey = await get_past_journey(database, company_id, customer_id, as_of)
    facts, policy = journey.stored.relationship.facts, journey.context.rulebook.policy
    return ScoreExplanations(
        journey.as_of,
        scoring.explain_engagement(facts, policy, journey.as_of),
        scoring.explain_risk(facts, policy, journey.as_of),
    )


async def get_score_history(
    database: Database, company_id: int, customer_id: int, requested: RequestedHistory
) -> Sequence[HistoryPoint]:
    """Returns a customer's stage and scores at the points of a range of local days, oldest first.

    Raises CustomerNotFoundError, and InvalidInputError for an invalid range.
    """

    async def unit(uow: UnitOfWork) -> Sequence[HistoryPoint]:
        view = await load_view(uow, customer_id)
        context, stored = view.context, view.stored
        instants = history_instants(requested, context.company.zone, context.now)
        until = instants[-1]
        stages = await uow.transitions.list_stages(stored.id, until=until)
        events = await _list_counted(uow, stored, customer_id, until)
        return compute_history(instants, stages, events, context.rulebook.policy)

    return await database.run(company_id, unit)


async def list_transitions(
    database: Database, company_id: int, customer_id: int, *, before: int | None, limit: int
) -> tuple[JourneyView, list[TransitionRecord]]:
    """Returns a page of a journey's transitions below seq `before`, newest first.

    Raises CustomerNotFoundError.
    """

    async def unit(uow: UnitOfWork) -> tuple[JourneyView, list[TransitionRecord]]:
        journey = await load_view(uow, customer_id)
        return journey, await uow.transitions.page(journey.stored.id, before=before, limit=limit)

    return await database.run(company_id, unit)


async def load_view(uow: UnitOfWork, customer_id: int) -> JourneyView:
    """Loads one customer's journey as it is stored. Raises CustomerNotFoundError."""
    context = await uow.companies.get_context()
    stored = await uow.relationships.find(customer_id)
    if stored is None:
        raise CustomerNotFoundError(customer_id)
    return build_view(context, stored, context.now)
