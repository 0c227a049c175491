"""Ingest: applies a list of events to journeys in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from journey_service.domain.errors import InvalidInputError, JourneyServiceError
from journey_service.domain.events.errors import EventConflictError
from journey_service.domain.events.event import Event, content_hash
from journey_service.domain.events.parsing import future_error, in_currency, reported_error
from journey_service.domain.journeys.records import TransitionRecord
from journey_service.domain.journeys.relationship import Transition
from journey_service.repositories.database import Database
from journey_service.repositories.events.ledger import AppliedEvent, StoredEvent
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.rollups import count_money
from journey_service.services.events.counting import CountedEvents, event_keys, load_counted_events
from journey_service.services.journeys.transaction import JourneyTransaction, load, write
from journey_service.services.journeys.view import JourneyView


class IngestStatus(StrEnum):
    """Status of an ingested event."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    IGNORED_ERASED = "ignored_erased"


@dataclass(frozen=True, slots=True)
class IngestOutcome:
    """Result of an ingested event: the transition that it caused, if any, and the journey.

    `view` is None for an erased customer.
    """

    status: IngestStatus
    view: JourneyView | None
    entry: TransitionRecord | None


IngestResult: TypeAlias = IngestOutcome | JourneyServiceError


async def ingest(
    database: Database, company_id: int, events: Sequence[Event], *, now: datetime | None = None
) -> list[IngestResult]:
    """Applies events in their order; returns one result per event. `now` defaults to the company's time.

    One transaction: all valid events are committed, or none. The result of an invalid event is its error; the other
    events are not affected.
    """

    async def unit(uow: UnitOfWork) -> list[IngestResult]:
        return await _ingest(uow, events, now, as_occurred=False)

    return await database.run(company_id, unit)


async def ingest_as_occurred(
    database: Database, company_id: int, events: Sequence[Event], *, until: datetime
) -> list[IngestResult]:
    """Applies events in the order of their times, each as of its own time; otherwise as `ingest`.

    The customers are then advanced to `until`. Meant for a company whose test clock is about to be advanced to `until`:
    its customers get the moves and actions that they would have got if every event had been received on time.
    """

    async def unit(uow: UnitOfWork) -> list[IngestResult]:
        return await _ingest(uow, events, until, as_occurred=True)

    return await database.run(company_id, unit)


async def _ingest(
    uow: UnitOfWork, events: Sequence[Event], now: datetime | None, *, as_occurred: bool
) -> list[IngestResult]:
    transaction = await load(uow, (event.customer_id for event in events), now=now)
    stored = await uow.events.get_many(event_keys(transaction.relationship_ids, events))
    counted = await load_counted_events(uow, transaction, events, stored)
    batch = _Batch(transaction, stored.by_key, counted, as_occurred=as_occurred)
    steps = [await batch.apply(event) for event in events]
    if as_occurred:
        for journey in transaction.journeys.values():
            journey.advance_to(transaction.now)
    entries = await write(uow, transaction)
    await uow.events.insert(batch.applied(transaction))
    await count_money(uow, transaction.context, counted.revenue)
    await batch.load_entries(uow, entries)
    return [batch.result(step) for step in steps]


@dataclass(slots=True)
class _Step:
    event: Event
    status: IngestStatus
    transition: Transition | None = None
    stage: str = ""
    digest: bytes = b""
    is_late: bool = False


class _Batch:
    """Applies the events of one transaction in sequence, and detects duplicates."""

    def __init__(
        self,
        transaction: JourneyTransaction,
        known: dict[tuple[str, str], StoredEvent],
        counted: CountedEvents,
        *,
        as_occurred: bool = False,
    ) -> None:
        self._transaction = transaction
        self._known = known
        self._counted = counted
        self._as_occurred = as_occurred
        self._applied: dict[tuple[str, str], _Step] = {}
        self._entries: dict[tuple[int, int], TransitionRecord] = {}

    async def apply(self, event: Event) -> _Step | JourneyServiceError:
        """Applies one event to its journey in memory, unless it is a duplicate or invalid."""
        if event.customer_id in self._transaction.erased:
            return _Step(event, IngestStatus.IGNORED_ERASED)
        converted = in_currency(event, self._transaction.context.rulebook.policy.currency)
        if isinstance(converted, InvalidInputError):
            return converted
        event = converted
        digest = content_hash(event)
        earlier = self._applied.get(event.key) or self._known.get(event.key)
        if earlier is not None:
            if earlier.digest != digest:
                return EventConflictError(event.source, event.event_id)
            return _Step(event, IngestStatus.DUPLICATE, digest=digest)
        transaction = self._transaction
        rejection = future_error(event, transaction.now) or reported_error(event, transaction.now)
        if rejection is not None:
            return rejection
        known_journey = transaction.find(event.customer_id)
        is_late = known_journey is not None and known_journey.is_late(event.occurred_at)
        at = min(event.occurred_at, transaction.now) if self._as_occurred else transaction.now
        journey = transaction.open(event.customer_id, at)
        try:
            transition = await self._counted.apply(journey, event, at)
        except InvalidInputError as error:
            return error
        stage = journey.relationship.current_stage
        step = _Step(event, IngestStatus.APPLIED, transition, stage, digest, is_late)
        self._applied[event.key] = step
        return step

    def applied(self, transaction: JourneyTransaction) -> list[AppliedEvent]:
        """Returns the applied events as rows of the ledger."""
        return [
            AppliedEvent(
                transaction.relationships[step.event.customer_id].id,
                step.event,
                step.digest,
                step.stage,
                None if step.transition is None else step.transition.seq,
                step.is_late,
            )
            for step in self._applied.values()
        ]

    async def load_entries(self, uow: UnitOfWork, entries: dict[tuple[int, int], TransitionRecord]) -> None:
        """Loads the transitions caused by earlier events, in addition to the new `entries`."""
        keys = [
            (known.relationship_id, known.transition_seq)
            for known in self._known.values()
            if known.transition_seq is not None
        ]
        ids = {stored.id: customer_id for customer_id, stored in self._transaction.relationships.items()}
        earlier_entries = await uow.transitions.get_many(keys)
        self._entries = entries | {
            (ids[relationship_id], seq): entry
            for (relationship_id, seq), entry in earlier_entries.items()
            if relationship_id in ids
        }

    def result(self, step: _Step | JourneyServiceError) -> IngestResult:
        """Returns the result of one event."""
        if isinstance(step, JourneyServiceError):
            return step
        if step.status is IngestStatus.IGNORED_ERASED:
            return IngestOutcome(step.status, None, None)
        customer_id = step.event.customer_id
        return IngestOutcome(
            step.status,
            self._transaction.view(customer_id),
            self._entries.get((customer_id, self._seq(step))),
        )

    def _seq(self, step: _Step) -> int:
        first = self._applied.get(step.event.key)
        if first is not None:
            return 0 if first.transition is None else first.transition.seq
        known = self._known[step.event.key]
        return known.transition_seq or 0
