"""Applies the events of one transaction so that facts and revenue are those of the events that count."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events.bookings import BOOKING_TYPES
from journey_service.domain.events.counting import CountChange, EventCount, EventKey
from journey_service.domain.events.event import Event, EventType, has_same_content
from journey_service.domain.journeys.facts import Facts, apply_change_to_facts, fold_facts
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Transition
from journey_service.repositories.events.ledger import StoredEvents
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.rollups import RevenueChange
from journey_service.services.journeys.transaction import JourneyTransaction


@dataclass(slots=True)
class _CustomerCount:
    """One customer with events of bookings or retractions in the transaction."""

    relationship_id: int
    count: EventCount
    applied: list[Event] = field(default_factory=list)
    ledger: list[Event] | None = None
    """The customer's stored events, once facts had to be folded again."""


@dataclass(slots=True)
class CountedEvents:
    """Applies events to journeys in memory; `revenue` are the changes of revenue that they make.

    Customers without an event of a booking, a retraction or a retracted event need nothing but the event itself.
    """

    _uow: UnitOfWork
    revenue: list[RevenueChange] = field(default_factory=list)
    _customers: dict[int, _CustomerCount] = field(default_factory=dict)
    _stages: dict[tuple[int, EventKey], str] = field(default_factory=dict)

    async def apply(self, journey: Journey, event: Event, at: datetime) -> Transition | None:
        """Applies an event to its customer's journey as of `at`, after those applied before.

        Raises InvalidInputError, which leaves the journey as it was.
        """
        customer = self._customers.get(event.customer_id)
        if customer is None:
            transition = journey.apply_event(event, at)
            self.revenue.append(RevenueChange(event, journey.relationship.current_stage))
            return transition
        change = customer.count.add(event)
        try:
            facts = await self._facts(customer, journey, (event,), change)
            transition = journey.apply_event(event, at, facts=facts, is_counted=event in change.added)
        except InvalidInputError:
            customer.count = customer.count.without(event)
            raise
        customer.applied.append(event)
        self._stages[event.customer_id, event.key] = journey.relationship.current_stage
        self._credit_changes(event.customer_id, change)
        return transition

    async def replace(
        self, journey: Journey, retraction: Event, event: Event, at: datetime
    ) -> Transition | None:
        """Applies an event together with the retraction of the one that it replaces: the customer is decided once.

        Raises InvalidInputError, which leaves the journey as it was.
        """
        customer = self._customers[event.customer_id]
        retracted, change = customer.count.add(retraction), customer.count.add(event)
        joined = CountChange(
            (*retracted.added, *change.added),
            (*retracted.removed, *change.removed),
            (*retracted.opened, *change.opened),
            (*retracted.closed, *change.closed),
        )
        try:
            facts = await self._facts(customer, journey, (retraction, event), joined)
            stage = journey.relationship.current_stage
            transition = journey.apply_event(event, at, facts=facts, is_counted=event in change.added)
        except InvalidInputError:
            customer.count = customer.count.without(event).without(retraction)
            raise
        customer.applied += [retraction, event]
        self._stages[event.customer_id, retraction.key] = stage
        self._stages[event.customer_id, event.key] = journey.relationship.current_stage
        self._credit_changes(event.customer_id, joined)
        return transition

    def _credit_changes(self, customer_id: int, change: CountChange) -> None:
        self.revenue += [self._credit(customer_id, added, 1) for added in change.added]
        self.revenue += [self._credit(customer_id, removed, -1) for removed in change.removed]

    async def _facts(
        self, customer: _CustomerCount, journey: Journey, events: Sequence[Event], change: CountChange
    ) -> Facts:
        policy = journey.rulebook.policy
        facts = apply_change_to_facts(journey.relationship.facts, change, policy)
        if facts is not None:
            return facts
        event = events[-1]
        if customer.ledger is None:
            customer.ledger = await self._uow.events.list_by_customer(
                customer.relationship_id, event.customer_id
            )
        return fold_facts([*customer.ledger, *customer.applied, *events], policy)

    def _credit(self, customer_id: int, event: Event, sign: int) -> RevenueChange:
        return RevenueChange(event, self._stages[customer_id, event.key], sign)

    async def load(
        self, transaction: JourneyTransaction, events: Sequence[Event], stored: StoredEvents
    ) -> None:
        """Loads what is known of the bookings and of the events that these events name."""
        ids = transaction.relationship_ids
        bookings = [
            (ids[event.customer_id], event.booking_id)
            for event in events
            if event.booking_id is not None and event.type in BOOKING_TYPES and event.customer_id in ids
        ]
        named = [
            (ids[event.customer_id], *event.retracts)
            for event in events
            if event.retracts is not None and event.customer_id in ids
        ]
        found = await self._uow.events.get_credited(bookings, named) if bookings or named else {}
        for customer_id in _with_special_events(events, ids, stored):
            relationship_id = ids.get(customer_id, 0)
            credited = found.get(relationship_id, [])
            retracted = [(source, id_) for owner, source, id_ in stored.retracted if owner == relationship_id]
            retracted += [each.event.key for each in credited if each.is_retracted]
            count = EventCount((each.event for each in credited), retracted)
            self._customers[customer_id] = _CustomerCount(relationship_id, count)
            for each in credited:
                self._stages[customer_id, each.event.key] = each.stage


def concerning(transaction: JourneyTransaction, event: Event) -> Event:
    """Returns an event with the id of the customer whom it concerns: the survivor, if it names a merged customer."""
    return event._replace(customer_id=transaction.resolve(event.customer_id))


async def is_same_content(
    uow: UnitOfWork, event: Event, digest: bytes, *, ignores_profile: bool = False
) -> bool:
    """Returns whether an event has a content hash, under the id that it names or another one of the same customer."""
    if has_same_content(event, digest, ignores_profile=ignores_profile):
        return True
    ids = await uow.merges.list_ids(event.customer_id)
    return any(
        has_same_content(event._replace(customer_id=id_), digest, ignores_profile=ignores_profile)
        for id_ in ids
    )


async def load_counted_events(
    uow: UnitOfWork, transaction: JourneyTransaction, events: Sequence[Event], stored: StoredEvents
) -> CountedEvents:
    """Prepares the events of a transaction to be applied; one statement if any is of a booking or a retraction."""
    counted = CountedEvents(uow)
    await counted.load(transaction, events, stored)
    return counted


def event_keys(relationship_ids: Mapping[int, int], events: Iterable[Event]) -> list[tuple[int, str, str]]:
    """Returns (relationship, source, event id) of events, each once; relationship 0 for new customers."""
    return list({(relationship_ids.get(event.customer_id, 0), *event.key) for event in events})


def _with_special_events(events: Iterable[Event], ids: dict[int, int], stored: StoredEvents) -> set[int]:
    return {
        event.customer_id
        for event in events
        if (event.booking_id is not None and event.type in BOOKING_TYPES)
        or event.type == EventType.EVENT_RETRACTED
        or (stored.retracted and (ids.get(event.customer_id, 0), *event.key) in stored.retracted)
    }
