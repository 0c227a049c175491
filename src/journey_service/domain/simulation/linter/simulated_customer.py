"""One simulated customer taken one step further, and what the real journey writes on the way."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from journey_service.domain.errors import InvalidInputError
from journey_service.domain.journeys.facts import MAX_KEPT_TIMES
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Transition
from journey_service.domain.simulation.linter.event_histories import (
    Customer,
    ExampleHistory,
    HistoryEntry,
    Past,
    SimulatedEvent,
    SimulationStep,
)
from journey_service.domain.simulation.linter.next_steps import NextSteps

_LOOKS: Final = 400
"""How many instants at which something may be due one wait passes at most."""
_MOVES: Final = 48
"""How many moves are made at one instant until it is plain that they never end."""
_PATIENCE: Final = 1_200
"""How often the same is told, one by one, in one step; the largest sum that rules may ask for takes 1,000."""


class MoveSequence(NamedTuple):
    """The moves of one instant, due to one telling or to nothing but time."""

    left: str
    moves: Sequence[Transition]
    past: Past
    telling: SimulatedEvent | None

    @property
    def at(self) -> datetime:
        """When it was."""
        return self.moves[0].transitioned_at

    @property
    def witness(self) -> ExampleHistory:
        """The history that ends with it."""
        return self.past.witness(self.at)

    @property
    def stays(self) -> tuple[str, ...]:
        """The stages the customer was in, from the one that was left to the last one entered."""
        return (self.left, *(move.to_stage for move in self.moves))


class SimulatedCustomer:
    """A journey being taken further. `is_over` tells that it cannot be: it never settles, or a sum is full."""

    def __init__(self, journey: Journey, now: datetime, past: Past | None, possible: NextSteps) -> None:
        self.journey = journey
        self.now = now
        self.past = past
        self.is_over = False
        self.decisions = 0
        self._possible = possible

    @property
    def customer(self) -> Customer | None:
        """Where it has led to; None if it cannot go on, or nothing was told yet."""
        if self.is_over or self.past is None:
            return None
        return Customer(self.journey.relationship, self.now, self.past)

    def take(self, step: SimulationStep) -> Iterator[MoveSequence]:
        """Take a step, telling of every move as it is made."""
        for act in step:
            if isinstance(act, SimulatedEvent):
                yield from self._tell(act)
            else:
                yield from self.wait(act.until)
            if self.is_over:
                return

    def wait(self, until: datetime) -> Iterator[MoveSequence]:
        """Let time pass until an instant, or until so much has fallen due that it is enough for one step."""
        past = self.past
        if past is None:
            return
        for _ in range(_LOOKS):
            due = self.journey.relationship.next_evaluation_at
            if due is None or due > until:
                self.now = until
                return
            left = self.journey.relationship.current_stage
            self.now = max(due, self.now)
            moves = self._settle()
            if moves:
                yield MoveSequence(left, moves, past, None)
            if self.is_over:
                return

    def _tell(self, telling: SimulatedEvent) -> Iterator[MoveSequence]:
        before, journey = self.past, self.journey
        event = telling.event._replace(occurred_at=self.now - telling.late)
        times = 0
        while times < telling.times and not self.is_over:
            left, mark = journey.relationship.current_stage, len(journey.new_transitions)
            try:
                journey.apply_event(event, self.now)
            except InvalidInputError:  # more than a sum can hold
                self.is_over = True
                return
            self.decisions += 1
            moves = [*journey.new_transitions[mark:], *self._settle()]
            times += 1
            self.past = Past(before, HistoryEntry(self.now, event, times))
            if moves:
                yield MoveSequence(left, moves, self.past, telling)
            elif times > MAX_KEPT_TIMES:
                times += self._skip(telling.times - times - 1, telling)
            if self.decisions > _PATIENCE:
                self.is_over = True

    def _settle(self) -> list[Transition]:
        """Decide all that is due now."""
        journey = self.journey
        mark = len(journey.new_transitions)
        for _ in range(_MOVES):
            due = journey.relationship.next_evaluation_at
            if due is None or due > self.now:
                return journey.new_transitions[mark:]
            journey.evaluate(due)
            self.decisions += 1
        self.is_over = True
        return journey.new_transitions[mark:]

    def _skip(self, most: int, telling: SimulatedEvent) -> int:
        """Count tellings that change nothing but a count and a sum, without going through each.

        All windows are full of this very event by now, and the last one moved nobody; so will the next ones,
        until the count or the sum reaches another cell.
        """
        relationship = self.journey.relationship
        facts, event = relationship.facts, telling.event
        times = min(most, self._possible.alike_after(facts, event))
        if times <= 0:
            return 0
        relationship.facts = facts._replace(
            total_appointments=facts.total_appointments + times,
            appointments_cents=facts.appointments_cents + times * event.amount_cents,
        )
        return times
