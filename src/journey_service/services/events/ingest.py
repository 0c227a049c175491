"""Ingest: applies a list of events to journeys in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from journey_service.domain.customers.references import ResolvedRefs
from journey_service.domain.errors import InvalidInputError, JourneyServiceError
from journey_service.domain.events.errors import EventConflictError
from journey_service.domain.events.event import Event, content_hash
from journey_service.domain.events.parsing import future_error, in_currency, reported_error
from journey_service.domain.journeys.records import TransitionRecord
from journey_service.domain.journeys.relationship import Transition
from journey_service.repositories.database import Database
from journey_service.repositories.events.ledger import AppliedEvent, StoredEvent
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.customers.profile_batch import lock_mailboxes
from journey_service.services.customers.references import resolve_refs
from journey_service.services.events.counting import (
    CountedEvents,
    concerning,
    event_keys,
    is_same_content,
    load_counted_events,
)
from journey_service.services.events.event_profiles import apply_profiles
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
    refs = await resolve_refs(uow, (event.customer for event in events))
    named = [_with_number(event, refs) for event in events]
    valid = [event for event in named if isinstance(event, Event)]
    updates = [event.profile for event in valid if event.profile is not None]
    withdrawals = await lock_mailboxes(uow, updates)
    transaction = await load(uow, (event.customer_id for event in valid), now=now, refs=refs.new)
    stored = await uow.events.get_many(event_keys(transaction.relationship_ids, valid))
    concerned = [concerning(transaction, event) for event in valid]
    counted = await load_counted_events(uow, transaction, concerned, stored)
    batch = _Batch(uow, transaction, stored.by_key, counted, as_occurred=as_occurred)
    steps = [await batch.apply(event) if isinstance(event, Event) else event for event in named]
    if as_occurred:
        for journey in transaction.journeys.values():
            journey.advance_to(transaction.now)
    entries = await write(uow, transaction, revenue=counted.revenue)
    await uow.events.insert(batch.applied(transaction))
    if updates:
        applied = [row.event for row in batch.applied(transaction)]
        await apply_profiles(uow, transaction, applied, withdrawals)
    await batch.load_entries(entries)
    return [batch.result(step) for step in steps]


def _with_number(event: Event, refs: ResolvedRefs) -> Event | InvalidInputError:
    """Returns the event with the number of its customer."""
    if event.customer_ref is None:
        return event
    number = refs.number_of(event.customer)
    return number if isinstance(number, InvalidInputError) else event._replace(customer_id=number)


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
        uow: UnitOfWork,
        transaction: JourneyTransaction,
        known: dict[tuple[str, str], StoredEvent],
        counted: CountedEvents,
        *,
        as_occurred: bool = False,
    ) -> None:
        self._uow = uow
        self._transaction = transaction
        self._known = known
        self._counted = counted
        self._as_occurred = as_occurred
        self._applied: dict[tuple[str, str], _Step] = {}
        self._entries: Mapping[tuple[int, int], TransitionRecord] = {}
        self._earlier_entries: Mapping[tuple[int, int], TransitionRecord] = {}

    async def apply(self, event: Event) -> _Step | JourneyServiceError:
        """Applies one event to its journey in memory, unless it is a duplicate or invalid."""
        if event.customer_id in self._transaction.erased:
            return _Step(event, IngestStatus.IGNORED_ERASED)
        converted = in_currency(event, self._transaction.context.rulebook.policy.currency)
        if isinstance(converted, InvalidInputError):
            return converted
        transaction = self._transaction
        event, digest = concerning(transaction, converted), content_hash(converted)
        earlier = self._applied.get(event.key) or self._known.get(event.key)
        if earlier is not None:
            if await is_same_content(self._uow, converted, earlier.digest):
                return _Step(event, IngestStatus.DUPLICATE, digest=digest)
            return EventConflictError(event.source, event.event_id)
        rejection = (
            transaction.reserved_error(event.customer_id)
            or future_error(event, transaction.now)
            or reported_error(event, transaction.now)
        )
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

    async def load_entries(self, entries: Mapping[tuple[int, int], TransitionRecord]) -> None:
        """Loads the transitions caused by earlier events, in addition to the new `entries`."""
        keys = [
            (known.decided_by, known.transition_seq)
            for known in self._known.values()
            if known.transition_seq is not None
        ]
        self._entries, self._earlier_entries = entries, await self._uow.transitions.get_many(keys)

    def result(self, step: _Step | JourneyServiceError) -> IngestResult:
        """Returns the result of one event."""
        if isinstance(step, JourneyServiceError):
            return step
        if step.status is IngestStatus.IGNORED_ERASED:
            return IngestOutcome(step.status, None, None)
        return IngestOutcome(
            step.status, self._transaction.view(step.event.customer_id), self._find_entry(step)
        )

    def _find_entry(self, step: _Step) -> TransitionRecord | None:
        """Returns the transition that an event caused when it was applied first."""
        first = self._applied.get(step.event.key)
        if first is None:
            known = self._known[step.event.key]
            return self._earlier_entries.get((known.decided_by, known.transition_seq or 0))
        if first.transition is None:
            return None
        return self._entries.get((step.event.customer_id, first.transition.seq))
