"""The history of one customer, told event by event: what happens in it, and what shows that it is true."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, TypeAlias

from journey_service.domain.events.event import Event
from journey_service.domain.journeys.facts import Facts
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Relationship, Rulebook


class Waiting(NamedTuple):
    """Time passes until an instant."""

    until: datetime


class SimulatedEvent(NamedTuple):
    """The same thing is told so many times, now; it happened that much earlier."""

    event: Event
    times: int = 1
    late: timedelta = timedelta(0)


SimulationStep: TypeAlias = Sequence[Waiting | SimulatedEvent]
"""What happens next to a customer."""


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """The same thing, told at one instant so many times, each time as an event of its own."""

    at: datetime
    event: Event
    times: int = 1


@dataclass(frozen=True, slots=True)
class ExampleHistory:
    """A true history: what was told, in order, and until when time passes afterwards."""

    told: tuple[HistoryEntry, ...]
    until: datetime

    @property
    def size(self) -> int:
        """How many events it holds, repeated ones counted."""
        return sum(told.times for told in self.told)

    def events(self) -> Iterator[tuple[datetime, Event]]:
        """Each event with the instant at which it is told, under an id of its own."""
        number = 0
        for told in self.told:
            for _ in range(told.times):
                number += 1
                yield told.at, told.event._replace(event_id=str(number))

    def replay(self, rulebook: Rulebook, journeys: type[Journey] = Journey) -> Journey:
        """The journey that the history makes; takes as long as `size` events take."""
        journey = journeys.open(self.told[0].event.customer_id, rulebook, self.told[0].at)
        for at, event in self.events():
            journey.apply_event(event, at)
        journey.advance_to(self.until)
        return journey


class Past(NamedTuple):
    """What was told of a customer, newest first: histories that begin alike share their beginning."""

    before: "Past | None"
    told: HistoryEntry

    def witness(self, until: datetime) -> ExampleHistory:
        """The history so far, and until when time has passed."""
        told: list[HistoryEntry] = []
        past: Past | None = self
        while past is not None:
            told.append(past.told)
            past = past.before
        return ExampleHistory(tuple(reversed(told)), until)


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer who was brought somewhere: where they stand, as of when, and by which history."""

    relationship: Relationship
    now: datetime
    past: Past | None

    @property
    def facts(self) -> Facts:
        """What is known of their doings."""
        return self.relationship.facts
