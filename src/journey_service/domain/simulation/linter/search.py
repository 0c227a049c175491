"""The search over event histories: which stages they lead into, and what goes wrong on the way.

Nothing is decided here. Concrete customers are taken through the real journey, step by step, and what the
journey writes is noted. Customers who are alike to the map are followed once; stages take turns, so that a
stage that was just reached is looked into at once. The work is bounded by a number of decisions.
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
from journey_service.domain.simulation.linter.event_histories import Customer, ExampleHistory, SimulationStep
from journey_service.domain.simulation.linter.next_steps import BEGINNING, NextSteps
from journey_service.domain.simulation.linter.score_lookahead import with_score_lookahead
from journey_service.domain.simulation.linter.simulated_customer import MoveSequence, SimulatedCustomer

BUDGET: Final = 8_000
"""How many decisions a search takes at most on a small map; a large one has fewer, as each costs more."""

_IN_VAIN: Final = 5_000
"""After so many decisions that showed nothing new a search is given up before its budget is spent."""

SOON: Final = timedelta(days=7)
"""Back at risk within so short a time, a return was none."""

_AFTERWARDS: Final = 400
"""How many more decisions are taken once all was found: for what goes wrong elsewhere."""
_AFTERWARDS_BY_STAGE: Final = 1_600
"""The same where stages give different days of retention: then a return may end in other days."""
_PROBES: Final = 8
"""How many returns from one stage to another are watched for what follows."""


class FlipFlop(NamedTuple):
    """A stage was left and entered again at one instant, nothing happening in between."""

    stage: str
    through: str
    back: Transition
    is_late: bool
    """Seen only where a visit was told late."""


class Relapse(NamedTuple):
    """A return into a progress stage after which a risk stage took the customer by itself, and soon."""

    to_stage: str
    risk: str
    days: int
    back: Transition


@dataclass(slots=True)
class Exploration:
    """What was seen: a history into each stage reached, the risk stages left by a return, and the faults."""

    witnesses: dict[str, ExampleHistory] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    flip_flops: dict[tuple[str, str], FlipFlop] = field(default_factory=dict)
    relapses: dict[tuple[str, str], Relapse] = field(default_factory=dict)
    customers: list[Customer] = field(default_factory=list)
    """Everybody who was worth following."""
    decisions: int = 0
    is_thorough: bool = True
    """Whether everybody who differs plainly from all others was followed, rather than given up."""


def explore(rulebook: Rulebook, goals: AbstractSet[str], journeys: type[Journey] = Journey) -> Exploration:
    """Look for histories that lead into the stages of `goals`, and out of each risk stage that is reached."""
    return _Search(rulebook, goals, journeys).run()


def budget(rulebook: Rulebook) -> int:
    """How many decisions a search of this map takes at most, give or take those of one step."""
    rules = sum(len(stage.rules) for stage in rulebook.stage_map.active)
    return BUDGET * 80 // (80 + rules)


class _Search:
    """The search itself: the customers still to be followed, and what was found."""

    def __init__(self, rulebook: Rulebook, goals: AbstractSet[str], journeys: type[Journey]) -> None:
        self._rulebook = rulebook
        self._journeys = with_score_lookahead(journeys)
        self._found = Exploration()
        self._risks = {stage.key for stage in rulebook.stage_map.risk_descending}
        self._possible = NextSteps(rulebook)
        self._goals = goals
        self._budget = budget(rulebook)
        self._until = self._budget
        given = {stage.retention_days for stage in rulebook.stage_map.progress}
        self._afterwards = _AFTERWARDS if len(given) == 1 else _AFTERWARDS_BY_STAGE
        self._seen: set[Hashable] = set()
        self._probed: dict[tuple[str, str], int] = {}
        # For each stage those who differ plainly from all before, then the others.
        self._queues = {
            stage.key: (deque[Customer](), deque[Customer]()) for stage in rulebook.stage_map.active
        }

    def run(self) -> Exploration:
        self._plan_on()  # there may be nothing to look for
        for customer in self._in_turn():
            for step in self._possible.steps(customer):
                self._follow(self._on_from(customer), step)
                if self._found.decisions >= self._until:
                    self._found.is_thorough = not any(first for first, _ in self._queues.values())
                    return self._found
        return self._found

    def _on_from(self, customer: Customer) -> SimulatedCustomer:
        journey = self._journeys(_copied(customer.relationship), self._rulebook)
        return SimulatedCustomer(journey, customer.now, customer.past, self._possible)

    def _in_turn(self) -> Iterator[Customer]:
        """The customers still to be followed, one of each stage after the other."""
        opened = self._journeys.open(1, self._rulebook, BEGINNING)
        yield Customer(opened.relationship, BEGINNING, None)
        while any(first or second for first, second in self._queues.values()):
            for first, second in self._queues.values():
                if first or second:
                    yield (first or second).popleft()

    def _follow(self, walk: SimulatedCustomer, step: SimulationStep) -> None:
        start = walk.journey.relationship.current_stage
        for episode in walk.take(step):
            self._note(episode)
            if episode.telling is not None:
                self._watch(walk, episode)
        self._found.decisions += walk.decisions
        if walk.past is not None and start not in self._found.witnesses:
            self._found.witnesses[start] = walk.past.witness(walk.now)
        customer = walk.customer
        if customer is None:
            return
        equivalence_key = self._possible.equivalence_key(customer)
        if equivalence_key not in self._seen:
            plain, _ = equivalence_key
            queues = self._queues[customer.relationship.current_stage]
            queues[plain in self._seen].append(customer)
            is_new = plain not in self._seen
            self._seen |= {plain, equivalence_key}
            self._found.customers.append(customer)
            key = customer.relationship.current_stage
            if key in self._risks and (is_new or not self._is_all_found):
                self._try_to_return(customer)

    def _try_to_return(self, customer: Customer) -> None:
        """Let a lapsed customer come at once: what lets them out of the stage may soon be past."""
        key = customer.relationship.current_stage
        for number, step in enumerate(self._possible.visits(customer)):
            if self._found.decisions >= self._until or (number and key in self._found.left):
                return
            walk = self._on_from(customer)
            for episode in walk.take(step):
                self._note(episode)
                self._watch(walk, episode)
            self._found.decisions += walk.decisions

    # ---- what is seen

    def _note(self, episode: MoveSequence) -> None:
        found = self._found
        for key in episode.stays[1:]:
            if key not in found.witnesses:
                found.witnesses[key] = episode.witness
                self._plan_on()
        is_late = episode.telling is not None and bool(episode.telling.late)
        for index, (stage, back) in enumerate(zip(episode.stays[1:], episode.moves, strict=True), 1):
            if stage in episode.stays[:index]:
                seen = FlipFlop(stage, episode.stays[index - 1], back, is_late)
                earlier = found.flip_flops.get((seen.stage, seen.through))
                if earlier is None or (earlier.is_late and not is_late):
                    found.flip_flops[seen.stage, seen.through] = seen

    def _watch(self, walk: SimulatedCustomer, episode: MoveSequence) -> None:
        """After a completed appointment: who was brought back by it, and for how long."""
        telling = episode.telling
        if telling is None or telling.event.type != EventType.APPOINTMENT_COMPLETED:
            return
        returned = [stage for stage in episode.stays[1:] if stage not in self._risks]
        if episode.left not in self._risks or not returned:
            return
        if episode.left not in self._found.left:
            self._found.left.add(episode.left)
            self._plan_on()
        pair = (episode.left, returned[-1])
        if telling.late or walk.is_over or self._probed.get(pair, 0) >= _PROBES:
            return
        self._probed[pair] = self._probed.get(pair, 0) + 1
        # Moved on at this very instant, or within the days to come.
        after = zip(episode.stays[1:], episode.stays[2:], episode.moves[1:], strict=False)
        lapses = [
            (stage, move) for stage, to, move in after if stage not in self._risks and to in self._risks
        ]
        if not lapses:
            lapses = list(self._lapses_soon(walk))
        for stage, move in lapses[:1]:
            days = (move.transitioned_at - episode.at).days
            relapse = Relapse(stage, move.to_stage, days, move)
            earlier = self._found.relapses.setdefault((stage, move.to_stage), relapse)
            if days < earlier.days:
                self._found.relapses[stage, move.to_stage] = relapse

    def _lapses_soon(self, walk: SimulatedCustomer) -> Iterator[tuple[str, Transition]]:
        """The first move into a risk stage within the next days, if nothing happens."""
        onwards = SimulatedCustomer(
            self._journeys(_copied(walk.journey.relationship), self._rulebook),
            walk.now,
            walk.past,
            self._possible,
        )
        for episode in onwards.wait(walk.now + SOON):
            self._note(episode)
            for stage, move in zip(episode.stays, episode.moves, strict=False):
                if move.to_stage in self._risks:
                    yield stage, move
        self._found.decisions += onwards.decisions

    def _plan_on(self) -> None:
        """How long to go on, now that something was found."""
        further = self._afterwards if self._is_all_found else _IN_VAIN
        self._until = min(self._budget, self._found.decisions + further)

    @property
    def _is_all_found(self) -> bool:
        reached = self._found.witnesses.keys()
        return self._goals <= reached and self._risks & reached <= self._found.left


_parts = attrgetter(*(part.name for part in fields(Relationship)))


def _copied(relationship: Relationship) -> Relationship:
    """A customer to go on with, leaving the other where they are; all parts are immutable."""
    return Relationship(*_parts(relationship))
