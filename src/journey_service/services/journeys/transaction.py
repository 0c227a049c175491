"""Shared steps of every service that changes journeys: load and hold, work, write."""

from collections.abc import Collection, Iterable
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime

from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.customers.errors import CustomerErasedError
from journey_service.domain.journeys import scoring
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.records import TransitionRecord
from journey_service.domain.journeys.relationship import Cause, Transition
from journey_service.repositories.journeys.relationships import RelationshipUpdate, StoredRelationship
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.rollups import count_moves
from journey_service.services.journeys.action_planning import Moved, follow
from journey_service.services.journeys.map_history import MapVersionHistory, adoptions
from journey_service.services.journeys.view import View, view


@dataclass(slots=True)
class JourneyTransaction:
    """The journeys one transaction works on: those held, those opened, and what will be written.

    `erased` are ids among those asked for whose customers were erased: under them no journey is opened again.
    """

    context: CompanyContext
    now: datetime
    relationships: dict[int, StoredRelationship]
    adoptions: MapVersionHistory
    journeys: dict[int, Journey] = field(default_factory=dict)
    erased: frozenset[int] = frozenset()

    def find(self, customer_id: int) -> Journey | None:
        """Returns the journey of a customer, None if the customer has none."""
        journey = self.journeys.get(customer_id)
        if journey is None and (stored := self.relationships.get(customer_id)) is not None:
            journey = self._restore(customer_id, stored)
        return journey

    def _restore(self, customer_id: int, stored: StoredRelationship) -> Journey:
        journey = self.adoptions.journey(stored.relationship, self.context.rulebook)
        self.journeys[customer_id] = journey
        return journey

    def open(self, customer_id: int, at: datetime, cause: Cause | None = None) -> Journey:
        """The journey of a customer, begun at `at` if there is none. Raises CustomerErasedError."""
        journey = self.find(customer_id)
        if customer_id in self.erased:
            raise CustomerErasedError(customer_id)
        if journey is None:
            journey = Journey.open(customer_id, self.context.rulebook, at, cause=cause)
            self.journeys[customer_id] = journey
        return journey

    def advance_all(self, now: datetime, *, with_evaluation: bool = False) -> dict[int, Journey]:
        """Advances every loaded journey to `now` and leaves only the changed ones to be written.

        `with_evaluation` also decides each journey as of `now`. Returns the unchanged journeys by customer id.
        """
        unchanged = {}
        for customer_id, stored in self.relationships.items():
            before = copy(stored.relationship)
            journey = self.journeys.get(customer_id) or self._restore(customer_id, stored)
            journey.advance_to(now)
            if with_evaluation:
                journey.evaluate(now)
            if not journey.new_transitions and journey.relationship == before:
                unchanged[customer_id] = self.journeys.pop(customer_id)
        return unchanged

    def view(self, customer_id: int) -> View:
        """The customer as things stand in this transaction."""
        return view(self.context, self.relationships[customer_id], self.now)


async def load(
    uow: UnitOfWork, customer_ids: Iterable[int], *, now: datetime | None = None, only_free: bool = False
) -> JourneyTransaction:
    """Hold the customers until the transaction ends. `now` defaults to the company's own clock.

    With `only_free`, those whom somebody else holds are left to them.
    """
    context = await load_context(uow)
    asked = sorted(set(customer_ids))
    relationships, locked_at = await uow.relationships.lock(asked, only_free=only_free)
    # Asked after the lock: whoever was erased while it was waited for is known by now.
    erased = await uow.tombstones.among(id_ for id_ in asked if id_ not in relationships)
    if now is None:
        now = context.company.clock_at or max(context.now, locked_at or context.now)
    return JourneyTransaction(
        context, now, relationships, await adoptions(uow, context), erased=frozenset(erased)
    )


async def load_due(uow: UnitOfWork, *, limit: int, without: Collection[int] = ()) -> JourneyTransaction:
    """Hold customers who are due, the longest first; those whom somebody else holds are left to them."""
    context = await load_context(uow)
    relationships = await uow.relationships.lock_due(context.now, limit=limit, without=[*without])
    return JourneyTransaction(context, context.now, relationships, await adoptions(uow, context))


async def load_context(uow: UnitOfWork) -> CompanyContext:
    """The company as this transaction works by it: a test clock is not moved before it ends."""
    context = await uow.companies.context()
    return context if context.company.clock_at is None else await uow.companies.keep_clock()


async def write(
    uow: UnitOfWork,
    transaction: JourneyTransaction,
    *,
    as_decided: bool = False,
    runs_actions: bool = True,
    is_history: bool = False,
) -> dict[tuple[int, int], TransitionRecord]:
    """Write every journey worked on, with its scores; returns the new ledger entries by (customer, seq).

    What the moves call for is planned with them, if that is to be; of history, only what moves of the last day do.

    Scores are those of the docket's now, or, `as_decided`, of each journey's last decision: what a worker
    that had come in time would have written.
    """
    journeys = transaction.journeys
    new = sorted(journeys.keys() - transaction.relationships.keys())
    is_new = frozenset(new)
    if new:
        await uow.customers.ensure(new)
        for customer_id, id_ in zip(new, await uow.relationships.new_ids(len(new)), strict=True):
            transaction.relationships[customer_id] = StoredRelationship(
                id_,
                journeys[customer_id].relationship,
                created_at=journeys[customer_id].new_transitions[0].transitioned_at,
            )
    writings = []
    for customer_id, journey in journeys.items():
        stored = transaction.relationships[customer_id]
        facts, policy = journey.relationship.facts, transaction.context.rulebook.policy
        at = (journey.decided_at if as_decided else None) or transaction.now
        # Nor are scores that somebody knew later made older: neither this row's nor those of a whole night.
        at = max(at, stored.scored_at or at, transaction.context.company.scored_at or at)
        stored.relationship = journey.relationship
        stored.engagement = scoring.engagement(facts, policy, at)
        stored.risk = scoring.risk(facts, policy, at)
        stored.scored_at = at
        stored.updated_at = transaction.context.clock
        writings.append(
            RelationshipUpdate(
                stored.id,
                journey.relationship,
                facts.lifetime_cents(policy),
                stored.engagement,
                stored.risk,
                at,
                transaction.context.clock,
                stored.created_at if customer_id in is_new else None,
            )
        )
    await uow.relationships.write(writings)
    await count_moves(
        uow,
        transaction.context,
        {
            transaction.relationships[customer_id].id: journey.new_transitions
            for customer_id, journey in journeys.items()
        },
        new=[transaction.relationships[customer_id].id for customer_id in new],
    )
    rows: list[tuple[int, Transition]] = [
        (transaction.relationships[customer_id].id, transition)
        for customer_id, journey in journeys.items()
        for transition in journey.new_transitions
    ]
    customers = {transaction.relationships[customer_id].id: customer_id for customer_id in journeys}
    written = await uow.transitions.append(rows)
    owners = await follow(
        uow,
        transaction.context,
        [
            Moved(transaction.relationships[customer_id].id, journey, customer_id in is_new)
            for customer_id, journey in journeys.items()
        ],
        now=transaction.now,
        runs_actions=runs_actions,
        is_history=is_history,
    )
    for stored in transaction.relationships.values():
        stored.owner = owners.get(stored.id, stored.owner)
    return {(customers[relationship_id], seq): entry for (relationship_id, seq), entry in written.items()}
