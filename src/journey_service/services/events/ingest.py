"""Events in, journeys moved: a list of events in one transaction; one event is a list of one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from journey_service.domain.errors import InvalidInputError, JourneyServiceError
from journey_service.domain.events.errors import EventConflictError
from journey_service.domain.events.event import Event, content_hash
from journey_service.domain.events.parsing import future_error
from journey_service.domain.journeys.records import TransitionRecord
from journey_service.domain.journeys.relationship import Transition
from journey_service.repositories.database import Database
from journey_service.repositories.events.ledger import AppliedEvent, StoredEvent
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.rollups import count_money
from journey_service.services.journeys.transaction import JourneyTransaction, load, write
from journey_service.services.journeys.view import JourneyView


class IngestStatus(StrEnum):
    """What became of an event."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    IGNORED_ERASED = "ignored_erased"


@dataclass(frozen=True, slots=True)
class IngestOutcome:
    """What became of an event: the move it caused (if any), and the customer's journey now (None: erased)."""

    status: IngestStatus
    view: JourneyView | None
    entry: TransitionRecord | None


IngestResult: TypeAlias = IngestOutcome | JourneyServiceError


async def ingest(
    database: Database, company_id: int, events: Sequence[Event], *, now: datetime | None = None
) -> list[IngestResult]:
    """Apply events in their order; returns one answer per event. `now` defaults to the company's clock.

    Either all that could be applied is committed, or nothing. An event that cannot be applied is answered
    with its error and changes nothing; the others are not affected.
    """

    async def unit(uow: UnitOfWork) -> list[IngestResult]:
        transaction = await load(uow, (event.customer_id for event in events), now=now)
        batch = _Batch(transaction, await uow.events.get_many(list({event.key for event in events})))
        steps = [batch.take(event) for event in events]
        entries = await write(uow, transaction)
        applied = batch.applied(transaction)
        await uow.events.insert(applied)
        await count_money(uow, transaction.context, applied)
        await batch.recall(uow, entries)
        return [batch.answer(step) for step in steps]

    return await database.run(company_id, unit)


@dataclass(slots=True)
class _Step:
    event: Event
    status: IngestStatus
    transition: Transition | None = None
    stage: str = ""
    content: bytes = b""


class _Batch:
    """The events of one transaction, taken one after the other."""

    def __init__(self, transaction: JourneyTransaction, known: dict[tuple[str, str], StoredEvent]) -> None:
        self._docket = transaction
        self._known = known
        self._taken: dict[tuple[str, str], _Step] = {}
        self._entries: dict[tuple[int, int], TransitionRecord] = {}

    def take(self, event: Event) -> _Step | JourneyServiceError:
        """Apply one event to its journey in memory, unless it is known or cannot be applied."""
        if event.customer_id in self._docket.erased:
            return _Step(event, IngestStatus.IGNORED_ERASED)
        content = content_hash(event)
        earlier = self._taken.get(event.key)
        known = self._known.get(event.key)
        if earlier is not None or known is not None:
            first = earlier.content if earlier is not None else known.content if known is not None else b""
            if first != content:
                return EventConflictError(event.source, event.event_id)
            return _Step(event, IngestStatus.DUPLICATE, content=content)
        transaction = self._docket
        fault = future_error(event, transaction.now)
        if fault is not None:
            return fault
        journey = transaction.open(event.customer_id, transaction.now)
        try:
            transition = journey.apply_event(event, transaction.now)
        except InvalidInputError as error:
            return error
        step = _Step(event, IngestStatus.APPLIED, transition, journey.relationship.current_stage, content)
        self._taken[event.key] = step
        return step

    def applied(self, transaction: JourneyTransaction) -> list[AppliedEvent]:
        """The events to write down."""
        return [
            AppliedEvent(
                transaction.relationships[step.event.customer_id].id,
                step.event,
                step.content,
                step.stage,
                None if step.transition is None else step.transition.seq,
            )
            for step in self._taken.values()
        ]

    async def recall(self, uow: UnitOfWork, entries: dict[tuple[int, int], TransitionRecord]) -> None:
        """Fetch the moves that events known before had caused."""
        wanted = [
            (known.relationship_id, known.transition_seq)
            for known in self._known.values()
            if known.transition_seq is not None
        ]
        ids = {stored.id: customer_id for customer_id, stored in self._docket.relationships.items()}
        recalled = await uow.transitions.get_many(wanted)
        self._entries = entries | {
            (ids[relationship_id], seq): entry
            for (relationship_id, seq), entry in recalled.items()
            if relationship_id in ids
        }

    def answer(self, step: _Step | JourneyServiceError) -> IngestResult:
        """What the sender is told."""
        if isinstance(step, JourneyServiceError):
            return step
        if step.status is IngestStatus.IGNORED_ERASED:
            return IngestOutcome(step.status, None, None)
        customer_id = step.event.customer_id
        return IngestOutcome(
            step.status, self._docket.view(customer_id), self._entries.get((customer_id, self._seq(step)))
        )

    def _seq(self, step: _Step) -> int:
        first = self._taken.get(step.event.key)
        if first is not None:
            return 0 if first.transition is None else first.transition.seq
        known = self._known[step.event.key]
        return known.transition_seq or 0
