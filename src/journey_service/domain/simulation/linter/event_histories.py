"""Event histories of one customer: the steps of the search, and the examples that prove its findings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, TypeAlias

from journey_service.domain.events.event import MAX_AMOUNT_CENTS, Event, EventType
from journey_service.domain.journeys.facts import Facts
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Relationship, Rulebook
from journey_service.domain.simulation.linter.time_values import predict

START_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""Begin of every history: after it there is time for two of the longest waits that a rule can require, before it for
one late report.
"""


class WaitUntil(NamedTuple):
    """Part of a step: time advances to `until`."""

    until: datetime


class SimulatedEvent(NamedTuple):
    """Part of a step: an event is received `times` times now, and occurred `late` earlier."""

    event: Event
    times: int = 1
    late: timedelta = timedelta(0)


SimulationStep: TypeAlias = Sequence[WaitUntil | SimulatedEvent]
"""What happens next to a simulated customer."""


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """Event that is received `times` times at one time, each time under an id of its own."""

    at: datetime
    event: Event
    times: int = 1


@dataclass(frozen=True, slots=True)
class ExampleHistory:
    """Example of an event history: the events in order of receipt, and the time advanced to afterwards."""

    entries: tuple[HistoryEntry, ...]
    until: datetime

    @property
    def size(self) -> int:
        """Number of events, including repetitions."""
        return sum(entry.times for entry in self.entries)

    def events(self) -> Iterator[tuple[datetime, Event]]:
        """Yields each event with its time of receipt, under an id of its own."""
        number = 0
        for entry in self.entries:
            for _ in range(entry.times):
                number += 1
                yield entry.at, entry.event._replace(event_id=str(number))

    def replay(self, rulebook: Rulebook, journey_type: type[Journey] = Journey) -> Journey:
        """Returns the journey that results from the history. Takes time in proportion to `size`."""
        journey = journey_type.open(self.entries[0].event.customer_id, rulebook, self.entries[0].at)
        for at, event in self.events():
            journey.apply_event(event, at)
            predict(journey, event, at)
        journey.advance_to(self.until)
        return journey


class HistoryNode(NamedTuple):
    """Linked list of history entries, newest first: histories with the same beginning share it."""

    previous: "HistoryNode | None"
    entry: HistoryEntry

    def to_example(self, until: datetime) -> ExampleHistory:
        """Returns the history up to this entry as an example."""
        entries: list[HistoryEntry] = []
        node: HistoryNode | None = self
        while node is not None:
            entries.append(node.entry)
            node = node.previous
        return ExampleHistory(tuple(reversed(entries)), until)


@dataclass(frozen=True, slots=True)
class ReachedCustomer:
    """State of a customer that the search has reached, its time, and the history that leads to it."""

    relationship: Relationship
    now: datetime
    history: HistoryNode | None

    @property
    def facts(self) -> Facts:
        """The facts of the customer."""
        return self.relationship.facts


def new_event(type_: EventType, cents: int = 0, *, call: int | None = None) -> Event:
    """Returns an event without a time; the time is set when it is simulated."""
    return Event("history", "", 1, type_.value, START_TIME, cents, call)


def new_appointment(cents: int = 0) -> Event:
    """Returns a completed appointment, as `new_event` does."""
    return new_event(EventType.APPOINTMENT_COMPLETED, cents)


def is_appointment(step: Sequence[SimulatedEvent]) -> bool:
    """Returns whether a step is one appointment, or the same one several times."""
    return len(step) == 1 and step[0].event.type == EventType.APPOINTMENT_COMPLETED


def new_payments(type_: EventType, cents: int) -> tuple[SimulatedEvent, ...]:
    """Returns an amount, split into as many events as the largest amount requires."""
    times, rest = divmod(cents, MAX_AMOUNT_CENTS)
    step = (
        SimulatedEvent(new_event(type_, MAX_AMOUNT_CENTS), times),
        SimulatedEvent(new_event(type_, rest), min(rest, 1)),
    )
    return tuple(simulated for simulated in step if simulated.times)
