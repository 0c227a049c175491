"""Search over event histories for the stages that they lead into, and for defects on the way.

Simulated customers take steps on real journeys, and the moves made are recorded. Customers who are equivalent under the
map are followed once. The stages take turns, so that a newly reached stage is explored at once. The number of decisions
is limited.
"""

from collections import deque
from collections.abc import Hashable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, fields
from datetime import timedelta
from operator import attrgetter
from typing import Final, NamedTuple

from journey_service.domain.events.event import EventType
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Relationship, Rulebook, Transition
from journey_service.domain.simulation.linter.event_histories import (
    START_TIME,
    ExampleHistory,
    ReachedCustomer,
    SimulationStep,
)
from journey_service.domain.simulation.linter.next_steps import NextSteps
from journey_service.domain.simulation.linter.score_lookahead import with_score_lookahead
from journey_service.domain.simulation.linter.simulated_customer import MoveSequence, SimulatedCustomer

MAX_DECISIONS: Final = 8_000
"""Decisions of one search on a small map; a large map has fewer, because each decision costs more."""

_MAX_DECISIONS_WITHOUT_PROGRESS: Final = 5_000
"""Decisions without a new result after which a search ends early."""

RELAPSE_WINDOW: Final = timedelta(days=7)
"""Time after a return within which a move into a risk stage is reported as a relapse."""

_EXTRA_DECISIONS: Final = 400
"""Further decisions after everything was found, to detect other defects."""
_EXTRA_DECISIONS_WITH_RETENTION: Final = 1_600
"""Like `_EXTRA_DECISIONS`, for maps with different `retention_days`: a return can then end at different times."""
_MAX_WATCHED_RETURNS: Final = 8
"""Returns between one pair of stages that are watched for a relapse."""


class FlipFlop(NamedTuple):
    """A stage that a customer leaves and enters again at the same time, without an event in between."""

    stage: str
    through: str
    back: Transition
    is_late: bool
    """Whether it was seen only when an appointment was reported late."""


class Relapse(NamedTuple):
    """A return to a progress stage, followed within days by a move into a risk stage without an event."""

    to_stage: str
    risk: str
    days: int
    back: Transition


@dataclass(slots=True)
class SearchResult:
    """Result of a search: an example of each reached stage, risk stages left by a return, and defects."""

    examples: dict[str, ExampleHistory] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    flip_flops: dict[tuple[str, str], FlipFlop] = field(default_factory=dict)
    relapses: dict[tuple[str, str], Relapse] = field(default_factory=dict)
    customers: list[ReachedCustomer] = field(default_factory=list)
    """The customers that the search has reached and followed, without equivalent ones."""
    decisions: int = 0
    is_thorough: bool = True
    """Whether every customer with a primary key of their own was followed before the search ended."""


def explore(
    rulebook: Rulebook, goals: AbstractSet[str], journey_type: type[Journey] = Journey
) -> SearchResult:
    """Searches for histories that lead into the stages of `goals`, and out of each risk stage reached."""
    return _Search(rulebook, goals, journey_type).run()


def max_decisions(rulebook: Rulebook) -> int:
    """Returns the limit of decisions of a search on this map; the last step may exceed it."""
    rules = sum(len(stage.rules) for stage in rulebook.stage_map.active)
    return MAX_DECISIONS * 80 // (80 + rules)


class _Search:
    """One search: the queues of customers to be followed, and the result so far."""

    def __init__(self, rulebook: Rulebook, goals: AbstractSet[str], journey_type: type[Journey]) -> None:
        self._rulebook = rulebook
        self._journey_type = with_score_lookahead(journey_type)
        self._result = SearchResult()
        self._risks = {stage.key for stage in rulebook.stage_map.risk_descending}
        self._next_steps = NextSteps(rulebook)
        self._goals = goals
        self._max_decisions = max_decisions(rulebook)
        self._limit = self._max_decisions
        retention_days = {stage.retention_days for stage in rulebook.stage_map.progress}
        self._extra_decisions = (
            _EXTRA_DECISIONS if len(retention_days) == 1 else _EXTRA_DECISIONS_WITH_RETENTION
        )
        self._seen: set[Hashable] = set()
        self._watched_returns: dict[tuple[str, str], int] = {}
        # For each stage: customers with a new primary key, then the others.
        self._queues = {
            stage.key: (deque[ReachedCustomer](), deque[ReachedCustomer]())
            for stage in rulebook.stage_map.active
        }

    def run(self) -> SearchResult:
        self._extend_limit()  # there may be no goals
        for customer in self._queued_customers():
            for step in self._next_steps.steps(customer):
                self._follow(self._simulate(customer), step)
                if self._result.decisions >= self._limit:
                    self._result.is_thorough = not any(first for first, _ in self._queues.values())
                    return self._result
        return self._result

    def _simulate(self, customer: ReachedCustomer) -> SimulatedCustomer:
        journey = self._journey_type(_copy(customer.relationship), self._rulebook)
        return SimulatedCustomer(journey, customer.now, customer.history, self._next_steps)

    def _queued_customers(self) -> Iterator[ReachedCustomer]:
        """Yields the customers to be followed; the stages take turns."""
        opened = self._journey_type.open(1, self._rulebook, START_TIME)
        yield ReachedCustomer(opened.relationship, START_TIME, None)
        while any(first or second for first, second in self._queues.values()):
            for first, second in self._queues.values():
                if first or second:
                    yield (first or second).popleft()

    def _follow(self, simulated: SimulatedCustomer, step: SimulationStep) -> None:
        start = simulated.journey.relationship.current_stage
        for sequence in simulated.run(step):
            self._record(sequence)
            if sequence.event is not None:
                self._check_relapse(simulated, sequence)
        self._result.decisions += simulated.decisions
        if simulated.history is not None and start not in self._result.examples:
            self._result.examples[start] = simulated.history.to_example(simulated.now)
        customer = simulated.customer
        if customer is None:
            return
        equivalence_key = self._next_steps.equivalence_key(customer)
        if equivalence_key not in self._seen:
            primary_key, _ = equivalence_key
            queues = self._queues[customer.relationship.current_stage]
            queues[primary_key in self._seen].append(customer)
            is_new = primary_key not in self._seen
            self._seen |= {primary_key, equivalence_key}
            self._result.customers.append(customer)
            key = customer.relationship.current_stage
            if key in self._risks and (is_new or not self._is_complete):
                self._search_return(customer)

    def _search_return(self, customer: ReachedCustomer) -> None:
        """Simulates appointments of a lapsed customer at once: the chance to return may pass soon."""
        key = customer.relationship.current_stage
        for number, step in enumerate(self._next_steps.appointments(customer)):
            if self._result.decisions >= self._limit or (number and key in self._result.left):
                return
            simulated = self._simulate(customer)
            for sequence in simulated.run(step):
                self._record(sequence)
                self._check_relapse(simulated, sequence)
            self._result.decisions += simulated.decisions

    # ---- results

    def _record(self, sequence: MoveSequence) -> None:
        result = self._result
        for key in sequence.stages[1:]:
            if key not in result.examples:
                result.examples[key] = sequence.example
                self._extend_limit()
        is_late = sequence.event is not None and bool(sequence.event.late)
        for index, (stage, back) in enumerate(zip(sequence.stages[1:], sequence.moves, strict=True), 1):
            if stage in sequence.stages[:index]:
                oscillation = FlipFlop(stage, sequence.stages[index - 1], back, is_late)
                earlier = result.flip_flops.get((oscillation.stage, oscillation.through))
                if earlier is None or (earlier.is_late and not is_late):
                    result.flip_flops[oscillation.stage, oscillation.through] = oscillation

    def _check_relapse(self, simulated: SimulatedCustomer, sequence: MoveSequence) -> None:
        """Records a return by a completed appointment, and whether a relapse follows it."""
        event = sequence.event
        if event is None or event.event.type != EventType.APPOINTMENT_COMPLETED:
            return
        returned = [stage for stage in sequence.stages[1:] if stage not in self._risks]
        if sequence.left not in self._risks or not returned:
            return
        if sequence.left not in self._result.left:
            self._result.left.add(sequence.left)
            self._extend_limit()
        pair = (sequence.left, returned[-1])
        if event.late or simulated.is_over or self._watched_returns.get(pair, 0) >= _MAX_WATCHED_RETURNS:
            return
        self._watched_returns[pair] = self._watched_returns.get(pair, 0) + 1
        # A relapse at the same time, or within the window.
        after = zip(sequence.stages[1:], sequence.stages[2:], sequence.moves[1:], strict=False)
        lapses = [
            (stage, move) for stage, to, move in after if stage not in self._risks and to in self._risks
        ]
        if not lapses:
            lapses = list(self._lapses_within_window(simulated))
        for stage, move in lapses[:1]:
            days = (move.transitioned_at - sequence.at).days
            relapse = Relapse(stage, move.to_stage, days, move)
            earlier = self._result.relapses.setdefault((stage, move.to_stage), relapse)
            if days < earlier.days:
                self._result.relapses[stage, move.to_stage] = relapse

    def _lapses_within_window(self, simulated: SimulatedCustomer) -> Iterator[tuple[str, Transition]]:
        """Yields the moves into risk stages within the window, if no event occurs."""
        continued = SimulatedCustomer(
            self._journey_type(_copy(simulated.journey.relationship), self._rulebook),
            simulated.now,
            simulated.history,
            self._next_steps,
        )
        for sequence in continued.wait(simulated.now + RELAPSE_WINDOW):
            self._record(sequence)
            for stage, move in zip(sequence.stages, sequence.moves, strict=False):
                if move.to_stage in self._risks:
                    yield stage, move
        self._result.decisions += continued.decisions

    def _extend_limit(self) -> None:
        """Moves the limit of decisions after a new result."""
        extra = self._extra_decisions if self._is_complete else _MAX_DECISIONS_WITHOUT_PROGRESS
        self._limit = min(self._max_decisions, self._result.decisions + extra)

    @property
    def _is_complete(self) -> bool:
        reached = self._result.examples.keys()
        return self._goals <= reached and self._risks & reached <= self._result.left


_field_values = attrgetter(*(part.name for part in fields(Relationship)))


def _copy(relationship: Relationship) -> Relationship:
    """Returns a copy whose changes do not affect the original; all field values are immutable."""
    return Relationship(*_field_values(relationship))
