"""Replay of an import: one page of staged lines, applied to their customers in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from journey_service.domain.errors import InvalidInputError, JourneyServiceError
from journey_service.domain.events.content_keys import retraction_id
from journey_service.domain.events.event import Event, EventType, content_hash
from journey_service.domain.events.parsing import ImportLine, future_error, reported_error
from journey_service.domain.events.records import ImportCursor, ImportLineError, ImportRecord
from journey_service.repositories.events.ledger import AppliedEvent
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.customers.profile_batch import lock_mailboxes
from journey_service.services.events.counting import (
    CountedEvents,
    concerning,
    is_same_content,
    load_counted_events,
)
from journey_service.services.events.event_profiles import apply_profiles
from journey_service.services.events.imports.customers import WITHDRAWN
from journey_service.services.events.imports.matching import LineMatches, match_lines
from journey_service.services.events.imports.numbering import resolve_staged
from journey_service.services.journeys.transaction import JourneyTransaction, load, write

REPLAY_BATCH_SIZE: Final = 1_000
"""Lines in one page; a customer with more lines continues on the next page."""
CHANGED: Final = "differs from a known line in the amount alone, and was held back"
"""Message of a line that is held back."""
OTHER_CONTENT: Final = "was received before with different content"
"""Message of a line with a known id and other content."""


async def load_page(uow: UnitOfWork, import_: ImportRecord) -> "ReplayPage":
    """Loads the lines after the cursor of an import, in order of customer and time."""
    return ReplayPage(import_, *await load_lines(uow, import_.id, import_.cursor))


async def load_lines(
    uow: UnitOfWork, import_id: int, cursor: ImportCursor | None
) -> tuple[list[ImportLine], int | None]:
    """Loads the lines after the cursor; returns also the customer who continues on the next page, if any.

    Lines of which others may be on the next page are left for it: the last customer's, or those of the last instant.
    """
    lines = await uow.import_lines.list_events(import_id, cursor, limit=REPLAY_BATCH_SIZE)
    if len(lines) < REPLAY_BATCH_SIZE:
        return lines, None
    last = lines[-1].event
    whole = [line for line in lines if line.event.customer_id != last.customer_id]
    if whole:
        return whole, None
    return [line for line in lines if line.event.occurred_at != last.occurred_at] or lines, last.customer_id


def position_of(line: ImportLine) -> ImportCursor:
    """Returns the position of a line."""
    event = line.event
    return ImportCursor(event.customer_id, event.occurred_at, event.source, event.event_id, line.number)


@dataclass(slots=True)
class ReplayPage:
    """The lines of one page, and the counts of what was applied.

    `open_customer` has further lines on the next page.
    """

    import_: ImportRecord
    lines: list[ImportLine]
    open_customer: int | None
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("done", "applied", "duplicates", "changed", "late", "later", "erased", "transitions", "failed"),
            0,
        )
    )
    _applied: dict[tuple[str, str], tuple[Event, bytes, str, int | None, bool]] = field(default_factory=dict)
    _errors: list[ImportLineError] = field(default_factory=list)
    _retractions: dict[tuple[str, str], Event] = field(default_factory=dict)

    @property
    def cursor(self) -> ImportCursor | None:
        """The position of the last line of the page, or of the import if the page is empty."""
        return position_of(self.lines[-1]) if self.lines else self.import_.cursor

    async def replay(self, uow: UnitOfWork) -> None:
        """Applies the lines, advances customers without further lines to the end, and writes everything."""
        cursor = self.import_.cursor
        staged = [(line.event.customer_id, line.event.customer_ref) for line in self.lines]
        refs = await resolve_staged(uow, staged)
        numbers = {number: refs.ids[ref] for number, ref in staged if ref is not None}
        customers = {numbers.get(number, number) for number, _ in staged}
        if cursor is not None:
            customers.add(cursor[0])  # whose lines may have ended with the previous page
        updates = [line.event.profile for line in self.lines if line.event.profile is not None]
        withdrawals = await lock_mailboxes(uow, updates) if updates else {}
        transaction = await load(uow, customers, now=self.import_.until, refs=refs.new)
        matches = await match_lines(
            uow, self.import_.id, self.lines, cursor, transaction.relationship_ids, numbers
        )
        self._retractions = self._replaced(matches)
        events = [concerning(transaction, event) for event in (*matches.events, *self._retractions.values())]
        counted = await load_counted_events(uow, transaction, events, matches.stored)
        for line, event in zip(self.lines, matches.events, strict=True):
            await self._apply_line(uow, transaction, line, event, matches, counted)
        open_customer = (
            None if self.open_customer is None else numbers.get(self.open_customer, self.open_customer)
        )
        for customer_id in sorted(customers):
            journey = transaction.find(customer_id)
            if journey is not None and customer_id != open_customer:
                journey.advance_to(transaction.now)
        self.counts["done"] = len(self.lines)
        self.counts["transitions"] = sum(
            len(journey.new_transitions) for journey in transaction.journeys.values()
        )
        await write(
            uow,
            transaction,
            runs_actions=self.import_.runs_actions,
            is_import=True,
            revenue=counted.revenue,
        )
        applied = [
            AppliedEvent(transaction.relationships[event.customer_id].id, event, digest, stage, seq, is_late)
            for event, digest, stage, seq, is_late in self._applied.values()
        ]
        await uow.events.insert(applied)
        kept = await apply_profiles(uow, transaction, [row.event for row in applied], withdrawals)
        self._report_withdrawals(matches, kept)
        await uow.imports.insert_errors(self.import_.id, self._errors)

    async def _apply_line(  # what is known of the page
        self,
        uow: UnitOfWork,
        transaction: JourneyTransaction,
        line: ImportLine,
        event: Event,
        matches: LineMatches,
        counted: CountedEvents,
    ) -> None:
        until = transaction.now
        if event.customer_id in transaction.erased:
            self.counts["erased"] += 1
            return
        digest = content_hash(event)
        if (first := self._first_digest(event, matches)) is not None:
            # A line that is known by its content has that content: its instant may be another one in a corrected zone.
            # The profile may have changed since.
            if not line.has_id or await is_same_content(uow, event, first, ignores_profile=True):
                self.counts["duplicates"] += 1
            else:
                self._add_error(line, "/id", OTHER_CONTENT)
            return
        if self.import_.until is not None and event.occurred_at > until:
            self.counts["later"] += 1
            return
        if event.key in matches.changed and self.import_.on_changed == "hold":
            self.counts["changed"] += 1
            self._errors.append(_line_error(line, "", CHANGED))
            return
        rejection: JourneyServiceError | None = (
            transaction.reserved_error(event.customer_id)
            or future_error(event, until)
            or reported_error(event, transaction.context.now, "/reported_at")
        )
        retraction = self._retractions.get(event.key)
        if rejection is None:
            rejection = await self._apply_event(transaction, counted, event, digest, retraction)
        if isinstance(rejection, InvalidInputError):
            for error in rejection.errors:
                self._add_error(line, error.pointer, error.message)

    def _report_withdrawals(
        self, matches: LineMatches, kept: Mapping[tuple[str, str], Sequence[str]]
    ) -> None:
        """Reports the consents that lines would have granted in spite of a withdrawal."""
        remaining = dict(kept)  # a further line with the same key was not applied
        for line, event in zip(self.lines, matches.events, strict=True):
            for channel in remaining.pop(event.key, ()):
                self._errors.append(_line_error(line, f"/customer/consents/{channel}", WITHDRAWN))

    def _replaced(self, matches: LineMatches) -> dict[tuple[str, str], Event]:
        """Returns the retractions of the known events that events replace, by the keys of the latter."""
        if self.import_.on_changed != "replace":
            return {}
        return {
            event.key: _retraction(event, matches.changed[event.key])
            for event in matches.events
            if event.key in matches.changed
        }

    def _first_digest(self, event: Event, matches: LineMatches) -> bytes | None:
        """Returns the digest of the event with the same key that came first, in the page or before."""
        if (earlier := self._applied.get(event.key)) is not None:
            return earlier[1]
        stored = matches.stored.by_key.get(event.key)
        return None if stored is None else stored.digest

    async def _apply_event(
        self,
        transaction: JourneyTransaction,
        counted: CountedEvents,
        event: Event,
        digest: bytes,
        retraction: Event | None,
    ) -> InvalidInputError | None:
        until = transaction.now
        event = concerning(transaction, event)
        at = min(event.occurred_at, until)
        journey = transaction.open(event.customer_id, at)
        is_late = journey.is_late(event.occurred_at)
        decided_at, before = until if is_late else at, journey.relationship.current_stage
        try:
            if retraction is None:
                transition = await counted.apply(journey, event, decided_at)
            else:
                retracted = concerning(transaction, retraction)
                transition = await counted.replace(journey, retracted, event, decided_at)
                self._applied[retraction.key] = (retracted, content_hash(retraction), before, None, is_late)
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
        self._errors.append(_line_error(line, pointer, message))


def _retraction(event: Event, replaced_id: str) -> Event:
    """Returns the event that retracts the known one which an imported event replaces."""
    return Event(
        event.source,
        retraction_id(replaced_id),
        event.customer_id,
        EventType.EVENT_RETRACTED,
        event.occurred_at,
        retracts=(event.source, replaced_id),
    )


def _line_error(line: ImportLine, pointer: str, message: str) -> ImportLineError:
    return ImportLineError(line.number, pointer, message, line.event.customer_id, line.cells)
