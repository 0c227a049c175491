"""Replay of an import: one page of staged lines, applied to their customers in one transaction."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from journey_service.domain.errors import InvalidInputError, JourneyServiceError
from journey_service.domain.events.event import EARLIEST, Event, content_hash
from journey_service.domain.events.parsing import ImportLine, future_error, line_id, reported_error
from journey_service.domain.events.records import ImportLineError, ImportRecord
from journey_service.repositories.events.ledger import AppliedEvent, StoredEvent
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.rollups import count_money
from journey_service.services.events.counting import CountedEvents, event_keys, load_counted_events
from journey_service.services.journeys.transaction import JourneyTransaction, load, write

REPLAY_BATCH_SIZE: Final = 1_000
"""Lines in one page; a customer with more lines continues on the next page."""


async def load_page(uow: UnitOfWork, import_: ImportRecord) -> "ReplayPage":
    """Loads the lines after the cursor of an import, in order of customer and time."""
    lines = await uow.imports.list_lines(import_.id, import_.cursor, limit=REPLAY_BATCH_SIZE, start=EARLIEST)
    return ReplayPage(import_, _whole_customers(lines))


def _whole_customers(lines: list[ImportLine]) -> list[ImportLine]:
    """Drops the last customer, whose lines may continue on the next page, unless it is the only one."""
    if len(lines) < REPLAY_BATCH_SIZE:
        return lines
    last = lines[-1].event.customer_id
    whole = [line for line in lines if line.event.customer_id != last]
    return whole or lines


@dataclass(slots=True)
class ReplayPage:
    """The lines of one page, and the counts of what was applied."""

    import_: ImportRecord
    lines: list[ImportLine]
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("done", "applied", "duplicates", "late", "later", "erased", "transitions", "failed"), 0
        )
    )
    _applied: dict[tuple[str, str], tuple[Event, bytes, str, int | None, bool]] = field(default_factory=dict)
    _errors: list[ImportLineError] = field(default_factory=list)

    @property
    def cursor(self) -> tuple[int, datetime, int] | None:
        """The position of the last line of the page, or of the import if the page is empty."""
        if not self.lines:
            return self.import_.cursor
        last = self.lines[-1]
        return last.event.customer_id, last.event.occurred_at, last.number

    async def replay(self, uow: UnitOfWork) -> None:
        """Applies the lines, advances customers without further lines to the end, and writes everything."""
        cursor = self.import_.cursor
        customers = {line.event.customer_id for line in self.lines}
        if cursor is not None:
            customers.add(cursor[0])  # whose lines may have ended with the previous page
        transaction = await load(uow, customers, now=self.import_.until)
        events = self._with_ids(
            {} if cursor is None else await uow.imports.count_same_instant(self.import_.id, cursor)
        )
        stored = await uow.events.get_many(event_keys(transaction, events))
        counted = await load_counted_events(uow, transaction, events, stored)
        for line, event in zip(self.lines, events, strict=True):
            await self._apply_line(transaction, line, event, stored.by_key, counted)
        open_customer = self.lines[-1].event.customer_id if self._is_full else None
        for customer_id in sorted(customers):
            journey = transaction.find(customer_id)
            if journey is not None and customer_id != open_customer:
                journey.advance_to(transaction.now)
        self.counts["done"] = len(self.lines)
        self.counts["transitions"] = sum(
            len(journey.new_transitions) for journey in transaction.journeys.values()
        )
        await write(uow, transaction, runs_actions=self.import_.runs_actions, is_import=True)
        applied = [
            AppliedEvent(transaction.relationships[event.customer_id].id, event, digest, stage, seq, is_late)
            for event, digest, stage, seq, is_late in self._applied.values()
        ]
        await uow.events.insert(applied)
        await count_money(uow, transaction.context, counted.revenue)
        await uow.imports.insert_errors(self.import_.id, self._errors)

    @property
    def _is_full(self) -> bool:
        return len(self.lines) >= REPLAY_BATCH_SIZE

    def _with_ids(self, counts: dict[str, int]) -> list[Event]:
        """Returns the events with ids; lines without an id get one from their content and ordinal.

        `counts` are the numbers of earlier lines without an id of the customer and instant at the cursor, by type.
        """
        position = None if self.import_.cursor is None else self.import_.cursor[:2]
        ordinals = dict(counts)
        events = []
        for line in self.lines:
            event = line.event
            if (event.customer_id, event.occurred_at) != position:
                position = (event.customer_id, event.occurred_at)
                ordinals = {}
            if not line.has_id:
                ordinals[event.type] = ordinals.get(event.type, 0) + 1
                event = event._replace(event_id=line_id(event, ordinals[event.type]))
            events.append(event)
        return events

    async def _apply_line(
        self,
        transaction: JourneyTransaction,
        line: ImportLine,
        event: Event,
        known: dict[tuple[str, str], StoredEvent],
        counted: CountedEvents,
    ) -> None:
        until = transaction.now
        if event.customer_id in transaction.erased:
            self.counts["erased"] += 1
            return
        digest = content_hash(event)
        earlier = self._applied.get(event.key)
        before = known.get(event.key)
        if earlier is not None or before is not None:
            first = earlier[1] if earlier is not None else before.digest if before is not None else b""
            if first == digest:
                self.counts["duplicates"] += 1
            else:
                self._add_error(line, "/id", "was received before with different content")
            return
        if self.import_.until is not None and event.occurred_at > until:
            self.counts["later"] += 1
            return
        rejection: JourneyServiceError | None = future_error(event, until) or reported_error(
            event, transaction.context.now, "/reported_at"
        )
        if rejection is None:
            rejection = await self._apply_event(transaction, counted, event, digest)
        if isinstance(rejection, InvalidInputError):
            for error in rejection.errors:
                self._add_error(line, error.pointer, error.message)

    async def _apply_event(
        self, transaction: JourneyTransaction, counted: CountedEvents, event: Event, digest: bytes
    ) -> InvalidInputError | None:
        until = transaction.now
        at = min(event.occurred_at, until)
        journey = transaction.open(event.customer_id, at)
        is_late = journey.is_late(event.occurred_at)
        try:
            transition = await counted.apply(journey, event, until if is_late else at)
        except InvalidInputError as error:
            return error
        self.counts["applied"] += 1
        self.counts["late"] += is_late
        stage = journey.relationship.current_stage
        seq = None if transition is None else transition.seq
        self._applied[event.key] = (event, digest, stage, seq, is_late)
        return None

    def _add_error(self, line: ImportLine, pointer: str, message: str) -> None:
        self.counts["failed"] += 1
        self._errors.append(ImportLineError(line.number, pointer, message))
