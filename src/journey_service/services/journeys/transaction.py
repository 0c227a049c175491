"""Transaction on journeys: locks and loads customers, changes them in memory, writes one batch."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import partial

from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.customers.errors import CustomerErasedError
from journey_service.domain.customers.references import written_ref
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events.event import MAX_CUSTOMER_ID
from journey_service.domain.journeys import scoring
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.prediction.score import churn_probability
from journey_service.domain.journeys.records import TransitionRecord
from journey_service.domain.journeys.relationship import (
    Relationship,
    Rulebook,
    Transition,
    TransitionCause,
)
from journey_service.repositories.journeys.relationship_rows import RelationshipUpdate, StoredRelationship
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.rollups import RevenueChange, count_changes
from journey_service.services.journeys.action_planning import ChangedJourney, has_test_clock, plan_actions
from journey_service.services.journeys.map_history import MapVersionHistory, load_map_history
from journey_service.services.journeys.view import JourneyView, build_view

_LOGGER = logging.getLogger(__name__)


@dataclass(slots=True)
class JourneyTransaction:
    """The journeys of one transaction: the locked rows, and the journeys that will be written.

    `erased` holds the requested ids of erased customers; no journey is opened for them again. `survivors` maps the
    requested ids of merged customers to the customers to whom they lead; all methods accept either id.
    """

    context: CompanyContext
    now: datetime
    relationships: dict[int, StoredRelationship]
    map_history: MapVersionHistory
    journeys: dict[int, Journey] = field(default_factory=dict)
    erased: frozenset[int] = frozenset()
    new_refs: Mapping[int, str] = field(default_factory=dict)
    """Refs that no customer has yet, by the number of the customer who gets them."""
    survivors: dict[int, int] = field(default_factory=dict)

    @property
    def relationship_ids(self) -> dict[int, int]:
        """The ids of the locked rows, by customer, and by the ids of merged customers that lead to them."""
        ids = {customer_id: stored.id for customer_id, stored in self.relationships.items()}
        return ids | {merged: ids[survivor] for merged, survivor in self.survivors.items()}

    def resolve(self, customer_id: int) -> int:
        """Returns the customer to whom an id leads: itself, or the survivor of a merge."""
        return self.survivors.get(customer_id, customer_id)

    def is_known(self, customer_id: int) -> bool:
        """Returns whether a customer had a journey when the transaction began."""
        return self.resolve(customer_id) in self.relationships

    def find(self, customer_id: int) -> Journey | None:
        """Returns the journey of a customer, None if the customer has none."""
        customer_id = self.resolve(customer_id)
        journey = self.journeys.get(customer_id)
        if journey is None and (stored := self.relationships.get(customer_id)) is not None:
            journey = self._restore(customer_id, stored)
        return journey

    def _restore(self, customer_id: int, stored: StoredRelationship) -> Journey:
        journey = self.map_history.journey(stored.relationship, self.context.rulebook)
        self.journeys[customer_id] = journey
        return journey

    def open(self, customer_id: int, at: datetime, cause: TransitionCause | None = None) -> Journey:
        """Returns the journey of a customer, opened at `at` if the customer has none.

        Raises CustomerErasedError.
        """
        journey = self.find(customer_id)
        if customer_id in self.erased:
            raise CustomerErasedError(self._name(customer_id))
        if journey is None:
            journey = Journey.open(customer_id, self.context.rulebook, at, cause=cause)
            self.journeys[customer_id] = journey
        return journey

    def reserved_error(self, customer_id: int) -> InvalidInputError | None:
        """Returns the error of an id that a new customer cannot have: larger ones are numbers of refs."""
        is_own = customer_id <= MAX_CUSTOMER_ID or customer_id in self.new_refs
        if is_own or self.is_known(customer_id):
            return None
        message = f"must be at most {MAX_CUSTOMER_ID} for a new customer; use customer_ref for other ids"
        return InvalidInputError.at("/customer_id", message)

    def _name(self, customer_id: int) -> int | str:
        ref = self.new_refs.get(customer_id)
        return customer_id if ref is None else written_ref(ref)

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

    def row_id(self, customer_id: int) -> int:
        """Returns the id of a customer's relationship row."""
        return self.relationships[self.resolve(customer_id)].id

    def view(self, customer_id: int) -> JourneyView:
        """Returns the customer's journey with the changes of this transaction."""
        return build_view(self.context, self.relationships[self.resolve(customer_id)], self.now)


def new_refs(customer_id: int, ref: str | None) -> dict[int, str]:
    """Returns the refs of `load` for a request for one customer, who may have a new ref."""
    return {} if ref is None else {customer_id: ref}


async def load(
    uow: UnitOfWork,
    customer_ids: Iterable[int],
    *,
    now: datetime | None = None,
    only_free: bool = False,
    refs: Mapping[int, str] | None = None,
) -> JourneyTransaction:
    """Locks customers until the transaction ends, and loads them. `now` defaults to the company's time.

    `refs` are refs that no customer has yet, by number: written with the journeys that the transaction changes. The id
    of a merged customer locks and loads the survivor.

    `only_free` skips customers that another transaction has locked.
    """
    context = await load_context(uow)
    requested = sorted(set(customer_ids))
    locked = await uow.relationships.lock(requested, only_free=only_free)
    known = locked.by_customer.keys() | locked.survivors.keys()
    # Read after the lock: it then includes customers that were erased while this transaction waited.
    erased = await uow.tombstones.find_erased((id_ for id_ in requested if id_ not in known), refs)
    if now is None:
        now = context.company.clock_at or max(context.now, locked.locked_at or context.now)
    return JourneyTransaction(
        context,
        now,
        locked.by_customer,
        await load_map_history(uow, context),
        erased=frozenset(erased),
        new_refs={} if refs is None else refs,
        survivors=locked.survivors,
    )


async def load_due(uow: UnitOfWork, *, limit: int, without: Collection[int] = ()) -> JourneyTransaction:
    """Locks and loads due customers, the longest due first; skips locked ones."""
    context = await load_context(uow)
    relationships = await uow.relationships.lock_due(context.now, limit=limit, without=[*without])
    return JourneyTransaction(context, context.now, relationships, await load_map_history(uow, context))


async def load_context(uow: UnitOfWork) -> CompanyContext:
    """Loads the company's context; locks a test clock, so that its time stays until the commit."""
    context = await uow.companies.get_context()
    return context if context.company.clock_at is None else await uow.companies.lock_clock()


async def wake_waiting(uow: UnitOfWork, transaction: JourneyTransaction, customer_ids: Iterable[int]) -> None:
    """Makes actions due that waited for an address of locked customers, after their profiles were written.

    With a test clock they run at once. Call it before `write`.
    """
    context, rows = transaction.context, transaction.relationships
    is_simulated = has_test_clock(context)
    by_row = {rows[customer_id].id: customer_id for customer_id in customer_ids if customer_id in rows}
    woken = await uow.outbox.wake_waiting(by_row, transaction.now, is_simulated=is_simulated)
    if not is_simulated:
        return
    unwritten = {id_: by_row[id_] for id_ in woken if by_row[id_] not in transaction.journeys}
    changed = [
        ChangedJourney(
            id_,
            transaction.map_history.journey(rows[customer_id].relationship, context.rulebook),
            is_new=False,
        )
        for id_, customer_id in unwritten.items()
    ]
    owners = await plan_actions(uow, context, changed, now=transaction.now, runs_actions=True)
    for id_, customer_id in unwritten.items():
        rows[customer_id].owner = owners.get(id_, rows[customer_id].owner)


async def write(
    uow: UnitOfWork,
    transaction: JourneyTransaction,
    *,
    as_decided: bool = False,
    runs_actions: bool = True,
    is_import: bool = False,
    revenue: Iterable[RevenueChange] = (),
) -> dict[tuple[int, int], TransitionRecord]:
    """Writes the transaction's journeys; returns the new ledger entries by customer id and seq.

    `revenue` are the changes of revenue by the events of the transaction.

    Scores are computed as of the transaction's `now`, or with `as_decided` as of each journey's last decision, as if
    a worker had decided it on time. `runs_actions` plans the actions of entered stages; for imported events
    (`is_import`) only those of transitions of the last day.
    """
    await _assign_refs(uow, transaction)
    opened = await _insert_opened(uow, transaction)
    await _update_relationships(uow, transaction, opened, as_decided=as_decided)
    await _count_changes(uow, transaction, opened, revenue)
    entries = await _append_transitions(uow, transaction)
    await _plan_actions(uow, transaction, opened, runs_actions=runs_actions, is_import=is_import)
    if not is_import and entries and _LOGGER.isEnabledFor(logging.INFO):
        uow.after_commit.append(partial(_log_moves, uow.company_id, entries))
    return entries


def _log_moves(company_id: int, entries: Mapping[tuple[int, int], TransitionRecord]) -> None:
    """Logs moves with the id of the transition: the customer's own id is personal data."""
    for entry in entries.values():
        move = entry.transition
        _LOGGER.info(
            "company %d: transition %d moved a customer from %s to %s (%s)",
            company_id,
            entry.id,
            move.from_stage or "no stage",
            move.to_stage,
            move.trigger_event or move.trigger_type.value,
        )


async def _assign_refs(uow: UnitOfWork, transaction: JourneyTransaction) -> None:
    """Writes the new refs of known customers."""
    known = {
        id_: ref
        for id_, ref in transaction.new_refs.items()
        if transaction.resolve(id_) in transaction.journeys and transaction.is_known(id_)
    }
    if known:
        await uow.customer_refs.assign(known)
        for customer_id in known.keys() & transaction.relationships.keys():
            transaction.relationships[customer_id].customer_ref = known[customer_id]


async def _insert_opened(uow: UnitOfWork, transaction: JourneyTransaction) -> Sequence[int]:
    """Inserts customers whose journeys were opened here, assigns row ids; returns the customer ids."""
    opened = sorted(transaction.journeys.keys() - transaction.relationships.keys())
    if opened:
        ids = await uow.customers.open(opened, transaction.new_refs)
        for customer_id, id_ in ids.items():
            journey = transaction.journeys[customer_id]
            transaction.relationships[customer_id] = StoredRelationship(
                id_,
                journey.relationship,
                transaction.new_refs.get(customer_id),
                created_at=journey.new_transitions[0].transitioned_at,
            )
    return opened


async def _update_relationships(
    uow: UnitOfWork, transaction: JourneyTransaction, opened: Collection[int], *, as_decided: bool
) -> None:
    """Computes scores and writes the relationship rows."""
    is_new = frozenset(opened)
    rulebook, clock = transaction.context.rulebook, transaction.context.clock
    policy = rulebook.policy
    updates = []
    for customer_id, journey in transaction.journeys.items():
        stored, facts = transaction.relationships[customer_id], journey.relationship.facts
        at = (journey.decided_at if as_decided else None) or transaction.now
        # Never replace a score by an older one: compare with `scored_at` of the row and of the company.
        at = max(at, stored.scored_at or at, transaction.context.company.scored_at or at)
        stored.relationship = journey.relationship
        stored.engagement = scoring.engagement(facts, policy, at)
        stored.risk = scoring.risk(facts, policy, at)
        stored.churn_probability = _churn_probability(journey.relationship, rulebook, at)
        stored.scored_at = at
        stored.updated_at = clock
        updates.append(
            RelationshipUpdate(
                stored.id,
                journey.relationship,
                facts.lifetime_cents(policy),
                stored.engagement,
                stored.risk,
                at,
                clock,
                stored.created_at if customer_id in is_new else None,
                stored.churn_probability,
            )
        )
    await uow.relationships.save(updates)


def _churn_probability(relationship: Relationship, rulebook: Rulebook, at: datetime) -> Decimal | None:
    hazards, model = relationship.churn_hazards, rulebook.churn_model
    if hazards is None or model is None:
        return None
    return churn_probability(model, relationship.facts, hazards.as_of, hazards.values, at)


async def _count_changes(
    uow: UnitOfWork,
    transaction: JourneyTransaction,
    opened: Collection[int],
    revenue: Iterable[RevenueChange],
) -> None:
    """Adds the new transitions and the revenue to the rollups."""
    by_row = {
        transaction.row_id(id_): journey.new_transitions for id_, journey in transaction.journeys.items()
    }
    new = [transaction.row_id(id_) for id_ in opened]
    await count_changes(uow, transaction.context, by_row, revenue, new=new)


async def _append_transitions(
    uow: UnitOfWork, transaction: JourneyTransaction
) -> dict[tuple[int, int], TransitionRecord]:
    """Appends the new transitions to the ledger; returns the entries by customer id and seq."""
    customers: Mapping[int, int] = {transaction.row_id(id_): id_ for id_ in transaction.journeys}
    rows: list[tuple[int, Transition]] = [
        (transaction.row_id(id_), transition)
        for id_, journey in transaction.journeys.items()
        for transition in journey.new_transitions
    ]
    entries = await uow.transitions.insert(rows)
    return {(customers[row_id], seq): entry for (row_id, seq), entry in entries.items()}


async def _plan_actions(
    uow: UnitOfWork,
    transaction: JourneyTransaction,
    opened: Collection[int],
    *,
    runs_actions: bool,
    is_import: bool,
) -> None:
    """Updates the action plans for the new transitions, and the owners of the customers."""
    is_new = frozenset(opened)
    owners = await plan_actions(
        uow,
        transaction.context,
        [
            ChangedJourney(transaction.row_id(id_), journey, id_ in is_new)
            for id_, journey in transaction.journeys.items()
        ],
        now=transaction.now,
        runs_actions=runs_actions,
        is_import=is_import,
    )
    for stored in transaction.relationships.values():
        stored.owner = owners.get(stored.id, stored.owner)
