"""Simulated customer: runs one step of the search on a real journey, and yields the moves made."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from journey_service.domain.errors import InvalidInputError
from journey_service.domain.journeys.facts import MAX_KEPT_TIMES
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Transition
from journey_service.domain.simulation.linter.event_histories import (
    ExampleHistory,
    HistoryEntry,
    HistoryNode,
    ReachedCustomer,
    SimulatedEvent,
    SimulationStep,
)
from journey_service.domain.simulation.linter.next_steps import NextSteps
from journey_service.domain.simulation.linter.time_values import predict

_MAX_EVALUATIONS_PER_WAIT: Final = 400
"""Evaluations within one wait; the step ends at the limit."""
_EVALUATION_BATCH_SIZE: Final = 48
"""Evaluations at one time; at the limit, the moves are taken to be endless."""
_MAX_DECISIONS_PER_STEP: Final = 1_200
"""Repeated events applied one by one in a step; the largest sum that a rule can require takes 1,000."""


class MoveSequence(NamedTuple):
    """Moves made at one time, caused by `event`, or by the passage of time if that is None."""

    left: str
    moves: Sequence[Transition]
    history: HistoryNode
    event: SimulatedEvent | None

    @property
    def at(self) -> datetime:
        """The time of the moves."""
        return self.moves[0].transitioned_at

    @property
    def example(self) -> ExampleHistory:
        """The history that ends with these moves."""
        return self.history.to_example(self.at)

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages of the customer, from the one that was left to the last one entered."""
        return (self.left, *(move.to_stage for move in self.moves))


class SimulatedCustomer:
    """Journey that the search continues. `is_over`: it cannot, as moves are endless or a sum is full."""

    def __init__(
        self, journey: Journey, now: datetime, history: HistoryNode | None, next_steps: NextSteps
    ) -> None:
        self.journey = journey
        self.now = now
        self.history = history
        self.is_over = False
        self.decisions = 0
        self._next_steps = next_steps

    @property
    def customer(self) -> ReachedCustomer | None:
        """The state reached; None if the journey cannot continue, or has no event yet."""
        if self.is_over or self.history is None:
            return None
        return ReachedCustomer(self.journey.relationship, self.now, self.history)

    def run(self, step: SimulationStep) -> Iterator[MoveSequence]:
        """Runs a step, and yields the moves as they are made."""
        for part in step:
            if isinstance(part, SimulatedEvent):
                yield from self._apply(part)
            else:
                yield from self.wait(part.until)
            if self.is_over:
                return

    def wait(self, until: datetime) -> Iterator[MoveSequence]:
        """Advances time to `until`, or to the time at which the limit of evaluations is reached."""
        history = self.history
        if history is None:
            return
        for _ in range(_MAX_EVALUATIONS_PER_WAIT):
            due = self.journey.relationship.next_evaluation_at
            if due is None or due > until:
                self.now = until
                return
            left = self.journey.relationship.current_stage
            self.now = max(due, self.now)
            moves = self._evaluate_due()
            if moves:
                yield MoveSequence(left, moves, history, None)
            if self.is_over:
                return

    def _apply(self, simulated: SimulatedEvent) -> Iterator[MoveSequence]:
        previous, journey = self.history, self.journey
        event = simulated.event._replace(occurred_at=self.now - simulated.late)
        times = 0
        while times < simulated.times and not self.is_over:
            left, count_before = journey.relationship.current_stage, len(journey.new_transitions)
            try:
                journey.apply_event(event, self.now)
                predict(journey, event, self.now)
            except InvalidInputError:  # the sum exceeds its limit
                self.is_over = True
                return
            self.decisions += 1
            moves = [*journey.new_transitions[count_before:], *self._evaluate_due()]
            times += 1
            self.history = HistoryNode(previous, HistoryEntry(self.now, event, times))
            if moves:
                yield MoveSequence(left, moves, self.history, simulated)
            elif times > MAX_KEPT_TIMES:
                times += self._skip(simulated.times - times - 1, simulated)
            if self.decisions > _MAX_DECISIONS_PER_STEP:
                self.is_over = True

    def _evaluate_due(self) -> list[Transition]:
        """Evaluates until nothing is due any more; returns the moves."""
        journey = self.journey
        count_before = len(journey.new_transitions)
        for _ in range(_EVALUATION_BATCH_SIZE):
            due = journey.relationship.next_evaluation_at
            if due is None or due > self.now:
                return journey.new_transitions[count_before:]
            journey.evaluate(due)
            self.decisions += 1
        self.is_over = True
        return journey.new_transitions[count_before:]

    def _skip(self, limit: int, simulated: SimulatedEvent) -> int:
        """Applies repeated events to the count and the sum only, at most `limit`; returns how many.

        All windows are full of this event by now, and the last one caused no move; nor do the next ones, until the
        count or the sum reaches another bucket.
        """
        relationship = self.journey.relationship
        facts, event = relationship.facts, simulated.event
        times = min(limit, self._next_steps.equivalent_repeats(facts, event))
        if times <= 0:
            return 0
        relationship.facts = facts._replace(
            total_appointments=facts.total_appointments + times,
            appointments_cents=facts.appointments_cents + times * event.amount_cents,
        )
        return times
